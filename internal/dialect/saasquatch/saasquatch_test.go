package saasquatch_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

const (
	collection = "/api/v1/{tenant}/subscription"
	acmes      = "/api/v1/acme/subscription"
	endpoint   = "https://hooks.example.com/in"
	created    = `{"endpointUrl":"` + endpoint + `","name":"Hook"}`
)

// newAPI makes the API without programs.
func newAPI(tenants *tenant.Service, webhooks *webhook.Service) dialect.API {
	return saasquatch.New(saasquatch.Services{Tenants: tenants, Webhooks: webhooks})
}

func password(key string) dialecttest.Auth { return dialecttest.Basic("", key) }

func TestTheAPIConforms(t *testing.T) {
	dialecttest.Run(t, dialecttest.Suite{
		New: newAPI, Auth: password, Refusal: wantError,
		List:   dialecttest.Request{Method: http.MethodGet, Path: collection},
		Create: dialecttest.Request{Method: http.MethodPost, Path: collection, Body: created},
		One: []dialecttest.Request{
			{Method: http.MethodDelete, Path: collection + "/{id}"},
			{Method: http.MethodPost, Path: collection + "/{id}/test"},
		},
		ID: func(s *webhook.Subscription) string { return url.PathEscape(s.URL) },
	})
}

// wantError demands the vendor's form of an error.
func wantError(t *testing.T, a dialecttest.Answer) {
	t.Helper()
	var shown map[string]any
	if err := json.Unmarshal([]byte(a.Body), &shown); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	message, _ := shown["message"].(string)
	code, _ := shown["apiErrorCode"].(string)
	if message == "" || code == "" || shown["statusCode"] != float64(a.Status) {
		t.Errorf("not an error as the vendor has them: %s", a.Body)
	}
}

func mustWorld(t *testing.T) (*dialecttest.World, tenant.Tenant, dialecttest.Auth) {
	t.Helper()
	w := dialecttest.NewWorld(t, newAPI, nil)
	acme := w.MustTenant("acme")
	return w, acme, password(w.MustKey(acme))
}

// want demands an answer, exactly.
func want(t *testing.T, got dialecttest.Answer, status int, body string) {
	t.Helper()
	if got.Status != status || strings.TrimSuffix(got.Body, "\n") != body {
		t.Errorf("got %d %q, want %d %q", got.Status, got.Body, status, body)
	}
}

func TestAnEndpointIsSubscribedUntilItIsDeleted(t *testing.T) {
	w := dialecttest.NewWorld(t, newAPI, nil)
	acme := w.MustTenant("acme")
	_, key := w.MustNewKey(acme, tenant.NewKey{Dialect: "saasquatch", Value: "LIVE_moved_here_with_its_key"})
	auth := password(key)
	exported := webhook.Publication{Type: "theme.publish.finished", Data: []byte(`{"newAssetsVersion":"CQOkemZF"}`)}

	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[]`)
	want(t, w.Send(http.MethodPost, acmes, created, auth), http.StatusCreated, "")
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[{"endpointUrl":"https://hooks.example.com/in","name":"Hook"}]`)
	if n := w.MustPublish(acme, exported); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
	got := w.MustReceive()
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(got.Body))
	if got.URL != endpoint || !strings.Contains(got.Body, `"tenantAlias":"acme","live":true`) {
		t.Errorf("%s got %s", got.URL, got.Body)
	}
	if signature := base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Header.Get("X-Hook-Signature") != signature {
		t.Errorf("signed %q, want %q", got.Header.Get("X-Hook-Signature"), signature)
	}

	want(t, w.Send(http.MethodPost, acmes+"/"+url.PathEscape(endpoint)+"/test", "", auth), http.StatusNoContent, "")
	if got := w.MustReceive(); !strings.Contains(got.Body, `"type":"test"`) || !strings.Contains(got.Body, `"data":{"endpointUrl":"https://hooks.example.com/in","name":"Hook"}`) {
		t.Errorf("the test is %s", got.Body)
	}

	want(t, w.Send(http.MethodDelete, acmes+"/"+url.PathEscape(endpoint), "", auth), http.StatusNoContent, "")
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[]`)
	if n := w.MustPublish(acme, exported); n != 0 {
		t.Errorf("%d deliveries to an endpoint that is gone", n)
	}
	if again := w.Send(http.MethodDelete, acmes+"/"+url.PathEscape(endpoint), "", auth); again.Status != http.StatusNotFound {
		t.Errorf("deleted again: %d %s", again.Status, again.Body)
	}
}

func TestTheKeyIsAcceptedInEitherPlace(t *testing.T) {
	w, acme, _ := mustWorld(t)
	key := w.MustKey(acme)
	for name, auth := range map[string]dialecttest.Auth{
		"as the password":             dialecttest.Basic("", key),
		"as the user":                 dialecttest.Basic(key, ""),
		"as both":                     dialecttest.Basic(key, key),
		"for a user who is named so":  dialecttest.Basic("ApiKey", key),
		"for any other user":          dialecttest.Basic("admin", key),
		"with anything as password":   dialecttest.Basic(key, "x"),
		"with the scheme in any case": dialecttest.Header("Authorization", "bAsIc "+base64.StdEncoding.EncodeToString([]byte(":"+key))),
	} {
		if got := w.Send(http.MethodGet, acmes, "", auth); got.Status != http.StatusOK {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for name, auth := range map[string]dialecttest.Auth{
		"of neither":         dialecttest.Basic("admin", "secret"),
		"as a bearer":        dialecttest.Bearer(key),
		"with nothing at it": dialecttest.Basic("", ""),
		"in a cookie":        dialecttest.Header("Cookie", "key="+key),
	} {
		got := w.Send(http.MethodGet, acmes, "", auth)
		if got.Status != http.StatusUnauthorized || !strings.Contains(got.Body, `"statusCode":401,"apiErrorCode":"UNAUTHORIZED","rsCode":"RS045"`) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

func TestAnUnknownTenantIsToldApartFromAWrongKey(t *testing.T) {
	w, acme, auth := mustWorld(t)
	const unknown = `{"message":"Missing or invalid tenant alias.","statusCode":404,"apiErrorCode":"TENANT_NOT_FOUND","rsCode":"RS045"}`
	for _, alias := range []string{"nobody", "acme%2Fsubscription", "ACME", "acme%00", "%2E%2E", "ac%6De%20", strings.Repeat("a", 2000), acme.ID.String()} {
		for _, given := range []dialecttest.Auth{auth, nil, password("wrong_key")} {
			want(t, w.Send(http.MethodGet, "/api/v1/"+alias+"/subscription", "", given), http.StatusNotFound, unknown)
		}
	}
	if got := w.Send(http.MethodGet, "/api/v1/ac%6De/subscription", "", auth); got.Status != http.StatusOK {
		t.Errorf("an escape in the alias: %d %s", got.Status, got.Body)
	}
	other := w.MustTenant("other")
	for name, given := range map[string]dialecttest.Auth{"another's key": auth, "no key": nil} {
		if got := w.Send(http.MethodGet, "/api/v1/other/subscription", "", given); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	if err := w.Tenants.Delete(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	want(t, w.Send(http.MethodGet, "/api/v1/other/subscription", "", auth), http.StatusNotFound, unknown)
}

func TestTheSameURLIsOneSubscription(t *testing.T) {
	w, acme, auth := mustWorld(t)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() { want(t, w.Send(http.MethodPost, acmes, created, auth), http.StatusCreated, "") })
	}
	asking.Wait()
	want(t, w.Send(http.MethodPost, acmes, `{"endpointUrl":"`+endpoint+`","name":"Renamed"}`, auth), http.StatusCreated, "")
	want(t, w.Send(http.MethodPost, acmes, `{"endpointUrl":"`+endpoint+`"}`, auth), http.StatusCreated, "")
	want(t, w.Send(http.MethodPost, acmes, `{"endpointUrl":"`+endpoint+`","name":null}`, auth), http.StatusCreated, "")
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[{"endpointUrl":"https://hooks.example.com/in","name":"Renamed"}]`)
	subs, err := w.Webhooks.SubscriptionsOf(t.Context(), acme.ID, "saasquatch")
	if err != nil || len(subs) != 1 {
		t.Errorf("%d subscriptions, %v", len(subs), err)
	}
}

func TestSubscriptionsMadeNativelyAreListedOnceAndDeletedTogether(t *testing.T) {
	w, acme, auth := mustWorld(t)
	for _, name := range []string{"first", "second"} {
		w.MustSubscribe(acme, webhook.Draft{Dialect: "saasquatch", URL: endpoint, Description: name, EventTypes: []string{"user.created"}})
	}
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[{"endpointUrl":"https://hooks.example.com/in","name":"first"}]`)
	want(t, w.Send(http.MethodDelete, acmes+"/"+url.PathEscape(endpoint), "", auth), http.StatusNoContent, "")
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[]`)
}

func TestSubscribingAgainBringsBackWhatAnAnswerHadEnded(t *testing.T) {
	w, acme, auth := mustWorld(t)
	w.Status = http.StatusGone
	sub := w.MustSubscribe(acme, webhook.Draft{
		Dialect: "saasquatch", URL: endpoint, EventTypes: []string{webhook.AllTypes}, Policy: webhook.Policy{NativeRules: true},
	})
	w.MustPublish(acme, webhook.Publication{Type: "theme.publish.finished", Data: []byte(`{"newAssetsVersion":"CQOkemZF"}`)})
	w.MustReceive()
	reload := func() *webhook.Subscription {
		found, err := w.Webhooks.Subscription(t.Context(), acme.ID, sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	w.Eventually("the subscription ends", func() bool { return !reload().Enabled })
	want(t, w.Send(http.MethodPost, acmes, created, auth), http.StatusCreated, "")
	if !reload().Enabled {
		t.Error("it is still disabled")
	}
	if _, err := w.Webhooks.DisableSubscription(t.Context(), acme.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	want(t, w.Send(http.MethodPost, acmes, created, auth), http.StatusCreated, "")
	if reload().Enabled {
		t.Error("what somebody had disabled by hand was enabled")
	}
}

func TestWhatIsWrongIsSaidInTheVendorsWords(t *testing.T) {
	w, _, auth := mustWorld(t)
	one := acmes + "/" + url.PathEscape(endpoint)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"no URL":        {http.MethodPost, acmes, `{"name":"x"}`, 400, `{"message":"endpointUrl: A URL is required.","statusCode":400,"apiErrorCode":"VALIDATION_FAILED"}`},
		"a number":      {http.MethodPost, acmes, `{"endpointUrl":7}`, 400, `{"message":"endpointUrl: must hold a string","statusCode":400,"apiErrorCode":"VALIDATION_FAILED"}`},
		"a long name":   {http.MethodPost, acmes, `{"endpointUrl":"` + endpoint + `","name":"` + strings.Repeat("n", 501) + `"}`, 400, `{"message":"name: has more than 500 characters","statusCode":400,"apiErrorCode":"VALIDATION_FAILED"}`},
		"a bad name":    {http.MethodPost, acmes, `{"endpointUrl":"` + endpoint + `","name":"a\u0000b"}`, 400, `{"message":"name: has characters that can't be printed","statusCode":400,"apiErrorCode":"VALIDATION_FAILED"}`},
		"not there":     {http.MethodDelete, one, "", 404, `{"message":"there is no such subscription","statusCode":404,"apiErrorCode":"NOT_FOUND"}`},
		"a GET of one":  {http.MethodGet, one, "", 405, `{"message":"this path takes DELETE, POST only","statusCode":405,"apiErrorCode":"METHOD_NOT_ALLOWED"}`},
		"a POST to one": {http.MethodPost, one, created, 405, `{"message":"a POST to a subscription must end with /test; without it this path takes DELETE only","statusCode":405,"apiErrorCode":"METHOD_NOT_ALLOWED"}`},
		"a query's end": {http.MethodPost, one + "?x=/test", "", 405, `{"message":"a POST to a subscription must end with /test; without it this path takes DELETE only","statusCode":405,"apiErrorCode":"METHOD_NOT_ALLOWED"}`},
		"only a test":   {http.MethodPost, acmes + "/test", "", 405, `{"message":"a POST to a subscription must end with /test; without it this path takes DELETE only","statusCode":405,"apiErrorCode":"METHOD_NOT_ALLOWED"}`},
	} {
		t.Run(name, func(t *testing.T) { want(t, w.Send(c.method, c.path, c.body, auth), c.status, c.want) })
	}
	want(t, w.Send(http.MethodGet, acmes, "", auth), http.StatusOK, `[]`)
	if allow := w.Send(http.MethodPost, one, created, auth).Header.Get("Allow"); allow != "DELETE" {
		t.Errorf("Allow is %q", allow)
	}
}

func TestEachAttemptIsSignedWithTheKeyThatIsCurrentThen(t *testing.T) {
	w := dialecttest.NewWorld(t, newAPI, nil)
	acme := w.MustTenant("acme")
	first, firstKey := w.MustNewKey(acme, tenant.NewKey{Dialect: "saasquatch"})
	sub := w.MustSubscribe(acme, webhook.Draft{Dialect: "saasquatch", URL: endpoint, EventTypes: []string{webhook.AllTypes}})
	published, _, err := w.Webhooks.Publish(t.Context(), acme.ID, webhook.Publishing{Publications: []webhook.Publication{
		{Dialect: "saasquatch", Type: "theme.publish.finished", Data: []byte(`{"newAssetsVersion":"CQOkemZF"}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantSignedBy := func(when, key string) {
		t.Helper()
		got := w.MustReceive()
		mac := hmac.New(sha1.New, []byte(key))
		mac.Write([]byte(got.Body))
		if signature := base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Header.Get("X-Hook-Signature") != signature {
			t.Errorf("%s it is signed %q, want %q", when, got.Header.Get("X-Hook-Signature"), signature)
		}
	}
	retry := func() {
		t.Helper()
		if _, err := w.Webhooks.Retry(t.Context(), acme.ID, published[0].ID, sub.ID); err != nil {
			t.Fatal(err)
		}
	}
	revoke := func(key tenant.Key) {
		t.Helper()
		if err := w.Tenants.RevokeKey(t.Context(), acme.ID, key.ID); err != nil {
			t.Fatal(err)
		}
	}
	wantSignedBy("at first", firstKey)

	second, secondKey, err := w.Tenants.RollKey(t.Context(), acme.ID, first.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	retry()
	wantSignedBy("once the key was rolled", secondKey)

	revoke(second)
	retry()
	wantSignedBy("once the new key was revoked, and the old one still goes on,", firstKey)

	revoke(first)
	retry()
	w.Eventually("the attempt without a key is on record", func() bool {
		d, _, err := w.Webhooks.Delivery(t.Context(), acme.ID, published[0].ID, sub.ID)
		return err == nil && d.Reason == "configuration"
	})
	select {
	case got := <-w.Received:
		t.Errorf("without a key it was sent, signed %q", got.Header.Get("X-Hook-Signature"))
	default:
	}
}

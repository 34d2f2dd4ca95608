package referralloop_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/referralloop"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

const (
	hooks     = "/api/v1/webhooks"
	subscribe = hooks + "/subscribe"
	waitlist  = "123e4567-e89b-12d3-a456-426614174000"
	created   = `{"event_type":"signup.deleted","target_url":"https://hooks.example.com/in"}`
)

func TestTheAPIConforms(t *testing.T) {
	dialecttest.Run(t, dialecttest.Suite{
		New: referralloop.New, Auth: dialecttest.Bearer, Refusal: wantError,
		List:   dialecttest.Request{Method: http.MethodGet, Path: hooks},
		Create: dialecttest.Request{Method: http.MethodPost, Path: subscribe, Body: created},
		One: []dialecttest.Request{
			{Method: http.MethodGet, Path: hooks + "/{id}"},
			{Method: http.MethodPost, Path: hooks + "/{id}/test"},
			{Method: http.MethodDelete, Path: hooks + "/unsubscribe/{id}"},
			{Method: http.MethodPost, Path: hooks + "/unsubscribe/{id}"},
		},
		ID: func(s *webhook.Subscription) string { return id.Subscription.Format(s.ID) },
	})
}

// wantError demands the product's form of an error.
func wantError(t *testing.T, a dialecttest.Answer) {
	t.Helper()
	var shown map[string]any
	if err := json.Unmarshal([]byte(a.Body), &shown); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if text, ok := shown["error"].(string); !ok || text == "" {
		t.Errorf("not an error as the product has them: %s", a.Body)
	}
	if _, limited := shown["reset_at"]; limited != (a.Status == http.StatusTooManyRequests) || !limited && len(shown) != 1 {
		t.Errorf("it has other keys: %s", a.Body)
	}
}

// subscribed is the answer to subscribing, strictly read.
type subscribed struct {
	Subscription struct {
		ID        string `json:"id"`
		EventType string `json:"event_type"`
		TargetURL string `json:"target_url"`
		IsActive  bool   `json:"is_active"`
		CreatedAt string `json:"created_at"`
	} `json:"subscription"`
	Secret string `json:"secret"`
}

func mustWorld(t *testing.T) (*dialecttest.World, tenant.Tenant, dialecttest.Auth) {
	t.Helper()
	w := dialecttest.NewWorld(t, referralloop.New, nil)
	acme := w.MustTenant("acme")
	return w, acme, dialecttest.Bearer(w.MustKey(acme))
}

func mustRead(t *testing.T, a dialecttest.Answer, status int) subscribed {
	t.Helper()
	var s subscribed
	dec := json.NewDecoder(strings.NewReader(a.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil || a.Status != status {
		t.Fatalf("%d %v: %s", a.Status, err, a.Body)
	}
	return s
}

// want demands an answer, exactly.
func want(t *testing.T, got dialecttest.Answer, status int, body string) {
	t.Helper()
	if got.Status != status || strings.TrimSuffix(got.Body, "\n") != body {
		t.Errorf("got %d %q, want %d %q", got.Status, got.Body, status, body)
	}
}

func deletedFrom(list string) webhook.Publication {
	return webhook.Publication{
		Type: "signup.deleted", Fields: map[string]string{"waitlist_id": list},
		Data: []byte(`{"id":"789e0123-e89b-12d3-a456-426614174000","email":"user@example.com"}`),
	}
}

func TestAnEventTypeIsSubscribedUntilItIsUnsubscribed(t *testing.T) {
	w := dialecttest.NewWorld(t, referralloop.New, nil)
	acme := w.MustTenant("acme")
	_, key := w.MustNewKey(acme, tenant.NewKey{Dialect: "referralloop", Value: "pk_live_moved_here_with_its_key"})
	auth := dialecttest.Bearer(key)
	made := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	if s := made.Subscription; !regexp.MustCompile(`^sub_[0-9a-f]{24}$`).MatchString(s.ID) || s.EventType != "signup.deleted" ||
		s.TargetURL != "https://hooks.example.com/in" || !s.IsActive {
		t.Errorf("made is %+v", made)
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", made.Subscription.CreatedAt); err != nil || time.Since(at) > time.Minute {
		t.Errorf("created at %q", made.Subscription.CreatedAt)
	}

	if n := w.MustPublish(acme, deletedFrom(waitlist)); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
	got := w.MustReceive()
	mac := hmac.New(sha256.New, []byte(made.Secret))
	mac.Write([]byte(got.Body))
	if signature := "sha256=" + hex.EncodeToString(mac.Sum(nil)); got.Header.Get("X-Webhook-Signature") != signature {
		t.Errorf("signed %q, want %q", got.Header.Get("X-Webhook-Signature"), signature)
	}
	if !strings.HasPrefix(got.Body, `{"event_type":"signup.deleted","waitlist_id":"`+waitlist+`"`) {
		t.Errorf("received %s", got.Body)
	}

	unsubscribe := hooks + "/unsubscribe/" + made.Subscription.ID
	want(t, w.Send(http.MethodDelete, unsubscribe, "", auth), http.StatusOK, `{"success":true}`)
	want(t, w.Send(http.MethodDelete, unsubscribe, "", auth), http.StatusNotFound, `{"error":"there is no such subscription"}`)
	if n := w.MustPublish(acme, deletedFrom(waitlist)); n != 0 {
		t.Errorf("%d deliveries to an endpoint that is gone", n)
	}
}

func TestOlderClientsUnsubscribeByPost(t *testing.T) {
	w, acme, auth := mustWorld(t)
	made := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	path := hooks + "/unsubscribe/" + made.Subscription.ID
	want(t, w.Send(http.MethodPost, path, `{"target_url":"https://hooks.example.com/in","subscription_url":"x","event":"y"}`, auth), http.StatusOK, `{"success":true}`)
	if n := w.MustPublish(acme, deletedFrom(waitlist)); n != 0 {
		t.Errorf("%d deliveries", n)
	}
}

func TestASubscriptionCanBeRestrictedToAWaitlist(t *testing.T) {
	w, acme, auth := mustWorld(t)
	body := func(list string) string {
		return `{"event_type":"signup.deleted","target_url":"https://hooks.example.com/in","waitlist_id":` + list + `}`
	}
	for _, list := range []string{`"` + strings.ToUpper(waitlist) + `"`, `null`, `""`} {
		mustRead(t, w.Send(http.MethodPost, subscribe, body(list), auth), http.StatusCreated)
	}
	if n := w.MustPublish(acme, deletedFrom(waitlist)); n != 3 {
		t.Errorf("%d deliveries of the waitlist's, want 3", n)
	}
	if n := w.MustPublish(acme, deletedFrom("00000000-e89b-12d3-a456-426614174000")); n != 2 {
		t.Errorf("%d deliveries of another's, want 2", n)
	}
	want(t, w.Send(http.MethodPost, subscribe, body(`"my list"`), auth), http.StatusBadRequest,
		`{"error":"waitlist_id: must be a UUID in lower case, such as 123e4567-e89b-12d3-a456-426614174000"}`)
}

func TestTheSameSubscriptionTwiceIsTwo(t *testing.T) {
	w, acme, auth := mustWorld(t)
	first := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	second := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	if first.Subscription.ID == second.Subscription.ID || first.Secret == second.Secret {
		t.Errorf("they are one: %+v, %+v", first, second)
	}
	if n := w.MustPublish(acme, deletedFrom(waitlist)); n != 2 {
		t.Errorf("%d deliveries", n)
	}
}

func TestSubscriptionsAreShownWithoutTheirSecrets(t *testing.T) {
	w, acme, auth := mustWorld(t)
	want(t, w.Send(http.MethodGet, hooks, "", auth), http.StatusOK, `{"subscriptions":[]}`)
	made := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	sub, err := id.Subscription.Parse(made.Subscription.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Webhooks.DisableSubscription(t.Context(), acme.ID, sub); err != nil {
		t.Fatal(err)
	}
	shown := `{"id":"` + made.Subscription.ID + `","event_type":"signup.deleted","target_url":"https://hooks.example.com/in","is_active":false,"created_at":"` + made.Subscription.CreatedAt + `"}`
	want(t, w.Send(http.MethodGet, hooks, "", auth), http.StatusOK, `{"subscriptions":[`+shown+`]}`)
	want(t, w.Send(http.MethodGet, hooks+"/"+made.Subscription.ID, "", auth), http.StatusOK, `{"subscription":`+shown+`}`)

	native := w.MustSubscribe(acme, webhook.Draft{Dialect: "referralloop", URL: "https://hooks.example.com/in", EventTypes: []string{"signup.created", "signup.deleted"}})
	got := mustRead(t, w.Send(http.MethodGet, hooks+"/"+id.Subscription.Format(native.ID), "", auth), http.StatusOK)
	if got.Subscription.EventType != "signup.created,signup.deleted" {
		t.Errorf("one with two event types shows %q", got.Subscription.EventType)
	}
}

func TestATestSaysWhatTheEndpointAnswered(t *testing.T) {
	w, _, auth := mustWorld(t)
	made := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	for status, wanted := range map[int]string{
		http.StatusOK:                  `{"success":true,"status_code":200,"reason":"ok"`,
		http.StatusNoContent:           `{"success":true,"status_code":204,"reason":"ok"`,
		http.StatusInternalServerError: `{"success":false,"status_code":500,"reason":"server_error"`,
	} {
		w.Status = status
		got := w.Send(http.MethodPost, hooks+"/"+made.Subscription.ID+"/test", "", auth)
		if got.Status != http.StatusOK || !strings.HasPrefix(got.Body, wanted) {
			t.Errorf("%d: %d %s", status, got.Status, got.Body)
		}
		if sent := w.MustReceive(); !strings.HasPrefix(sent.Body, `{"event_type":"webhook.test"`) {
			t.Errorf("sent is %s", sent.Body)
		}
	}
}

func TestWhatIsWrongIsSaidInTheProductsWords(t *testing.T) {
	w, _, auth := mustWorld(t)
	const types = "event_type: is no event type of ReferralLoop, which has signup.created, signup.position_changed, signup.deleted"
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"nothing":         {`{}`, 400, `event_type: is required; target_url: is required`},
		"no event type":   {`{"target_url":"https://hooks.example.com/in"}`, 400, `event_type: is required`},
		"no URL":          {`{"event_type":"signup.created"}`, 400, `target_url: is required`},
		"an unknown type": {`{"event_type":"signup.approved","target_url":"https://hooks.example.com/in"}`, 400, types},
		"all types":       {`{"event_type":"*","target_url":"https://hooks.example.com/in"}`, 400, types},
		"the test's type": {`{"event_type":"webhook.test","target_url":"https://hooks.example.com/in"}`, 400, "event_type: is the test of a subscription, which only Grapevine sends"},
		"a list of types": {`{"event_type":["signup.created"],"target_url":"https://hooks.example.com/in"}`, 400, "event_type: must hold a string"},
		"http":            {`{"event_type":"signup.created","target_url":"http://hooks.example.com/in"}`, 400, "target_url: The URL must begin with https://. The operator can allow http:// with --allow-http."},
		"a number":        {`{"event_type":"signup.created","target_url":"https://hooks.example.com/in","waitlist_id":7}`, 400, "waitlist_id: must hold a string"},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.Send(http.MethodPost, subscribe, c.body, auth), c.status, `{"error":"`+c.want+`"}`)
		})
	}
	want(t, w.Send(http.MethodGet, hooks, ""), http.StatusUnauthorized, `{"error":"Missing or invalid authorization header"}`)
	want(t, w.Send(http.MethodGet, hooks, "", dialecttest.Basic("pk_live_x", "")), http.StatusUnauthorized, `{"error":"Missing or invalid authorization header"}`)
	want(t, w.Send(http.MethodGet, hooks, "", dialecttest.Bearer("pk_live_0123456789abcdef")), http.StatusUnauthorized, `{"error":"Invalid API key"}`)
	want(t, w.Send(http.MethodGet, subscribe, "", auth), http.StatusMethodNotAllowed, `{"error":"Method not allowed"}`)
	want(t, w.Send(http.MethodGet, hooks, "", auth), http.StatusOK, `{"subscriptions":[]}`)
}

func TestOnlyAnIDAsItIsShownNamesASubscription(t *testing.T) {
	w, _, auth := mustWorld(t)
	made := mustRead(t, w.Send(http.MethodPost, subscribe, created, auth), http.StatusCreated)
	digits := strings.TrimPrefix(made.Subscription.ID, "sub_")
	for _, given := range []string{
		digits, "SUB_" + digits, "sub_" + strings.ToUpper(digits), "sub_" + digits + "0", "sub_" + digits[1:], "evt_" + digits,
		"sub_" + digits + "%00", "sub%255F" + digits, "sub_..%2F" + digits, "%20sub_" + digits, "hook_" + digits, "sub_", "..",
	} {
		for _, call := range []struct{ method, path string }{
			{http.MethodGet, hooks + "/" + given}, {http.MethodPost, hooks + "/" + given + "/test"}, {http.MethodDelete, hooks + "/unsubscribe/" + given},
		} {
			want(t, w.Send(call.method, call.path, "", auth), http.StatusNotFound, `{"error":"there is no such subscription"}`)
		}
	}
	if got := w.Send(http.MethodGet, hooks+"/sub%5F"+digits, "", auth); got.Status != http.StatusOK {
		t.Errorf("an escape in the id: %d %s", got.Status, got.Body)
	}
}

func TestTooManyRequestsAreToldWhenThereMayBeMore(t *testing.T) {
	w := dialecttest.NewWorld(t, referralloop.New, func(o *dialect.Options) { o.Limiter = edge.NewLimiter(0.01) })
	auth := dialecttest.Bearer(w.MustKey(w.MustTenant("acme")))
	w.Send(http.MethodGet, hooks, "", auth)
	got := w.Send(http.MethodGet, hooks, "", auth)
	var shown struct {
		Error   string    `json:"error"`
		Limit   int       `json:"limit"`
		ResetAt time.Time `json:"reset_at"`
	}
	if err := json.Unmarshal([]byte(got.Body), &shown); err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTooManyRequests || shown.Error != "Rate limit exceeded" || shown.Limit != 1 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if in := time.Until(shown.ResetAt); in < 90*time.Second || in > 101*time.Second {
		t.Errorf("reset_at is %v from now", in)
	}
	if header := got.Header.Get("X-RateLimit-Reset"); header != strconv.FormatInt(shown.ResetAt.Unix(), 10) {
		t.Errorf("the header says %s, the body %d", header, shown.ResetAt.Unix())
	}
}

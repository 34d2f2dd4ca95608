package rehook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/rehook"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	wire "github.com/grapevine-hq/grapevine/internal/wire/rehook"
)

const body = `{"url":"https://hooks.example.com/in","events":["customer.created","wallet.credited"],` +
	`"basic_auth":{"username":"rehook","password":"hunter2hunter2"},"headers":{"X-Team":"correct-horse"}}`

// refusal is an error, strictly read.
type refusal struct {
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Details   []problem.Field `json:"details"`
	RequestID string          `json:"request_id"`
}

func TestItPassesTheSuite(t *testing.T) {
	dialecttest.Run(t, dialecttest.Suite{
		New:  rehook.New,
		Auth: auth,
		Refusal: func(t *testing.T, a dialecttest.Answer) {
			t.Helper()
			r := mustRead[refusal](t, a.Body)
			if !strings.HasSuffix(r.Code, "_CODE") || r.Message == "" || r.Details == nil || r.RequestID == "" || r.RequestID != a.Header.Get("X-Request-Id") {
				t.Errorf("the answer is %s", a.Body)
			}
		},
		List:   dialecttest.Request{Method: http.MethodGet, Path: "/webhooks"},
		Create: dialecttest.Request{Method: http.MethodPost, Path: "/webhooks", Body: body},
		One: []dialecttest.Request{
			{Method: http.MethodGet, Path: "/webhooks/{id}"},
			{Method: http.MethodPatch, Path: "/webhooks/{id}", Body: body},
			{Method: http.MethodDelete, Path: "/webhooks/{id}"},
		},
		ID: func(sub *webhook.Subscription) string { return "sub_" + sub.ID.String() },
	})
}

// auth splits a key into itself and its secret.
func auth(key string) dialecttest.Auth {
	public, secret, _ := strings.Cut(key, ":")
	return dialecttest.Basic(public, secret)
}

// mustRead reads JSON that has no other fields than T.
func mustRead[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// client is a tenant with a key of the API.
type client struct {
	*dialecttest.World
	tenant.Tenant

	t   testing.TB
	key string
}

func newClient(t testing.TB) client {
	t.Helper()
	c := client{World: dialecttest.NewWorld(t, rehook.New, nil), t: t}
	c.Tenant = c.MustTenant("acme")
	c.key = c.MustKey(c.Tenant)
	return c
}

func (c client) send(method, path, body string) dialecttest.Answer {
	c.t.Helper()
	return c.Send(method, path, body, auth(c.key))
}

// hook is a webhook, strictly read.
type hook struct {
	ID        string            `json:"id"`
	URL       string            `json:"url"`
	Events    []string          `json:"events"`
	BasicAuth *basicAuth        `json:"basic_auth"`
	Headers   map[string]string `json:"headers"`
	Enabled   bool              `json:"enabled"`
	CreatedAt time.Time         `json:"created_at"`
	UpdatedAt time.Time         `json:"updated_at"`
}

type basicAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// must demands a success of the status and reads it.
func must[T any](t testing.TB, a dialecttest.Answer, status int) T {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	return mustRead[T](t, a.Body)
}

// mustRefuse demands a refusal that names the fields.
func mustRefuse(t testing.TB, a dialecttest.Answer, status int, code string, fields ...string) {
	t.Helper()
	r := mustRead[refusal](t, a.Body)
	var named []string
	for _, f := range r.Details {
		named = append(named, f.Name)
	}
	if a.Status != status || r.Code != code || !slices.Equal(named, fields) {
		t.Errorf("status %d, want %d, %s and the fields %v: %s", a.Status, status, code, fields, a.Body)
	}
}

// sample is an event as the catalogue has it.
func sample(t testing.TB, eventType string) webhook.Publication {
	t.Helper()
	for _, known := range (wire.Dialect{}).Catalogue(nil) {
		if known.Name == eventType {
			return webhook.Publication{Type: eventType, Data: known.Sample, Fields: map[string]string{"source_id": "KMN@123"}}
		}
	}
	t.Fatalf("there is no %s", eventType)
	return webhook.Publication{}
}

func TestASubscriberGetsWhatIsPublishedUntilItIsDeleted(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", "/webhooks", body), http.StatusCreated)
	want := hook{
		ID: made.ID, URL: "https://hooks.example.com/in", Events: []string{"customer.created", "wallet.credited"},
		BasicAuth: &basicAuth{"rehook", webhook.Masked}, Headers: map[string]string{"X-Team": webhook.Masked},
		Enabled: true, CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt,
	}
	if diff := cmp.Diff(want, made); diff != "" || !strings.HasPrefix(made.ID, "sub_") || made.CreatedAt.IsZero() {
		t.Errorf("made %+v: %s", made, diff)
	}
	if n := c.MustPublish(c.Tenant, sample(t, "customer.created")); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
	got := c.MustReceive()
	user, password, _ := (&http.Request{Header: got.Header}).BasicAuth()
	if got.URL != made.URL || user != "rehook" || password != "hunter2hunter2" || got.Header.Get("X-Team") != "correct-horse" ||
		!strings.HasPrefix(got.Body, `{"event_name":"customer.created","metadata":{"CustomerID":"cust_`) {
		t.Errorf("received %+v", got)
	}
	if n := c.MustPublish(c.Tenant, sample(t, "signup")); n != 0 {
		t.Errorf("%d deliveries of an event that nobody subscribed to", n)
	}

	if a := c.send("DELETE", "/webhooks/"+made.ID, ""); a.Status != http.StatusNoContent || a.Body != "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if n := c.MustPublish(c.Tenant, sample(t, "customer.created")); n != 0 {
		t.Errorf("%d deliveries after it was deleted", n)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		mustRefuse(t, c.send(method, "/webhooks/"+made.ID, body), http.StatusNotFound, "NOT_FOUND_CODE")
	}
	if a := c.send("GET", "/webhooks", ""); a.Body != "[]\n" {
		t.Errorf("listed %s", a.Body)
	}
}

func TestBothSpellingsOfAnEventAreTaken(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", "/webhooks", `{"url":"https://hooks.example.com/in","events":["customer.referral.successfull.friend"]}`), http.StatusCreated)
	if !slices.Equal(made.Events, []string{"customer.referral.successful.friend"}) || made.BasicAuth != nil || len(made.Headers) != 0 {
		t.Errorf("made %+v", made)
	}
	c.MustPublish(c.Tenant, sample(t, "customer.referral.successful.friend"))
	if got := c.MustReceive(); !strings.Contains(got.Body, `"event_name":"customer.referral.successfull.friend"`) {
		t.Errorf("received %s", got.Body)
	}
}

func TestAChangeKeepsWhatItDoesNotName(t *testing.T) {
	c := newClient(t)
	want := must[hook](t, c.send("POST", "/webhooks", body), http.StatusCreated)
	path := "/webhooks/" + want.ID
	for _, step := range []struct {
		body   string
		change func()
	}{
		{`{}`, func() {}},
		{`{"url":null,"events":null,"headers":null}`, func() {}},
		{`{"events":["signup"]}`, func() { want.Events = []string{"signup"} }},
		{`{"url":"https://two.example.com/"}`, func() { want.URL = "https://two.example.com/" }},
		{`{"basic_auth":{"username":"other","password":"p"}}`, func() { want.BasicAuth = &basicAuth{"other", webhook.Masked} }},
		{`{"headers":{"x-b":"1","Authorization-2":"2"}}`, func() { want.Headers = map[string]string{"X-B": webhook.Masked, "Authorization-2": webhook.Masked} }},
		{`{"basic_auth":null}`, func() { want.BasicAuth = nil }},
		{`{"headers":{}}`, func() { want.Headers = map[string]string{} }},
	} {
		step.change()
		got := must[hook](t, c.send("PATCH", path, step.body), http.StatusOK)
		if got.UpdatedAt.Before(want.UpdatedAt) {
			t.Errorf("%s: updated at %s, before %s", step.body, got.UpdatedAt, want.UpdatedAt)
		}
		want.UpdatedAt = got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", step.body, diff)
		}
		if diff := cmp.Diff(want, must[hook](t, c.send("GET", path, ""), http.StatusOK)); diff != "" {
			t.Errorf("%s, read again: %s", step.body, diff)
		}
	}
	c.MustPublish(c.Tenant, sample(t, "signup"))
	if got := c.MustReceive(); got.URL != "https://two.example.com/" || got.Header.Get("Authorization") != "" || got.Header.Get("X-Team") != "" {
		t.Errorf("received %+v", got)
	}
}

// badFields are values that no webhook takes, with the fields that are named.
var badFields = map[string]struct{ field, name string }{
	"an unknown event":           {`"events":["signup","customer.poked"]`, "events[1]"},
	"no events":                  {`"events":[]`, "events"},
	"events that are a word":     {`"events":"signup"`, "events"},
	"events that are numbers":    {`"events":[1]`, "events"},
	"an event in both spellings": {`"events":["customer.referral.successful.friend","customer.referral.successfull.friend"]`, "events[1]"},
	"a pattern":                  {`"events":["customer.*"]`, "events[0]"},
	"a URL by http":              {`"url":"http://two.example.com/"`, "url"},
	"a private address":          {`"url":"https://private.example.com/"`, "url"},
	"an empty URL":               {`"url":""`, "url"},
	"credentials in a word":      {`"basic_auth":"user:pass"`, "basic_auth"},
	"a password as a number":     {`"basic_auth":{"username":"u","password":1}`, "basic_auth.password"},
	"no password":                {`"basic_auth":{"username":"u"}`, "basic_auth.password"},
	"no user":                    {`"basic_auth":{"password":"p"}`, "basic_auth.username"},
	"a user with a colon":        {`"basic_auth":{"username":"u:v","password":"p"}`, "basic_auth.username"},
	"the mask for a password":    {`"basic_auth":{"username":"u","password":"********"}`, "basic_auth.password"},
	"headers in a list":          {`"headers":[{"X-A":"1"}]`, "headers"},
	"a number in a header":       {`"headers":{"X-A":1}`, "headers"},
	"a line break in a header":   {`"headers":{"X-A":"1\r\nX-B: 2"}`, "headers.x-a"},
	"the mask for a header":      {`"headers":{"X-A":"********"}`, "headers.x-a"},
	"a header with an odd name":  {`"headers":{"X A":"1"}`, "headers"},
	"a header of the transport":  {`"headers":{"Host":"evil.example.com"}`, "headers.host"},
	"a header of Grapevine's":    {`"headers":{"X-Grapevine-Event-Id":"1"}`, "headers.x-grapevine-event-id"},
	"credentials twice":          {`"headers":{"authorization":"Basic Og=="},"basic_auth":{"username":"u","password":"p"}`, "headers.authorization"},
}

func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", "/webhooks", body), http.StatusCreated)
	path := "/webhooks/" + made.ID
	for name, bad := range badFields {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, c.send("PATCH", path, "{"+bad.field+"}"), http.StatusBadRequest, "BAD_REQUEST_CODE", bad.name)
			if diff := cmp.Diff(made, must[hook](t, c.send("GET", path, ""), http.StatusOK)); diff != "" {
				t.Error(diff)
			}
		})
	}
	mustRefuse(t, c.send("PATCH", path, `{"events":["signup"],"url":"x","headers":{"Host":"y"}}`), http.StatusBadRequest, "BAD_REQUEST_CODE", "headers.host", "url")
}

func TestAnIDThatIsNoneIsNotFound(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", "/webhooks", body), http.StatusCreated)
	digits := strings.TrimPrefix(made.ID, "sub_")
	for _, id := range []string{
		digits, "hook_" + digits, "sub_", made.ID + "0", made.ID[:len(made.ID)-1], strings.ToUpper(made.ID),
		made.ID + "%00", "..", "..%2Fwebhooks%2F" + made.ID, made.ID + "%2F", made.ID + "%252F", strings.Repeat("a", 3000), "%3Cscript%3E",
	} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			mustRefuse(t, c.send(method, "/webhooks/"+id, body), http.StatusNotFound, "NOT_FOUND_CODE")
		}
	}
}

func TestTheHalvesOfAKeyHaveTheirSlots(t *testing.T) {
	c := newClient(t)
	key, secret, _ := strings.Cut(c.key, ":")
	for name, auth := range map[string]dialecttest.Auth{
		"swapped":            dialecttest.Basic(secret, key),
		"the secret alone":   dialecttest.Basic("", secret),
		"the key alone":      dialecttest.Basic(key, ""),
		"both as the user":   dialecttest.Basic(c.key, ""),
		"as a bearer":        dialecttest.Bearer(c.key),
		"as their old ones":  dialecttest.Header("appId", key),
		"another's key half": dialecttest.Basic(strings.Split(c.MustKey(c.MustTenant("other")), ":")[0], secret),
	} {
		a := c.Send("POST", "/webhooks", body, auth)
		mustRefuse(t, a, http.StatusUnauthorized, "UNAUTHORIZED_CODE")
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: challenged by %q", name, a.Header.Get("WWW-Authenticate"))
		}
	}
	if a := c.send("GET", "/webhooks", ""); a.Body != "[]\n" {
		t.Errorf("made %s", a.Body)
	}
}

func TestAListIsReadByPages(t *testing.T) {
	c := newClient(t)
	var all []string
	for i := range 51 {
		all = append(all, c.MustSubscribe(c.Tenant, webhook.Draft{Dialect: "rehook", URL: fmt.Sprintf("https://hooks.example.com/%d", i), EventTypes: []string{"*"}}).ID.String())
	}
	slices.Sort(all)
	for query, want := range map[string][]string{
		"":                          all[:50],
		"?page=":                    all[:50],
		"?page=1&x=1":               all[:50],
		"?page=2":                   all[50:],
		"?page=3":                   nil,
		"?page=9223372036854775807": nil,
	} {
		var got []string
		for _, h := range must[[]hook](t, c.send("GET", "/webhooks"+query, ""), http.StatusOK) {
			got = append(got, strings.TrimPrefix(h.ID, "sub_"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for _, query := range []string{"?page=0", "?page=-1", "?page=two", "?page=1.5", "?page=9223372036854775808"} {
		mustRefuse(t, c.send("GET", "/webhooks"+query, ""), http.StatusBadRequest, "BAD_REQUEST_CODE", "page")
	}
}

// result is what came of a test, strictly read.
type result struct {
	Success bool    `json:"success"`
	Status  int     `json:"status"`
	TimeMS  float64 `json:"time_ms"`
	Body    string  `json:"body"`
	Error   string  `json:"error"`
}

func TestAWebhookIsTriedBeforeItIsSaved(t *testing.T) {
	c := newClient(t)
	c.Answer = "hello"
	got := must[result](t, c.send("POST", "/webhooks/test", `{"url":"https://hooks.example.com/in","basic_auth":{"username":"u","password":"p"},"headers":{"X-A":"1"}}`), http.StatusOK)
	if !got.Success || got.Status != http.StatusOK || got.TimeMS <= 0 || got.Body != "hello" || got.Error != "" {
		t.Errorf("%+v", got)
	}
	sent := c.MustReceive()
	if !strings.Contains(sent.Body, `"event_name":"webhook.test"`) || sent.Header.Get("X-A") != "1" || sent.Header.Get("Authorization") == "" {
		t.Errorf("sent %+v", sent)
	}
	if a := c.send("GET", "/webhooks", ""); a.Body != "[]\n" {
		t.Errorf("saved %s", a.Body)
	}
	mustRefuse(t, c.send("GET", "/webhooks/test", ""), http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED_CODE")
}

func TestATestWhoseKeyIsRevokedWhileTheURLIsLookedUpSendsNothing(t *testing.T) {
	c := newClient(t)
	key, plaintext := c.MustNewKey(c.Tenant, tenant.NewKey{Dialect: "rehook"})
	c.LookedUp = func() {
		if err := c.Tenants.RevokeKey(t.Context(), c.ID, key.ID); err != nil {
			t.Error(err)
		}
	}
	mustRefuse(t, c.Send("POST", "/webhooks/test", body, auth(plaintext)), http.StatusUnauthorized, "UNAUTHORIZED_CODE")
	select {
	case got := <-c.Received:
		t.Errorf("something was sent to %s", got.URL)
	default:
	}
}

func TestATestSucceedsWith200Only(t *testing.T) {
	c := newClient(t)
	for _, status := range []int{201, 204, 301, 400, 410, 500} {
		c.Status = status
		got := must[result](t, c.send("POST", "/webhooks/test", body), http.StatusOK)
		if got.Success || got.Status != status || got.Error == "" {
			t.Errorf("%d: %+v", status, got)
		}
		c.MustReceive()
	}
}

func TestATestShowsTheFirstKiBOfTheAnswerAsText(t *testing.T) {
	c := newClient(t)
	c.Answer = strings.Repeat("a", 1023) + "\u00e9" + strings.Repeat("b", 3000)
	got := must[result](t, c.send("POST", "/webhooks/test", body), http.StatusOK)
	if want := strings.Repeat("a", 1023) + "\uFFFD"; got.Body != want {
		t.Errorf("the body has %d bytes and ends with %q", len(got.Body), got.Body[max(0, len(got.Body)-10):])
	}
}

func TestATestDoesNotShowTheCredentialsThatAnEndpointRepeats(t *testing.T) {
	c := newClient(t)
	c.Answer = "you said hunter2hunter2 and correct-horse"
	got := must[result](t, c.send("POST", "/webhooks/test", body), http.StatusOK)
	if strings.Contains(got.Body, "hunter2") || strings.Contains(got.Body, "correct-horse") || !strings.HasPrefix(got.Body, "you said ") {
		t.Errorf("it shows %q", got.Body)
	}
}

func TestATestThatIsRefusedSendsNothing(t *testing.T) {
	c := newClient(t)
	for name, bad := range badFields {
		t.Run(name, func(t *testing.T) {
			draft := "{" + bad.field + "}"
			if !strings.HasPrefix(bad.field, `"url"`) {
				draft = `{"url":"https://hooks.example.com/in",` + draft[1:]
			}
			mustRefuse(t, c.send("POST", "/webhooks/test", draft), http.StatusBadRequest, "BAD_REQUEST_CODE", bad.name)
		})
	}
	mustRefuse(t, c.send("POST", "/webhooks/test", `{"events":["signup"]}`), http.StatusBadRequest, "BAD_REQUEST_CODE", "url")
	mustRefuse(t, c.Send("POST", "/webhooks/test", body, auth(c.MustKey(c.Tenant, tenant.Read))), http.StatusForbidden, "FORBIDDEN_CODE")
	if len(c.Received) > 0 {
		t.Errorf("sent %+v", <-c.Received)
	}
}

func TestADisabledWebhookIsShownAsOne(t *testing.T) {
	c := newClient(t)
	sub := c.MustSubscribe(c.Tenant, webhook.Draft{Dialect: "rehook", URL: "https://hooks.example.com/in", EventTypes: []string{"*"}})
	if _, err := c.Webhooks.DisableSubscription(t.Context(), c.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	if got := must[hook](t, c.send("GET", "/webhooks/sub_"+sub.ID.String(), ""), http.StatusOK); got.Enabled {
		t.Error("it is shown as enabled")
	}
}

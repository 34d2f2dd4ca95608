package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestARepeatedIdempotencyKeyGivesTheFirstAnswerAndPublishesNothing(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	p := client.Publication{Type: "a.b", Data: map[string]int{"n": 1}, IdempotencyKey: "order-1"}
	first, err := a.Publish(t.Context(), p)
	if err != nil || first.Replayed {
		t.Fatalf("%+v, %v", first, err)
	}
	a.MustSubscription(t, "*") // the first answer stays what it was
	again, err := a.Publish(t.Context(), p)
	if err != nil || !again.Replayed || again.ID != first.ID || again.Deliveries != first.Deliveries || !again.Timestamp.Equal(first.Timestamp) {
		t.Errorf("%+v, %v, want %+v", again, err, first)
	}
	raw := w.send(http.MethodPost, "/v1/events", a.Key, ` { "type" : "a.b", "data":{"n":1} }`, "Idempotency-Key: order-1")
	if raw.status != http.StatusOK || raw.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("with other white space: %d %s", raw.status, raw.body)
	}
	p.Data = map[string]int{"n": 2}
	_, err = a.Publish(t.Context(), p)
	wantCode(t, err, problem.IdempotencyConflict)
	if other, err := w.MustAccount("bolt").Publish(t.Context(), p); err != nil || other.Replayed {
		t.Errorf("another tenant's: %+v, %v", other, err)
	}
	batch := []client.Publication{{Type: "a.b", Data: struct{}{}, IdempotencyKey: "batch-1"}, {Type: "a.c", Data: struct{}{}}}
	one, err := a.PublishBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	two, err := a.PublishBatch(t.Context(), batch)
	if err != nil || len(two) != 2 || two[1].ID != one[1].ID || !two[1].Replayed {
		t.Errorf("%+v, %v", two, err)
	}
	if n := w.MustCount()["event"]; n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

func TestWithoutTheDatabaseEverythingIsUnavailable(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	a.MustSubscription(t, "*")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, op := range w.MustOperations() {
		key := a.Key
		if op.scope == "operator" {
			key = adminKey
		}
		if slices.Contains([]string{"/v1/event-types", "/v1/dialects", "/v1/subscriptions/test"}, op.path) { // these need no database
			continue
		}
		if op.path == "/v1/backup" && testkit.OnPostgres() { // nor does the word that there is none
			continue
		}
		path := strings.NewReplacer("{dialect}", "saasquatch", "{key_id}", "key_000000000000000000000000", "{key}", "acme", "{code}", "ANNA", "{type}", "referral_paid", "{id}", map[string]string{
			"tenants": "ten_000000000000000000000000", "subscriptions": "sub_000000000000000000000000", "events": "evt_000000000000000000000000",
			"deliveries": "dlv_000000000000000000000000000000000000000000000000", "replays": "job_000000000000000000000000",
			"programs": "prg_000000000000000000000000", "people": "per_000000000000000000000000", "referrals": "ref_000000000000000000000000",
			"rewards": "rwd_000000000000000000000000", "facts": "fct_000000000000000000000000",
			"exports": "exp_000000000000000000000000", "timers": "tmr_000000000000000000000000", "blocklist": "blk_000000000000000000000000",
		}[strings.Split(op.path, "/")[2]]).Replace(op.path)
		got := w.send(op.method, path+demanded[op.method+" "+op.path], key, op.body)
		got.problem(t, problem.Unavailable)
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%s %s does not say when to try again", op.method, op.path)
		}
	}
	unknown := w.send(http.MethodGet, "/v1/events", "gv_live_0123456789012345678901234567890123456789", "")
	unknown.problem(t, problem.Unavailable)
}

func TestPathsAndMethodsThatAreNotThereAreProblemsToo(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for _, path := range []string{"/v1/nowhere", "/v1", "/nowhere", "/v1/events/", "/v1//events", "/v1/events/../events", "/v1/./events", "//v1/events", "/v1/subscriptions/test", "/v1/events/evt_\x00"} {
		w.send(http.MethodGet, path, a.Key, "").problem(t, problem.NotFound)
	}
	for path, allow := range map[string]string{
		"/v1/events": "GET, HEAD, POST", "/v1/events/batch": "GET, HEAD, POST", "/v1/tenants/x": "GET, HEAD, PATCH, DELETE", "/healthz": "GET, HEAD", "/v1/subscriptions/x/enable": "POST",
	} {
		got := w.send(http.MethodPut, path, a.Key, "")
		if got.problem(t, problem.MethodNotAllowed); got.header.Get("Allow") != allow {
			t.Errorf("%s allows %q, want %q", path, got.header.Get("Allow"), allow)
		}
	}
	w.send("BREW", "/v1/events", a.Key, "").problem(t, problem.MethodNotAllowed)
}

func TestHeadIsAnsweredLikeGetWithoutTheBody(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for _, path := range []string{"/v1/events", "/healthz", "/docs", "/openapi.json"} {
		head, get := w.send(http.MethodHead, path, a.Key, ""), w.send(http.MethodGet, path, a.Key, "")
		if head.status != get.status || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: %d %q, want as %d", path, head.status, head.body, get.status)
		}
	}
}

func TestEveryAnswerHasTheHeadersThatAllHave(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for _, path := range []string{"/v1/events", "/v1/nowhere", "/docs", "/", "/healthz", "/openapi.yaml"} {
		h := w.send(http.MethodGet, path, a.Key, "").header
		if h.Get("X-Request-Id") == "" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestARequestKeepsItsIdIfThatIsASaneOne(t *testing.T) {
	w := MustWorld(t, nil)
	for given, kept := range map[string]bool{
		"req-1.A_z": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a b": false, "<script>": false, "ä": false,
	} {
		got := w.send(http.MethodGet, "/healthz", "", "", "X-Request-Id: "+given).header.Get("X-Request-Id")
		if got == "" || (got == given) != kept {
			t.Errorf("%q became %q", given, got)
		}
	}
}

func TestWhatTheCallerWouldLikeToReadIsNotAsked(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for _, accept := range []string{"text/html", "application/problem+json", "json", "*/*;q=0", "nonsense"} {
		if got := w.send(http.MethodGet, "/v1/events", a.Key, "", "Accept: "+accept); got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", accept, got.status, got.header.Get("Content-Type"))
		}
	}
}

func TestReadinessFollowsTheNode(t *testing.T) {
	var mu sync.Mutex
	var down error
	w := MustWorld(t, func(o *api.Options) {
		o.Ready = func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			return down
		}
	})
	if got := w.send(http.MethodGet, "/readyz", "", ""); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	mu.Lock()
	down = errors.New("disk s3cret is gone")
	mu.Unlock()
	got := w.send(http.MethodGet, "/readyz", "", "")
	got.problem(t, problem.Unavailable)
	if strings.Contains(got.body, "s3cret") {
		t.Errorf("shows the reason: %s", got.body)
	}
	if alive := w.send(http.MethodGet, "/healthz", "", ""); alive.status != http.StatusOK {
		t.Errorf("a node that is not ready does not live: %d", alive.status)
	}
}

func TestAKeyThatAsksTooOftenHasToWait(t *testing.T) {
	w := MustWorld(t, func(o *api.Options) { o.RateLimit = 0.01 })
	tenantOf := func(alias string) string {
		_, _, plaintext, err := w.tenants.Create(t.Context(), newTenant(alias))
		if err != nil {
			t.Fatal(err)
		}
		return plaintext
	}
	a, b := tenantOf("acme"), tenantOf("bolt")
	first := w.send(http.MethodGet, "/v1/events", a, "")
	if h := first.header; first.status != http.StatusOK || h.Get("RateLimit-Limit") != "1" || h.Get("RateLimit-Remaining") != "0" || h.Get("RateLimit-Reset") != "100" {
		t.Errorf("%d %v", first.status, h)
	}
	second := w.send(http.MethodGet, "/v1/events", a, "")
	second.problem(t, problem.RateLimited)
	if wait := second.header.Get("Retry-After"); wait != "100" {
		t.Errorf("wait %q", wait)
	}
	if other := w.send(http.MethodGet, "/v1/events", b, ""); other.status != http.StatusOK {
		t.Errorf("another key: %d", other.status)
	}
	if health := w.send(http.MethodGet, "/healthz", a, ""); health.status != http.StatusOK || health.header.Get("RateLimit-Limit") != "" {
		t.Errorf("health: %d %v", health.status, health.header)
	}
}

func TestAPanicIsAnInternalErrorThatShowsNothing(t *testing.T) {
	w := MustWorld(t, func(o *api.Options) {
		o.Ready = func(context.Context) error { panic("s3cret") }
	})
	got := w.send(http.MethodGet, "/readyz", "", "", "X-Request-Id: find-me")
	got.problem(t, problem.Internal)
	if strings.Contains(got.body, "s3cret") {
		t.Errorf("shows %s", got.body)
	}
	if logged := w.log.String(); !strings.Contains(logged, "s3cret") || !strings.Contains(logged, "find-me") {
		t.Errorf("not logged: %s", logged)
	}
}

func TestAnUnexpectedErrorIsLoggedAndShowsNothing(t *testing.T) {
	w := MustWorld(t, func(o *api.Options) {
		o.Unavailable = func(error) bool { return false }
	})
	a := w.MustAccount("acme")
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	got := w.send(http.MethodGet, "/v1/events", a.Key, "", "X-Request-Id: find-me")
	got.problem(t, problem.Internal)
	if strings.Contains(got.body, "db:") {
		t.Errorf("shows %s", got.body)
	}
	if logged := w.log.String(); !strings.Contains(logged, "request_id=find-me") || !strings.Contains(logged, "db:") {
		t.Errorf("not logged: %s", logged)
	}
}

func TestRequestsAreCountedByRouteNotByPath(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := MustWorld(t, func(o *api.Options) {
		o.Registry, o.Metrics = registry, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	})
	a := w.MustAccount("acme")
	for i := range 20 {
		w.send(http.MethodGet, fmt.Sprintf("/v1/events/evt_%024d", i), a.Key, "")
		w.send(http.MethodGet, fmt.Sprintf("/elsewhere/%d", i), "", "")
		w.send(http.MethodGet, fmt.Sprintf("/v1/elsewhere/%d", i), "", "")
	}
	a.MustPublish(t, "a.b")
	text := w.send(http.MethodGet, "/metrics", "", "").body
	for _, line := range []string{
		`grapevine_http_requests_total{route="GET /v1/events/{id}",status="404"} 20`,
		`grapevine_http_requests_total{route="none",status="404"} 20`,
		`grapevine_http_requests_total{route="none",status="401"} 20`,
		`grapevine_http_requests_total{route="POST /v1/events",status="202"} 1`,
		`grapevine_http_request_seconds_count{route="GET /v1/events/{id}"} 20`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(text, "elsewhere") || strings.Contains(text, "evt_0") {
		t.Error("a path became a label")
	}
}

func TestTheRootLeadsToTheDocumentation(t *testing.T) {
	w := MustWorld(t, nil)
	root := w.send(http.MethodGet, "/", "", "")
	if root.status != http.StatusFound || root.header.Get("Location") != "/docs" {
		t.Errorf("%d %v", root.status, root.header)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	got := w.send(http.MethodGet, "/openapi.json", "", "")
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") || len(doc.Paths) == 0 {
		t.Errorf("%v: %.200s", err, got.body)
	}
}

func TestTheDocumentationIsOnePageThatNeedsNothingElse(t *testing.T) {
	w := MustWorld(t, nil)
	docs := w.send(http.MethodGet, "/docs", "", "")
	if docs.status != http.StatusOK || docs.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", docs.status, docs.header)
	}
	_, style, _ := strings.Cut(docs.body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	hash := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if csp := docs.header.Get("Content-Security-Policy"); csp != want {
		t.Errorf("the policy is %q, want %q", csp, want)
	}
	for _, foreign := range []string{"<script", "http://", "https://unpkg", " src=", " style=", "<link", "@import", "javascript:"} {
		if strings.Contains(docs.body, foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	for _, op := range w.MustOperations() {
		if !strings.Contains(docs.body, `<span class="method">`+op.method+`</span>`+op.path+`</code>`) {
			t.Errorf("%s %s is missing", op.method, op.path)
		}
	}
	for _, code := range problem.Codes {
		if !strings.Contains(docs.body, `<tr id="`+code.Name+`">`) {
			t.Errorf("the code %s is missing", code.Name)
		}
	}
	for _, text := range []string{"policy.schedule", "$GRAPEVINE_ADMIN_KEY", "from 1 to 250", `-d &#39;{`, "prefers-color-scheme: dark"} {
		if !strings.Contains(docs.body, text) {
			t.Errorf("%q is missing", text)
		}
	}
}

func TestTheTraceOfAPublicationIsPassedOn(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	a.MustSubscription(t, "*")
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if _, err := a.Publish(t.Context(), client.Publication{Type: "a.b", Data: struct{}{}, Traceparent: trace}); err != nil {
		t.Fatal(err)
	}
	if got := w.MustDue(a); len(got) != 1 || got[0].Traceparent != trace {
		t.Errorf("due %+v", got)
	}
}

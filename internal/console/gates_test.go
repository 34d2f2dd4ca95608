package console_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// route is a page, or what a form is sent to.
type route struct {
	method, path string
	manage       bool // takes a key that may change things
}

// belongings are an account with one of everything that has a page.
type belongings struct {
	account
	sub       *webhook.Subscription
	event     id.ID
	replay    id.ID
	eventType string
}

// MustBelongings makes them: the delivery has failed, and the replay is under way.
func (w *world) MustBelongings(a account) belongings {
	w.t.Helper()
	o := belongings{account: a, sub: w.MustSubscription(a), eventType: "invoice_voided"}
	o.event = w.MustFailedDelivery(a, o.sub)
	o.replay = w.MustReplay(a, webhook.ReplayFilter{SubscriptionID: o.sub.ID, Statuses: []string{"cancelled"}}).ID
	w.MustEventType(a, webhook.NewEventType{Name: o.eventType, Schema: []byte(`{"type":"object"}`)})
	return o
}

// MustReplay begins one of all events.
func (w *world) MustReplay(a account, filter webhook.ReplayFilter) webhook.Replay {
	w.t.Helper()
	filter.Since = time.Now().Add(-time.Hour)
	made, err := w.webhooks.StartReplay(w.t.Context(), a.ID, filter)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) MustEventType(a account, of webhook.NewEventType) {
	w.t.Helper()
	if _, _, err := w.webhooks.RegisterEventType(w.t.Context(), a.ID, of); err != nil {
		w.t.Fatal(err)
	}
}

// routes lists all that there is of an account's.
func routes(o belongings) []route {
	app, hook, delivery, replay := applicationPath(o.account), webhookPath(o.account, o.sub), deliveryPath(o.account, o.event, o.sub), replayPath(o.account, o.replay)
	return []route{
		{http.MethodGet, app, false},
		{http.MethodGet, app + "/deliveries", false},
		{http.MethodGet, app + "/deliveries?part=live", false},
		{http.MethodGet, delivery, false},
		{http.MethodGet, hook, false},
		{http.MethodGet, app + "/webhooks/new", true},
		{http.MethodPost, app + "/webhooks/new", true},
		{http.MethodPost, hook + "/test", true},
		{http.MethodPost, hook + "/secret", true},
		{http.MethodGet, hook + "/disable", true},
		{http.MethodPost, hook + "/disable", true},
		{http.MethodGet, hook + "/enable", true},
		{http.MethodPost, hook + "/enable", true},
		{http.MethodGet, hook + "/delete", true},
		{http.MethodPost, hook + "/delete", true},
		{http.MethodPost, delivery + "/retry", true},
		{http.MethodGet, hook + "/recover", true},
		{http.MethodPost, hook + "/recover", true},
		{http.MethodGet, app + "/replays", false},
		{http.MethodGet, app + "/replays?part=live", false},
		{http.MethodGet, app + "/replays/new", true},
		{http.MethodPost, app + "/replays/new", true},
		{http.MethodGet, replay, false},
		{http.MethodGet, replay + "?part=live", false},
		{http.MethodPost, replay + "/pause", true},
		{http.MethodPost, replay + "/resume", true},
		{http.MethodPost, replay + "/cancel", true},
		{http.MethodGet, app + "/event-types", false},
		{http.MethodGet, app + "/event-types/" + o.eventType, false},
		{http.MethodGet, app + "/audit", true},
	}
}

// MustFailedDelivery publishes an event and has its delivery fail for good.
func (w *world) MustFailedDelivery(a account, sub *webhook.Subscription) id.ID {
	w.t.Helper()
	event := w.MustPublish(a, "invoice.paid", `{"n":1}`)
	w.MustRecord(webhook.Outcome{
		Job: webhook.Job{TenantID: a.ID, EventID: event, Sub: sub},
		Attempt: webhook.Attempt{
			Number: 1, StartedAt: time.Now(), ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError,
			Timing: webhook.Timing{Connect: 3 * time.Millisecond, FirstByte: 20 * time.Millisecond, Total: 21 * time.Millisecond},
			Body:   []byte("out of order"),
		},
		Status: webhook.Failed,
	})
	return event
}

// state is what somebody could have changed of an account.
func (w *world) state(o belongings) string {
	w.t.Helper()
	subs, _, err := w.webhooks.Subscriptions(w.t.Context(), o.ID, webhook.Page{Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	replays, _, err := w.webhooks.Replays(w.t.Context(), o.ID, webhook.Page{Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	d, attempts, err := w.webhooks.Delivery(w.t.Context(), o.ID, o.event, o.sub.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	text := d.Status.String() + d.UpdatedAt.String() + strings.Repeat("a", len(attempts)) + strings.Repeat("t", len(w.receiver.seen))
	for _, s := range subs {
		text += s.ID.String() + s.UpdatedAt.String()
	}
	for _, p := range replays {
		text += p.ID.String() + p.State
	}
	return text
}

func (b *browser) visit(r route, token string) seen {
	b.w.t.Helper()
	if r.method == http.MethodGet {
		return b.get(r.path)
	}
	do := "start"
	if strings.HasSuffix(r.path, "/webhooks/new") {
		do = "save"
	}
	return b.do(b.request(http.MethodPost, r.path, url.Values{
		"form_token": {token}, "do": {do}, "url": {"https://hooks.example.com/planted"}, "scope": {"all"},
		"since": {"2026-01-01T00:00"}, "status": {"failed"},
	}))
}

func TestWhoeverHasNotSignedInIsSentToTheSignIn(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	before := w.state(o)
	paths := append(routes(o),
		route{http.MethodGet, "/console/", false}, route{http.MethodGet, "/console/applications", false},
		route{http.MethodGet, "/console/nothing/here", false}, route{http.MethodPost, "/console/sign-out", false})
	for _, r := range paths {
		b := w.MustBrowser()
		page := b.visit(r, b.get("/console/sign-in").token())
		if strings.Contains(r.path, "part=") {
			page.want(t, http.StatusUnauthorized)
			continue
		}
		page.want(t, http.StatusOK, "Sign in")
		if !strings.HasPrefix(page.path, "/console/sign-in") {
			t.Errorf("%s %s leads to %s", r.method, r.path, page.path)
		}
	}
	if after := w.state(o); after != before {
		t.Error("somebody who has not signed in has changed something")
	}
}

func TestATenantsKeyFindsNothingOfAnother(t *testing.T) {
	w := MustWorld(t, "")
	victim, other := w.MustAccount("victim"), w.MustAccount("other")
	o := w.MustBelongings(victim)
	before := w.state(o)
	b := w.MustSignIn(other.Key)
	token := b.get("/console/applications").token()

	// What does not exist at all, and what there is under the own alias.
	nobody := account{Tenant: tenant.Tenant{Alias: "nobody"}}
	unknown := &webhook.Subscription{ID: id.New(time.Now())}
	missing := routes(belongings{nobody, unknown, id.New(time.Now()), id.New(time.Now()), "nothing_like_it"})
	own := routes(belongings{other, o.sub, o.event, o.replay, o.eventType})
	for i, r := range routes(o) {
		got, want := b.visit(r, token), b.visit(missing[i], token)
		want.want(t, http.StatusNotFound, "or it belongs to somebody else")
		if got.status != want.status || got.body != want.body {
			t.Errorf("%s %s: %d tells it from what does not exist", r.method, r.path, got.status)
		}
		got.wantNot(t, "victim", "hooks.example.com", "invoice.paid")
		if strings.Contains(own[i].path, "_") { // it names something
			b.visit(own[i], token).want(t, http.StatusNotFound)
		}
	}
	filtered := b.get(applicationPath(other) + "/deliveries?webhook=" + id.Subscription.Format(o.sub.ID))
	filtered.want(t, http.StatusOK, "There are no deliveries like this")
	filtered.wantNot(t, "hooks.example.com", "invoice.paid")
	b.get("/console/applications").wantNot(t, "victim")
	if after := w.state(o); after != before {
		t.Error("another tenant has changed something")
	}
}

func TestTheOperatorFindsEverything(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	b := w.MustSignIn(adminKey)
	for _, r := range routes(o) {
		if r.method == http.MethodGet {
			b.get(r.path).want(t, http.StatusOK)
		}
	}
}

func TestAKeyThatMayOnlyReadSeesAndChangesNothing(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	_, key, err := w.tenants.CreateKey(t.Context(), a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}})
	if err != nil {
		t.Fatal(err)
	}
	before := w.state(o)
	b := w.MustSignIn(key)
	token := b.get("/console/applications").token()
	for _, r := range routes(o) {
		page := b.visit(r, token)
		if r.manage {
			page.want(t, http.StatusForbidden, `does not have the scope "manage"`)
			continue
		}
		page.want(t, http.StatusOK)
		page.wantNot(t, "Add new", "Retry", "Delete …", "Show the secret", "Enable …", "Recover …", "Replay …", "Send deliveries again",
			"pause-replay", "Cancel the rest", "/audit", o.sub.Secrets[0].Value)
	}
	if after := w.state(o); after != before {
		t.Error("a key that may only read has changed something")
	}
}

func TestAFormWithoutItsSessionsTokenIsRefused(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	before := w.state(o)
	b, another := w.MustSignIn(a.Key), w.MustSignIn(a.Key)
	tokens := map[string]string{
		"none": "", "made up": strings.Repeat("A", 43), "of another session": another.get("/console/applications").token(),
		"of nobody's": w.MustBrowser().get("/console/sign-in").token(),
	}
	for name, token := range tokens {
		for _, r := range append(routes(o), route{http.MethodPost, "/console/sign-out", false}) {
			if r.method == http.MethodPost {
				if page := b.visit(r, token); page.status != http.StatusForbidden {
					t.Errorf("%s with a token %s: %d", r.path, name, page.status)
				}
			}
		}
		stranger := w.MustBrowser()
		stranger.do(stranger.request(http.MethodPost, "/console/sign-in", url.Values{"form_token": {token}, "key": {a.Key}})).want(t, http.StatusForbidden)
	}
	if after := w.state(o); after != before || !b.isSignedIn() {
		t.Error("a forged form has changed something")
	}
}

func TestAFormThatAnotherSiteSendsIsRefused(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	before := w.state(o)
	b := w.MustSignIn(a.Key)
	token := b.get("/console/applications").token()
	for _, header := range []http.Header{
		{"Origin": {"https://evil.example.com"}},
		{"Origin": {"null"}},
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"same-site"}},
		{"Origin": {"http://console.example.com:81"}},
	} {
		b.header = header
		for _, r := range routes(o) {
			if r.method == http.MethodPost {
				b.visit(r, token).want(t, http.StatusForbidden, "Another site has sent this form")
			}
		}
	}
	if after := w.state(o); after != before {
		t.Error("another site has changed something")
	}
	b.header = http.Header{"Origin": {w.url}, "Sec-Fetch-Site": {"same-origin"}}
	b.visit(route{http.MethodPost, webhookPath(a, o.sub) + "/test", true}, token).want(t, http.StatusOK)
}

var (
	inline   = regexp.MustCompile(`(?i)<style|<script(?:[^>]*)>[^<]|\sstyle=|\son[a-z]+=|javascript:`)
	loads    = regexp.MustCompile(`(?i)(?:src|href|action)="([^"]*)"`)
	elements = regexp.MustCompile(`(?is)<(?:img|script|link|form)\b[^>]*>`)
)

func TestPagesHaveNothingInlineAndNothingFromElsewhere(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	o := w.MustBelongings(a)
	b := w.MustSignIn(adminKey)
	pages := []seen{w.MustBrowser().get("/console/sign-in"), b.get("/console/applications"), b.get("/console/nothing")}
	for _, r := range routes(o) {
		if r.method == http.MethodGet && !strings.Contains(r.path, "part=") {
			pages = append(pages, b.get(r.path))
		}
	}
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "same-origin",
		"Cache-Control":           "no-store",
		"Content-Type":            "text/html; charset=utf-8",
	}
	assets := make(map[string]bool)
	for _, page := range pages {
		for name, value := range want {
			if got := page.header.Get(name); got != value {
				t.Errorf("%s: %s is %q", page.path, name, got)
			}
		}
		if found := inline.FindString(page.body); found != "" {
			t.Errorf("%s has %q", page.path, found)
		}
		for _, element := range elements.FindAllString(page.body, -1) {
			for _, target := range loads.FindAllStringSubmatch(element, -1) {
				if !strings.HasPrefix(target[1], "/console/") {
					t.Errorf("%s has %s", page.path, element)
				}
				if strings.HasPrefix(target[1], "/console/assets/") {
					assets[target[1]] = true
				}
			}
		}
	}
	if len(assets) != 3 {
		t.Errorf("the pages use %d assets, want 3: %v", len(assets), assets)
	}
	for path := range assets {
		page := w.MustBrowser().get(path)
		page.want(t, http.StatusOK)
		if got := page.header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
	w.MustBrowser().get("/console/assets/nothing.css").want(t, http.StatusNotFound)
	if got := w.MustBrowser().get("/console/assets/console.css?v=old").header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("an asset under an old address is cached: %s", got)
	}
}

func TestAFormThatIsTooLargeIsRefused(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	page := b.get(applicationPath(a) + "/webhooks/new")
	b.submit(page, applicationPath(a)+"/webhooks/new", url.Values{"url": {strings.Repeat("x", 300<<10)}}).want(t, http.StatusRequestEntityTooLarge, "256 KiB")
}

func TestADatabaseThatCantBeUsedIsSaidInWords(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	b.get("/console/applications").want(t, http.StatusServiceUnavailable, "Nothing was changed: try again")
	w.MustBrowser().signIn(a.Key)
}

func TestARequestWhoseBrowserHasGoneIsNoError(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	served := b.request(http.MethodGet, "/console/applications", nil).WithContext(ctx)
	for _, c := range b.client.Jar.Cookies(served.URL) {
		served.AddCookie(c)
	}
	answer, err := b.RoundTrip(served)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %d", answer.StatusCode)
	}
}

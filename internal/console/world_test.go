package console_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const adminKey = "gv_admin_0123456789abcdefghijklmnop"

// world is the console over a real database, with a receiver that is made up.
type world struct {
	t        testing.TB
	db       *db.DB
	key      secret.Key
	tenants  *tenant.Service
	webhooks *webhook.Service
	audit    *audit.Service
	sessions *session.Service
	receiver *receiver
	console  *console.Console
	url      string

	whileLookingUp func() // called before a URL is checked, if it is set
}

// emptyDatabase returns the file of a database without content. Every world gets
// a copy, since the migrations take longer than most tests.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "grapevine-empty-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "t.db")
	made, err := db.Open(context.Background(), "sqlite:"+file, db.Options{})
	if err != nil {
		return nil, err
	}
	if err := made.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// receiver answers every attempt in the same way.
type receiver struct {
	mu      sync.Mutex
	attempt webhook.Attempt
	seen    []*webhook.Subscription
}

func (r *receiver) Attempt(_ context.Context, sub *webhook.Subscription, _ wire.Message, _ string) webhook.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, sub)
	return r.attempt
}

func (w *world) identify(ctx context.Context, of id.ID, dialect string) (*wire.Identity, error) {
	return w.tenants.Identity(ctx, of, dialect)
}

// MustWorld returns a console that browsers reach at base, "" for http.
func MustWorld(t testing.TB, base string) *world {
	t.Helper()
	if base == "" {
		base = "http://console.example.com"
	}
	w := &world{t: t, key: secret.NewKey(), receiver: &receiver{}, url: base}
	empty, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "t.db")
	if err := os.WriteFile(file, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	if w.db, err = db.Open(t.Context(), "sqlite:"+file, db.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	box, err := secret.Open(t.Context(), w.db, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.webhooks = webhook.New(webhook.Options{DB: w.db, Box: box, CheckURL: w.checkURL, Identify: w.identify, Attempter: w.receiver})
	if w.tenants, err = tenant.New(w.db, tenant.Options{OnDelete: w.webhooks.DeleteTenant, Box: box}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tenants.EnsureAdminKey(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	if w.audit, err = audit.New(w.db, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.sessions, err = session.New(w.db); err != nil {
		t.Fatal(err)
	}
	w.console, err = console.New(console.Options{
		Tenants: w.tenants, Webhooks: w.webhooks, Audit: w.audit, Sessions: w.sessions, URL: base,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// checkURL is the guard's, without the look-up of names.
func (w *world) checkURL(ctx context.Context, raw string) error {
	if w.whileLookingUp != nil {
		w.whileLookingUp()
	}
	guard, err := netguard.New(netguard.Config{})
	if err != nil {
		return err
	}
	if u, err := url.Parse(raw); err == nil && u.Scheme == "https" && u.User == nil && strings.HasSuffix("."+u.Host, ".example.com") {
		return nil
	}
	return guard.CheckURL(ctx, raw)
}

// account is a tenant with its first key.
type account struct {
	tenant.Tenant
	Key   string
	keyID id.ID
}

func (w *world) MustAccount(alias string) account {
	w.t.Helper()
	made, key, plaintext, err := w.tenants.Create(w.t.Context(), tenant.NewTenant{Alias: alias, Live: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return account{made, plaintext, key.ID}
}

func (w *world) MustSubscription(a account, types ...string) *webhook.Subscription {
	w.t.Helper()
	if len(types) == 0 {
		types = []string{webhook.AllTypes}
	}
	sub, err := w.webhooks.CreateSubscription(w.t.Context(), a.ID, webhook.Draft{URL: "https://hooks.example.com/in", EventTypes: types})
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

func (w *world) MustSubscriptionTo(a account, to string) *webhook.Subscription {
	w.t.Helper()
	sub, err := w.webhooks.CreateSubscription(w.t.Context(), a.ID, webhook.Draft{URL: to, EventTypes: []string{webhook.AllTypes}})
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

func (w *world) MustPublish(a account, eventType, data string) id.ID {
	w.t.Helper()
	published, _, err := w.webhooks.Publish(w.t.Context(), a.ID, webhook.Publishing{
		Publications: []webhook.Publication{{Type: eventType, Data: []byte(data)}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return published[0].ID
}

// MustRecord records an attempt and what was decided about its delivery.
func (w *world) MustRecord(o webhook.Outcome) {
	w.t.Helper()
	if err := w.webhooks.Record(w.t.Context(), []webhook.Outcome{o}, func() {}); err != nil {
		w.t.Fatal(err)
	}
}

// browser is somebody at the console: it keeps cookies and follows redirects.
// What it sends goes straight to the console, without a network.
type browser struct {
	w      *world
	client *http.Client
	from   string // its address
	header http.Header
}

func (w *world) MustBrowser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{w: w, from: "203.0.113.7:1234", header: make(http.Header)}
	b.client = &http.Client{Jar: jar, Transport: b}
	return b
}

// RoundTrip has the console answer.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	served.Host, served.RemoteAddr = r.URL.Host, b.from
	if served.Body == nil {
		served.Body = http.NoBody
	}
	maps.Copy(served.Header, b.header)
	recorder := httptest.NewRecorder()
	b.w.console.ServeHTTP(recorder, served)
	answer := recorder.Result()
	answer.Request = r
	return answer, nil
}

// seen is what a browser shows.
type seen struct {
	status int
	header http.Header
	path   string // with the query
	body   string
}

var formTokens = regexp.MustCompile(`name="form_token" value="([^"]+)"`)

// token returns the one that the page's forms carry.
func (s seen) token() string {
	found := formTokens.FindStringSubmatch(s.body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func (b *browser) do(r *http.Request) seen {
	b.w.t.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return seen{resp.StatusCode, resp.Header, resp.Request.URL.RequestURI(), string(body)}
}

func (b *browser) request(method, path string, form url.Values) *http.Request {
	b.w.t.Helper()
	target := path
	if !strings.Contains(path, "://") {
		target = b.w.url + path
	}
	r, err := http.NewRequestWithContext(b.w.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// get opens a page.
func (b *browser) get(path string) seen {
	b.w.t.Helper()
	return b.do(b.request(http.MethodGet, path, nil))
}

// submit sends a form of the page, with the page's token.
func (b *browser) submit(page seen, path string, form url.Values) seen {
	b.w.t.Helper()
	sent := url.Values{"form_token": {page.token()}}
	maps.Copy(sent, form)
	return b.do(b.request(http.MethodPost, path, sent))
}

// MustLink returns a link that signs the operator in.
func (w *world) MustLink() string {
	w.t.Helper()
	link, err := w.console.NewLink(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return link
}

// signIn shows a key.
func (b *browser) signIn(key string) seen {
	b.w.t.Helper()
	return b.submit(b.get("/console/sign-in"), "/console/sign-in", url.Values{"key": {key}})
}

// MustSignIn returns a browser in which the key was shown.
func (w *world) MustSignIn(key string) *browser {
	w.t.Helper()
	b := w.MustBrowser()
	if page := b.signIn(key); page.status != http.StatusOK || page.path != "/console/applications" {
		w.t.Fatalf("signing in leads to %s with %d", page.path, page.status)
	}
	return b
}

// want demands a status and texts on the page.
func (s seen) want(t testing.TB, status int, texts ...string) {
	t.Helper()
	if s.status != status {
		t.Fatalf("%s: got %d, want %d:\n%s", s.path, s.status, status, s.text())
	}
	for _, text := range texts {
		if !strings.Contains(s.text(), text) {
			t.Errorf("%s: %q is not on the page:\n%s", s.path, text, s.text())
		}
	}
}

// wantNot demands that none of the texts are in the page's source.
func (s seen) wantNot(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(s.body, text) || strings.Contains(s.text(), text) {
			t.Errorf("%s: %q is on the page", s.path, text)
		}
	}
}

var tags = regexp.MustCompile(`<[^>]*>|\s+`)

// text returns what of the page is no markup, in one line.
func (s seen) text() string {
	text := tags.ReplaceAllStringFunc(s.body, func(match string) string {
		if strings.HasPrefix(match, "<") {
			return ""
		}
		return " "
	})
	return strings.Join(strings.Fields(html.UnescapeString(text)), " ")
}

func applicationPath(a account) string { return "/console/applications/" + a.Alias }

func webhookPath(a account, sub *webhook.Subscription) string {
	return fmt.Sprintf("%s/webhooks/%s", applicationPath(a), id.Subscription.Format(sub.ID))
}

func deliveryPath(a account, event id.ID, sub *webhook.Subscription) string {
	return fmt.Sprintf("%s/deliveries/%s", applicationPath(a), id.Delivery.Format(event, sub.ID))
}

func replayPath(a account, replay id.ID) string {
	return applicationPath(a) + "/replays/" + id.Job.Format(replay)
}

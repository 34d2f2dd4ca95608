package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/jwks"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const adminKey = "gv_admin_0123456789abcdefghijklmnop"

// world is the API over a real database, with a receiver that is made up.
type world struct {
	t         testing.TB
	db        *db.DB
	url       string // of the database
	tenants   *tenant.Service
	webhooks  *webhook.Service
	audit     *audit.Service
	programs  *program.Service
	referrals *referral.Service
	jobs      *job.Runner   // not started
	timers    *timer.Runner // not started
	told      chan string   // the types of what jobs have brought about
	receiver  *receiver
	log       *logBuffer
	server    *httptest.Server
}

// receiver answers every attempt in the same way.
type receiver struct {
	mu      sync.Mutex
	attempt webhook.Attempt
	seen    []wire.Message
}

// shakeHands answers every handshake as an attempt.
func (r *receiver) shakeHands(context.Context, *webhook.Subscription) webhook.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempt
}

func (r *receiver) Attempt(_ context.Context, _ *webhook.Subscription, msg wire.Message, _ string) webhook.Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, msg)
	return r.attempt
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// MustWorld serves the API until the test ends. change may alter its options.
func MustWorld(t testing.TB, change func(*api.Options)) *world {
	t.Helper()
	w := &world{t: t, url: testkit.DatabaseURL(t), receiver: &receiver{}, log: &logBuffer{}}
	var err error
	if w.db, err = db.Open(t.Context(), w.url, db.Options{}); err != nil {
		t.Fatal(err)
	}
	box, err := secret.Open(t.Context(), w.db, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jwks.New(w.db, jwks.Options{Box: box})
	if err != nil {
		t.Fatal(err)
	}
	w.jobs = job.NewRunner(job.Options{DB: w.db, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	w.webhooks = webhook.New(webhook.Options{
		DB: w.db, Jobs: w.jobs, Box: box, CheckURL: checkURL, Attempter: w.receiver, Handshake: w.receiver.shakeHands,
		Identify: func(ctx context.Context, of id.ID, dialect string) (*wire.Identity, error) {
			return w.tenants.Identity(ctx, of, dialect)
		},
	})
	if w.tenants, err = tenant.New(w.db, tenant.Options{OnDelete: w.webhooks.DeleteTenant, Box: box, RSAKey: keys.Current}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.tenants.EnsureAdminKey(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	if w.audit, err = audit.New(w.db, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	opts := api.Options{
		Tenants:     w.tenants,
		URL:         "https://hooks.example.com",
		Webhooks:    w.webhooks,
		SigningKeys: keys,
		Audit:       w.audit,
		Unavailable: func(err error) bool { return errors.Is(err, db.ErrUnavailable) },
		Logger:      slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version:     "test",
	}
	w.addPrograms(&opts)
	if !w.db.Shared() {
		opts.Backup = w.db.OpenBackup
	}
	if change != nil {
		change(&opts)
	}
	w.server = httptest.NewServer(api.New(opts))
	t.Cleanup(func() {
		w.server.Close()
		w.jobs.Stop()
		w.timers.Stop()
		w.db.Close()
	})
	return w
}

// addPrograms has the API run programs. Jobs and timers wait until MustWork.
func (w *world) addPrograms(opts *api.Options) {
	w.t.Helper()
	w.told = make(chan string, 100)
	facts := fact.New(fact.Options{DB: w.db, Sink: w})
	w.timers = timer.New(timer.Options{DB: w.db, Execute: facts.Execute, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))})
	w.programs = program.NewService(w.db, referral.Kind())
	var err error
	if opts.Messages, err = message.New(message.Options{DB: w.db, Log: facts, Jobs: w.jobs}); err != nil {
		w.t.Fatal(err)
	}
	rewards := reward.New(facts)
	w.referrals = referral.New(referral.Options{
		DB: w.db, Log: facts, Programs: w.programs, Rewards: rewards, Messages: opts.Messages,
		Effects: effect.New(effect.Options{Log: facts, Programs: w.programs, Rewards: rewards}),
		Schemes: map[string]referral.Scheme{"saasquatch": {Canonical: func(key string) (string, bool) { return key, strings.Contains(key, "/") }}},
		Naming: referral.Naming{
			User: func(p *person.Person) (string, string) { return "", p.Key },
			Link: func(string, code.Link) string { return "" }, Reward: func(kind rule.Kind) string { return string(kind) },
			Source: func(r *reward.Reward) string { return r.Source },
		},
	})
	if opts.Exports, err = export.New(export.Options{DB: w.db, Log: facts, Jobs: w.jobs, Sources: w.referrals.Exports()}); err != nil {
		w.t.Fatal(err)
	}
	opts.Blocklist = blocklist.New(blocklist.Options{DB: w.db, Jobs: w.jobs})
	opts.Programs, opts.Referrals, opts.Pools, opts.Timers = w.programs, w.referrals, pool.New(w.db), app.Timers(w.db)
}

// Prepare, Stale and Tell have the world be told of facts.

func (w *world) Prepare(context.Context, id.ID) (fact.Teller, error) { return w, nil }
func (w *world) Stale(error) bool                                    { return false }

// Tell notes what jobs have brought about.
func (w *world) Tell(c *fact.Command, facts []*fact.Fact) error {
	for _, f := range facts {
		if f.Actor == fact.ByJob {
			c.Tx().After(func() { w.told <- f.Type })
		}
	}
	return nil
}

// MustWork begins jobs and timers, and waits until a job has brought something about.
func (w *world) MustWork(until string) {
	w.t.Helper()
	w.jobs.Start()
	w.timers.Start()
	for {
		select {
		case told := <-w.told:
			if told == until {
				return
			}
		case <-time.After(20 * time.Second):
			w.t.Fatalf("there is no %s", until)
		}
	}
}

// checkURL is the guard's, without the look-up of names.
func checkURL(ctx context.Context, raw string) error {
	guard, err := netguard.New(netguard.Config{})
	if err != nil {
		return err
	}
	if u, err := url.Parse(raw); err == nil && u.Scheme == "https" && u.User == nil && strings.HasSuffix("."+u.Host, ".example.com") {
		return nil
	}
	return guard.CheckURL(ctx, raw)
}

// account is a tenant with a client that has its first key.
type account struct {
	*client.Client
	ID, Key string
	tenant  tenant.Tenant
}

func (w *world) MustAccount(alias string) account {
	w.t.Helper()
	created, err := w.MustClient(adminKey).CreateTenant(w.t.Context(), client.NewTenant{Alias: alias, Live: true})
	if err != nil {
		w.t.Fatal(err)
	}
	t, err := w.tenants.ByAlias(w.t.Context(), alias)
	if err != nil {
		w.t.Fatal(err)
	}
	return account{w.MustClient(created.APIKey), created.ID, created.APIKey, t}
}

func (w *world) MustClient(key string, opts ...client.Option) *client.Client {
	w.t.Helper()
	c, err := client.New(w.server.URL, key, append([]client.Option{client.WithHTTPClient(w.server.Client())}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (a account) MustSubscription(t testing.TB, types ...string) client.SubscriptionWithSecret {
	t.Helper()
	sub, err := a.CreateSubscription(t.Context(), client.NewSubscription{URL: "https://hooks.example.com/in", EventTypes: types})
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func (a account) MustPublish(t testing.TB, eventType string) client.Published {
	t.Helper()
	published, err := a.Publish(t.Context(), client.Publication{Type: eventType, Data: json.RawMessage(`{"n":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	return published
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request of lines as they come: a method and a path, then headers
// as "Name: value".
func (w *world) send(method, path, key, body string, headers ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL.Path, req.URL.RawQuery, _ = strings.Cut(path, "?")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if strings.HasPrefix(name, "=") { // instead of what is there
			req.Header.Set(name[1:], value)
			continue
		}
		req.Header.Add(name, value)
	}
	resp, err := w.server.Client().Transport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// shown is a problem document, strictly read.
type shown struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Code      string          `json:"code"`
	Detail    string          `json:"detail"`
	Errors    []problem.Field `json:"errors"`
	RequestID string          `json:"request_id"`
}

// problem demands a problem document of this code.
func (a answer) problem(t testing.TB, code *problem.Code) shown {
	t.Helper()
	var p shown
	dec := json.NewDecoder(strings.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatalf("status %d, not a problem document: %v\n%s", a.status, err, a.body)
	}
	if a.status != code.Status || p.Status != code.Status || p.Code != code.Name || p.Title != code.Title {
		t.Fatalf("got status %d, want %s\n%s", a.status, code.Name, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the content type is %q", got)
	}
	if p.Type != "/docs#"+code.Name || p.Detail == "" || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("the document is not whole: %s", a.body)
	}
	return p
}

// fields lists the names of the fields that a problem names.
func (p shown) fields() []string {
	var names []string
	for _, f := range p.Errors {
		names = append(names, f.Name)
	}
	return names
}

// wantCode demands an error of the client with this code, and returns the
// fields that it names.
func wantCode(t testing.TB, err error, code *problem.Code) []client.Field {
	t.Helper()
	refusal, ok := errors.AsType[*client.Error](err)
	if !ok || refusal.Code != code.Name || refusal.Status != code.Status {
		t.Fatalf("got %v, want %s", err, code.Name)
	}
	return refusal.Fields
}

// record stores an attempt of every delivery that is due, as the dispatcher
// would.
func (w *world) record(a account, sub string, attempt webhook.Attempt, status webhook.Status) {
	w.t.Helper()
	subs, err := w.webhooks.Waiting(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range subs {
		if s.TenantID != a.tenant.ID || !strings.HasSuffix(sub, s.ID.String()) {
			continue
		}
		waiting, err := w.webhooks.Due(w.t.Context(), webhook.DueQuery{Sub: s, Lane: webhook.Pending, Now: time.Now().Add(time.Minute), Limit: 1000, Room: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		var outcomes []webhook.Outcome
		for _, job := range waiting.Jobs {
			outcomes = append(outcomes, webhook.Outcome{Job: job, Attempt: attempt, Status: status})
		}
		if err := w.webhooks.Record(w.t.Context(), outcomes, func() {}); err != nil {
			w.t.Fatal(err)
		}
	}
}

func newTenant(alias string) tenant.NewTenant { return tenant.NewTenant{Alias: alias, Live: true} }

// MustDue returns the deliveries of a tenant that wait for their first attempt.
func (w *world) MustDue(a account) []webhook.Job {
	w.t.Helper()
	subs, err := w.webhooks.Waiting(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var due []webhook.Job
	for _, s := range subs {
		if s.TenantID != a.tenant.ID {
			continue
		}
		waiting, err := w.webhooks.Due(w.t.Context(), webhook.DueQuery{Sub: s, Lane: webhook.Pending, Now: time.Now().Add(time.Minute), Limit: 1000, Room: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		due = append(due, waiting.Jobs...)
	}
	return due
}

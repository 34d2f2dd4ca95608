// Package dialecttest runs the API of a dialect over the real services, with a
// receiver behind it, and holds the suite that every dialect's API passes.
package dialecttest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// NewFunc makes the API that is tested.
type NewFunc func(tenants *tenant.Service, webhooks *webhook.Service) dialect.API

// World is one dialect's API with everything that is behind it: the services on a
// new database, the dispatcher, the strict guard, and an endpoint. Every name
// below example.com is at a public address, where the endpoint answers by TLS;
// private.example.com is at a private one; other names are not known.
type World struct {
	URL      string // of the API, without a slash at its end
	API      dialect.API
	Tenants  *tenant.Service
	Webhooks *webhook.Service
	Audit    *audit.Service

	Database *db.DB

	// Programs and Referrals run over the database. Nobody is told of their facts.
	Programs  *program.Service
	Referrals *referral.Service

	// Received are the requests that the endpoint got. It answers each with Status.
	Received chan Received
	Status   int
	Answer   string // the body of the endpoint's answer

	// LookedUp is called while a name is looked up; nil: nothing happens then.
	LookedUp func()

	t testing.TB
}

// Received is a request that the endpoint got.
type Received struct {
	URL    string
	Header http.Header
	Body   string
}

// NewWorld serves the API until the test ends. change may alter its options.
func NewWorld(t testing.TB, makeAPI NewFunc, change func(*dialect.Options)) *World {
	t.Helper()
	return NewProgramWorld(t, func(w *World) dialect.API { return makeAPI(w.Tenants, w.Webhooks) }, change)
}

// NewProgramWorld is NewWorld for an API that is made of more of the world: all of it
// is there when makeAPI is called, but for the API itself and its URL.
func NewProgramWorld(t testing.TB, makeAPI func(w *World) dialect.API, change func(*dialect.Options)) *World {
	t.Helper()
	w := &World{t: t, Received: make(chan Received, 100), Status: http.StatusOK}
	database := testkit.OpenDB(t, db.Options{})
	w.Database = database
	box, err := secret.Open(t.Context(), database, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	w.serveServices(database, box)
	if w.Audit, err = audit.New(database, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	log := fact.New(fact.Options{DB: database})
	w.Programs = program.NewService(database, referral.Kind())
	rewards := reward.New(log)
	w.Referrals = referral.New(referral.Options{
		DB: database, Log: log, Programs: w.Programs, Rewards: rewards,
		Effects: effect.New(effect.Options{Log: log, Programs: w.Programs, Rewards: rewards}),
	})
	w.API = makeAPI(w)
	opts := dialect.Options{
		Unavailable: func(err error) bool { return errors.Is(err, db.ErrUnavailable) },
		Logger:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if change != nil {
		change(&opts)
	}
	server := httptest.NewServer(dialect.New(w.API, opts))
	t.Cleanup(server.Close)
	w.URL = server.URL
	return w
}

// serveServices starts the services, and the endpoint that they send to.
func (w *World) serveServices(database *db.DB, box *secret.Box) {
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		w.Received <- Received{"https://" + r.Host + r.URL.RequestURI(), r.Header, string(body)}
		rw.WriteHeader(w.Status)
		_, _ = io.WriteString(rw, w.Answer)
	}))
	w.t.Cleanup(endpoint.Close)
	guard, err := netguard.New(netguard.Config{
		Resolver: names{w},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, endpoint.Listener.Addr().String())
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	identify := func(ctx context.Context, of id.ID, dialect string) (*wire.Identity, error) {
		return w.Tenants.Identity(ctx, of, dialect)
	}
	client := guard.Client(netguard.TransportOptions{TLS: &tls.Config{InsecureSkipVerify: true}}) //nolint:gosec // the endpoint is the test's own
	attempter := dispatch.NewAttempter(client, identify, "test")
	w.Webhooks = webhook.New(webhook.Options{DB: database, Box: box, CheckURL: guard.CheckURL, Identify: identify, Attempter: attempter})
	if w.Tenants, err = tenant.New(database, tenant.Options{OnDelete: w.Webhooks.DeleteTenant, Box: box}); err != nil {
		w.t.Fatal(err)
	}
	dispatcher := dispatch.New(dispatch.Options{Store: w.Webhooks, Attempter: attempter})
	w.Webhooks.Start(dispatcher)
	if err := dispatcher.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		w.Webhooks.Stop()
		dispatcher.Stop(context.Background())
		client.CloseIdleConnections()
	})
}

// names resolves what World says.
type names struct{ of *World }

// LookupNetIP returns the one address of a name.
func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if n.of.LookedUp != nil {
		n.of.LookedUp()
	}
	switch {
	case host == "private.example.com":
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	case strings.HasSuffix(host, ".example.com"):
		return []netip.Addr{netip.MustParseAddr("8.0.0.1")}, nil
	default:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
}

// MustTenant makes a live tenant.
func (w *World) MustTenant(alias string) tenant.Tenant {
	w.t.Helper()
	t, _, _, err := w.Tenants.Create(w.t.Context(), tenant.NewTenant{Alias: alias, Live: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// MustProgram makes a referral program that runs, with these rules; "": none.
func (w *World) MustProgram(t tenant.Tenant, key, rules string) *program.Program {
	w.t.Helper()
	p, err := w.Programs.Create(w.t.Context(), t.ID, program.New{Key: key, Kind: referral.KindName, Rules: json.RawMessage(rules)})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// MustKey makes a key of the dialect's API, with all scopes unless some are named.
func (w *World) MustKey(t tenant.Tenant, scopes ...tenant.Scope) string {
	w.t.Helper()
	_, key := w.MustNewKey(t, tenant.NewKey{Dialect: w.API.Name(), Scopes: scopes})
	return key
}

// MustNewKey makes a key, with all scopes unless it names some.
func (w *World) MustNewKey(t tenant.Tenant, n tenant.NewKey) (tenant.Key, string) {
	w.t.Helper()
	if len(n.Scopes) == 0 {
		n.Scopes = tenant.AllScopes()
	}
	key, plaintext, err := w.Tenants.CreateKey(w.t.Context(), t.ID, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return key, plaintext
}

// revoke ends a key.
func (w *World) revoke(t tenant.Tenant, key tenant.Key) {
	w.t.Helper()
	if err := w.Tenants.RevokeKey(w.t.Context(), t.ID, key.ID); err != nil {
		w.t.Error(err)
	}
}

// MustSubscribe makes a subscription natively.
func (w *World) MustSubscribe(t tenant.Tenant, draft webhook.Draft) *webhook.Subscription {
	w.t.Helper()
	sub, err := w.Webhooks.CreateSubscription(w.t.Context(), t.ID, draft)
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// MustPublish publishes an event of the dialect and returns how many deliveries
// it has.
func (w *World) MustPublish(t tenant.Tenant, p webhook.Publication) int {
	w.t.Helper()
	p.Dialect = w.API.Name()
	published, _, err := w.Webhooks.Publish(w.t.Context(), t.ID, webhook.Publishing{Publications: []webhook.Publication{p}})
	if err != nil {
		w.t.Fatal(err)
	}
	return published[0].Deliveries
}

// MustReceive returns the next request that the endpoint got.
func (w *World) MustReceive() Received {
	w.t.Helper()
	select {
	case got := <-w.Received:
		return got
	case <-time.After(20 * time.Second):
		w.t.Fatal("nothing was received")
		return Received{}
	}
}

// Eventually waits until ok.
func (w *World) Eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // a test waits
		if time.Now().After(deadline) {
			w.t.Fatal("it did not happen that ", what)
		}
	}
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Auth puts a credential on a request; nil: there is none.
type Auth func(r *http.Request)

// Basic is the credential of RFC 7617.
func Basic(user, password string) Auth {
	return func(r *http.Request) { r.SetBasicAuth(user, password) }
}

// Bearer is the credential of RFC 6750.
func Bearer(key string) Auth {
	return Header("Authorization", "Bearer "+key)
}

// Header is a line of the head.
func Header(name, value string) Auth {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// Send makes a request. The path, with its query, goes out as it is given.
func (w *World) Send(method, path, body string, auth ...Auth) Answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.URL, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.URL = mustURL(w.t, w.URL, path)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, put := range auth {
		if put != nil {
			put(req)
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(text)}
}

// mustURL returns a URL whose path is sent as given.
func mustURL(t testing.TB, base, path string) *url.URL {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u.Opaque, u.RawQuery, _ = strings.Cut(path, "?")
	if strings.HasPrefix(u.Opaque, "//") {
		t.Fatal("a request can't be sent to a path that begins with two slashes")
	}
	return u
}

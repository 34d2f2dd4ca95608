package testkit

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Sender is the sending half of a server on a network in memory, with a tenant.
type Sender struct {
	URL        string // of the database
	Net        *Net
	DB         *db.DB
	Webhooks   *webhook.Service
	Jobs       *job.Runner
	Dispatcher *dispatch.Dispatcher
	Attempter  *dispatch.Attempter
	Tenant     id.ID
	// Identity is the tenant's in every dialect; nil: the database can't be asked.
	Identity atomic.Pointer[wire.Identity]

	key  secret.Key
	link *link
	idle func()
	life Sole // how often it was started
}

// SenderOptions change a sender. The zero value is the program's defaults.
type SenderOptions struct {
	MaxInFlight    int
	MaxMemoryBytes int
	Logger         *slog.Logger

	// What the dispatcher works with, if not the real ones; each is given the
	// real one.
	Store   func(dispatch.Store) dispatch.Store
	Through func(webhook.Attempter) webhook.Attempter
}

// NewSender returns a sender on a new database; it runs until Stop or the end of
// the test.
func NewSender(t testing.TB, opts SenderOptions) *Sender {
	t.Helper()
	s := &Sender{URL: DatabaseURL(t), Net: NewNet(), Tenant: id.New(time.Now()), key: secret.NewKey()}
	s.Identity.Store(identity)
	s.MustStart(t, opts)
	t.Cleanup(func() { s.Stop(context.WithoutCancel(t.Context())) })
	return s
}

// MustStart starts the sender, again after Stop, on the same database.
func (s *Sender) MustStart(t testing.TB, opts SenderOptions) {
	t.Helper()
	var err error
	if s.DB, err = db.Open(t.Context(), s.URL, db.Options{Logger: opts.Logger}); err != nil {
		t.Fatal(err)
	}
	box, err := secret.Open(t.Context(), s.DB, s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.link = &link{net: s.Net}
	guard, err := netguard.New(netguard.Config{AllowHTTP: true, Resolver: s.Net, DialContext: s.link.DialContext})
	if err != nil {
		t.Fatal(err)
	}
	client := guard.Client(netguard.TransportOptions{MaxIdleConnsPerHost: 128})
	s.idle = client.CloseIdleConnections
	s.Attempter = dispatch.NewAttempter(client, s.identify, "test")
	s.Jobs = job.NewRunner(job.Options{DB: s.DB, Logger: opts.Logger})
	storing := webhook.Options{
		DB: s.DB, Box: box, CheckURL: guard.CheckURL, Identify: s.identify, Attempter: s.Attempter, Handshake: s.Attempter.Handshake,
		Logger: opts.Logger, Jobs: s.Jobs,
	}
	dispatching := dispatch.Options{
		Attempter: s.Attempter, Logger: opts.Logger, MaxInFlight: opts.MaxInFlight, MaxMemoryBytes: opts.MaxMemoryBytes,
	}
	if s.DB.Shared() {
		s.life++
		storing.Node, dispatching.Node, dispatching.Doubts = s.life, s.life, s.DB.Doubts
	}
	s.Webhooks = webhook.New(storing)
	dispatching.Store = s.Webhooks
	if opts.Store != nil {
		dispatching.Store = opts.Store(dispatching.Store)
	}
	if opts.Through != nil {
		dispatching.Attempter = opts.Through(dispatching.Attempter)
	}
	s.Dispatcher = dispatch.New(dispatching)
	s.Webhooks.Start(s.Dispatcher)
	if err := s.Dispatcher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Jobs.Start()
}

// Stop stops the sender and closes its database.
func (s *Sender) Stop(ctx context.Context) {
	s.Jobs.Stop()
	s.Webhooks.Stop()
	s.Dispatcher.Stop(ctx)
	s.idle()
	_ = s.DB.Close()
}

// MustCrash ends the sender as a crash would, and starts it again with what was
// on disk at that moment: the new one works on a copy of the database, and the
// old one, which can't be killed inside a process, has its network cut before it
// is stopped. Nothing may be writing to the database when it is called, which has
// to be SQLite.
func (s *Sender) MustCrash(t testing.TB, opts SenderOptions) {
	t.Helper()
	from, to := DatabasePath(t, s.URL), filepath.Join(t.TempDir(), "grapevine.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, content, 0o600) //nolint:gosec // both are folders of the test
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.link.sever()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Stop(ctx)
	s.URL = "sqlite:" + to
	s.MustStart(t, opts)
}

// MustSubscribe subscribes http://host/ to all events, with handler behind it.
func (s *Sender) MustSubscribe(t testing.TB, host string, policy webhook.Policy, handler http.HandlerFunc) *webhook.Subscription {
	t.Helper()
	s.Net.MustServe(t, host, handler)
	sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{
		URL: "http://" + host + "/", EventTypes: []string{webhook.AllTypes}, Policy: policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// MustPublish publishes events of type "test.happened", each with its number n.
func (s *Sender) MustPublish(t testing.TB, count int) []id.ID {
	t.Helper()
	pubs := make([]webhook.Publication, count)
	for i := range pubs {
		data, err := json.Marshal(map[string]int{"n": i})
		if err != nil {
			t.Fatal(err)
		}
		pubs[i] = webhook.Publication{Type: "test.happened", Data: data}
	}
	answers, _, err := s.Webhooks.Publish(t.Context(), s.Tenant, webhook.Publishing{Publications: pubs, Batch: true})
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]id.ID, count)
	for i, a := range answers {
		ids[i] = a.ID
	}
	return ids
}

// MustDelivery returns a delivery with its attempts.
func (s *Sender) MustDelivery(t testing.TB, event id.ID, sub *webhook.Subscription) (webhook.Delivery, []webhook.Attempt) {
	t.Helper()
	d, attempts, err := s.Webhooks.Delivery(t.Context(), s.Tenant, event, sub.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d, attempts
}

func (s *Sender) identify(context.Context, id.ID, string) (*wire.Identity, error) {
	if as := s.Identity.Load(); as != nil {
		return as, nil
	}
	return nil, db.ErrUnavailable
}

// Identify takes every tenant for a test tenant that speaks every dialect and has
// a key of it.
func Identify(context.Context, id.ID, string) (*wire.Identity, error) { return identity, nil }

var identity = &wire.Identity{Tenant: wire.Tenant{Alias: "test_tenant"}, Key: "key_of_the_test_tenant"}

package node_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// world is a database with several nodes. On SQLite they have it open together, and
// time is virtual; on Postgres each has connections of its own, time is real, and
// leases are short.
type world struct {
	t     *testing.T
	url   string
	db    *db.DB // the test's own
	lease time.Duration
}

// onEach runs a test on the database that the tests are for.
func onEach(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	if testkit.OnPostgres() {
		fn(t, mustWorld(t, 700*time.Millisecond))
		return
	}
	testkit.VirtualTime(t, func(t *testing.T) { fn(t, mustWorld(t, 10*time.Second)) })
}

func mustWorld(t *testing.T, lease time.Duration) *world {
	t.Helper()
	w := &world{t: t, url: testkit.DatabaseURL(t), lease: lease}
	w.db = w.mustOpen(w.url)
	return w
}

func (w *world) mustOpen(url string) *db.DB {
	w.t.Helper()
	d, err := db.Open(w.t.Context(), url, db.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := d.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return d
}

// mustJoin returns a node that hears no hints and stops with the test.
func (w *world) mustJoin() *node.Node {
	w.t.Helper()
	return w.mustJoinWith(node.Options{})
}

// mustJoinWith fills in what the options leave out.
func (w *world) mustJoinWith(opts node.Options) *node.Node {
	w.t.Helper()
	n := w.mustStart(opts)
	w.t.Cleanup(func() {
		if err := n.Stop(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	})
	return n
}

// mustStart is mustJoinWith for a node that the test ends.
func (w *world) mustStart(opts node.Options) *node.Node {
	w.t.Helper()
	if opts.DB == nil {
		opts.DB = w.db
		if testkit.OnPostgres() {
			opts.DB = w.mustOpen(w.url)
		}
	}
	opts.Lease, opts.Force = w.lease, true
	opts.Logger = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	n, err := node.Join(w.t.Context(), opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// beat is how often a node looks at the database, and a little more.
func (w *world) beat() time.Duration { return w.lease/5 + w.slack() }

// slack is how long what takes no time may take.
func (w *world) slack() time.Duration {
	if testkit.OnPostgres() {
		return 300 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// within waits until something holds, for so long at most, and returns how long it
// took.
func (w *world) within(long time.Duration, what string, holds func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > long {
			w.t.Fatalf("after %v it is not so that %s", long, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// sees reports whether a node sees these members.
func sees(n *node.Node, members ...int64) func() bool {
	return func() bool { return slices.Equal(n.Membership().Members, members) }
}

// mustExec runs a statement on the tables behind the nodes' backs.
func (w *world) mustExec(query string, args ...any) {
	w.t.Helper()
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// now is the database's time.
func (w *world) now() time.Time {
	w.t.Helper()
	var now time.Time
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		var err error
		now, err = tx.ServerTime()
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return now
}

// mustChange commits a change of what is kept about a tenant.
func (w *world) mustChange(n *node.Node, topic string, tenant id.ID) {
	w.t.Helper()
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error { return n.Changed(tx, topic, tenant) })
	if err != nil {
		w.t.Fatal(err)
	}
}

// heard is what was told to somebody.
type heard[T comparable] struct {
	mu  sync.Mutex
	all []T
}

func (h *heard[T]) add(one T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, one)
}

func (h *heard[T]) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

func (h *heard[T]) has(one T) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.all, one)
}

func (h *heard[T]) last() T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[len(h.all)-1]
}

// mustGauge returns what a gauge says.
func mustGauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

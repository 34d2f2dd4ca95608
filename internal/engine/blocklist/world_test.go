package blocklist_test

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// world is a tenant's block list on a database of its own.
type world struct {
	*blocklist.Service

	t      testing.TB
	db     *db.DB
	jobs   *job.Runner
	tenant id.ID
}

func mustWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: testkit.OpenDB(t, db.Options{}), tenant: id.New(time.Now())}
	w.jobs = job.NewRunner(job.Options{DB: w.db, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(w.jobs.Stop)
	w.Service = blocklist.New(blocklist.Options{DB: w.db, Jobs: w.jobs})
	return w
}

func (w *world) mustAdd(kind blocklist.Kind, value string) blocklist.Entry {
	w.t.Helper()
	return w.mustAddEntry(blocklist.NewEntry{Kind: kind, Value: value})
}

func (w *world) mustAddEntry(n blocklist.NewEntry) blocklist.Entry {
	w.t.Helper()
	e, isNew, err := w.Add(w.t.Context(), w.tenant, n)
	if err != nil || !isNew {
		w.t.Fatalf("%s %s: %+v, new: %t, %v", n.Kind, n.Value, e, isNew, err)
	}
	return e
}

func (w *world) mustRemove(e blocklist.Entry) {
	w.t.Helper()
	if err := w.Remove(w.t.Context(), w.tenant, e.ID); err != nil {
		w.t.Fatal(err)
	}
}

// found returns the values of the entries that somebody is on at a time.
func (w *world) found(at time.Time, subjects ...blocklist.Subject) []string {
	w.t.Helper()
	var values []string
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		matches, err := blocklist.Find(q, w.tenant, at, subjects...)
		for _, m := range matches {
			values = append(values, m.Value)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return values
}

// mustList returns the list, the latest first.
func (w *world) mustList() []blocklist.Entry {
	w.t.Helper()
	entries, _, err := w.List(w.t.Context(), w.tenant, blocklist.Choice{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

// values returns what is listed, the latest first.
func (w *world) values() []string {
	w.t.Helper()
	var values []string
	for _, e := range w.mustList() {
		values = append(values, e.Value)
	}
	return values
}

func at(texts ...string) blocklist.Subject {
	var s blocklist.Subject
	for _, text := range texts {
		s.IPs = append(s.IPs, netip.MustParseAddr(text))
	}
	return s
}

func mailed(address string) blocklist.Subject { return blocklist.Subject{Email: address} }

func seen(devices ...string) blocklist.Subject { return blocklist.Subject{Devices: devices} }

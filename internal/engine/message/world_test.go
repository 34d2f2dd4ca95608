package message_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// world is the messages of a tenant, over a database of its own.
type world struct {
	*message.Service
	t         testing.TB
	db        *db.DB
	facts     *fact.Log
	jobs      *job.Runner
	timers    *timer.Runner
	tenant    id.ID
	published []string // the versions that came into use
	told      chan struct{}
}

// inWorld runs a test in virtual time, so that it can wait for jobs.
func inWorld(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	testkit.VirtualTime(t, func(t *testing.T) { fn(t, mustWorld(t)) })
}

func mustWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: testkit.OpenDB(t, db.Options{}), tenant: id.New(time.Now()), told: make(chan struct{}, 100)}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.jobs = job.NewRunner(job.Options{DB: w.db, Logger: logger})
	w.facts = fact.New(fact.Options{DB: w.db, Sink: w})
	w.timers = timer.New(timer.Options{DB: w.db, Execute: w.facts.Execute, Logger: logger})
	w.Service = w.mustServe()
	t.Cleanup(func() {
		w.jobs.Stop()
		w.timers.Stop()
	})
	return w
}

func (w *world) mustServe() *message.Service {
	w.t.Helper()
	s, err := message.New(message.Options{DB: w.db, Log: w.facts, Jobs: w.jobs})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// start begins to do what is due.
func (w *world) start() {
	w.jobs.Start()
	w.timers.Start()
}

// Prepare, Stale and Tell have the world be told of facts.

func (w *world) Prepare(context.Context, id.ID) (fact.Teller, error) { return w, nil }
func (w *world) Stale(error) bool                                    { return false }

func (w *world) Tell(c *fact.Command, facts []*fact.Fact) error {
	of := c.Tenant()
	told := slices.Clone(facts)
	c.Tx().After(func() {
		for _, f := range told {
			if f.Type == message.Published && of == w.tenant {
				w.published = append(w.published, f.Data.(*message.PublishedTheme).Version)
				w.told <- struct{}{}
			}
		}
	})
	return nil
}

// write runs fn in a transaction and returns its error.
func (w *world) write(fn func(tx *db.Tx) error) error {
	return w.db.Write(w.t.Context(), fn)
}

func (w *world) mustWrite(fn func(tx *db.Tx) error) {
	w.t.Helper()
	if err := w.write(fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustRead(fn func(q db.Queryer) error) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustSet(at message.Place, t message.Template) {
	w.t.Helper()
	w.mustWrite(func(tx *db.Tx) error { return message.SetTemplate(tx, w.tenant, at, t) })
}

func (w *world) mustSetVariables(locale, document string) {
	w.t.Helper()
	w.mustWrite(func(tx *db.Tx) error { return message.SetVariables(tx, w.tenant, locale, json.RawMessage(document)) })
}

// mustStart begins to publish.
func (w *world) mustStart() string {
	w.t.Helper()
	version, err := w.Publish(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return version
}

// mustPublish publishes the draft, waits for the end, and returns the version that
// was tried and the last words.
func (w *world) mustPublish() (string, string) {
	w.t.Helper()
	version := w.mustStart()
	w.start()
	synctest.Wait()
	log := w.log()
	return version, log[len(log)-1].Message
}

func (w *world) log() []message.LogEntry {
	w.t.Helper()
	var log []message.LogEntry
	w.mustRead(func(q db.Queryer) error {
		var err error
		log, err = message.PublishStatus(q, w.tenant)
		return err
	})
	return log
}

func (w *world) inUse() string {
	w.t.Helper()
	version := ""
	w.mustRead(func(q db.Queryer) error {
		var err error
		version, err = message.Version(q, w.tenant)
		return err
	})
	return version
}

// all are values of which none is left out.
func all(values message.Values) func(message.Needs) (message.Values, error) {
	return func(message.Needs) (message.Values, error) { return values, nil }
}

// mustRender makes a message in a locale.
func (w *world) mustRender(at message.Place, values message.Values) message.Rendered {
	w.t.Helper()
	var made message.Rendered
	w.mustWrite(func(tx *db.Tx) error {
		var err error
		made, err = w.Render(tx, message.Request{Tenant: w.tenant, Locale: at.Locale, Type: at.Type, Values: all(values)})
		return err
	})
	return made
}

// preview makes a message of the draft.
func (w *world) preview(at message.Place) (message.Rendered, error) {
	var made message.Rendered
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		made, err = message.Preview(q, w.tenant, at)
		return err
	})
	return made, err
}

package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// world is a service over a database of its own, with a tenant.
type world struct {
	*webhook.Service
	t      testing.TB
	db     *db.DB
	jobs   *job.Runner // which has not started
	url    string      // of the database
	key    secret.Key
	sent   *recorder
	tries  *attempter
	tenant id.ID
	max    int // bytes of an event
	keep   webhook.Periods
	keepOf func(q db.Queryer, tenant id.ID) (webhook.Periods, error)
}

// mustWorld makes a world whose service has not started: it tells nobody, and
// nothing goes on in the background.
func mustWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, url: testkit.DatabaseURL(t), key: secret.NewKey(),
		tenant: id.New(time.Now()), tries: &attempter{},
	}
	w.mustOpen()
	t.Cleanup(w.close)
	return w
}

// mustStarted makes a world whose service tells the recorder.
func mustStarted(t testing.TB) *world {
	t.Helper()
	w := mustWorld(t)
	w.Start(w.sent)
	return w
}

func (w *world) mustOpen() {
	w.t.Helper()
	d, err := db.Open(context.Background(), w.url, db.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	box, err := secret.Open(context.Background(), d, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.db, w.sent = d, &recorder{steps: make(chan struct{}, 1)}
	w.jobs = job.NewRunner(job.Options{DB: d, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))})
	w.Service = webhook.New(webhook.Options{
		DB: d, Box: box, CheckURL: checkURL, Identify: testkit.Identify, Attempter: w.tries, MaxEventBytes: w.max, Jobs: w.jobs,
		Keep: w.keep, KeepOf: w.keepOf,
		Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
}

// mustBox opens what a service of the same database needs.
func (w *world) mustBox() *secret.Box {
	w.t.Helper()
	box, err := secret.Open(context.Background(), w.db, w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	return box
}

func (w *world) close() {
	w.jobs.Stop()
	w.Stop()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// reopen ends the service where it is and makes a new one on the same database.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.mustOpen()
}

// errLookup is a failure of the check itself.
var errLookup = errors.New("the lookup was interrupted")

// checkURL stands in for the guard.
func checkURL(_ context.Context, raw string) error {
	switch {
	case strings.HasPrefix(raw, "https://interrupted."):
		return errLookup
	case !strings.HasPrefix(raw, "https://"):
		return &netguard.URLError{Reason: netguard.ReasonScheme, Detail: "The URL must begin with https://."}
	default:
		return nil
	}
}

// recorder is a Sender that keeps what it was told.
type recorder struct {
	mu       sync.Mutex
	jobs     []webhook.Job
	changed  []*webhook.Subscription
	woken    []*webhook.Subscription
	refilled []*webhook.Subscription
	steps    chan struct{} // one token: something was refilled
}

func (r *recorder) Accepted(jobs []webhook.Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = append(r.jobs, jobs...)
}

func (r *recorder) Changed(sub *webhook.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, sub)
}

func (r *recorder) Intervened(sub *webhook.Subscription, _ id.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.woken = append(r.woken, sub)
}

func (r *recorder) Refilled(sub *webhook.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refilled = append(r.refilled, sub)
	select {
	case r.steps <- struct{}{}:
	default:
	}
}

// take returns the jobs handed over since it was called last.
func (r *recorder) take() []webhook.Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	jobs := r.jobs
	r.jobs = nil
	return jobs
}

// last returns the newest of what was told of subscriptions.
func (r *recorder) last(told func(*recorder) []*webhook.Subscription) *webhook.Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	subs := told(r)
	if len(subs) == 0 {
		return nil
	}
	return subs[len(subs)-1]
}

func changes(r *recorder) []*webhook.Subscription { return r.changed }
func wakes(r *recorder) []*webhook.Subscription   { return r.woken }

// attempter answers every attempt and keeps the last one.
type attempter struct {
	answer webhook.Attempt
	sub    *webhook.Subscription
	msg    wire.Message
}

func (a *attempter) Attempt(_ context.Context, sub *webhook.Subscription, msg wire.Message, _ string) webhook.Attempt {
	a.sub, a.msg = sub, msg
	return a.answer
}

// draft is a valid draft for the event types.
func draft(types ...string) webhook.Draft {
	return webhook.Draft{URL: "https://receiver.example/hook", EventTypes: types}
}

// mustSubscribe creates a subscription to the types.
func (w *world) mustSubscribe(types ...string) *webhook.Subscription {
	w.t.Helper()
	return w.mustCreate(w.tenant, draft(types...))
}

func (w *world) mustCreate(tenant id.ID, d webhook.Draft) *webhook.Subscription {
	w.t.Helper()
	sub, err := w.CreateSubscription(context.Background(), tenant, d)
	if err != nil {
		w.t.Fatal(err)
	}
	return sub
}

// one is a request to publish one event.
func one(eventType, data string) webhook.Publishing {
	return webhook.Publishing{Publications: []webhook.Publication{{Type: eventType, Data: []byte(data)}}}
}

// batch is a request to publish n events of a type.
func batch(n int, eventType string) webhook.Publishing {
	p := webhook.Publishing{Batch: true}
	for range n {
		p.Publications = append(p.Publications, webhook.Publication{Type: eventType, Data: []byte(`{}`)})
	}
	return p
}

func (w *world) mustPublish(p webhook.Publishing) []webhook.Published {
	w.t.Helper()
	answers, _, err := w.Publish(context.Background(), w.tenant, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return answers
}

// mustEvent publishes one event and returns its id.
func (w *world) mustEvent(eventType string) id.ID {
	w.t.Helper()
	return w.mustPublish(one(eventType, `{}`))[0].ID
}

// mustDo fails the test if a call of a method failed.
func mustDo[T any](t testing.TB, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// mustDelivery returns a delivery with its attempts.
func (w *world) mustDelivery(event id.ID, sub *webhook.Subscription) (webhook.Delivery, []webhook.Attempt) {
	w.t.Helper()
	d, attempts, err := w.Delivery(context.Background(), w.tenant, event, sub.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return d, attempts
}

// wantDelivery fails the test unless the delivery stands so.
func (w *world) wantDelivery(event id.ID, sub *webhook.Subscription, status webhook.Status, reason string) {
	w.t.Helper()
	d, _ := w.mustDelivery(event, sub)
	if d.Status != status || d.Reason != reason {
		w.t.Errorf("the delivery is %d %s %q, want %d %s %q", d.Status, d.Status, d.Reason, status, status, reason)
	}
}

// mustDue reads all that is due in a lane.
func (w *world) mustDue(sub *webhook.Subscription, lane webhook.Lane) []webhook.Job {
	w.t.Helper()
	due, err := w.Due(context.Background(), webhook.DueQuery{Sub: sub, Lane: lane, Now: time.Now(), Limit: 10_000, Room: 10_000})
	if err != nil {
		w.t.Fatal(err)
	}
	return due.Jobs
}

// mustRecord records outcomes and returns them as they are then.
func (w *world) mustRecord(outcomes ...webhook.Outcome) []webhook.Outcome {
	w.t.Helper()
	told := 0
	if err := w.Record(context.Background(), outcomes, func() { told++ }); err != nil {
		w.t.Fatal(err)
	}
	if told != 1 {
		w.t.Errorf("done was called %d times", told)
	}
	return outcomes
}

// The ways in which an attempt ends.
func delivered(j webhook.Job) webhook.Outcome {
	return webhook.Outcome{Job: j, Status: webhook.Delivered, Attempt: attempt(204, wire.Delivered, wire.ReasonOK)}
}

func retried(j webhook.Job, next time.Time) webhook.Outcome {
	return webhook.Outcome{Job: j, Status: webhook.Retrying, NextAt: next, Attempt: attempt(500, wire.Retry, wire.ReasonServerError)}
}

func failed(j webhook.Job) webhook.Outcome {
	return webhook.Outcome{Job: j, Status: webhook.Failed, Attempt: attempt(500, wire.Retry, wire.ReasonServerError)}
}

func gone(j webhook.Job) webhook.Outcome {
	return webhook.Outcome{Job: j, Status: webhook.Cancelled, Attempt: attempt(410, wire.Gone, wire.ReasonGone)}
}

// begun counts attempts. No two of a delivery begin in the same microsecond, though
// virtual time would have it so.
var begun atomic.Int64

func attempt(status int, verdict wire.Verdict, reason wire.Reason) webhook.Attempt {
	return webhook.Attempt{
		StartedAt: time.Now().UTC().Truncate(time.Microsecond).Add(time.Duration(begun.Add(1)) * time.Microsecond), ResponseStatus: status, Verdict: verdict, Reason: reason,
		Timing:  webhook.Timing{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 4 * time.Millisecond, Total: 5 * time.Millisecond},
		Headers: []wire.Header{{Name: "Server", Value: "a receiver"}},
		Body:    []byte("what the receiver said"),
	}
}

// wantProblem fails the test unless err is the refusal, of these fields.
func wantProblem(t testing.TB, err error, code *problem.Code, fields ...string) {
	t.Helper()
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok || refusal.Code != code {
		t.Errorf("got %v, want %s", err, code.Name)
		return
	}
	var names []string
	for _, f := range refusal.Fields {
		names = append(names, f.Name)
		if f.Message == "" {
			t.Errorf("%s is refused without a word", f.Name)
		}
	}
	if diff := cmp.Diff(fields, names); diff != "" {
		t.Errorf("the refused fields (-want +got):\n%s", diff)
	}
}

// wantCount fails the test unless the tenant has so many events and deliveries.
func (w *world) wantCount(tenant id.ID, events, deliveries int) {
	w.t.Helper()
	e := all(w.t, func(p webhook.Page) ([]webhook.Event, string, error) {
		return w.Events(context.Background(), tenant, webhook.EventFilter{}, p)
	}, 250)
	d := all(w.t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
		return w.Deliveries(context.Background(), tenant, webhook.DeliveryFilter{}, p)
	}, 250)
	if len(e) != events || len(d) != deliveries {
		w.t.Errorf("there are %d events and %d deliveries, want %d and %d", len(e), len(d), events, deliveries)
	}
}

// all follows the cursors of a list to its end.
func all[T any](t testing.TB, list func(webhook.Page) ([]T, string, error), limit int) []T {
	t.Helper()
	var rows []T
	page := webhook.Page{Limit: limit}
	for {
		part, next, err := list(page)
		if err != nil {
			t.Fatal(err)
		}
		if len(part) > limit {
			t.Fatalf("a page of %d has %d rows", limit, len(part))
		}
		rows = append(rows, part...)
		if next == "" {
			return rows
		}
		page.Cursor = next
	}
}

// wantNotOnDisk fails the test if the database's files have one of the texts. The
// files of a server are out of reach.
func (w *world) wantNotOnDisk(texts ...[]byte) {
	w.t.Helper()
	if testkit.OnPostgres() {
		return
	}
	files, err := filepath.Glob(testkit.DatabasePath(w.t, w.url) + "*")
	if err != nil || len(files) < 2 {
		w.t.Fatalf("files of the database: %v, %v", files, err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		for i, text := range texts {
			if bytes.Contains(content, text) {
				w.t.Errorf("%s has text %d in clear", filepath.Ext(file), i)
			}
		}
	}
}

func (r *recorder) Takes(*webhook.Subscription) webhook.Taking { return webhook.Taken }

func (r *recorder) Heard(*webhook.Subscription) {}

func (r *recorder) Resume([]*webhook.Subscription) {}

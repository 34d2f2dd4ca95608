package timer_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// world is a runner over a database of its own. What its timers do is a row of what
// was done, after what the test wants besides.
type world struct {
	*timer.Runner
	t      *testing.T
	db     *db.DB
	url    string // of the database
	tenant id.ID
	start  time.Time // before which nothing is due

	mu      sync.Mutex
	handle  func(tx *db.Tx, t timer.Timer) error // nil: nothing besides
	execute func(due []timer.Timer) error        // before the transaction; nil: nothing
}

// steps orders what was done, in all worlds.
var steps atomic.Int64

func mustWorld(t *testing.T) *world {
	t.Helper()
	w := mustJoin(t, testkit.DatabaseURL(t))
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE done (step BIGINT NOT NULL, tenant_id TEXT NOT NULL, kind TEXT NOT NULL, due_at BIGINT NOT NULL)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mustJoin returns another runner over the same database, with a tenant of its own.
func mustJoin(t *testing.T, url string) *world {
	t.Helper()
	w := &world{t: t, url: url, tenant: id.New(time.Now()), start: time.Now().UTC().Truncate(time.Second)}
	w.mustOpen(nil)
	t.Cleanup(w.close)
	return w
}

func (w *world) mustOpen(registry prometheus.Registerer) {
	w.t.Helper()
	var err error
	if w.db, err = db.Open(w.t.Context(), w.url, db.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.Runner = timer.New(timer.Options{DB: w.db, Execute: w.run, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Metrics: registry})
}

func (w *world) close() {
	w.Stop()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) run(ctx context.Context, tenant id.ID, due []timer.Timer) error {
	w.mu.Lock()
	execute, handle := w.execute, w.handle
	w.mu.Unlock()
	if execute != nil {
		if err := execute(due); err != nil {
			return err
		}
	}
	return w.db.Write(ctx, func(tx *db.Tx) error {
		return timer.Each(tx, due, func(t timer.Timer) error {
			if t.TenantID != tenant {
				w.t.Errorf("a timer of %v among those of %v", t.TenantID, tenant)
			}
			if handle != nil {
				if err := handle(tx, t); err != nil {
					return err
				}
			}
			_, err := tx.Exec(`INSERT INTO done (step, tenant_id, kind, due_at) VALUES ($1, $2, $3, $4)`, steps.Add(1), t.TenantID.String(), t.Kind, db.Micro(t.DueAt))
			return err
		})
	})
}

// when says what happens besides when a timer is done; before, before its transaction.
func (w *world) when(handle func(tx *db.Tx, t timer.Timer) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle = handle
}

func (w *world) before(execute func(due []timer.Timer) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.execute = execute
}

func (w *world) mustWrite(fn func(tx *db.Tx) error) {
	w.t.Helper()
	if err := w.db.Write(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// at is a timer of the tenant that is due so long after the start.
func (w *world) at(kind string, after time.Duration) timer.Timer {
	return timer.Timer{TenantID: w.tenant, Kind: kind, DueAt: w.start.Add(after)}
}

func (w *world) mustSet(timers ...timer.Timer) {
	w.t.Helper()
	w.mustWrite(func(tx *db.Tx) error {
		for _, t := range timers {
			if _, err := timer.Set(tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// mustRunDue does what is due so long after the start.
func (w *world) mustRunDue(after time.Duration) int {
	w.t.Helper()
	n, err := w.RunDue(w.t.Context(), w.start.Add(after))
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// done returns the kinds of a tenant's timers in the order in which they were done.
func (w *world) done(tenant id.ID) []string {
	w.t.Helper()
	var kinds []string
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT kind FROM done WHERE tenant_id = $1 ORDER BY step`, tenant.String())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind string
			if err := rows.Scan(&kind); err != nil {
				return err
			}
			kinds = append(kinds, kind)
		}
		return rows.Err()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return kinds
}

func (w *world) wantDone(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.done(w.tenant)); diff != "" {
		w.t.Errorf("done (-want +got):\n%s", diff)
	}
}

// waiting and parked return the tenant's timers.
func (w *world) waiting() []timer.Timer {
	w.t.Helper()
	return w.mustList(func(q db.Queryer) ([]timer.Timer, error) { return timer.List(q, w.tenant, timer.Timer{}, 100) })
}

func (w *world) parked() []timer.Timer {
	w.t.Helper()
	return w.mustList(func(q db.Queryer) ([]timer.Timer, error) { return timer.ListParked(q, w.tenant, id.ID{}, 100) })
}

func (w *world) mustList(list func(q db.Queryer) ([]timer.Timer, error)) []timer.Timer {
	w.t.Helper()
	var timers []timer.Timer
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		timers, err = list(q)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return timers
}

func TestTimersAreDoneInTheOrderOfTheirTimesAndThenAsTheyWereSet(t *testing.T) {
	w := mustWorld(t)
	var timers []timer.Timer
	for i := range 700 { // more than one transaction does
		timers = append(timers, w.at(string(rune('a'+i%7)), time.Duration((i*311)%700/10)*time.Minute))
	}
	later := w.at("later", 70*time.Minute+time.Microsecond)
	w.mustSet(append([]timer.Timer{later}, timers...)...)
	if n := w.mustRunDue(70 * time.Minute); n != len(timers) {
		t.Errorf("%d were done, want %d", n, len(timers))
	}
	slices.SortStableFunc(timers, func(a, b timer.Timer) int { return a.DueAt.Compare(b.DueAt) })
	var want []string
	for _, t := range timers {
		want = append(want, t.Kind)
	}
	w.wantDone(want...)
	if left := w.waiting(); len(left) != 1 || left[0].Kind != "later" {
		t.Errorf("%d wait", len(left))
	}
}

func TestAHandlerIsGivenWhatWasSet(t *testing.T) {
	w := mustWorld(t)
	ref := id.New(time.Now())
	var made id.ID
	w.mustWrite(func(tx *db.Tx) error {
		var err error
		made, err = timer.Set(tx, timer.Timer{TenantID: w.tenant, Kind: "expire", DueAt: w.start.Add(time.Hour), Ref: ref, Data: []byte{0, 1}})
		return err
	})
	var got timer.Timer
	w.when(func(_ *db.Tx, t timer.Timer) error { got = t; return nil })
	w.mustRunDue(24 * time.Hour)
	if got.ID != made || got.Kind != "expire" || got.Ref != ref || !slices.Equal(got.Data, []byte{0, 1}) || !got.DueAt.Equal(w.start.Add(time.Hour)) {
		t.Errorf("it was given %+v", got)
	}
}

func TestATimerThatLacksWhatItNeedsIsNotSet(t *testing.T) {
	w := mustWorld(t)
	whole := w.at("expire", time.Hour)
	for name, lack := range map[string]func(t *timer.Timer){
		"no tenant": func(t *timer.Timer) { t.TenantID = id.ID{} },
		"no kind":   func(t *timer.Timer) { t.Kind = "" },
		"no time":   func(t *timer.Timer) { t.DueAt = time.Time{} },
	} {
		lacking := whole
		lack(&lacking)
		err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := timer.Set(tx, lacking)
			return err
		})
		if err == nil {
			t.Errorf("%s: it was set", name)
		}
	}
}

func TestWhatAHandlerSetsIsDoneInItsPlace(t *testing.T) {
	w := mustWorld(t)
	w.when(func(tx *db.Tx, t timer.Timer) error {
		next, ok := map[string]string{"first": "second", "second": "third"}[t.Kind]
		if !ok {
			return nil
		}
		_, err := timer.Set(tx, timer.Timer{TenantID: t.TenantID, Kind: next, DueAt: t.DueAt.Add(time.Hour)})
		return err
	})
	w.mustSet(w.at("first", time.Hour), w.at("between", 90*time.Minute), w.at("at two", 2*time.Hour), w.at("last", 4*time.Hour), w.at("first", 365*24*time.Hour))
	if n := w.mustRunDue(365 * 24 * time.Hour); n != 7 {
		t.Errorf("%d were done", n)
	}
	w.wantDone("first", "between", "at two", "second", "third", "last", "first")
	w.mustRunDue(366 * 24 * time.Hour)
	w.wantDone("first", "between", "at two", "second", "third", "last", "first", "second", "third")
}

func TestATimerThatWasSetForThePastIsDoneNext(t *testing.T) {
	w := mustWorld(t)
	w.when(func(tx *db.Tx, t timer.Timer) error {
		if t.Kind != "first" {
			return nil
		}
		_, err := timer.Set(tx, w.at("past", -time.Hour))
		return err
	})
	w.mustSet(w.at("first", time.Hour), w.at("second", time.Hour))
	w.mustRunDue(time.Hour)
	w.wantDone("first", "past", "second")
}

func TestWhatIsSetWhileABatchIsReadIsDoneInItsPlace(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(w.at("first", time.Hour), w.at("third", 3*time.Hour))
	var once sync.Once
	w.before(func([]timer.Timer) error {
		once.Do(func() { w.mustSet(w.at("second", 2*time.Hour)) })
		return nil
	})
	if n := w.mustRunDue(4 * time.Hour); n != 3 {
		t.Errorf("%d were done", n)
	}
	w.wantDone("first", "second", "third")
}

func TestACancelledTimerIsNotDone(t *testing.T) {
	w := mustWorld(t)
	ref := id.New(time.Now())
	of := func(kind string, after time.Duration) timer.Timer {
		t := w.at(kind, after)
		t.Ref = ref
		return t
	}
	cancel := func(tx *db.Tx, kind string, want bool) error {
		cancelled, err := timer.Cancel(tx, w.tenant, kind, ref)
		if cancelled != want {
			t.Errorf("cancelling %s reported %v", kind, cancelled)
		}
		return err
	}
	tests := []struct {
		name     string
		prepare  func()
		want     []string
		wantDone int
	}{
		{"before it is due", func() {
			w.mustWrite(func(tx *db.Tx) error { return cancel(tx, "expire", true) })
			w.mustWrite(func(tx *db.Tx) error { return cancel(tx, "expire", false) })
		}, []string{"remind", "other"}, 2},
		{"in the moment in which it is done", func() {
			w.before(func([]timer.Timer) error {
				w.before(nil)
				w.mustWrite(func(tx *db.Tx) error { return cancel(tx, "remind", true) })
				return nil
			})
		}, []string{"other", "expire"}, 2},
		{"by another of the same transaction", func() {
			w.when(func(tx *db.Tx, t timer.Timer) error {
				if t.Kind != "remind" {
					return nil
				}
				if err := cancel(tx, "remind", false); err != nil { // it is being done
					return err
				}
				return cancel(tx, "expire", true)
			})
		}, []string{"remind", "other"}, 2},
		{"by the transaction that has set it", func() {
			w.mustWrite(func(tx *db.Tx) error {
				if _, err := timer.Set(tx, of("never", 0)); err != nil {
					return err
				}
				return cancel(tx, "never", true)
			})
		}, []string{"remind", "other", "expire"}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.when(nil)
			w.tenant = id.New(time.Now())
			w.mustSet(of("remind", time.Hour), w.at("other", 2*time.Hour), w.at("expire", 4*time.Hour))
			w.mustWrite(func(tx *db.Tx) error { // the ref's own, beside that of another ref
				if _, err := timer.Cancel(tx, w.tenant, "expire", id.ID{}); err != nil {
					return err
				}
				_, err := timer.Set(tx, of("expire", 4*time.Hour))
				return err
			})
			tt.prepare()
			if n := w.mustRunDue(5 * time.Hour); n != tt.wantDone {
				t.Errorf("%d were done", n)
			}
			w.wantDone(tt.want...)
		})
	}
}

func TestATimerOfATransactionThatFailsIsNone(t *testing.T) {
	w := mustWorld(t)
	refused := errors.New("refused")
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := timer.Set(tx, w.at("never", 0)); err != nil {
			return err
		}
		return refused
	})
	if n := w.mustRunDue(time.Hour); !errors.Is(err, refused) || n != 0 {
		t.Errorf("%v, %d were done", err, n)
	}
}

func TestNothingIsDoneTwiceOrEarlyWhenTheClockIsSetBack(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(w.at("first", time.Hour), w.at("second", 2*time.Hour), w.at("third", 3*time.Hour))
	w.mustRunDue(2 * time.Hour)
	if n := w.mustRunDue(30 * time.Minute); n != 0 {
		t.Errorf("%d were done an hour and a half before", n)
	}
	w.mustSet(w.at("again", 20*time.Minute))
	w.mustRunDue(30 * time.Minute)
	w.wantDone("first", "second", "again")
	w.mustRunDue(3 * time.Hour)
	w.wantDone("first", "second", "again", "third")
}

func TestTimersThatWaitAreListedInPagesInTheOrderInWhichTheyAreDone(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(w.at("c", 2*time.Hour), w.at("a", time.Hour), w.at("b", time.Hour), w.at("d", 3*time.Hour))
	other := w.at("foreign", time.Hour)
	other.TenantID = id.New(time.Now())
	w.mustSet(other)
	var kinds []string
	var after timer.Timer
	for {
		page := w.mustList(func(q db.Queryer) ([]timer.Timer, error) { return timer.List(q, w.tenant, after, 2) })
		if len(page) == 0 {
			break
		}
		for _, t := range page {
			kinds = append(kinds, t.Kind)
		}
		after = page[len(page)-1]
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, kinds); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

func TestOnlyAParkedTimerOfTheTenantIsResumed(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(w.at("waits", time.Hour))
	waits := w.waiting()[0].ID
	for _, tenant := range []id.ID{w.tenant, id.New(time.Now())} {
		err := w.db.Write(t.Context(), func(tx *db.Tx) error { return timer.Resume(tx, tenant, waits) })
		if !problem.NotFound.Has(err) {
			t.Errorf("%v", err)
		}
	}
}

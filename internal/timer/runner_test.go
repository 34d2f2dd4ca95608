package timer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

var errBroken = errors.New("broken")

func TestARunnerSleepsUntilATimerIsDue(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.mustSet(w.at("before the start", 49*time.Hour))
		w.Start()
		w.Start() // which changes nothing
		synctest.Wait()
		var late []time.Duration
		w.when(func(_ *db.Tx, t timer.Timer) error { late = append(late, time.Since(t.DueAt)); return nil })
		w.mustSet(w.at("after it", 72*time.Hour))
		w.mustSet(w.at("sooner", time.Hour+time.Microsecond))
		w.mustSet(w.at("at once", -time.Hour))
		synctest.Wait()
		w.wantDone("at once")
		time.Sleep(49*time.Hour - time.Second)
		w.wantDone("at once", "sooner")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		w.wantDone("at once", "sooner", "before the start", "after it")
		if slices.Max(late[1:]) > time.Second {
			t.Errorf("they were late by %v", late[1:])
		}
		w.Stop()
		w.Stop()
	})
}

func TestAfterAStopATimerWaitsForTheNextStart(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		w.mustSet(w.at("expire", time.Hour))
		w.Stop()
		time.Sleep(2 * time.Hour)
		w.wantDone()
		w.close()
		w.mustOpen(nil)
		w.Start()
		synctest.Wait()
		w.wantDone("expire")
		w.Stop()
	})
}

func TestATimerThatAnotherProcessHasSetAndLeftIsDoneInAMinuteOrOnceTheRunnerIsWoken(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: a file belongs to one process")
	}
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		synctest.Wait()
		dead := mustJoin(t, w.url)
		dead.tenant = w.tenant
		dead.mustSet(dead.at("woken", 0))
		synctest.Wait()
		w.wantDone()
		w.Wake()
		synctest.Wait()
		w.wantDone("woken")
		dead.mustSet(dead.at("found", 0))
		time.Sleep(time.Minute + time.Second)
		w.wantDone("woken", "found")
		w.Stop()
	})
}

// mustPair returns two runners of one database: of two processes, where that can be.
func mustPair(t *testing.T) [2]*world {
	t.Helper()
	first := mustWorld(t)
	if testkit.OnPostgres() {
		return [2]*world{first, mustJoin(t, first.url)}
	}
	second := &world{t: t, db: first.db}
	second.Runner = timer.New(timer.Options{DB: first.db, Execute: second.run})
	return [2]*world{first, second}
}

// mustSetMany sets timers for three tenants, one a minute, and returns whose they are
// and the kinds in the order in which they are to be done.
func (w *world) mustSetMany() ([]id.ID, []string) {
	w.t.Helper()
	var tenants []id.ID
	var kinds []string
	for i := range 400 {
		kinds = append(kinds, fmt.Sprintf("%03d", i))
	}
	var timers []timer.Timer
	for range 3 {
		tenant := id.New(time.Now())
		tenants = append(tenants, tenant)
		for i, kind := range kinds {
			timers = append(timers, timer.Timer{TenantID: tenant, Kind: kind, DueAt: w.start.Add(time.Duration(i) * time.Minute)})
		}
	}
	w.mustSet(timers...)
	return tenants, kinds
}

func (w *world) wantEachDone(tenants []id.ID, kinds []string) {
	w.t.Helper()
	for _, tenant := range tenants {
		if diff := cmp.Diff(kinds, w.done(tenant)); diff != "" {
			w.t.Errorf("done (-want +got):\n%s", diff)
		}
	}
}

func TestTwoWhoCatchUpDoEachTimerOnceAndInOrder(t *testing.T) {
	pair := mustPair(t)
	tenants, kinds := pair[0].mustSetMany()
	var done atomic.Int64
	var running sync.WaitGroup
	for _, w := range pair {
		running.Go(func() {
			n, err := w.RunDue(t.Context(), pair[0].start.Add(1000*time.Minute))
			if err != nil {
				t.Error(err)
			}
			done.Add(int64(n))
		})
	}
	running.Wait()
	if want := len(tenants) * len(kinds); done.Load() != int64(want) {
		t.Errorf("%d were done, want %d", done.Load(), want)
	}
	pair[0].wantEachDone(tenants, kinds)
}

func TestTwoWhoWaitForTimersDoEachOnceAndInOrder(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		pair := mustPair(t)
		pair[0].Start()
		pair[1].Start()
		tenants, kinds := pair[0].mustSetMany()
		time.Sleep(1000 * time.Minute)
		pair[0].Stop()
		pair[1].Stop()
		pair[0].wantEachDone(tenants, kinds)
	})
}

func TestATimerThatFailsHoldsUpNoOther(t *testing.T) {
	w := mustWorld(t)
	var timers []timer.Timer
	var want []string
	for i := range 300 {
		kind := fmt.Sprintf("%03d", i)
		timers = append(timers, w.at(kind, time.Duration(i)*time.Second))
		if kind != "150" && kind != "151" {
			want = append(want, kind)
		}
	}
	w.mustSet(timers...)
	broken := true
	w.when(func(_ *db.Tx, t timer.Timer) error {
		if broken && t.Kind == "150" {
			return errBroken
		}
		if broken && t.Kind == "151" {
			panic("no")
		}
		return nil
	})
	if n := w.mustRunDue(time.Hour); n != len(want) {
		t.Errorf("%d were done, want %d", n, len(want))
	}
	w.wantDone(want...)
	if left := w.waiting(); len(left) != 2 || left[0].Kind != "150" || left[0].Failures != 1 || left[0].Error == "" || left[1].Failures != 1 {
		t.Errorf("what is left: %+v", left)
	}
	broken = false
	w.mustRunDue(time.Hour + time.Second)
	w.wantDone(append(want, "150", "151")...)
}

func TestATimerThatFailsIsTriedAgainWithLongerAndLongerWaitsAndThenParkedUntilItIsResumed(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		var tries []time.Duration
		w.when(func(*db.Tx, timer.Timer) error {
			tries = append(tries, time.Since(w.start))
			return errBroken
		})
		w.Start()
		w.mustSet(w.at("expire", 0))
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		if len(tries) != 20 {
			t.Fatalf("%d tries", len(tries))
		}
		for i, want := range []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 4095, 7695, 11295} {
			if got := tries[i].Round(10 * time.Millisecond).Seconds(); got != want {
				t.Errorf("try %d came after %v s, want %v", i+1, got, want)
			}
		}
		parked := w.parked()
		if len(parked) != 1 || parked[0].Failures != 20 || parked[0].Error != errBroken.Error() || parked[0].ParkedAt.IsZero() || len(w.waiting()) != 0 {
			t.Fatalf("parked: %+v; %d wait", parked, len(w.waiting()))
		}
		var dueAt time.Time
		w.when(func(_ *db.Tx, t timer.Timer) error { dueAt = t.DueAt; return nil })
		w.mustWrite(func(tx *db.Tx) error { return timer.Resume(tx, w.tenant, parked[0].ID) })
		synctest.Wait()
		w.wantDone("expire")
		if !dueAt.Equal(w.start) {
			t.Errorf("it took effect at %v, and was due at %v", dueAt, w.start)
		}
		w.Stop()
	})
}

func TestATimerThatNobodyTakesCountsAsFailed(t *testing.T) {
	w := mustWorld(t)
	idle := timer.New(timer.Options{DB: w.db, Execute: func(context.Context, id.ID, []timer.Timer) error { return nil }})
	w.mustSet(w.at("of a later version", 0), w.at("also", 0))
	if n, err := idle.RunDue(t.Context(), w.start); n != 0 || err != nil {
		t.Errorf("%d were done, %v", n, err)
	}
	for _, left := range w.waiting() {
		if left.Failures != 1 || left.Error == "" {
			t.Errorf("what is left: %+v", left)
		}
	}
}

func TestTimersMayBeTakenOneByOne(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(w.at("first", 0), w.at("second", 0))
	var took []string
	single := timer.New(timer.Options{DB: w.db, Execute: func(ctx context.Context, _ id.ID, due []timer.Timer) error {
		return w.db.Write(ctx, func(tx *db.Tx) error {
			for range 2 { // the second time it is gone
				mine, err := timer.Take(tx, due[0])
				if err != nil {
					return err
				}
				if mine {
					took = append(took, due[0].Kind)
				}
			}
			return nil
		})
	}})
	n, err := single.RunDue(t.Context(), w.start)
	if diff := cmp.Diff([]string{"first", "second"}, took); diff != "" || n != 2 || err != nil {
		t.Errorf("%d, %v, taken (-want +got):\n%s", n, err, diff)
	}
}

func TestADatabaseThatCanNotBeUsedIsNoFailureOfATimer(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.before(func([]timer.Timer) error { return fmt.Errorf("commit: %w", db.ErrUnavailable) })
		w.mustSet(w.at("expire", 0))
		if _, err := w.RunDue(t.Context(), w.start); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		w.Start()
		time.Sleep(time.Hour)
		if left := w.waiting(); len(left) != 1 || left[0].Failures != 0 {
			t.Errorf("what is left: %+v", left)
		}
		w.before(nil)
		time.Sleep(2 * time.Second)
		w.wantDone("expire")
		w.Stop()
	})
}

func TestWhatIsTooMuchForOneTransactionIsDoneInSeveral(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		var timers []timer.Timer
		var want []string
		for i := range 100 {
			kind := fmt.Sprintf("%03d", i)
			timers, want = append(timers, w.at(kind, -time.Hour)), append(want, kind)
		}
		w.mustSet(timers...)
		w.before(func(due []timer.Timer) error {
			if len(due) > 30 { // others have met it each time
				return fmt.Errorf("commit: %w", db.ErrUnavailable)
			}
			return nil
		})
		w.Start()
		time.Sleep(time.Minute)
		w.wantDone(want...)
	})
}

func TestATenantWithManyTimersHoldsUpNoOther(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		var many []timer.Timer
		for range 1000 {
			many = append(many, w.at("many", 0))
		}
		w.mustSet(many...)
		few := id.New(time.Now())
		w.mustSet(timer.Timer{TenantID: few, Kind: "few", DueAt: w.start})
		before := 0
		w.when(func(_ *db.Tx, t timer.Timer) error {
			if t.TenantID == w.tenant && before >= 0 {
				before++
			}
			if t.TenantID == few {
				t := before
				before = -1
				if t > 500 {
					w.t.Errorf("%d timers of another tenant were done before", t)
				}
			}
			return nil
		})
		if testkit.OnPostgres() {
			w.when(nil) // there they run beside each other
		}
		w.Start()
		time.Sleep(time.Minute)
		if n := len(w.done(w.tenant)); n != 1000 || len(w.done(few)) != 1 {
			t.Errorf("%d of the many are done", n)
		}
		w.Stop()
	})
}

func TestATransactionThatTakesLongLeavesTheRestToTheNext(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		var timers []timer.Timer
		var want []string
		for i := range 100 {
			kind := fmt.Sprintf("%03d", i)
			timers, want = append(timers, w.at(kind, time.Duration(i)*time.Second)), append(want, kind)
		}
		w.mustSet(timers...)
		in := make(map[*db.Tx]int)
		takes := 8 * time.Millisecond
		if testkit.OnPostgres() { // where nobody waits for it
			takes = 80 * time.Millisecond
		}
		w.when(func(tx *db.Tx, _ timer.Timer) error {
			in[tx]++
			time.Sleep(takes)
			if in[tx] > 3 {
				t.Error("a transaction goes on for too long")
			}
			return nil
		})
		w.mustRunDue(time.Hour)
		w.wantDone(want...)
	})
}

func TestMetricsShowWhatWasDoneWhatFailedWhatIsLateAndWhatIsParked(t *testing.T) {
	w := mustWorld(t)
	w.close()
	registry := prometheus.NewRegistry()
	w.mustOpen(registry)
	w.when(func(_ *db.Tx, t timer.Timer) error {
		if t.Kind == "bad" {
			return errBroken
		}
		return nil
	})
	w.mustSet(w.at("good", -29*time.Hour), w.at("good", -29*time.Hour), w.at("bad", -30*time.Hour), w.at("late", -7*time.Hour))
	for i := range 21 {
		w.mustRunDue(time.Duration(i-28) * time.Hour)
	}
	want := map[string]float64{
		"grapevine_timer_failures_total bad": 20, "grapevine_timers_done_total good": 2, "grapevine_timers_parked ": 1, "late for seven hours": 1,
	}
	got := make(map[string]float64)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := ""
			if len(m.GetLabel()) > 0 {
				label = m.GetLabel()[0].GetValue()
			}
			switch name := family.GetName(); {
			case name == "grapevine_timer_oldest_due_seconds" && m.GetGauge().GetValue() >= 7*3600 && m.GetGauge().GetValue() < 8*3600:
				got["late for seven hours"] = 1
			case m.GetCounter() != nil:
				got[name+" "+label] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				got[name+" "+label] = m.GetGauge().GetValue()
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// BenchmarkAYear measures what the runner costs beside what timers do: 10,000 of
// something, with a timer each month.
func BenchmarkAYear(b *testing.B) {
	const members, months = 10_000, 12
	d := testkit.OpenDB(b, db.Options{})
	if err := d.Write(b.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE done (id ` + map[bool]string{true: "BYTEA", false: "BLOB"}[testkit.OnPostgres()] + ` PRIMARY KEY)`)
		return err
	}); err != nil {
		b.Fatal(err)
	}
	r := timer.New(timer.Options{DB: d, Execute: func(ctx context.Context, _ id.ID, due []timer.Timer) error {
		return d.Write(ctx, func(tx *db.Tx) error {
			return timer.Each(tx, due, func(t timer.Timer) error {
				return tx.Later(`INSERT INTO done (id) VALUES ($1)`, []any{t.ID[:]}, nil)
			})
		})
	}})
	start := time.Now()
	year := start.Add(366 * 24 * time.Hour)
	for b.Loop() {
		b.StopTimer()
		tenant := id.New(time.Now())
		for from := 0; from < members; from += 500 {
			if err := d.Write(b.Context(), func(tx *db.Tx) error {
				for member := from; member < from+500; member++ {
					ref := id.New(tx.Now())
					for month := range months {
						due := start.Add(time.Duration(month)*30*24*time.Hour + time.Duration(member)*time.Minute)
						if _, err := timer.Set(tx, timer.Timer{TenantID: tenant, Kind: "reward.expire", DueAt: due, Ref: ref}); err != nil {
							return err
						}
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if n, err := r.RunDue(b.Context(), year); n != members*months || err != nil {
			b.Fatalf("%d were done, %v", n, err)
		}
	}
	b.ReportMetric(float64(members*months*b.N)/b.Elapsed().Seconds(), "timers/s")
}

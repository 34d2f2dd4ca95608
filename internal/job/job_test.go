package job_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// world is a runner over a database of its own, with a kind of job that counts to
// the number in its spec. A step stores the number that it has come to.
type world struct {
	*job.Runner
	t      *testing.T
	db     *db.DB
	url    string // of the database
	tenant id.ID

	mu     sync.Mutex
	order  []id.ID // whose steps were committed
	broken error   // what every step returns, once it has written
	onStep func(j *job.Job)
	ended  []job.State
}

func mustWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, url: testkit.DatabaseURL(t), tenant: id.New(time.Now())}
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
	w.Runner = job.NewRunner(job.Options{DB: w.db, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Metrics: registry})
	w.Register(job.Kind{Name: "count", Step: w.step, Ended: func(tx *db.Tx, j *job.Job) error {
		state := j.State
		tx.After(func() { w.ended = append(w.ended, state) })
		return nil
	}})
	w.Register(job.Kind{Name: "promised", Step: w.step, NeverParked: true})
}

func (w *world) close() {
	w.Stop()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

// step counts on by one, from the number in the cursor.
func (w *world) step(tx *db.Tx, j *job.Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.onStep != nil {
		w.onStep(j)
	}
	at := uint32(0)
	if len(j.Cursor) > 0 {
		at = binary.BigEndian.Uint32(j.Cursor)
	}
	var to uint32
	if err := json.Unmarshal(j.Spec, &to); err != nil {
		return err
	}
	at++
	j.Cursor = binary.BigEndian.AppendUint32(nil, at)
	j.Done++
	if at == to {
		j.Complete()
	}
	of := j.ID
	tx.After(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.order = append(w.order, of)
	})
	return w.broken
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) mustAdd(tenant id.ID, kind string, to int) id.ID {
	w.t.Helper()
	var made job.Job
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		var err error
		made, err = w.Add(tx, job.New{TenantID: tenant, Kind: kind, Spec: to, Total: int64(to)})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.ID
}

func (w *world) mustGet(of id.ID) job.Job {
	w.t.Helper()
	var j job.Job
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		for _, kind := range []string{"count", "promised"} {
			if j, err = job.Get(q, w.tenant, kind, of); err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// steer pauses, resumes or cancels a job.
func (w *world) steer(of id.ID, how func(*db.Tx, *job.Job) error) error {
	return w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		j, err := job.Get(tx, w.tenant, "count", of)
		if err != nil {
			return err
		}
		return how(tx, &j)
	})
}

func (w *world) mustSteer(of id.ID, how func(*db.Tx, *job.Job) error) {
	w.t.Helper()
	if err := w.steer(of, how); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantJob(of id.ID, state job.State, done int64) {
	w.t.Helper()
	if j := w.mustGet(of); j.State != state || j.Done != done || j.EndedAt.IsZero() != (state != job.Completed && state != job.Cancelled) {
		w.t.Errorf("the job is %s after %d steps, ended %v; want %s after %d", j.State, j.Done, j.EndedAt, state, done)
	}
}

func TestAJobIsDoneToItsEnd(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		of := w.mustAdd(w.tenant, "count", 10)
		synctest.Wait()
		w.wantJob(of, job.Completed, 10)
		if !slices.Equal(w.ended, []job.State{job.Completed}) {
			t.Errorf("it ended as %v", w.ended)
		}
		w.Stop()
	})
}

func TestAJobThatAnotherServerHasLeftIsDoneOnceTheRunnerIsWoken(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		synctest.Wait() // it sleeps, as there is nothing to do
		dead := job.NewRunner(job.Options{DB: w.db})
		var left job.Job
		err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			var err error
			left, err = dead.Add(tx, job.New{TenantID: w.tenant, Kind: "count", Spec: 3, Total: 3})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Wake()
		synctest.Wait()
		w.wantJob(left.ID, job.Completed, 3)
		w.Stop()
	})
}

func TestAJobOfATransactionThatFailsIsNone(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		refused := errors.New("refused")
		err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := w.Add(tx, job.New{TenantID: w.tenant, Kind: "count", Spec: 1}); err != nil {
				return err
			}
			return refused
		})
		synctest.Wait()
		if !errors.Is(err, refused) || len(w.order) > 0 {
			t.Errorf("%v, %d steps", err, len(w.order))
		}
		w.Stop()
	})
}

func TestAJobGoesOnAfterARestartWhereItStood(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		of := w.mustAdd(w.tenant, "count", 10)
		w.onStep = func(j *job.Job) {
			if j.Done == 4 {
				go w.Stop() // which lets this step end
			}
		}
		w.Start()
		synctest.Wait()
		at := w.mustGet(of).Done
		if at < 5 || at == 10 {
			t.Fatalf("it was stopped after %d steps", at)
		}
		w.close()
		w.mustOpen(nil)
		w.set(func() { w.onStep = nil })
		w.Start()
		synctest.Wait()
		w.wantJob(of, job.Completed, 10)
		if len(w.order) != 10 {
			t.Errorf("%d steps were committed", len(w.order))
		}
		w.Stop()
	})
}

func TestASmallJobDoesNotWaitForALargeOne(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		large := w.mustAdd(w.tenant, "count", 1000)
		small := w.mustAdd(w.tenant, "count", 3)
		other := id.New(time.Now())
		foreign := w.mustAdd(other, "count", 3)
		w.Start()
		synctest.Wait()
		w.wantJob(large, job.Completed, 1000)
		for name, of := range map[string]id.ID{"the tenant's": small, "another tenant's": foreign} {
			at, seen := 0, 0
			for i, step := range w.order {
				if step == of {
					at, seen = i, seen+1
				}
			}
			if seen != 3 || at > 12 {
				t.Errorf("%s small job had its %dth step as number %d", name, seen, at)
			}
		}
		w.Stop()
	})
}

func TestAPausedJobWaitsUntilItIsResumed(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		of := w.mustAdd(w.tenant, "count", 5)
		w.mustSteer(of, w.Pause)
		w.mustSteer(of, w.Pause) // which changes nothing
		w.Start()
		time.Sleep(time.Hour)
		w.wantJob(of, job.Paused, 0)
		w.mustSteer(of, w.Resume)
		w.mustSteer(of, w.Resume)
		synctest.Wait()
		w.wantJob(of, job.Completed, 5)
		for _, how := range []func(*db.Tx, *job.Job) error{w.Pause, w.Resume, w.Cancel} {
			if err := w.steer(of, how); !problem.Conflict.Has(err) {
				t.Errorf("a completed job: %v", err)
			}
		}
		w.Stop()
	})
}

func TestACancelledJobHasEnded(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		of := w.mustAdd(w.tenant, "count", 5)
		w.mustSteer(of, w.Cancel)
		w.mustSteer(of, w.Cancel)
		w.Start()
		synctest.Wait()
		w.wantJob(of, job.Cancelled, 0)
		if !slices.Equal(w.ended, []job.State{job.Cancelled}) {
			t.Errorf("it ended as %v", w.ended)
		}
		for _, how := range []func(*db.Tx, *job.Job) error{w.Pause, w.Resume} {
			if err := w.steer(of, how); !problem.Conflict.Has(err) {
				t.Errorf("a cancelled job: %v", err)
			}
		}
		w.Stop()
	})
}

func TestAStepThatFailsIsTriedAgainWithLongerAndLongerWaitsAndThenParked(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.broken = errors.New("broken")
		var tries []time.Duration
		began := time.Now()
		w.onStep = func(*job.Job) { tries = append(tries, time.Since(began)) }
		of := w.mustAdd(w.tenant, "count", 3)
		w.Start()
		time.Sleep(24 * time.Hour)
		w.wantJob(of, job.Failed, 0)
		if len(tries) != 20 {
			t.Fatalf("%d tries", len(tries))
		}
		for i, want := range []float64{0, 1, 3, 7, 15, 31, 63, 123, 183} {
			if got := tries[i].Round(10 * time.Millisecond).Seconds(); got != want {
				t.Errorf("try %d came after %v s, want %v", i+1, got, want)
			}
		}
		w.set(func() { w.broken = nil })
		w.mustSteer(of, w.Resume)
		synctest.Wait()
		w.wantJob(of, job.Completed, 3)
		w.Stop()
	})
}

func TestWorkThatWasPromisedIsNeverParked(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.broken = errors.New("broken")
		of := w.mustAdd(w.tenant, "promised", 3)
		w.Start()
		time.Sleep(24 * time.Hour)
		w.set(func() { w.broken = nil })
		time.Sleep(time.Minute)
		w.wantJob(of, job.Completed, 3)
		w.Stop()
	})
}

func TestAJobThatPanicsOrIsUnknownDoesNotStopTheOthers(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Register(job.Kind{Name: "panicking", Step: func(*db.Tx, *job.Job) error { panic("no") }})
		w.mustAdd(w.tenant, "panicking", 1)
		w.mustAdd(w.tenant, "of a later version", 1)
		of := w.mustAdd(w.tenant, "count", 3)
		w.Start()
		synctest.Wait()
		w.wantJob(of, job.Completed, 3)
		w.Stop()
	})
}

func TestJobsThatHaveEndedAreKeptForThirtyDays(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.Start()
		first := w.mustAdd(w.tenant, "count", 1)
		time.Sleep(24 * time.Hour)
		second := w.mustAdd(w.tenant, "count", 1)
		paused := w.mustAdd(w.tenant, "count", 1)
		w.mustSteer(paused, func(tx *db.Tx, j *job.Job) error { j.State = job.Running; return w.Pause(tx, j) })
		time.Sleep(29*24*time.Hour - time.Minute)
		w.wantJob(first, job.Completed, 1)
		time.Sleep(20 * time.Minute)
		err := w.db.Read(t.Context(), func(q db.Queryer) error {
			jobs, err := job.List(q, w.tenant, "count", id.ID{}, 10)
			if len(jobs) != 2 || jobs[0].ID != second && jobs[1].ID != second {
				t.Errorf("%d jobs are left", len(jobs))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Stop()
	})
}

func TestJobsAreFoundByTenantAndKind(t *testing.T) {
	w := mustWorld(t)
	var all []id.ID
	for range 3 {
		all = append(all, w.mustAdd(w.tenant, "count", 1))
	}
	other := id.New(time.Now())
	w.mustAdd(w.tenant, "promised", 1)
	w.mustAdd(other, "count", 1)
	err := w.db.Read(t.Context(), func(q db.Queryer) error {
		if n, err := job.Open(q, w.tenant, "count"); err != nil || n != 3 {
			t.Errorf("%d are open, %v", n, err)
		}
		if _, err := job.Get(q, other, "count", all[0]); !problem.NotFound.Has(err) {
			t.Errorf("another tenant's job: %v", err)
		}
		if _, err := job.Get(q, w.tenant, "promised", all[0]); !problem.NotFound.Has(err) {
			t.Errorf("a job of another kind: %v", err)
		}
		first, err := job.List(q, w.tenant, "count", id.ID{}, 2)
		if err != nil || len(first) != 2 {
			t.Fatalf("%d, %v", len(first), err)
		}
		rest, err := job.List(q, w.tenant, "count", first[1].ID, 2)
		if err != nil || len(rest) != 1 || strings.Compare(rest[0].ID.String(), first[1].ID.String()) >= 0 {
			t.Errorf("the second page: %v, %v", rest, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAMetricShowsJobsByKindAndState(t *testing.T) {
	w := mustWorld(t)
	w.close()
	registry := prometheus.NewRegistry()
	w.mustOpen(registry)
	w.mustAdd(w.tenant, "count", 1)
	w.mustSteer(w.mustAdd(w.tenant, "count", 1), w.Pause)
	w.mustAdd(w.tenant, "promised", 1)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "grapevine_jobs" {
				got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"count paused": 1, "count running": 1, "promised running": 1}, got); diff != "" {
		t.Errorf("grapevine_jobs (-want +got):\n%s", diff)
	}
}

package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// commits returns how many commits were measured and how many transactions
// they held.
func commits(t testing.TB, registry *prometheus.Registry) (uint64, float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "grapevine_db_group_size" {
			h := family.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	t.Fatal("grapevine_db_group_size is not measured")
	return 0, 0
}

func TestWritesThatWaitTogetherShareOneCommit(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		d := mustOpenNotes(t, db.Options{Metrics: registry})
		commitsBefore, writesBefore := commits(t, registry)
		var closures []func(*db.Tx) error
		var want []int64
		for id := range int64(100) {
			closures = append(closures, note(id))
			want = append(want, id)
		}
		for i, got := range together(t, d, closures...) {
			if got.err != nil {
				t.Errorf("write %d: %v", i, got.err)
			}
		}
		wantNotes(t, d, want...)
		commitsAfter, writesAfter := commits(t, registry)
		if n := commitsAfter - commitsBefore; n != 2 { // one is of the write that held up the others
			t.Errorf("%d commits, want 2", n)
		}
		if n := writesAfter - writesBefore; n != 101 {
			t.Errorf("%v transactions committed, want 101", n)
		}
	})
}

func TestConcurrentWritersNeedFarFewerCommitsThanWrites(t *testing.T) {
	registry := prometheus.NewRegistry()
	d := mustOpenNotes(t, db.Options{Metrics: registry})
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 20 {
				if err := d.Write(t.Context(), note(next.Add(1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	count, writes := commits(t, registry)
	if writes < 64*20 {
		t.Errorf("%v transactions measured, want at least %d", writes, 64*20)
	}
	if float64(count) > writes/4 {
		t.Errorf("%d commits for %v writes of 64 writers", count, writes)
	}
}

func TestAFailedClosureTakesBackOnlyItsOwnRows(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		outcomes := together(t, d,
			note(1),
			func(tx *db.Tx) error {
				if err := insert(tx, 2); err != nil {
					return err
				}
				return errOurs
			},
			note(3),
			note(1), // taken
			note(5),
		)
		wantNotes(t, d, 1, 3, 5)
		for _, i := range []int{0, 2, 4} {
			if err := outcomes[i].err; err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
		if err := outcomes[1].err; !errors.Is(err, errOurs) {
			t.Errorf("write 1: %v, want the closure's error", err)
		}
		if err := outcomes[3].err; !db.IsUnique(err) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("write 3: %v, want one that says that the key exists", err)
		}
	})
}

func TestAClosureThatFailsAloneLeavesNothing(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := insert(tx, 1); err != nil {
			return err
		}
		return errOurs
	})
	if !errors.Is(err, errOurs) {
		t.Errorf("error %v, want the closure's", err)
	}
	wantNotes(t, d)
	mustWrite(t, d, note(2))
	wantNotes(t, d, 2)
}

// aCommitFails stores what violates a key that is only checked by the commit.
func aCommitFails(tx *db.Tx) error {
	if _, err := tx.Exec(`CREATE TABLE reply (note_id INTEGER REFERENCES note (id) DEFERRABLE INITIALLY DEFERRED) STRICT`); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO reply (note_id) VALUES (404)`)
	return err
}

func TestACommitThatFailsFailsTheWholeGroup(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		for i, got := range together(t, d, note(1), aCommitFails, note(3)) {
			if got.err == nil {
				t.Errorf("write %d succeeded", i)
			}
		}
		wantNotes(t, d)
		mustWrite(t, d, note(4))
		wantNotes(t, d, 4)
	})
}

// journal notes what hooks do.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// taken returns what was noted.
func (j *journal) taken() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines
}

func (j *journal) want(t testing.TB, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(want, j.lines); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

// hooked returns a closure that notes two changes to memory and fails with err.
func (j *journal) hooked(name string, err error) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		tx.Undo(func() { j.add("%s: undo 1", name) })
		tx.After(func() { j.add("%s: after 1", name) })
		tx.Undo(func() { j.add("%s: undo 2", name) })
		tx.After(func() { j.add("%s: after 2", name) })
		return err
	}
}

func TestAfterRunsInTheOrderOfCommits(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		var j journal
		together(t, d, j.hooked("a", nil), j.hooked("b", errOurs), j.hooked("c", nil))
		together(t, d, j.hooked("d", nil))
		j.want(t,
			"b: undo 2", "b: undo 1",
			"a: after 1", "a: after 2", "c: after 1", "c: after 2",
			"d: after 1", "d: after 2")
	})
}

func TestAfterRunsBeforeWriteReturnsAndSeesTheCommit(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var seen []int64
	mustWrite(t, d, func(tx *db.Tx) error {
		tx.After(func() {
			if err := d.Read(t.Context(), func(q db.Queryer) error {
				var err error
				seen, err = noteIDs(q)
				return err
			}); err != nil {
				t.Error(err)
			}
		})
		return insert(tx, 1)
	})
	if !slices.Equal(seen, []int64{1}) {
		t.Errorf("After saw %v, want the committed note", seen)
	}
}

func TestUndoRunsBackwardsThroughAGroupThatIsLost(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		var j journal
		together(t, d, j.hooked("a", nil), j.hooked("b", errOurs), aCommitFails, j.hooked("c", nil))
		j.want(t,
			"b: undo 2", "b: undo 1", // when it failed
			"c: undo 2", "c: undo 1", "a: undo 2", "a: undo 1")
	})
}

func TestAPanicReachesItsCallerAndTheOthersCommit(t *testing.T) {
	where := map[string]func(tx *db.Tx) error{
		"in the closure": func(tx *db.Tx) error {
			if err := insert(tx, 2); err != nil {
				return err
			}
			panic("ours")
		},
		"in Undo": func(tx *db.Tx) error {
			tx.Undo(func() { panic("ours") })
			return errOurs
		},
		"in After": func(tx *db.Tx) error {
			tx.After(func() { panic("ours") })
			return nil
		},
		"with rows open": func(tx *db.Tx) error {
			if _, err := tx.Query(`SELECT id FROM note`); err != nil { //nolint:rowserrcheck // they are left open
				return err
			}
			panic("ours")
		},
	}
	for name, panics := range where {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				d := mustOpenNotes(t, db.Options{})
				var j journal
				outcomes := together(t, d, note(1), panics, note(3), j.hooked("last", nil))
				for i, got := range outcomes {
					if i == 1 {
						if got.panics != "ours" {
							t.Errorf("the caller got the panic %v, want its own", got.panics)
						}
						continue
					}
					if got.err != nil || got.panics != nil {
						t.Errorf("write %d: error %v, panic %v", i, got.err, got.panics)
					}
				}
				wantNotes(t, d, 1, 3)
				j.want(t, "last: after 1", "last: after 2")
				mustWrite(t, d, note(4))
			})
		})
	}
}

func TestAClosureThatEndsItsGoroutineFailsItsGroupOnly(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		var j journal
		outcomes := together(t, d, note(1), j.hooked("b", nil), func(tx *db.Tx) error {
			if _, err := tx.Query(`SELECT id FROM note`); err != nil { //nolint:rowserrcheck // they are left open
				return err
			}
			runtime.Goexit() // as t.FailNow does
			return nil
		}, note(4))
		for i, got := range outcomes {
			if got.err == nil {
				t.Errorf("write %d succeeded", i)
			}
		}
		j.want(t, "b: undo 2", "b: undo 1")
		wantNotes(t, d)
		mustWrite(t, d, note(5))
		wantNotes(t, d, 5)
	})
}

func TestACallerThatGivesUpBeforeItsTurnWritesNothing(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		release := holdUp(t, d)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := d.Write(ctx, note(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %v for a writer that was busy, want until the deadline", waited)
		}
		release()
		mustWrite(t, d, note(2))
		wantNotes(t, d, 2)
	})
}

func TestAContextThatHasEndedWritesNothing(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for id := range int64(20) {
		if err := d.Write(ctx, note(id)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	}
	mustWrite(t, d, note(100))
	wantNotes(t, d, 100)
}

func TestAClosureThatBeganIsWaitedFor(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		finish, returned := make(chan struct{}), make(chan error, 1)
		go func() {
			returned <- d.Write(ctx, func(tx *db.Tx) error {
				<-finish
				return insert(tx, 1)
			})
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case err := <-returned:
			t.Fatalf("Write returned (%v) before its closure did", err)
		default:
		}
		close(finish)
		if err := <-returned; err != nil {
			t.Errorf("the write that was committed returned %v", err)
		}
		wantNotes(t, d, 1)
	})
}

func TestNowIsOneMomentInUTCAndWholeMicroseconds(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		now := tx.Now()
		if now.Location() != time.UTC || now.Nanosecond()%1000 != 0 {
			t.Errorf("Now is %v", now)
		}
		if got := db.FromMicro(db.Micro(now)); got != now {
			t.Errorf("stored and read it is %v, want %v", got, now)
		}
		if later := tx.Now(); later != now {
			t.Errorf("asked again it is %v, want %v", later, now)
		}
		return nil
	})
}

func TestManyMoreWritersThanTheQueueHoldsAndAClose(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		release := holdUp(t, d)
		var accepted atomic.Int64
		var wg sync.WaitGroup
		for id := range int64(3000) {
			wg.Go(func() {
				switch err := d.Write(t.Context(), func(tx *db.Tx) error {
					tx.After(func() { accepted.Add(-1) })
					return insert(tx, id)
				}); {
				case err == nil:
					accepted.Add(1)
				case !errors.Is(err, db.ErrUnavailable):
					t.Errorf("write %d: %v", id, err)
				}
			})
		}
		synctest.Wait()
		wg.Go(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		release()
		wg.Wait()
		if n := accepted.Load(); n != 0 {
			t.Errorf("%d more writes were answered than committed", n)
		}
	})
}

func TestAGroupRunsAgainOnlyIfAClosureFailedAfterItHadWritten(t *testing.T) {
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		failing func(tx *db.Tx) error
		runs    int
	}{
		"it refused before it wrote": {func(tx *db.Tx) error {
			var n int
			if err := tx.QueryRow(`SELECT count(*) FROM note`).Scan(&n); err != nil {
				return err
			}
			return refused
		}, 1},
		"it wrote and then refused": {func(tx *db.Tx) error {
			if err := insert(tx, 9); err != nil {
				return err
			}
			return refused
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				d := mustOpenNotes(t, db.Options{})
				runs := 0
				counted := func(tx *db.Tx) error {
					runs++
					return insert(tx, 1)
				}
				outcomes := together(t, d, counted, c.failing, note(2))
				if outcomes[0].err != nil || !errors.Is(outcomes[1].err, refused) || outcomes[2].err != nil {
					t.Errorf("%v", outcomes)
				}
				if runs != c.runs {
					t.Errorf("the first closure ran %d times, not %d", runs, c.runs)
				}
				wantNotes(t, d, 1, 2)
			})
		})
	}
}

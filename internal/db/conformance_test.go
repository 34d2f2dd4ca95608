package db_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// These tests hold for every database: they run on the one that the tests of all
// packages run on. What is a file's or a server's alone is tested elsewhere.

// notebook is a database with a table of notes and one of counters, which a test
// may open more than once where it is a server's.
type notebook struct {
	*db.DB
	url string
}

func mustNotebook(t *testing.T) *notebook {
	t.Helper()
	n := &notebook{url: testkit.BlankDatabaseURL(t)}
	n.DB = mustOpenURL(t, n.url, db.Options{})
	mustWrite(t, n.DB, func(tx *db.Tx) error {
		for _, statement := range []string{
			`CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)`,
			`CREATE TABLE tally (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)`,
			`INSERT INTO tally (id, value) VALUES (1, 0), (2, 0)`,
		} {
			if _, err := tx.Exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
	return n
}

// writeFunc is one of the ways to write.
type writeFunc func(ctx context.Context, fn func(*db.Tx) error) error

// ways returns all of them.
func (n *notebook) ways() map[string]writeFunc {
	return map[string]writeFunc{
		"Write": n.Write,
		"WriteKey": func(ctx context.Context, fn func(*db.Tx) error) error {
			return n.WriteKey(ctx, "key", fn)
		},
		"Lane": n.Lane().Write,
	}
}

// onEachWay runs a test for each way to write, on a database of its own.
func onEachWay(t *testing.T, fn func(t *testing.T, n *notebook, write writeFunc)) {
	t.Helper()
	for _, way := range []string{"Write", "WriteKey", "Lane"} {
		t.Run(way, func(t *testing.T) {
			n := mustNotebook(t)
			fn(t, n, n.ways()[way])
		})
	}
}

func value(q db.Queryer, id int64) (int64, error) {
	var n int64
	err := q.QueryRow(`SELECT value FROM tally WHERE id = $1`, id).Scan(&n)
	return n, err
}

// mustValue returns what a counter says.
func (n *notebook) mustValue(t *testing.T, id int64) int64 {
	t.Helper()
	var got int64
	if err := n.Read(t.Context(), func(q db.Queryer) error {
		var err error
		got, err = value(q, id)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// readAndAdd reads a counter and writes what it found and one.
func readAndAdd(tx *db.Tx, id int64) error {
	was, err := value(tx, id)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE tally SET value = $2 WHERE id = $1`, id, was+1)
	return err
}

func TestNoUpdateIsLostAmongManyWriters(t *testing.T) {
	const writers, times = 20, 5
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range times {
					if err := write(t.Context(), func(tx *db.Tx) error { return readAndAdd(tx, 1) }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := n.mustValue(t, 1); got != writers*times {
			t.Errorf("the counter says %d after %d times one more", got, writers*times)
		}
	})
}

// Two rules that hold one by one may be broken together, where each transaction
// reads what the other one writes.
func TestWritesThatReadWhatTheOthersWriteRunAsIfOneAfterTheOther(t *testing.T) {
	n := mustNotebook(t)
	for range 20 {
		mustWrite(t, n.DB, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE tally SET value = 1`)
			return err
		})
		var wg sync.WaitGroup
		for _, mine := range []int64{1, 2} { // at least one of them stays 1
			wg.Go(func() {
				if err := n.Write(t.Context(), func(tx *db.Tx) error {
					other, err := value(tx, 3-mine)
					if err != nil || other == 0 {
						return err
					}
					_, err = tx.Exec(`UPDATE tally SET value = 0 WHERE id = $1`, mine)
					return err
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if sum := n.mustValue(t, 1) + n.mustValue(t, 2); sum != 1 {
			t.Fatalf("%d of two are left, want 1", sum)
		}
	}
}

func TestAWriteThatIsRunAgainTakesBackWhatItDidToMemoryFirst(t *testing.T) {
	n := mustNotebook(t)
	runs := 0
	var j journal
	err := n.Write(t.Context(), func(tx *db.Tx) error {
		runs++
		tx.Undo(func() { j.add("undo") })
		tx.After(func() { j.add("after") })
		was, err := value(tx, 1)
		if err != nil {
			return err
		}
		if tx.Shared() && runs == 1 { // somebody else is faster
			if err := n.Write(t.Context(), func(tx *db.Tx) error { return readAndAdd(tx, 1) }); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`UPDATE tally SET value = $1 WHERE id = 1`, was+10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n.Shared() {
		j.want(t, "undo", "after")
	} else {
		j.want(t, "after")
	}
	if got, want := n.mustValue(t, 1), int64(10+runs-1); got != want {
		t.Errorf("the counter says %d, want %d", got, want)
	}
}

func TestAPanicReachesItsCallerAndLeavesNothing(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		var j journal
		for range 20 { // more often than there are connections
			func() {
				defer func() {
					if p := recover(); p != "ours" {
						t.Errorf("panic %v, want the closure's", p)
					}
				}()
				_ = write(t.Context(), func(tx *db.Tx) error {
					tx.Undo(func() { j.add("undo") })
					_ = insert(tx, 1)
					panic("ours")
				})
			}()
		}
		wantNotes(t, n.DB)
		if undone := len(j.taken()); undone != 20 {
			t.Errorf("undone %d times of 20", undone)
		}
		if err := write(t.Context(), note(2)); err != nil {
			t.Error(err)
		}
		wantNotes(t, n.DB, 2)
	})
}

func TestAReadIsOneSnapshotHoweverLongItTakes(t *testing.T) {
	n := mustNotebook(t)
	err := n.Read(t.Context(), func(q db.Queryer) error {
		for i := range 5 {
			got, err := value(q, 1)
			if err != nil {
				return err
			}
			if got != 0 {
				t.Errorf("after %d changes the snapshot has %d", i, got)
			}
			for _, write := range n.ways() {
				if err := write(t.Context(), func(tx *db.Tx) error { return readAndAdd(tx, 1) }); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.mustValue(t, 1); got != 15 {
		t.Errorf("a new one has %d, want 15", got)
	}
}

func TestAReadChangesNothing(t *testing.T) {
	n := mustNotebook(t)
	for range 10 { // more often than there are connections
		if err := n.Read(t.Context(), func(q db.Queryer) error {
			return q.QueryRow(`INSERT INTO note (id, text) VALUES (1, 'x') RETURNING id`).Scan(new(int64))
		}); err == nil {
			t.Error("a read has written")
		}
		wantNotes(t, n.DB)
	}
}

func TestCloseWaitsForWritesUnderWayAndRefusesTheOthers(t *testing.T) {
	for _, way := range []string{"Write", "WriteKey", "Lane"} {
		t.Run(way, func(t *testing.T) {
			n := mustNotebook(t)
			write := n.ways()[way]
			var next, stored atomic.Int64
			enough := make(chan struct{})
			var once sync.Once
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for {
						err := write(t.Context(), note(next.Add(1)))
						if err != nil {
							wantUnavailable(t, "while it closes", err)
							return
						}
						if stored.Add(1) >= 40 {
							once.Do(func() { close(enough) })
						}
					}
				})
			}
			<-enough
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			wantUnavailable(t, "write", write(t.Context(), note(0)))
			wantUnavailable(t, "read", n.Read(t.Context(), func(db.Queryer) error { return nil }))
			wantUnavailable(t, "ping", n.Ping(t.Context()))
			wantUnavailable(t, "a lane made later", n.Lane().Write(t.Context(), note(0)))
			var there int64
			if err := mustOpenURL(t, n.url, db.Options{}).Read(t.Context(), func(q db.Queryer) error {
				return q.QueryRow(`SELECT count(*) FROM note`).Scan(&there)
			}); err != nil {
				t.Fatal(err)
			}
			if there != stored.Load() {
				t.Errorf("%d are stored, and %d were told so", there, stored.Load())
			}
		})
	}
}

func TestAContextThatHasEndedRunsNoClosure(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if err := write(ctx, func(*db.Tx) error { t.Error("it is run"); return nil }); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want the context's", err)
			}
		}
		mustWrite(t, n.DB, note(1))
		wantNotes(t, n.DB, 1)
	})
}

func TestAReadForWhomNobodyWaitsIsNoFaultOfTheDatabase(t *testing.T) {
	n := mustNotebook(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // whether it still gets a connection is chance
		wantNotes(t, n.DB) // so that one is open
		err := n.Read(ctx, func(db.Queryer) error { return nil })
		if err != nil && (!errors.Is(err, context.Canceled) || errors.Is(err, db.ErrUnavailable)) {
			t.Errorf("error %v, want the context's", err)
		}
	}
}

func TestAClosureThatHasBegunIsNotBrokenOffByItsCaller(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		if err := write(ctx, func(tx *db.Tx) error {
			cancel()
			return insert(tx, 1)
		}); err != nil {
			t.Errorf("what was committed returned %v", err)
		}
		wantNotes(t, n.DB, 1)
	})
}

func TestWhoGivesUpInAQueueOfAKeyWritesNothing(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		n := mustNotebook(t)
		release := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := n.WriteKey(t.Context(), "key", func(*db.Tx) error { <-release; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.WriteKey(ctx, "key", note(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		close(release)
		wg.Wait()
		if err := n.WriteKey(t.Context(), "key", note(2)); err != nil {
			t.Error(err)
		}
		wantNotes(t, n.DB, 2)
	})
}

func TestTextThatCannotBeStoredIsRefusedAndIsNowhereToBeFound(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		for _, text := range []string{"a\x00b", "\xff\xfe", "a\xc3"} {
			if err := write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO note (id, text) VALUES (1, $1)`, text)
				return err
			}); !errors.Is(err, db.ErrText) {
				t.Errorf("%q: %v, want ErrText", text, err)
			}
			if err := n.Read(t.Context(), func(q db.Queryer) error {
				return q.QueryRow(`SELECT id FROM note WHERE text = $1`, text).Scan(new(int64))
			}); !errors.Is(err, db.ErrNoRows) {
				t.Errorf("to look for %q: %v, want no row", text, err)
			}
		}
		wantNotes(t, n.DB)
	})
}

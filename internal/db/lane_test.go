package db_test

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// These tests, of lanes, hold for every database too.

// inOneGroup has a lane run closures in one transaction, in the order given, and
// returns what came of each. It runs in a bubble of virtual time.
func inOneGroup(t *testing.T, lane *db.Lane, closures ...func(*db.Tx) error) []outcome {
	t.Helper()
	release := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := lane.Write(t.Context(), func(*db.Tx) error { <-release; return nil }); err != nil {
			t.Errorf("the closure that held up the others: %v", err)
		}
	})
	synctest.Wait()
	outcomes := make([]outcome, len(closures))
	for i, fn := range closures {
		wg.Go(func() {
			defer func() { outcomes[i].panics = recover() }()
			outcomes[i].err = lane.Write(t.Context(), fn)
		})
		synctest.Wait()
	}
	close(release)
	wg.Wait()
	return outcomes
}

func TestNoUpdateIsLostAmongLanesThatLock(t *testing.T) {
	const writers, times = 10, 5
	n := mustNotebook(t)
	lanes := []*db.Lane{n.Lane(), n.Lane(), n.Lane()}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range times {
				if err := lanes[i%len(lanes)].Write(t.Context(), func(tx *db.Tx) error {
					return cmp.Or(tx.Lock("counter 1"), readAndAdd(tx, 1))
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := n.mustValue(t, 1); got != writers*times {
		t.Errorf("the counter says %d after %d times one more", got, writers*times)
	}
}

func TestWhatFailsInALaneFailsAlone(t *testing.T) {
	failing := map[string]struct {
		fn   func(tx *db.Tx) error
		want func(err error) bool
	}{
		"by itself": {
			func(tx *db.Tx) error { return cmp.Or(insert(tx, 2), errOurs) },
			func(err error) bool { return errors.Is(err, errOurs) },
		},
		"on a key that exists": {func(tx *db.Tx) error { return insert(tx, 1) }, db.IsUnique},
		"on a key that exists, without minding": {
			func(tx *db.Tx) error { _ = insert(tx, 1); return nil }, db.IsUnique,
		},
		"on a key that exists, later": {
			func(tx *db.Tx) error {
				return tx.Later(`INSERT INTO note (id, text) VALUES ($1, 'late')`, []any{int64(1)}, nil)
			}, db.IsUnique,
		},
		"on a character that can't be stored": {
			func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO note (id, text) VALUES ($1, $2)`, int64(2), "a\x00b")
				return err
			},
			func(err error) bool { return errors.Is(err, db.ErrText) },
		},
		"on bytes that are no text, later": {
			func(tx *db.Tx) error {
				return tx.Later(`INSERT INTO note (id, text) VALUES ($1, $2)`, []any{int64(2), "\xff"}, nil)
			},
			func(err error) bool { return errors.Is(err, db.ErrText) },
		},
		"on what its statement did, later": {
			func(tx *db.Tx) error {
				return tx.Later(`UPDATE note SET text = 'x' WHERE id = $1`, []any{int64(404)}, func(rows int64) error {
					if rows != 0 {
						t.Errorf("%d rows of a note that there is not", rows)
					}
					return errOurs
				})
			},
			func(err error) bool { return errors.Is(err, errOurs) },
		},
		"on a statement that is wrong": {
			func(tx *db.Tx) error { return tx.QueryRow(`SELECT nothing`).Scan(new(int)) },
			func(err error) bool { return err != nil && !errors.Is(err, db.ErrUnavailable) },
		},
	}
	for name, test := range failing {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				n := mustNotebook(t)
				var j journal
				outcomes := inOneGroup(t, n.Lane(), note(1), test.fn, note(3), j.hooked("last", nil))
				for i, got := range outcomes {
					if i != 1 && got.err != nil {
						t.Errorf("write %d: %v", i, got.err)
					}
				}
				if err := outcomes[1].err; !test.want(err) || errors.Is(err, db.ErrUnavailable) {
					t.Errorf("the one that fails: %v", err)
				}
				wantNotes(t, n.DB, 1, 3)
				if lines := j.taken(); !slices.Equal(lines[max(0, len(lines)-2):], []string{"last: after 1", "last: after 2"}) {
					t.Errorf("hooks: %v", lines)
				}
			})
		})
	}
}

func TestAPanicInALaneReachesItsCallerAndTheOthersCommit(t *testing.T) {
	for name, panics := range map[string]func(tx *db.Tx) error{
		"in the closure": func(tx *db.Tx) error {
			_ = insert(tx, 2)
			panic("ours")
		},
		"in Undo":  func(tx *db.Tx) error { tx.Undo(func() { panic("ours") }); return errors.New("another") },
		"in After": func(tx *db.Tx) error { tx.After(func() { panic("ours") }); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				n := mustNotebook(t)
				lane := n.Lane()
				for i, got := range inOneGroup(t, lane, note(1), panics, note(3)) {
					if want := i == 1; (got.panics != nil) != want || want && got.panics != "ours" || !want && got.err != nil {
						t.Errorf("write %d: error %v, panic %v", i, got.err, got.panics)
					}
				}
				wantNotes(t, n.DB, 1, 3)
				if err := lane.Write(t.Context(), note(4)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWhatIsLeftForLaterIsDoneInItsOrderBeforeTheEnd(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		var rows []int64
		count := func(n int64) error { rows = append(rows, n); return nil }
		err := write(t.Context(), func(tx *db.Tx) error {
			rows = nil
			err := cmp.Or(
				tx.Later(`INSERT INTO note (id, text) VALUES ($1, 'a'), ($2, 'b')`, []any{int64(1), int64(2)}, count),
				tx.Later(`UPDATE note SET text = 'c' WHERE id = $1`, []any{int64(2)}, count),
				tx.Flush(),
			)
			if err != nil {
				return err
			}
			var text string
			if err := tx.QueryRow(`SELECT text FROM note WHERE id = 2`).Scan(&text); err != nil || text != "c" {
				t.Errorf("after Flush the note is %q, %v", text, err)
			}
			return tx.Later(`DELETE FROM note WHERE id = $1`, []any{int64(2)}, count)
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(rows, []int64{2, 1, 1}) {
			t.Errorf("rows concerned: %v", rows)
		}
		wantNotes(t, n.DB, 1)
	})
}

func TestWhatIsLeftForLaterByAClosureThatFailsIsNotDone(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		err := write(t.Context(), func(tx *db.Tx) error {
			return cmp.Or(tx.Later(`INSERT INTO note (id, text) VALUES ($1, 'a')`, []any{int64(1)}, nil), errOurs)
		})
		if !errors.Is(err, errOurs) {
			t.Errorf("error %v, want the closure's", err)
		}
		if err := write(t.Context(), note(2)); err != nil {
			t.Error(err)
		}
		wantNotes(t, n.DB, 2)
	})
}

func TestWhatOneClosureOfAGroupHasFoundTheOthersKnow(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		n := mustNotebook(t)
		asked := 0
		find := func(tx *db.Tx) error {
			got, err := db.Once(tx, "counter 1", func() (int64, error) { asked++; return value(tx, 1) })
			if got != 0 {
				t.Errorf("found %d", got)
			}
			return err
		}
		lane := n.Lane()
		inOneGroup(t, lane, find, find, find)
		if want := map[bool]int{true: 1, false: 3}[n.Shared()]; asked != want {
			t.Errorf("asked %d times, want %d", asked, want)
		}
		if err := lane.Write(t.Context(), find); err != nil { // another transaction may find something else
			t.Error(err)
		}
		if want := map[bool]int{true: 2, false: 4}[n.Shared()]; asked != want {
			t.Errorf("asked %d times in two transactions, want %d", asked, want)
		}
	})
}

func TestLanesThatTakeLocksInTurnedOrderBothSucceed(t *testing.T) {
	n := mustNotebook(t)
	var met sync.WaitGroup
	met.Add(2)
	var wg sync.WaitGroup
	for _, keys := range [][]string{{"a", "b"}, {"b", "a"}} {
		lane, runs := n.Lane(), 0
		wg.Go(func() {
			if err := lane.Write(t.Context(), func(tx *db.Tx) error {
				runs++
				if err := tx.Lock(keys[0]); err != nil {
					return err
				}
				if tx.Shared() && runs == 1 { // each holds what the other one wants
					met.Done()
					met.Wait()
				}
				return cmp.Or(tx.Lock(keys[1]), readAndAdd(tx, 1))
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := n.mustValue(t, 1); got != 2 {
		t.Errorf("the counter says %d, want 2", got)
	}
}

func TestWhoClaimsAtOnceGetsDifferentRows(t *testing.T) {
	const rows = 30
	n := mustNotebook(t)
	mustWrite(t, n.DB, func(tx *db.Tx) error {
		for i := range int64(rows) {
			if err := insert(tx, i); err != nil {
				return err
			}
		}
		return nil
	})
	lanes := []*db.Lane{n.Lane(), n.Lane(), n.Lane()}
	var mu sync.Mutex
	claimed := make(map[int64]int)
	var wg sync.WaitGroup
	for i := range rows {
		wg.Go(func() {
			var got int64
			err := lanes[i%len(lanes)].Write(t.Context(), func(tx *db.Tx) error {
				if err := tx.QueryRow(`SELECT id FROM note WHERE text = 'a note' ORDER BY id LIMIT 1` + tx.SkipLocked()).Scan(&got); err != nil {
					return err
				}
				_, err := tx.Exec(`UPDATE note SET text = 'claimed' WHERE id = $1`, got)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			claimed[got]++
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(claimed) != rows {
		t.Errorf("%d rows were claimed by %d", len(claimed), rows)
	}
}

package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAReadSeesOneStateWhileWritersGoOn(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, note(1))
	err := d.Read(t.Context(), func(q db.Queryer) error {
		for id := range int64(10) {
			ids, err := noteIDs(q)
			if err != nil {
				return err
			}
			if !slices.Equal(ids, []int64{1}) {
				t.Errorf("after %d writes the snapshot holds %v", id, ids)
			}
			mustWrite(t, d, note(id+2))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantNotes(t, d, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
}

func TestReadersSeeTheRowsOfATransactionTogetherOrNotAtAll(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := d.Read(t.Context(), func(q db.Queryer) error {
					var n int
					if err := q.QueryRow(`SELECT count(*) FROM note`).Scan(&n); err != nil {
						return err
					}
					if n%3 != 0 {
						t.Errorf("a read saw %d rows of transactions of three", n)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for id := range int64(200) {
		mustWrite(t, d, func(tx *db.Tx) error {
			return errors.Join(insert(tx, 3*id), insert(tx, 3*id+1), insert(tx, 3*id+2))
		})
	}
	close(done)
	wg.Wait()
}

func TestReadersDontWaitForAWriterInALongClosure(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		mustWrite(t, d, note(1))
		finish, done := make(chan struct{}), make(chan error)
		go func() {
			done <- d.Write(t.Context(), func(tx *db.Tx) error {
				err := insert(tx, 2)
				<-finish
				return err
			})
		}()
		synctest.Wait()
		for range 8 {
			wantNotes(t, d, 1)
		}
		close(finish)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantNotes(t, d, 1, 2)
	})
}

func TestAReadCannotWrite(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, note(1))
	for _, statement := range []string{
		`DELETE FROM note RETURNING id`,
		`INSERT INTO note (id, text) VALUES (2, 'x') RETURNING id`,
		`UPDATE note SET id = 3 RETURNING id`,
		`DROP TABLE note`,
	} {
		for range 4 {
			err := d.Read(t.Context(), func(q db.Queryer) error {
				var id int64
				return q.QueryRow(statement).Scan(&id)
			})
			if err == nil || errors.Is(err, db.ErrNoRows) {
				t.Errorf("%s: %v, want an error", statement, err)
			}
		}
	}
	wantNotes(t, d, 1)
}

func TestAFailedQueryFailsItsRead(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	err := d.Read(t.Context(), func(q db.Queryer) error {
		_ = q.QueryRow(`SELECT nothing`).Scan(new(int))
		return nil
	})
	if err == nil {
		t.Error("a read that ignored an error succeeded")
	}
	err = d.Read(t.Context(), func(db.Queryer) error { return errOurs })
	if !errors.Is(err, errOurs) {
		t.Errorf("error %v, want the closure's", err)
	}
}

func TestAQueryerIsOverWithItsRead(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var kept db.Queryer
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		kept = q
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := noteIDs(kept); err == nil {
		t.Error("a query ran after its read")
	}
}

func TestReadsThatAllBeganRunTextsThatNobodyPrepared(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := d.Read(ctx, func(q db.Queryer) error {
					<-begun
					for j := range 5 {
						var got int
						if err := q.QueryRow(fmt.Sprintf(`SELECT %d`, i+j)).Scan(&got); err != nil {
							return err
						}
						if got != i+j {
							t.Errorf("got %d, want %d", got, i+j)
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // as many as go on at once have begun, the others wait for them
		close(begun)
		wg.Wait()
	})
}

func TestAReadEndsWithItsContext(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		finish := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 { // as many as go on at once
			wg.Go(func() {
				if err := d.Read(t.Context(), func(db.Queryer) error {
					<-finish
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Read(ctx, func(db.Queryer) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for its turn: %v, want the context's error", err)
		}
		close(finish)
		wg.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		err := d.Read(ctx, func(q db.Queryer) error {
			cancel()
			_, err := noteIDs(q)
			return err
		})
		if !errors.Is(err, context.Canceled) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("between two queries: %v, want the context's error", err)
		}
		for range 8 {
			wantNotes(t, d)
		}
	})
}

func TestALongQueryIsBrokenOff(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := d.Read(ctx, func(q db.Queryer) error {
		return q.QueryRow(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n`).Scan(new(int))
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	for range 8 {
		wantNotes(t, d)
	}
}

func TestAPanicInAReadLeavesItsConnectionUsable(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	for range 8 {
		func() {
			defer func() {
				if p := recover(); p != "ours" {
					t.Errorf("panic %v, want the closure's", p)
				}
			}()
			_ = d.Read(t.Context(), func(q db.Queryer) error {
				if _, err := q.Query(`SELECT id FROM note`); err != nil { //nolint:rowserrcheck // they are left open
					return err
				}
				panic("ours")
			})
		}()
	}
	mustWrite(t, d, note(1))
	for range 8 {
		wantNotes(t, d, 1)
	}
}

// What a connection has read stays in its cache, so a reader who is alone is best
// served by the one that was used last.
func TestReadersWhoComeOneAfterAnotherShareAConnection(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var got int
	ask := func(pragma string) {
		t.Helper()
		err := d.Read(t.Context(), func(q db.Queryer) error { return q.QueryRow(pragma).Scan(&got) })
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(`PRAGMA busy_timeout = 4321`) // holds for this connection
	for range 8 {
		if ask(`PRAGMA busy_timeout`); got != 4321 {
			t.Fatalf("another connection was used: its busy_timeout is %d", got)
		}
	}
}

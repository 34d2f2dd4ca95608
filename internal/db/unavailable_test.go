package db_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// wantUnavailable fails the test unless err says that the database can't be
// used.
func wantUnavailable(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
}

func TestADatabaseThatAnotherProgramHasLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{}.WithBusyTimeout(20*time.Millisecond))
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	other := mustConnect(t, path)
	mustExec(t, other, `BEGIN IMMEDIATE`)
	var j journal
	for range 3 {
		wantUnavailable(t, "locked", d.Write(t.Context(), j.hooked("never run", nil)))
		wantUnavailable(t, "ping", d.Ping(t.Context()))
	}
	j.want(t)
	wantNotes(t, d)
	mustExec(t, other, `ROLLBACK`)
	mustWrite(t, d, note(1))
	wantNotes(t, d, 1)
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func TestALockThatIsHeldForAMomentIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{})
	other := mustConnect(t, path)
	mustExec(t, other, `BEGIN IMMEDIATE`)
	done := make(chan error)
	go func() { done <- d.Ping(t.Context()) }()
	select {
	case err := <-done:
		t.Fatalf("the lock was not waited for: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	mustExec(t, other, `ROLLBACK`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// fill stores notes until there is no room. The limit of pages is the
// connection's, so it lasts as long as that.
func fill(tx *db.Tx) error {
	var pages, limit int
	if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
		return err
	}
	if err := tx.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+3)).Scan(&limit); err != nil {
		return err
	}
	if err := insert(tx, 1000); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO note (id, text) VALUES (1001, hex(zeroblob(100000)))`)
	return err
}

func TestAFullDatabaseStoresNothingOfTheGroup(t *testing.T) {
	careless := func(tx *db.Tx) error {
		_ = fill(tx)
		_ = insert(tx, 1002) // by now the database has rolled back by itself
		return nil
	}
	for name, filling := range map[string]func(*db.Tx) error{"returned": fill, "ignored": careless} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				d := mustOpenNotes(t, db.Options{})
				mustWrite(t, d, note(1))
				wantUnavailable(t, "alone", d.Write(t.Context(), filling))
				wantNotes(t, d, 1)
				mustWrite(t, d, note(2))
				var j journal
				for i, got := range together(t, d, note(3), j.hooked("b", nil), filling, note(5)) {
					wantUnavailable(t, fmt.Sprintf("write %d", i), got.err)
				}
				// The group was run again, in savepoints, to save the others.
				j.want(t, "b: undo 2", "b: undo 1", "b: undo 2", "b: undo 1")
				wantNotes(t, d, 1, 2)
				mustWrite(t, d, note(6))
				wantNotes(t, d, 1, 2, 6)
			})
		})
	}
}

func TestAStatementThatFindsNoRoomAndCostsOnlyItself(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		outcomes := together(t, d, note(1), func(tx *db.Tx) error {
			var pages, limit int
			if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
				return err
			}
			if err := tx.QueryRow(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+3)).Scan(&limit); err != nil {
				return err
			}
			// Many rows, each of which may collide: SQLite prepares to undo the
			// statement alone.
			_, err := tx.Exec(`WITH RECURSIVE n (i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
				INSERT INTO note (id, text) SELECT i, hex(zeroblob(1000)) FROM n`)
			return err
		}, note(3))
		wantUnavailable(t, "the one that needs room", outcomes[1].err)
		if outcomes[0].err != nil || outcomes[2].err != nil {
			t.Errorf("the others: %v and %v", outcomes[0].err, outcomes[2].err)
		}
		wantNotes(t, d, 1, 3)
		mustWrite(t, d, note(4))
	})
}

// asNobody gives up the right to write to every file until the test ends.
func asNobody(t *testing.T, folder string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	for _, name := range []string{folder, filepath.Dir(folder)} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Seteuid(nobody); err != nil {
		t.Skipf("root can write to every file: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Seteuid(0); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the folder for tests is root's alone: %v", err)
	}
}

func TestAFileThatIsReadOnlyForAWhile(t *testing.T) {
	folder := t.TempDir()
	asNobody(t, folder)
	path := filepath.Join(folder, "notes.db")
	d, err := db.Open(t.Context(), "sqlite:"+path, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path, db.Options{})
	for range 3 {
		wantUnavailable(t, "read-only", d.Write(t.Context(), note(1)))
		wantUnavailable(t, "ping", d.Ping(t.Context()))
		wantNotes(t, d)
	}
	files, err := filepath.Glob(path + "*") // the log inherited the mode
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Write(t.Context(), note(2)); err != nil {
		t.Errorf("writable again: %v", err)
	}
	wantNotes(t, d, 2)
}

func TestAFileThatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	if err := os.WriteFile(path, []byte("This is a text about databases, and longer than the header of one.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := db.Open(t.Context(), "sqlite:"+path, db.Options{})
	wantUnavailable(t, "a text", err)
}

func TestPingLeavesNothing(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "a.db"), db.Options{})
	count := func() int {
		var n int
		if err := d.Read(t.Context(), func(q db.Queryer) error {
			return q.QueryRow(`SELECT count(*) FROM migration`).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	for range 3 {
		if err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d rows after the pings, %d before", after, before)
	}
}

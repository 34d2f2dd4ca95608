package db_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	if path := os.Getenv(crashPath); path != "" {
		writeUntilKilled(path) // the child of the test of crashes
	}
	os.Exit(m.Run())
}

// mustOpen opens the database in the file at path and closes it with the test.
func mustOpen(t testing.TB, path string, opts db.Options) *db.DB {
	t.Helper()
	testkit.NeedsSQLite(t, "it is about a database in a file")
	return mustOpenURL(t, "sqlite:"+path, opts)
}

// mustOpenURL opens a database and closes it with the test.
func mustOpenURL(t testing.TB, url string, opts db.Options) *db.DB {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	d, err := db.Open(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// mustOpenNotes opens a new database with a table of notes.
func mustOpenNotes(t testing.TB, opts db.Options) *db.DB {
	t.Helper()
	d := mustOpen(t, filepath.Join(t.TempDir(), "notes.db"), opts)
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	return d
}

func mustWrite(t testing.TB, d *db.DB, fn func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// note returns a closure that stores a note.
func note(id int64) func(*db.Tx) error {
	return func(tx *db.Tx) error { return insert(tx, id) }
}

func insert(tx *db.Tx, id int64) error {
	_, err := tx.Exec(`INSERT INTO note (id, text) VALUES ($1, 'a note')`, id)
	return err
}

func noteIDs(q db.Queryer) ([]int64, error) {
	rows, err := q.Query(`SELECT id FROM note ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// wantNotes fails the test if other notes than these are stored.
func wantNotes(t testing.TB, d *db.DB, want ...int64) {
	t.Helper()
	var got []int64
	err := d.Read(t.Context(), func(q db.Queryer) error {
		var err error
		got, err = noteIDs(q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stored notes (-want +got):\n%s", diff)
	}
}

// outcome is how a Write ended.
type outcome struct {
	err    error
	panics any
}

// together makes the closures share one commit, in the order given. It runs in
// a synctest bubble: the writer is held up until all of them wait for it.
func together(t testing.TB, d *db.DB, closures ...func(*db.Tx) error) []outcome {
	t.Helper()
	var wg sync.WaitGroup
	release := holdUp(t, d)
	outcomes := make([]outcome, len(closures))
	for i, fn := range closures {
		wg.Go(func() {
			defer func() { outcomes[i].panics = recover() }()
			outcomes[i].err = d.Write(t.Context(), fn)
		})
		synctest.Wait()
	}
	release()
	wg.Wait()
	return outcomes
}

// holdUp occupies the writer until the function that it returns is called. It
// runs in a synctest bubble.
func holdUp(t testing.TB, d *db.DB) func() {
	t.Helper()
	held, done := make(chan struct{}), make(chan error)
	go func() {
		done <- d.Write(context.WithoutCancel(t.Context()), func(*db.Tx) error {
			<-held
			return nil
		})
	}()
	synctest.Wait()
	return func() {
		t.Helper()
		close(held)
		if err := <-done; err != nil {
			t.Errorf("the write that held up the others: %v", err)
		}
	}
}

// mustConnect opens a connection of another program to the database at path.
func mustConnect(t testing.TB, path string) *sql.Conn {
	t.Helper()
	pool, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func mustExec(t testing.TB, conn *sql.Conn, statement string) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

var errOurs = errors.New("an error of the closure")

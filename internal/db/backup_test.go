package db_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// store stores so many notes of a kilobyte each, from id on.
func store(t testing.TB, d *db.DB, from, count int64) {
	t.Helper()
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE n (id) AS (SELECT $1 UNION ALL SELECT id + 1 FROM n WHERE id + 1 < $1 + $2)
			INSERT INTO note (id, text) SELECT id, hex(randomblob(500)) FROM n`, from, count)
		return err
	})
}

// mustOpenCopy opens a copy and closes it with the test.
func mustOpenCopy(t testing.TB, path string) *db.Copy {
	t.Helper()
	c, err := db.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func mustCount(t testing.TB, c *db.Copy, query string) int64 {
	t.Helper()
	var n int64
	if err := c.Read(t.Context(), func(q db.Queryer) error { return q.QueryRow(query).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantFolder(t testing.TB, folder string, want ...string) {
	t.Helper()
	var got []string
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got = append(got, f.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

func TestABackupUnderLoadHasAllThatWasCommittedBeforeAndOfEachTransactionAllOrNothing(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	const before = 4_000
	store(t, d, 1, before)
	var during atomic.Int64
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range int64(8) {
		writers.Go(func() {
			for id := before + 1 + w*2_000_000; ; id += 2 {
				select {
				case <-stop:
					return
				default:
				}
				if err := d.Write(t.Context(), func(tx *db.Tx) error {
					return errors.Join(insert(tx, id), insert(tx, id+1))
				}); err != nil {
					t.Error(err)
					return
				}
				during.Add(1)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	began := during.Load()
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	committed := during.Load() - began
	close(stop)
	writers.Wait()
	if committed == 0 {
		t.Error("nothing was written while the copy was made")
	}
	c := mustOpenCopy(t, path)
	if n := mustCount(t, c, `SELECT count(*) FROM note WHERE id <= 4000`); n != before {
		t.Errorf("%d of the %d notes that were committed before are in the copy", n, before)
	}
	if n := mustCount(t, c, `SELECT count(*) FROM note`); n%2 != 0 {
		t.Errorf("half a transaction is in the copy: it has %d notes", n)
	}
	if n := mustCount(t, c, `SELECT count(*) FROM note a WHERE id > 4000 AND id % 2 = 1 AND NOT EXISTS (SELECT 1 FROM note b WHERE b.id = a.id + 1)`); n != 0 {
		t.Errorf("of %d transactions the copy has one half", n)
	}
	t.Logf("%d transactions were committed while the copy was made", committed)
}

func TestABackupIsOnePlainFileForItsOwnerAlone(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 100)
	folder := t.TempDir()
	path := filepath.Join(folder, "a copy?#%.db")
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	wantFolder(t, folder, filepath.Base(path))
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil || text[18] != 1 || text[19] != 1 {
		t.Errorf("the file says that it has a log: %v, %v", text[18:20], err)
	}
	again := mustOpen(t, path, db.Options{})
	mustWrite(t, again, note(101))
}

func TestAnOpenBackupHasNoNameAndAnUnfinishedOneIsGoneAfterAStart(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "notes.db")
	for _, left := range []string{".copying", ".copying-wal", ".copying-shm"} { // of a process that was killed
		if err := os.WriteFile(path+left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := mustOpen(t, path, db.Options{})
	f, err := d.OpenBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wantFolder(t, folder, "notes.db", "notes.db-shm", "notes.db-wal", "notes.db.lock")
	copied := filepath.Join(t.TempDir(), "copy.db")
	to, err := os.Create(copied)
	if err == nil {
		_, err = io.Copy(to, f)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	if mustOpenCopy(t, copied).Version() == 0 {
		t.Error("it is not whole")
	}
}

func TestAStartAndABackupLeaveAloneWhatSomebodyPutBesideTheDatabase(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "notes.db")
	own := []string{".backup", ".bak", ".old", ".restored", ".restored-backup"}
	for _, suffix := range own {
		if err := os.WriteFile(path+suffix, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := mustOpen(t, path, db.Options{}).OpenBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, suffix := range own {
		if text, err := os.ReadFile(path + suffix); err != nil || string(text) != "mine" {
			t.Errorf("%s: %q, %v", suffix, text, err)
		}
	}
}

func TestABackupOverwritesNothing(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Backup(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("it is now %q, %v", text, err)
	}
	if err := d.Backup(t.Context(), filepath.Join(t.TempDir(), "missing", "copy.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("into a folder that is missing: %v", err)
	}
}

// during is a context that runs a function during a backup to path, which asks
// it a few times with every part whether it has ended. The function is told how
// often that was.
type during struct {
	context.Context
	path  string
	run   func(asked int64)
	asked atomic.Int64 // since the copy is being written
}

func (d *during) Done() <-chan struct{} {
	if _, err := os.Stat(d.path); err == nil {
		d.run(d.asked.Add(1))
	}
	return d.Context.Done()
}

// midway runs the function once, when some parts of several are copied.
func midway(run func()) func(int64) {
	return func(asked int64) {
		if asked == 6 {
			run()
		}
	}
}

func TestABackupThatIsBrokenOffLeavesNothingAndHurtsNobody(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 3_000)
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := d.Backup(&during{Context: ctx, path: path, run: midway(cancel)}, path); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	wantFolder(t, folder)
	mustWrite(t, d, note(3_001))
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
}

func TestABackupWhoseConnectionFailsLeavesNothingAndTheNextOneIsWhole(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 5_000, 3_000)
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	failing := func() { wantUnavailable(t, "a write without room", d.Write(t.Context(), fill)) }
	wantUnavailable(t, "the backup", d.Backup(&during{Context: t.Context(), path: path, run: midway(failing)}, path))
	wantFolder(t, folder)
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if n := mustCount(t, mustOpenCopy(t, path), `SELECT count(*) FROM note`); n != 3_000 {
		t.Errorf("the copy has %d notes", n)
	}
}

func TestBackupsSideBySideAreWhole(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 1_000)
	folder := t.TempDir()
	var wg sync.WaitGroup
	names := []string{"a.db", "b.db", "c.db"}
	for _, name := range names {
		wg.Go(func() {
			if err := d.Backup(t.Context(), filepath.Join(folder, name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, name := range names {
		if n := mustCount(t, mustOpenCopy(t, filepath.Join(folder, name)), `SELECT count(*) FROM note`); n != 1_000 {
			t.Errorf("%s has %d notes", name, n)
		}
	}
}

func TestABackupEndsHoweverManyTransactionsAreRolledBack(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 3_000)
	path := filepath.Join(t.TempDir(), "copy.db")
	rolledBack := func(asked int64) {
		err := d.Write(t.Context(), func(tx *db.Tx) error { return errors.Join(insert(tx, 1_000_000), errOurs) })
		if !errors.Is(err, errOurs) || asked == 1_000 {
			t.Fatalf("after %d rollbacks: %v", asked, err)
		}
	}
	if err := d.Backup(&during{Context: t.Context(), path: path, run: rolledBack}, path); err != nil {
		t.Fatal(err)
	}
	if n := mustCount(t, mustOpenCopy(t, path), `SELECT count(*) FROM note`); n != 3_000 {
		t.Errorf("the copy has %d notes", n)
	}
}

func TestAClosedDatabaseMakesNoBackup(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 3_000)
	folder := t.TempDir()
	done := make(chan error)
	go func() {
		for n := 0; ; n++ { // until the database closes under it
			path := filepath.Join(folder, "copy.db")
			if err := d.Backup(context.WithoutCancel(t.Context()), path); err != nil {
				done <- err
				return
			}
			if err := os.Remove(path); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 20 {
		if err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, "backup", <-done)
	wantFolder(t, folder)
}

func TestWhatIsNoWholeDatabaseOfOursIsNoCopy(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "whole.db")
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE INDEX note_text ON note (text)`)
		return err
	})
	store(t, d, 1, 500)
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	for at := range 64 {
		flipped[len(flipped)/8192*4096+at] ^= 0xff // where a page begins
	}
	logged := bytes.Clone(whole)
	for name, c := range map[string]struct {
		content []byte
		says    string
	}{
		"nothing":               {nil, "not an SQLite database"},
		"half a header":         {whole[:10], "not an SQLite database"},
		"another kind of file":  {bytes.Repeat([]byte("webhook\n"), 1000), "not an SQLite database"},
		"a header alone":        {whole[:100], "damaged"},
		"cut off inside a page": {whole[:len(whole)-1000], "damaged"},
		"cut off after a page":  {whole[:len(whole)-4096], "damaged"},
		"with a changed page":   {flipped, "damaged"},
		"with a log beside it":  {logged, "log"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.db")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "with a log beside it" {
				if err := os.WriteFile(path+"-wal", []byte("frames"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := db.OpenCopy(t.Context(), path)
			if !errors.Is(err, db.ErrBadCopy) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := db.OpenCopy(t.Context(), filepath.Join(folder, "missing.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := db.OpenCopy(t.Context(), folder); !errors.Is(err, db.ErrBadCopy) {
		t.Errorf("a folder: %v", err)
	}
}

func TestADatabaseOfAnotherProgramOrANewerOneIsNoCopy(t *testing.T) {
	folder := t.TempDir()
	other := filepath.Join(folder, "other.db")
	mustExec(t, mustConnect(t, other), `CREATE TABLE note (id INTEGER PRIMARY KEY)`)
	_, err := db.OpenCopy(t.Context(), other)
	if !errors.Is(err, db.ErrBadCopy) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("of another program: %v", err)
	}
	migrations := fstest.MapFS{}
	for version := range 100 { // more than this program has
		name := fmt.Sprintf("%04d_a", version+1)
		migrations["migrations/"+name+".sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE t" + name + " (id INTEGER)")}
	}
	newer := filepath.Join(folder, "newer.db")
	if err := mustOpen(t, newer, db.Options{}.WithMigrations(migrations)).Close(); err != nil {
		t.Fatal(err)
	}
	_, err = db.OpenCopy(t.Context(), newer)
	if !errors.Is(err, db.ErrBadCopy) || !strings.Contains(err.Error(), "schema has version 100") {
		t.Errorf("of a newer one: %v", err)
	}
}

func TestACopyIsReadWhereNothingCanBeWritten(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 10)
	folder := t.TempDir()
	path := filepath.Join(folder, "copy.db")
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	c := mustOpenCopy(t, path)
	if n := mustCount(t, c, `SELECT count(*) FROM note`); n != 10 || c.Version() == 0 {
		t.Errorf("%d notes, version %d", n, c.Version())
	}
	wantFolder(t, folder, "copy.db")
	err := c.Read(t.Context(), func(q db.Queryer) error {
		var id int64
		return q.QueryRow(`INSERT INTO note (id, text) VALUES (11, '') RETURNING id`).Scan(&id)
	})
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		t.Errorf("a copy was written to: %v", err)
	}
}

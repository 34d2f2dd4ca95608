package db_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestOpenTakesWhatTheFileIsCalledLiterally(t *testing.T) {
	for _, name := range []string{
		"plain.db",
		"with spaces and ünïcode.db",
		"what?.db",
		"what?mode=memory.db",
		"100%.db",
		"%41.db",
		"a#b.db",
		"a&b=c;d+e:f@g.db",
		":memory:",
		`quote'and"slash\.db`,
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			for range 2 {
				d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(folder, name), db.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := d.Read(t.Context(), func(q db.Queryer) error {
					return q.QueryRow(`SELECT count(*) FROM migration`).Scan(new(int))
				}); err != nil {
					t.Error(err)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			}
			info, err := os.Stat(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 || info.Size() == 0 {
				t.Errorf("the file has mode %v and %d bytes", info.Mode(), info.Size())
			}
			entries, err := os.ReadDir(filepath.Dir(filepath.Join(folder, name)))
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if base := filepath.Base(name); entry.Name() != base && entry.Name() != base+".lock" {
					t.Errorf("there is a file %q beside the database", entry.Name())
				}
			}
		})
	}
}

func TestARelativePathStaysTheSameFileWhereverTheProcessGoes(t *testing.T) {
	t.Chdir(t.TempDir())
	d := mustOpen(t, "notes.db", db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	t.Chdir(t.TempDir())
	wantUnavailable(t, "a write that costs the connection", d.Write(t.Context(), fill))
	mustWrite(t, d, note(1))
	for range 8 {
		wantNotes(t, d, 1)
	}
}

func TestOpenRefusesWhatItCannotOpen(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"", "sqlite:", "sqlite3:a.db", "a.db", "postgres://localhost/grapevine",
		"sqlite:" + folder,
		"sqlite:" + filepath.Join(folder, "missing", "a.db"),
		"sqlite:" + file + "/a.db",
		"sqlite:" + filepath.Join(folder, "a\x00b.db"),
	} {
		if d, err := db.Open(t.Context(), url, db.Options{}); err == nil {
			t.Errorf("opened %q", url)
			_ = d.Close()
		}
	}
}

func TestAFileBelongsToOneProgramAtATime(t *testing.T) {
	folder := t.TempDir()
	path, link := filepath.Join(folder, "a.db"), filepath.Join(folder, "link.db")
	d := mustOpen(t, path, db.Options{})
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, link, folder + "/./a.db"} {
		_, err := db.Open(t.Context(), "sqlite:"+name, db.Options{})
		wantUnavailable(t, name, err)
		if err == nil || !strings.Contains(err.Error(), "another process is using this database") {
			t.Errorf("the message doesn't say what is wrong: %v", err)
		}
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("after the attempts: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, link, db.Options{})
}

func TestOfManyThatOpenAtOnceOneGetsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	var mu sync.Mutex
	var opened []*db.DB
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d, err := db.Open(t.Context(), "sqlite:"+path, db.Options{})
			if err != nil {
				wantUnavailable(t, "open", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			opened = append(opened, d)
		})
	}
	wg.Wait()
	if len(opened) != 1 {
		t.Errorf("%d got the file", len(opened))
	}
	for _, d := range opened {
		if err := d.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAClosedDatabaseIsUnavailable(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantUnavailable(t, "write", d.Write(t.Context(), note(1)))
	wantUnavailable(t, "read", d.Read(t.Context(), func(db.Queryer) error { return nil }))
	wantUnavailable(t, "ping", d.Ping(t.Context()))
}

func TestCloseWaitsForReadsAndWritesUnderWay(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.db")
		d := mustOpen(t, path, db.Options{})
		mustWrite(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
			return err
		})
		finishWrite, finishRead := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				<-finishWrite
				return insert(tx, 1)
			}); err != nil {
				t.Errorf("the write that was under way: %v", err)
			}
		})
		wg.Go(func() {
			if err := d.Read(t.Context(), func(q db.Queryer) error {
				<-finishRead
				_, err := noteIDs(q)
				return err
			}); err != nil {
				t.Errorf("the read that was under way: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { // waits for the writer as well
			if err := d.Write(t.Context(), note(2)); err != nil {
				t.Errorf("the write that was accepted: %v", err)
			}
		})
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- d.Close() }()
		for _, finish := range []chan struct{}{finishWrite, finishRead} {
			synctest.Wait()
			select {
			case err := <-closed:
				t.Fatalf("Close returned too early (%v)", err)
			default:
			}
			close(finish)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		wg.Wait()
		d = mustOpen(t, path, db.Options{})
		wantNotes(t, d, 1, 2)
	})
}

func TestAClosedFileStandsAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`); err != nil {
			return err
		}
		return insert(tx, 1)
	})
	wantNotes(t, d, 1)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", suffix, err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantNotes(t, mustOpen(t, copied, db.Options{}), 1)
}

func TestCommitsAreFlushedAndTheLogIsWriteAhead(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	for pragma, want := range map[string]string{
		"journal_mode":  "wal",
		"synchronous":   "2", // FULL
		"foreign_keys":  "1",
		"secure_delete": "1",
		"busy_timeout":  "5000",
	} {
		mustWrite(t, d, func(tx *db.Tx) error {
			var got string
			if err := tx.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
			return nil
		})
	}
}

func TestMetricsBelongToOneOpenDatabase(t *testing.T) {
	registry := prometheus.NewRegistry()
	folder := t.TempDir()
	first := mustOpen(t, filepath.Join(folder, "a.db"), db.Options{Metrics: registry})
	if _, err := db.Open(t.Context(), "sqlite:"+filepath.Join(folder, "b.db"), db.Options{Metrics: registry}); err == nil {
		t.Error("two databases measure under one name")
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, _ := commits(t, registry); n != 1 {
		t.Errorf("%d commits measured, want 1", n)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, filepath.Join(folder, "b.db"), db.Options{Metrics: registry})
}

func TestADatabaseLivesInABubbleOfVirtualTime(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpenNotes(t, db.Options{})
		began := time.Now()
		for day := range int64(3) {
			mustWrite(t, d, func(tx *db.Tx) error {
				if want := time.Duration(day) * 24 * time.Hour; tx.Now().Sub(began) != want {
					t.Errorf("it is %v later, want %v", tx.Now().Sub(began), want)
				}
				return insert(tx, day)
			})
			time.Sleep(24 * time.Hour)
		}
		wantNotes(t, d, 0, 1, 2)
	}) // fails if a goroutine is left
}

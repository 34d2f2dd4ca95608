package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// mustKilled returns the path of a database that has the notes, one part of them
// in its log alone, as after a crash.
func mustKilled(t testing.TB, ids ...int64) string {
	t.Helper()
	running := filepath.Join(t.TempDir(), "running.db")
	d := mustOpen(t, running, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	for _, id := range ids {
		mustWrite(t, d, note(id))
	}
	path := filepath.Join(t.TempDir(), "grapevine.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		mustCopy(t, running+suffix, path+suffix)
	}
	return path
}

func mustCopy(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// mustBackup returns the path of a copy that has the notes.
func mustBackup(t testing.TB, ids ...int64) string {
	t.Helper()
	d := mustOpenNotes(t, db.Options{})
	for _, id := range ids {
		mustWrite(t, d, note(id))
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := d.Backup(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantStored fails the test unless the database at path is whole and has these
// notes.
func wantStored(t testing.TB, path string, want ...int64) {
	t.Helper()
	d := mustOpen(t, path, db.Options{})
	wantNotes(t, d, want...)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := mustOpenCopy(t, path).Read(t.Context(), func(db.Queryer) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestARestoredCopyIsTheDatabaseAndTheOldOneIsKeptWithItsLog(t *testing.T) {
	path, copied := mustKilled(t, 1, 2, 3), mustBackup(t, 7, 8)
	var last, total int64
	done, err := db.Restore(t.Context(), "sqlite:"+path, db.Restoring{
		From: copied, Replace: true,
		Progress: func(n, of int64) { last, total = n, of },
	})
	if err != nil {
		t.Fatal(err)
	}
	if last == 0 || last != total {
		t.Errorf("the progress ended with %d of %d", last, total)
	}
	if !strings.HasPrefix(done.Kept, path+".before-restore-") {
		t.Errorf("the old one is kept as %q", done.Kept)
	}
	base := filepath.Base(done.Kept)
	wantFolder(t, filepath.Dir(path), "grapevine.db", base, base+"-wal", "grapevine.db.lock")
	wantStored(t, path, 7, 8)
	wantStored(t, done.Kept, 1, 2, 3)
}

func TestACopyIsRestoredWhereThereIsNoDatabase(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	path := filepath.Join(t.TempDir(), "grapevine.db")
	for name, prepare := range map[string]func() error{
		"nothing":       func() error { return nil },
		"an empty file": func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := prepare(); err != nil {
				t.Fatal(err)
			}
			done, err := db.Restore(t.Context(), "sqlite:"+path, db.Restoring{From: copied})
			if err != nil || done.Kept != "" {
				t.Fatalf("kept %q, %v", done.Kept, err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			wantStored(t, path, 7, 8)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestARestoreThatIsRefusedChangesNothing(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	text, err := os.ReadFile(copied)
	if err == nil {
		err = os.WriteFile(damaged, text[:len(text)-4096], 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	path := mustKilled(t, 1, 2, 3)
	for name, c := range map[string]struct {
		ctx  context.Context
		r    db.Restoring
		want error
	}{
		"one is there already":     {t.Context(), db.Restoring{From: copied}, db.ErrExists},
		"the copy is damaged":      {t.Context(), db.Restoring{From: damaged, Replace: true}, db.ErrBadCopy},
		"there is no copy":         {t.Context(), db.Restoring{From: copied + ".no", Replace: true}, os.ErrNotExist},
		"the caller's check fails": {t.Context(), db.Restoring{From: copied, Replace: true, Check: func(*db.Copy) error { return errOurs }}, errOurs},
		"it is broken off":         {ended, db.Restoring{From: copied, Replace: true}, context.Canceled},
		"the copy is the database": {t.Context(), db.Restoring{From: path, Replace: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := db.Restore(c.ctx, "sqlite:"+path, c.r); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			wantFolder(t, filepath.Dir(path), "grapevine.db", "grapevine.db-shm", "grapevine.db-wal", "grapevine.db.lock")
		})
	}
	if _, err := db.Restore(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "missing", "g.db"), db.Restoring{From: copied}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("into a folder that is missing: %v", err)
	}
	if _, err := db.Restore(t.Context(), "postgres://localhost/g", db.Restoring{From: copied}); err == nil || !strings.Contains(err.Error(), "sqlite:PATH") {
		t.Errorf("into another kind of database: %v", err)
	}
	wantStored(t, path, 1, 2, 3)
}

func TestADatabaseInUseIsNotReplaced(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	path := filepath.Join(t.TempDir(), "grapevine.db")
	d := mustOpen(t, path, db.Options{})
	linked := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, linked); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, linked} {
		_, err := db.Restore(t.Context(), "sqlite:"+name, db.Restoring{From: copied, Replace: true})
		wantUnavailable(t, name, err)
	}
	if err := d.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// The names are those that the documentation of Restore gives.
func TestARestoreThatACrashCutShortIsFinishedOrForgottenByTheNextStart(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	const stamp = "20260131T150405.000Z"
	rename := func(t *testing.T, path, suffix, to string) {
		t.Helper()
		if err := os.Rename(path+suffix, path+".before-restore-"+stamp+to); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		crash func(t *testing.T, path string)
		want  []int64
	}{
		"while it was copied": {func(t *testing.T, path string) {
			if err := os.WriteFile(path+".restoring", []byte("SQLite format 3\x00"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []int64{1, 2, 3}},
		"when it was decided": {func(t *testing.T, path string) {
			mustCopy(t, copied, path+".restored-"+stamp)
		}, []int64{7, 8}},
		"when the old one was moved": {func(t *testing.T, path string) {
			mustCopy(t, copied, path+".restored-"+stamp)
			rename(t, path, "", "")
		}, []int64{7, 8}},
		"when the old one and its log were moved": {func(t *testing.T, path string) {
			mustCopy(t, copied, path+".restored-"+stamp)
			rename(t, path, "", "")
			rename(t, path, "-wal", "-wal")
		}, []int64{7, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			path := mustKilled(t, 1, 2, 3)
			c.crash(t, path)
			wantStored(t, path, c.want...)
			if c.want[0] == 7 {
				wantStored(t, path+".before-restore-"+stamp, 1, 2, 3)
			}
			for _, left := range []string{".restoring", ".restored-" + stamp} {
				if _, err := os.Lstat(path + left); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s is left: %v", left, err)
				}
			}
		})
	}
}

func TestARestoreBehindALinkThatACrashCutShortIsFinishedByTheNextStart(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	path := mustKilled(t, 1, 2, 3)
	const stamp = "20260131T150405.000Z"
	mustCopy(t, copied, path+".restored-"+stamp)
	if err := os.Rename(path, path+".before-restore-"+stamp); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	link := filepath.Join(folder, "link.db")
	if err := errors.Join(os.Symlink(path, filepath.Join(folder, "direct.db")), os.Symlink("direct.db", link)); err != nil {
		t.Fatal(err)
	}
	wantStored(t, link, 7, 8)
	wantStored(t, path+".before-restore-"+stamp, 1, 2, 3)
}

func TestALinkToAMissingDatabaseMakesNoNewOne(t *testing.T) {
	folder := t.TempDir()
	link, target := filepath.Join(folder, "link.db"), filepath.Join(folder, "target.db")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Open(t.Context(), "sqlite:"+link, db.Options{}); err == nil || !strings.Contains(err.Error(), target+", which does not exist") {
		t.Errorf("open: %v", err)
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a new database: %v", err)
	}
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(link, link); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Open(t.Context(), "sqlite:"+link, db.Options{}); err == nil {
		t.Error("a link to itself was opened")
	}
}

func TestAFileThatOnlyLooksLikeADecidedRestoreDoesNotBecomeTheDatabase(t *testing.T) {
	copied := mustBackup(t, 7, 8)
	path := mustKilled(t, 1, 2, 3)
	for _, own := range []string{"yesterday", "", "20260131", "20260131T150405.000Z.bak", "20260131T150405.000Z-wal"} {
		mustCopy(t, copied, path+".restored-"+own)
	}
	wantStored(t, path, 1, 2, 3)
}

func TestACopyBehindALinkIsNotRestoredWithoutItsLog(t *testing.T) {
	running := filepath.Join(t.TempDir(), "running.db")
	if err := os.Rename(mustBackup(t, 1), running); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, mustOpen(t, running, db.Options{}), note(2)) // in the log
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(running, link); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "grapevine.db")
	if _, err := db.Restore(t.Context(), "sqlite:"+path, db.Restoring{From: link}); !errors.Is(err, db.ErrBadCopy) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was restored: %v", err)
	}
}

package db_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// mustMount mounts a disk of that size, such as "2m".
func mustMount(t *testing.T, size string) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("no right to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return disk
}

func TestABackupThatFillsItsDiskLeavesNothingAndHurtsNobody(t *testing.T) {
	disk := mustMount(t, "2m")
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 3_000)
	err := d.Backup(t.Context(), filepath.Join(disk, "copy.db"))
	if !problem.Unavailable.Has(err) || !strings.Contains(err.Error(), "full") {
		t.Errorf("got %v", err)
	}
	wantFolder(t, disk)
	mustWrite(t, d, note(3_001))
}

func TestABackupThatWouldFillTheDatabasesOwnDiskIsNotBegun(t *testing.T) {
	disk := mustMount(t, "32m")
	d := mustOpen(t, filepath.Join(disk, "notes.db"), db.Options{})
	err := d.Backup(t.Context(), filepath.Join(disk, "copy.db"))
	if !problem.Unavailable.Has(err) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(disk, "copy.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was begun: %v", err)
	}
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY)`)
		return err
	})
}

func TestARestoreThatFillsItsDiskChangesNothing(t *testing.T) {
	disk := mustMount(t, "4m")
	d := mustOpenNotes(t, db.Options{})
	store(t, d, 1, 3_000)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := d.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(disk, "notes.db")
	old := mustOpen(t, path, db.Options{})
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Restore(t.Context(), "sqlite:"+path, db.Restoring{From: copied, Replace: true}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	wantFolder(t, disk, "notes.db", "notes.db.lock")
	mustOpenCopy(t, path)
}

func TestWhatRootRestoresBelongsToWhomTheDatabaseOrItsFolderBelonged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const folders, databases = 4711, 4712
	copied := mustBackup(t, 7, 8)
	folder := t.TempDir()
	path := filepath.Join(folder, "notes.db")
	if err := os.Chown(folder, folders, folders); err != nil {
		t.Fatal(err)
	}
	owners := func(want uint32) {
		t.Helper()
		for _, name := range []string{path, path + ".lock"} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
				t.Errorf("%s belongs to %d, want %d", name, got, want)
			}
		}
	}
	restore := db.Restoring{From: copied, Replace: true}
	if _, err := db.Restore(t.Context(), "sqlite:"+path, restore); err != nil {
		t.Fatal(err)
	}
	owners(folders)
	if err := os.Chown(path, databases, databases); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Restore(t.Context(), "sqlite:"+path, restore); err != nil {
		t.Fatal(err)
	}
	owners(databases)
}

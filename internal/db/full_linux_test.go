package db_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
)

func TestADiskThatIsFullForAWhile(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no right to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	d := mustOpen(t, filepath.Join(disk, "notes.db"), db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
		return err
	})
	mustWrite(t, d, note(1))
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk took 4 MiB: %v", err)
	}
	var last int64
	for id := int64(2); ; id++ { // what the log has room for is still stored
		if err := d.Write(t.Context(), note(id)); err != nil {
			wantUnavailable(t, "full", err)
			last = id
			break
		}
		if id > 1000 {
			t.Fatal("a full disk took a thousand notes")
		}
	}
	for range 3 {
		wantUnavailable(t, "full", d.Write(t.Context(), note(last)))
		wantUnavailable(t, "ping", d.Ping(t.Context()))
	}
	var want []int64
	for id := range last - 1 {
		want = append(want, id+1)
	}
	wantNotes(t, d, want...)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, d, note(last))
	wantNotes(t, d, append(want, last)...)
}

package db_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// A commit would not move the log before it is twice as long as this test makes it.
func TestALongLogIsMovedIntoTheFileAndBegunAnewWhileOthersWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE page (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT`)
		return err
	})
	content := make([]byte, 4000)
	add := func(n int) {
		t.Helper()
		mustWrite(t, d, func(tx *db.Tx) error {
			for range n {
				if _, err := tx.Exec(`INSERT INTO page (content) VALUES ($1)`, content); err != nil {
					return err
				}
			}
			return nil
		})
	}
	before := mustReadLogHeader(t, path)
	const pages = 13_000
	for range pages / 100 {
		add(100)
	}
	await := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) { // it is the disk that is waited for
			if time.Now().After(deadline) {
				t.Fatalf("a log of %d pages: %s", pages, what)
			}
		}
	}
	await("it was not moved into the file", func() bool { return sizeOf(t, path) >= 11_000*4096 })
	more := 0
	await("it was not begun anew", func() bool {
		if more++; more <= 1_000 {
			add(1)
		}
		return !bytes.Equal(mustReadLogHeader(t, path), before)
	})
}

// mustReadLogHeader returns what a log begins with, which changes when it is begun
// anew.
func mustReadLogHeader(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header := make([]byte, 32)
	if _, err := f.Read(header); err != nil {
		t.Fatal(err)
	}
	return header
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

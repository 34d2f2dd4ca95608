package db_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
)

func TestAScrubLeavesNothingOfWhatWasOverwrittenInTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{})
	text := strings.Repeat("erase me ", 3000) // over several pages
	mustWrite(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO note (id, text) VALUES (1, $1), (2, 'it stays')`, text)
		return err
	})
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE note SET text = NULL WHERE id = 1`)
		return err
	})
	if !has(t, path, "erase me") {
		t.Fatal("the log has nothing to empty")
	}
	if err := d.Scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	if has(t, path, "erase me") || !has(t, path, "it stays") {
		t.Error("what was overwritten is there, or what was not is gone")
	}
}

func TestAScrubWaitsForNoReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.db")
	d := mustOpen(t, path, db.Options{})
	write := func() {
		mustWrite(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY) STRICT`)
			if err == nil {
				_, err = tx.Exec(`INSERT INTO note DEFAULT VALUES`)
			}
			return err
		})
	}
	write()
	err := d.Read(t.Context(), func(q db.Queryer) error {
		var n int
		if err := q.QueryRow(`SELECT count(*) FROM note`).Scan(&n); err != nil {
			return err
		}
		write() // the snapshot is behind it
		if err := d.Scrub(t.Context()); err == nil {
			t.Error("the log was emptied under a reader")
		}
		write()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Scrub(t.Context()); err != nil {
		t.Errorf("after the read: %v", err)
	}
	write()
}

// has reports whether one of the database's files has the text.
func has(t *testing.T, path, text string) bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

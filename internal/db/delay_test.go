package db_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestACommitTakesLongerByItsDelay(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpen(t, filepath.Join(t.TempDir(), "notes.db"), db.Options{CommitDelay: time.Minute})
		mustWrite(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`)
			return err
		})
		begun := time.Now()
		mustWrite(t, d, note(1))
		mustWrite(t, d, note(2))
		if took := time.Since(begun); took != 2*time.Minute {
			t.Errorf("two commits took %s, want the delay twice", took)
		}
		wantNotes(t, d, 1, 2)
	})
}

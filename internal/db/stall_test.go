package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhatAStalledProcessHasLockedIsSoonFree(t *testing.T) {
	t.Parallel()
	url := testkit.PostgresURL(t)
	const stall = 300 * time.Millisecond
	open := func() *db.DB {
		d, err := db.Open(t.Context(), url, db.Options{Stall: stall})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	stalled, other := open(), open()
	if err := other.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE thing (n BIGINT NOT NULL)`)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO thing (n) VALUES (1)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	change := func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE thing SET n = n + 1`)
		return err
	}
	for name, write := range map[string]func(context.Context, func(*db.Tx) error) error{
		"a command": stalled.Write, "a lane": stalled.Lane().Write,
	} {
		locked, freed, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- write(t.Context(), func(tx *db.Tx) error {
				if err := change(tx); err != nil {
					return err
				}
				close(locked)
				<-freed
				return nil
			})
		}()
		<-locked
		began := time.Now()
		if err := other.Write(t.Context(), change); err != nil {
			t.Fatal(name, err)
		}
		if took := time.Since(began); took > stall+2*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		close(freed)
		if err := <-ended; err == nil {
			t.Errorf("%s that had stalled was committed", name)
		}
	}
}

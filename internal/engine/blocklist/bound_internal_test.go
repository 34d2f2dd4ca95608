package blocklist

import (
	"log/slog"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAFullListTakesNothingNewUntilSomethingIsRemoved(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := New(Options{DB: d, Jobs: job.NewRunner(job.Options{DB: d, Logger: slog.New(slog.DiscardHandler)})})
	tenant := id.New(time.Now())
	first, _, err := s.Add(t.Context(), tenant, NewEntry{Kind: Device, Value: "first"})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(t.Context(), func(tx *db.Tx) error { // as if there were as many as there may be
		_, err := tx.Exec(`INSERT INTO blocklist_shape (tenant_id, family, bits, entries) VALUES ($1, $2, 24, $3)`, tenant, ipv4, maxEntries-1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	second := NewEntry{Kind: Device, Value: "second"}
	if _, _, err := s.Add(t.Context(), tenant, second); !problem.Conflict.Has(err) {
		t.Errorf("one more: %v", err)
	}
	if again, isNew, err := s.Add(t.Context(), tenant, NewEntry{Kind: Device, Value: "first"}); err != nil || isNew || again != first {
		t.Errorf("what is there: %+v, %v", again, err)
	}
	if _, _, err := s.Add(t.Context(), id.New(time.Now()), second); err != nil {
		t.Errorf("another tenant's: %v", err)
	}
	if err := s.Remove(t.Context(), tenant, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, isNew, err := s.Add(t.Context(), tenant, second); err != nil || !isNew {
		t.Errorf("after one was removed: %v", err)
	}
}

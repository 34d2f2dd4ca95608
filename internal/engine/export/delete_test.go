package export_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestTheExportsOfADeletedTenantGoWithIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 20_000
		w.mustCreate()
		deleted, other := w.tenant, id.New(time.Now())
		w.tenant = other
		others := w.mustCreate()
		w.mustFinish()
		w.tenant = deleted
		w.onPage = func(from int) error {
			if from == 10_000 {
				return errors.New("not now")
			}
			return nil
		}
		w.mustCreate() // it is being written
		time.Sleep(time.Minute)
		synctest.Wait()
		for range 2 {
			if err := w.db.Write(t.Context(), func(tx *db.Tx) error { return w.DeleteTenant(tx, deleted) }); err != nil {
				t.Fatal(err)
			}
		}
		w.onPage = nil
		time.Sleep(time.Hour)
		synctest.Wait()
		if list, n, err := w.List(t.Context(), deleted, export.Page{Limit: 10}); err != nil || n != 0 || len(list) != 0 {
			t.Errorf("%d exports are left, %v", n, err)
		}
		w.tenant = other
		w.wantFile(others)
		w.wantPiecesOf(others)
	})
}

// wantPiecesOf fails the test if the database has pieces of other files than one.
func (w *world) wantPiecesOf(of export.Export) {
	w.t.Helper()
	left := 0
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT count(*) FROM export_chunk WHERE export_id <> $1`, of.ID).Scan(&left)
	})
	if err != nil || left != 0 {
		w.t.Errorf("%d pieces of others are left, %v", left, err)
	}
}

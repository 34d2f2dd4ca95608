package db_test

import (
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestASchemaIsADatabaseOfItsOwnUntilItIsDropped(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: SQLite has no schemas")
	}
	url := testkit.BlankDatabaseURL(t)
	for range 2 {
		first, err := db.CreateSchema(t.Context(), url, "grapevine_a")
		if err != nil {
			t.Fatal(err)
		}
		second, err := db.CreateSchema(t.Context(), url, "grapevine_b")
		if err != nil {
			t.Fatal(err)
		}
		for _, schema := range []*db.Schema{first, second} {
			d, err := db.Open(t.Context(), schema.URL, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO tenant (id, alias, live, created_at, updated_at) VALUES ($1, 'acme', $2, 0, 0)`, []byte("123456789012"), true)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if err := schema.Drop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

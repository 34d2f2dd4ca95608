package db_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestRowsOfManyKeysAreFoundOnceEachByFewTexts(t *testing.T) {
	const most = 600
	d := mustOpenURL(t, testkit.BlankDatabaseURL(t), db.Options{})
	keys := make([]id.ID, most)
	mustWrite(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE thing (id ` + blobOn(d) + ` PRIMARY KEY, shelf BIGINT NOT NULL)`); err != nil {
			return err
		}
		for i := range keys {
			keys[i] = id.New(time.Now())
			if _, err := tx.Exec(`INSERT INTO thing (id, shelf) VALUES ($1, $2)`, keys[i], int64(i%3)); err != nil {
				return err
			}
		}
		return nil
	})
	texts := make(map[string]bool)
	for _, n := range []int{0, 1, 2, 3, 4, 5, 17, 64, 65, 255, 256, 257, most} {
		// One of them three times, some twice, and one that is not there.
		asked := slices.Concat(keys[:n], keys[:n/2], keys[:min(n, 1)], []id.ID{id.New(time.Now())})
		found := make(map[id.ID]int)
		for list, args := range db.In(asked, int64(1)) {
			texts[list] = true
			for _, of := range mustFind(t, d, list, args) {
				found[of]++
			}
		}
		for i, of := range keys {
			want := 0
			if i < n && i%3 == 1 {
				want = 1
			}
			if found[of] != want {
				t.Errorf("of %d keys, the one of place %d was found %d times", n, i, found[of])
			}
		}
	}
	if len(texts) > 5 {
		t.Errorf("there are %d texts", len(texts))
	}
}

func TestKeysThatAreTextsAreAskedForOnceEach(t *testing.T) {
	var texts []string
	for list, args := range db.In([]string{"b", "a", "b", "", "c", "a"}, "shelf") {
		texts = append(texts, list)
		if !slices.Equal(args, []any{"shelf", "b", "a", "", "c"}) {
			t.Errorf("the arguments are %q", args)
		}
	}
	if !slices.Equal(texts, []string{"($2, $3, $4, $5)"}) {
		t.Errorf("the texts are %q", texts)
	}
	for list := range db.In([]string(nil), "shelf") {
		t.Errorf("of no keys there is a statement: %s", list)
	}
}

// mustFind returns the things of the keys that are on a shelf.
func mustFind(t *testing.T, d *db.DB, list string, args []any) []id.ID {
	t.Helper()
	var found []id.ID
	err := d.Read(t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT id FROM thing WHERE shelf = $1 AND id IN `+list, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var of id.ID
			if err := rows.Scan(&of); err != nil {
				return err
			}
			found = append(found, of)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func blobOn(d *db.DB) string {
	if d.Shared() {
		return "BYTEA"
	}
	return "BLOB"
}

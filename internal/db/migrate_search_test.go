package db_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// mustMigrationsBefore returns the program's migrations whose names come before one.
func mustMigrationsBefore(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := make(fstest.MapFS)
	for _, file := range names {
		if path.Base(file) >= name {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[file] = &fstest.MapFile{Data: text}
	}
	return files
}

func TestWhoWasKnownBeforeIsFoundByTheFirstNameAndInWhateverAccount(t *testing.T) {
	url := testkit.BlankDatabaseURL(t)
	before, err := db.Open(t.Context(), url, db.Options{}.WithMigrations(mustMigrationsBefore(t, "0042")))
	if err != nil {
		t.Fatal(err)
	}
	people := []struct{ first, last, folded, key, wantCalled, wantInAccount string }{
		{"Anna", "Adams", "adams anna", "a/u", "anna adams", "u"},
		{"Zoë Élise", "Öz", "öz zoë élise", "ü%2Fü/%C3%BC", "zoë élise öz", "%C3%BC"},
		{"", "Adams", "adams", "same/same", "", ""},
		{"Bob", "", "bob", "customer-7", "", ""},
		{"", "", "", "a/", "", ""},
		{"İpek", "Kaya", "kaya i̇pek", "a/b/c", "", ""}, // a small letter has more bytes than the capital
		{"Carl", " Kaya", "kaya carl", "/u", "", "u"},
	}
	err = before.Write(t.Context(), func(tx *db.Tx) error {
		for i, p := range people {
			var folded any
			if p.folded != "" {
				folded = []byte(p.folded)
			}
			_, err := tx.Exec(`INSERT INTO person (tenant_id, id, version, scheme, key, account, email, first_name, last_name, locale, country,
				image_url, fields, first_ip, last_ip, device, unreferable, created_at, updated_at, name_folded)
				VALUES ($1, $2, 1, 'native', $3, '', '', $4, $5, '', '', '', '', '', '', '', FALSE, 0, 0, $6)`, []byte("t"), fmt.Append(nil, i), p.key, p.first, p.last, folded)
			if err != nil {
				return err
			}
			if _, err = tx.Exec(`INSERT INTO identity (tenant_id, scheme, key, person_id) VALUES ($1, 'native', $2, $3)`, []byte("t"), p.key, fmt.Append(nil, i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	err = mustOpenURL(t, url, db.Options{}).Read(t.Context(), func(q db.Queryer) error {
		for i, p := range people {
			var called []byte
			var within *string
			err := q.QueryRow(`SELECT p.called_folded, i.in_account FROM person p JOIN identity i ON i.tenant_id = p.tenant_id AND i.person_id = p.id
				WHERE p.tenant_id = $1 AND p.id = $2`, []byte("t"), fmt.Append(nil, i)).Scan(&called, &within)
			if err != nil {
				return err
			}
			got := [2]string{string(called)}
			if within != nil {
				got[1] = *within
			}
			if diff := cmp.Diff([2]string{p.wantCalled, p.wantInAccount}, got); diff != "" {
				t.Errorf("%s: %s", p.key, diff)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

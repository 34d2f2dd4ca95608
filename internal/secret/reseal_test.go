package secret_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// drawer is a table of sealed values.
type drawer struct {
	d        *db.DB
	from, to *secret.Box
	rows     []id.ID
}

// mustDrawer seals n values, every tenth of which is missing.
func mustDrawer(t *testing.T, n int) *drawer {
	t.Helper()
	r := &drawer{d: testkit.OpenDB(t, db.Options{})}
	r.from = MustBox(t, r.d, secret.NewKey())
	to, err := secret.NewBox(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	r.to = to
	err = r.d.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(`CREATE TABLE drawer (id BYTEA PRIMARY KEY, sealed BYTEA)`); err != nil {
			return err
		}
		for i := range n {
			row := id.New(time.Now())
			r.rows = append(r.rows, row)
			sealed := MustSeal(t, r.from, fmt.Appendf(nil, "value %d", i), row)
			if i%10 == 9 {
				sealed = nil
			}
			if _, err := tx.Exec(`INSERT INTO drawer (id, sealed) VALUES ($1, $2)`, row, sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *drawer) reseal(t *testing.T) error {
	t.Helper()
	return r.d.Write(t.Context(), func(tx *db.Tx) error {
		return secret.Resealing{
			From: r.from, To: r.to,
			Select: `SELECT id, sealed FROM drawer WHERE id > $1 ORDER BY id LIMIT $2`,
			Update: `UPDATE drawer SET sealed = $2 WHERE id = $1`,
		}.Run(tx)
	})
}

// wantOpen fails the test unless the box opens every value that there is.
func (r *drawer) wantOpen(t *testing.T, box *secret.Box) {
	t.Helper()
	err := r.d.Read(t.Context(), func(q db.Queryer) error {
		for i, row := range r.rows {
			var sealed []byte
			if err := q.QueryRow(`SELECT sealed FROM drawer WHERE id = $1`, row).Scan(&sealed); err != nil {
				return err
			}
			if i%10 == 9 {
				if sealed != nil {
					t.Fatalf("value %d was missing and is there", i)
				}
				continue
			}
			if plain, err := box.Open(sealed, row); err != nil || string(plain) != fmt.Sprintf("value %d", i) {
				t.Fatalf("value %d is %q, %v", i, plain, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryValueIsSealedAnewHoweverManyThereAre(t *testing.T) {
	for _, n := range []int{0, 1, 499, 500, 501, 1200} {
		r := mustDrawer(t, n)
		if err := r.reseal(t); err != nil {
			t.Fatal(err)
		}
		r.wantOpen(t, r.to)
	}
}

func TestAValueThatDoesNotOpenKeepsAllAsTheyAre(t *testing.T) {
	r := mustDrawer(t, 700)
	damaged := r.rows[650]
	var was []byte
	err := r.d.Write(t.Context(), func(tx *db.Tx) error {
		if err := tx.QueryRow(`SELECT sealed FROM drawer WHERE id = $1`, damaged).Scan(&was); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE drawer SET sealed = $2 WHERE id = $1`, damaged, []byte{1, 2, 3})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.reseal(t); err == nil || !strings.Contains(err.Error(), damaged.String()) {
		t.Errorf("got %v, want an error that names the row", err)
	}
	err = r.d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE drawer SET sealed = $2 WHERE id = $1`, damaged, was)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r.wantOpen(t, r.from)
}

func TestTheKeyThatWaitsTakesThePlaceOfTheOldOneWhichIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	old, _, err := secret.ReadOrCreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secret.ReadNextKeyFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key waits that nobody wrote: %v", err)
	}
	for range 2 { // one that waits already is replaced
		if err := secret.WriteNextKeyFile(path, secret.NewKey()); err != nil {
			t.Fatal(err)
		}
	}
	next, err := secret.ReadNextKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := secret.AdoptNextKeyFile(path, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]secret.Key{path: next, kept: old} {
		if got, err := secret.ReadKeyFile(file); err != nil || got != want {
			t.Errorf("%s has another key, or %v", filepath.Base(file), err)
		}
	}
	if err := secret.DropNextKeyFile(path); err != nil {
		t.Errorf("to drop one that is not there: %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 2 {
		t.Errorf("%d files, want the key and the old one", len(files))
	}
}

package db_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhatATransactionTellsIsHeardOnceItIsCommitted(t *testing.T) {
	type topic struct{}
	type other struct{}
	d, foreign := testkit.OpenDB(t, db.Options{}), testkit.OpenDB(t, db.Options{})
	var heard, later []any
	stop := d.Hear(topic{}, func(word any) { heard = append(heard, word) })
	d.Hear(topic{}, func(word any) { later = append(later, word) })
	foreign.Hear(topic{}, func(word any) { t.Errorf("another database heard %v", word) })
	tell := func(word string, outcome error) func(tx *db.Tx) error {
		return func(tx *db.Tx) error {
			tx.Tell(topic{}, word)
			tx.Tell(other{}, "nobody hears it")
			if len(heard) > 0 && heard[len(heard)-1] == word {
				t.Errorf("%s was heard before the commit", word)
			}
			return outcome
		}
	}
	refused := errors.New("refused")
	if err := d.Write(t.Context(), tell("refused", refused)); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), tell("first", nil)); err != nil {
		t.Fatal(err)
	}
	if err := d.Lane().Write(t.Context(), tell("in a lane", nil)); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := d.Write(t.Context(), tell("last", nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"first", "in a lane"}, heard); diff != "" {
		t.Errorf("heard until the stop (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"first", "in a lane", "last"}, later); diff != "" {
		t.Errorf("heard by another (-want +got):\n%s", diff)
	}
}

func TestWhatAClosureKeepsIsItsOwn(t *testing.T) {
	type key struct{}
	d := testkit.OpenDB(t, db.Options{})
	for range 2 {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if kept := tx.Kept(key{}); kept != nil {
				t.Errorf("an earlier closure left %v", kept)
			}
			tx.Keep(key{}, 1)
			tx.Keep(key{}, 2)
			if kept := tx.Kept(key{}); kept != 2 {
				t.Errorf("kept is %v", kept)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

package db_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
)

const newNote = `INSERT INTO note (id, text) VALUES ($1, $2)`

func TestRowsThatAreInsertedTogetherAreAllStoredHoweverMany(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		var want []int64
		for _, rows := range []int{0, 1, 5, 8, 9, 64, 65, 200} {
			err := write(t.Context(), func(tx *db.Tx) error {
				together := make([][]any, rows)
				for i := range together {
					id := int64(len(want) + i)
					together[i] = []any{id, fmt.Sprint("note ", id)}
				}
				return tx.Insert(newNote, together)
			})
			if err != nil {
				t.Fatalf("%d rows: %v", rows, err)
			}
			for range rows {
				want = append(want, int64(len(want)))
			}
		}
		wantNotes(t, n.DB, want...)
	})
}

func TestOfRowsThatAreInsertedTogetherNoneIsStoredWhereOneCantBe(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		mustWrite(t, n.DB, note(7))
		err := write(t.Context(), func(tx *db.Tx) error {
			return tx.Insert(newNote, [][]any{{int64(6), "new"}, {int64(7), "taken"}, {int64(8), "new"}})
		})
		if err == nil {
			t.Error("it is not refused")
		}
		wantNotes(t, n.DB, 7)
	})
}

func TestRowsThatAreGatheredAreThereWhenTheyAreFlushedOrTheTransactionEnds(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		err := write(t.Context(), func(tx *db.Tx) error {
			for _, add := range []struct {
				query string
				row   []any
				flush bool
				want  []int64
			}{
				{newNote, []any{int64(1), "one"}, false, nil},
				{newNote, []any{int64(2), "two"}, false, nil},
				{newNote, []any{int64(3), "three"}, true, []int64{1, 2, 3}},
				{`INSERT INTO note (text, id) VALUES ($1, $2)`, []any{"four", int64(4)}, true, []int64{1, 2, 3, 4}},
				{newNote, []any{int64(5), "five"}, false, []int64{1, 2, 3, 4}},
			} {
				if err := tx.Gather(add.query, add.row); err != nil {
					return err
				}
				if add.flush {
					if err := tx.Flush(); err != nil {
						return err
					}
				}
				got, err := noteIDs(tx)
				if err != nil {
					return err
				}
				if diff := cmp.Diff(add.want, got); diff != "" {
					t.Errorf("after %v (-want +got):\n%s", add.row, diff)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		wantNotes(t, n.DB, 1, 2, 3, 4, 5)
	})
}

func TestAGatheredRowThatCantBeStoredFailsItsOwnTransactionAlone(t *testing.T) {
	onEachWay(t, func(t *testing.T, n *notebook, write writeFunc) {
		mustWrite(t, n.DB, note(7))
		var wg sync.WaitGroup
		for id := range int64(8) {
			wg.Go(func() {
				err := write(t.Context(), func(tx *db.Tx) error {
					if err := tx.Gather(newNote, []any{id + 10, "new"}); err != nil || id != 3 {
						return err
					}
					return tx.Gather(newNote, []any{int64(7), "taken"})
				})
				if (err != nil) != (id == 3) {
					t.Errorf("transaction %d: %v", id, err)
				}
			})
		}
		wg.Wait()
		wantNotes(t, n.DB, 7, 10, 11, 12, 14, 15, 16, 17)
	})
}

func TestALimitThatIsAnArgumentHoldsEachTime(t *testing.T) {
	n := mustNotebook(t)
	for id := range int64(6) {
		mustWrite(t, n.DB, note(id))
	}
	for _, c := range []struct {
		query string
		args  []any
		want  []int64
	}{
		{`SELECT id FROM note ORDER BY id LIMIT $1`, []any{2}, []int64{0, 1}},
		{`SELECT id FROM note ORDER BY id LIMIT $1`, []any{4}, []int64{0, 1, 2, 3}},
		{`SELECT id FROM note ORDER BY id LIMIT $1`, []any{0}, nil},
		{`SELECT id FROM note ORDER BY id LIMIT $1 OFFSET $2`, []any{2, 3}, []int64{3, 4}},
		{`SELECT id FROM note ORDER BY id LIMIT $1 OFFSET $2`, []any{3, 1}, []int64{1, 2, 3}},
		{`SELECT id FROM note WHERE id IN (SELECT id FROM note ORDER BY id DESC LIMIT $1) ORDER BY id`, []any{2}, []int64{4, 5}},
		{`SELECT id FROM (SELECT id FROM note ORDER BY id DESC LIMIT $1) latest ORDER BY id LIMIT $2`, []any{3, 1}, []int64{3}},
	} {
		var got []int64
		err := n.Read(t.Context(), func(q db.Queryer) error {
			rows, err := q.Query(c.query, c.args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id int64
				if err := rows.Scan(&id); err != nil {
					return err
				}
				got = append(got, id)
			}
			return rows.Err()
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s with %v returns %v, %v; want %v", c.query, c.args, got, err, c.want)
		}
	}
}

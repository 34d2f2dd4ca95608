package db_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAFailedStatementFailsItsTransaction(t *testing.T) {
	failing := map[string]func(tx *db.Tx) error{
		"exec": func(tx *db.Tx) error {
			return insert(tx, 1)
		},
		"query": func(tx *db.Tx) error {
			_, err := tx.Query(`INSERT INTO note (id, text) VALUES (1, 'again') RETURNING id`) //nolint:rowserrcheck // there are none
			return err
		},
		"query of a row": func(tx *db.Tx) error {
			var id int64
			return tx.QueryRow(`INSERT INTO note (id, text) VALUES (1, 'again') RETURNING id`).Scan(&id)
		},
		"a text that is no SQL": func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT note`)
			return err
		},
		"a missing argument": func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO note (id, text) VALUES ($1, $2)`, 1)
			return err
		},
		"a row of no SQL": func(tx *db.Tx) error {
			var id int64
			return tx.QueryRow(`SELECT note`).Scan(&id)
		},
		"a query while the row of another was not scanned": func(tx *db.Tx) error {
			row := tx.QueryRow(`SELECT id FROM note`)
			if err := insert(tx, 7); err != nil {
				return err
			}
			return row.Scan(new(int64))
		},
		"a query while the rows of another are open": func(tx *db.Tx) error {
			rows, err := tx.Query(`SELECT id FROM note`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				if err := insert(tx, 7); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	}
	for name, fail := range failing {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				d := mustOpenNotes(t, db.Options{})
				mustWrite(t, d, note(1))
				var first, second, third, fourth error
				careless := func(tx *db.Tx) error {
					if err := insert(tx, 2); err != nil {
						return err
					}
					first = fail(tx)
					second = insert(tx, 3)
					_, third = noteIDs(tx)
					fourth = tx.QueryRow(`SELECT 1`).Scan(new(int))
					return nil
				}
				if err := d.Write(t.Context(), careless); err == nil {
					t.Error("a closure that ignored an error succeeded")
				}
				wantNotes(t, d, 1)
				if first == nil {
					t.Fatal("the statement did not fail")
				}
				for _, err := range []error{second, third, fourth} {
					if err == nil || !strings.Contains(err.Error(), first.Error()) {
						t.Errorf("a later statement returned %v, want the first error: %v", err, first)
					}
				}
				outcomes := together(t, d, note(4), careless, note(5))
				if outcomes[0].err != nil || outcomes[1].err == nil || outcomes[2].err != nil {
					t.Errorf("in a group: %v, want the second alone to fail", outcomes)
				}
				wantNotes(t, d, 1, 4, 5)
			})
		})
	}
}

func TestWhatIsNotAnErrorOfAStatementFailsNothing(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		var text int
		if err := tx.QueryRow(`SELECT text FROM note WHERE id = 9`).Scan(&text); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("a missing row: %v, want ErrNoRows", err)
		}
		if err := insert(tx, 1); err != nil {
			return err
		}
		if err := tx.QueryRow(`SELECT text FROM note`).Scan(&text); err == nil {
			t.Error("a text was scanned as a number")
		}
		return insert(tx, 2)
	})
	wantNotes(t, d, 1, 2)
}

func TestATransactionIsOverWithItsClosure(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	var kept *db.Tx
	var after error
	mustWrite(t, d, func(tx *db.Tx) error {
		kept = tx
		tx.After(func() { after = insert(tx, 1) })
		return nil
	})
	if after == nil {
		t.Error("a statement ran in After")
	}
	if err := insert(kept, 2); err == nil {
		t.Error("a statement ran after the closure")
	}
	wantNotes(t, d)
}

func TestRowsThatAClosureLeftOpenAreClosed(t *testing.T) {
	for name, leave := range map[string]func(db.Queryer) error{
		"rows": func(q db.Queryer) error {
			rows, err := q.Query(`SELECT id FROM note`)
			if err != nil {
				return err
			}
			rows.Next()
			return rows.Err()
		},
		"a row": func(q db.Queryer) error {
			return q.QueryRow(`SELECT id FROM note`).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := mustOpenNotes(t, db.Options{})
			mustWrite(t, d, note(1))
			mustWrite(t, d, note(2))
			for range 3 {
				mustWrite(t, d, func(tx *db.Tx) error { return leave(tx) })
			}
			for range 8 { // on every connection
				if err := d.Read(t.Context(), leave); err != nil {
					t.Fatal(err)
				}
			}
			mustWrite(t, d, note(3))
			for range 8 {
				wantNotes(t, d, 1, 2, 3)
			}
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				return errors.Join(aCommitFails(tx), leave(tx))
			}); err == nil {
				t.Error("the commit did not fail")
			}
			mustWrite(t, d, note(4))
		})
	}
}

func TestExecReturnsHowManyRowsItConcerned(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, note(1))
	mustWrite(t, d, note(2))
	for statement, want := range map[string]int64{
		`UPDATE note SET text = 'new'`:                 2,
		`UPDATE note SET text = 'new' WHERE id = 2`:    1,
		`UPDATE note SET text = 'new' WHERE id = 3`:    0,
		`UPDATE note SET text = 'more' RETURNING text`: 2,
	} {
		mustWrite(t, d, func(tx *db.Tx) error {
			n, err := tx.Exec(statement)
			if n != want {
				t.Errorf("%s: %d rows, want %d", statement, n, want)
			}
			return err
		})
	}
}

func TestIsUniqueKnowsEveryKindOfKey(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	mustWrite(t, d, func(tx *db.Tx) error {
		for _, statement := range []string{
			`CREATE TABLE named (name TEXT NOT NULL, other TEXT NOT NULL UNIQUE, PRIMARY KEY (name)) STRICT, WITHOUT ROWID`,
			`CREATE UNIQUE INDEX note_text ON note (text) WHERE text <> 'a note'`,
			`INSERT INTO named (name, other) VALUES ('a', 'b')`,
			`INSERT INTO note (id, text) VALUES (1, 'c')`,
		} {
			if _, err := tx.Exec(statement); err != nil {
				return err
			}
		}
		return nil
	})
	for statement, want := range map[string]bool{
		`INSERT INTO named (name, other) VALUES ('a', 'c')`:                        true,
		`INSERT INTO named (name, other) VALUES ('b', 'b')`:                        true,
		`INSERT INTO note (id, text) VALUES (1, 'd')`:                              true,
		`INSERT INTO note (id, text) VALUES (2, 'c')`:                              true,
		`INSERT INTO note (id, text) VALUES (2, NULL)`:                             false,
		`INSERT INTO note (id, text) VALUES (2, x'00')`:                            false,
		`INSERT INTO nothing (id) VALUES (1)`:                                      false,
		`INSERT INTO note (id, text) VALUES (1, 'd') ON CONFLICT (id) DO NOTHING`:  false,
		`INSERT INTO named (name, other) VALUES ('a', 'b') ON CONFLICT DO NOTHING`: false,
	} {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(statement)
			return err
		})
		if db.IsUnique(err) != want {
			t.Errorf("%s: IsUnique(%v) is %t", statement, err, !want)
		}
		if errors.Is(err, db.ErrUnavailable) {
			t.Errorf("%s: the database is called unavailable: %v", statement, err)
		}
	}
	if db.IsUnique(nil) || db.IsUnique(errOurs) {
		t.Error("IsUnique takes any error for one of keys")
	}
}

func TestATimeThatMayBeMissingIsStoredAsNull(t *testing.T) {
	d := mustOpenNotes(t, db.Options{})
	moment := time.Date(2026, 2, 3, 4, 5, 6, 789_012_345, time.FixedZone("", 3600))
	for name, test := range map[string]struct{ stored, want time.Time }{
		"missing": {time.Time{}, time.Time{}},
		"a time":  {moment, moment.Truncate(time.Microsecond).UTC()},
		"epoch":   {time.UnixMicro(0), time.UnixMicro(0).UTC()},
		"before":  {time.UnixMicro(-1), time.UnixMicro(-1).UTC()},
	} {
		var got db.NullMicro
		var isNull bool
		mustWrite(t, d, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT $1, $1 IS NULL`, db.NullMicro{Time: test.stored}).Scan(&got, &isNull)
		})
		if got.Time != test.want || isNull != test.stored.IsZero() {
			t.Errorf("%s: read as %v (NULL: %t), want %v", name, got.Time, isNull, test.want)
		}
	}
	if err := new(db.NullMicro).Scan("noon"); err == nil {
		t.Error("a text was read as a time")
	}
}

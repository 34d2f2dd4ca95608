package secret

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// NewBox returns the box of a key, whether or not any database has that key.
func NewBox(key Key) (*Box, error) {
	if key == (Key{}) {
		return nil, errNoKey
	}
	return newBox(key)
}

// ReplaceVerifier makes the key of a box the database's master key. All that is
// sealed has to be sealed anew in the same transaction.
func ReplaceVerifier(tx *db.Tx, to *Box) error {
	_, err := tx.Exec(`UPDATE master_key SET verifier = $2 WHERE id = $1`, verifierID, to.seal([]byte(verifierText), id.ID{}))
	if err != nil {
		return fmt.Errorf("secret: replace the verifier: %w", err)
	}
	return nil
}

// Resealing is sealed values of one table that are to be sealed with another key.
type Resealing struct {
	From, To *Box

	// Select returns the ids and the sealed values of the rows after the id $1, in
	// the order of their ids, at most $2. A value that is NULL stays so.
	Select string
	// Update stores the sealed value $2 of the row $1.
	Update string
}

// resealPage is how many values are read before they are written.
const resealPage = 500

// Run seals all values anew. A value that does not open is an error.
func (r Resealing) Run(tx *db.Tx) error {
	type value struct {
		row    id.ID
		sealed []byte
	}
	page := func(after id.ID) ([]value, error) {
		rows, err := tx.Query(r.Select, after, resealPage)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		var values []value
		for rows.Next() {
			var v value
			if err := rows.Scan(&v.row, &v.sealed); err != nil {
				return nil, err
			}
			values = append(values, v)
		}
		return values, rows.Err()
	}
	for after := (id.ID{}); ; {
		values, err := page(after)
		if err != nil {
			return fmt.Errorf("secret: read what is sealed: %w", err)
		}
		for _, v := range values {
			after = v.row
			if v.sealed == nil {
				continue
			}
			plain, err := r.From.Open(v.sealed, v.row)
			if err != nil {
				return fmt.Errorf("secret: open the value of row %s: %w", v.row, err)
			}
			sealed, err := r.To.Seal(plain, v.row)
			if err != nil {
				return err
			}
			if err := tx.Later(r.Update, []any{v.row, sealed}, nil); err != nil {
				return fmt.Errorf("secret: store the value of row %s: %w", v.row, err)
			}
		}
		if err := tx.Flush(); err != nil {
			return fmt.Errorf("secret: store what is sealed: %w", err)
		}
		if len(values) < resealPage {
			return nil
		}
	}
}

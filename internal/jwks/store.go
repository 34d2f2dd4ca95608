package jwks

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// row is a key as it is stored.
type row struct {
	id     id.ID
	sealed []byte
	public []byte
}

// currentKey returns the sealed key that signs, or an error that matches
// db.ErrNoRows.
func currentKey(q db.Queryer) (id.ID, []byte, error) {
	var of id.ID
	var sealed []byte
	if err := q.QueryRow(`SELECT id, sealed FROM jwk WHERE retired_at IS NULL`).Scan(&of, &sealed); err != nil {
		return id.ID{}, nil, fmt.Errorf("jwks: read the current key: %w", err)
	}
	return of, sealed, nil
}

// publicKeys returns the public halves, the current one first, then the one
// retired last.
func publicKeys(q db.Queryer) ([]publicKey, error) {
	rows, err := q.Query(`SELECT id, public, retired_at FROM jwk ORDER BY retired_at IS NOT NULL, retired_at DESC, id DESC`)
	if err != nil {
		return nil, fmt.Errorf("jwks: ask for the keys: %w", err)
	}
	defer rows.Close()
	var all []publicKey
	for rows.Next() {
		var k publicKey
		var public []byte
		var retired db.NullMicro
		if err := rows.Scan(&k.id, &public, &retired); err != nil {
			return nil, fmt.Errorf("jwks: read a key: %w", err)
		}
		if k.key, err = x509.ParsePKCS1PublicKey(public); err != nil {
			return nil, fmt.Errorf("jwks: read the public half of %s: %w", k.id, err)
		}
		k.retiredAt = retired.Time
		all = append(all, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("jwks: read the keys: %w", err)
	}
	return all, nil
}

// retire retires the current key, of which the private half is not needed again,
// and forgets those that were retired before the given time.
func retire(tx *db.Tx, before time.Time) error {
	if _, err := tx.Exec(`UPDATE jwk SET retired_at = $1, sealed = NULL WHERE retired_at IS NULL`, db.Micro(tx.Now())); err != nil {
		return fmt.Errorf("jwks: retire the current key: %w", err)
	}
	if _, err := tx.Exec(`DELETE FROM jwk WHERE retired_at < $1`, db.Micro(before)); err != nil {
		return fmt.Errorf("jwks: forget old keys: %w", err)
	}
	return nil
}

func insert(tx *db.Tx, r row) error {
	_, err := tx.Exec(`INSERT INTO jwk (id, sealed, public, created_at) VALUES ($1, $2, $3, $4)`, r.id, r.sealed, r.public, db.Micro(tx.Now()))
	if err != nil {
		return fmt.Errorf("jwks: store a key: %w", err)
	}
	return nil
}

package secret

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// verifierID is the key of the one row.
const verifierID = 1

// verifier returns the sealed verifier, or an error that matches db.ErrNoRows.
func verifier(q db.Queryer) ([]byte, error) {
	var sealed []byte
	if err := q.QueryRow(`SELECT verifier FROM master_key WHERE id = $1`, verifierID).Scan(&sealed); err != nil {
		return nil, fmt.Errorf("secret: read the verifier: %w", err)
	}
	return sealed, nil
}

func insertVerifier(tx *db.Tx, sealed []byte) error {
	if _, err := tx.Exec(`INSERT INTO master_key (id, verifier) VALUES ($1, $2)`, verifierID, sealed); err != nil {
		return fmt.Errorf("secret: store the verifier: %w", err)
	}
	return nil
}

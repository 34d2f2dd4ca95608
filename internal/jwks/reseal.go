package jwks

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/secret"
)

// Reseal seals the private half of the server's key with another master key,
// while no server runs: what a Service has in memory does not follow.
func Reseal(tx *db.Tx, from, to *secret.Box) error {
	return secret.Resealing{
		From: from, To: to,
		Select: `SELECT id, sealed FROM jwk WHERE id > $1 ORDER BY id LIMIT $2`,
		Update: `UPDATE jwk SET sealed = $2 WHERE id = $1`,
	}.Run(tx)
}

package code

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func deactivateAll(tx *db.Tx, tenant, person id.ID) error {
	_, err := tx.Exec(`UPDATE code SET active = FALSE WHERE tenant_id = $1 AND person_id = $2 AND active`, tenant, person)
	return wrapped("retire codes", err)
}

func selectKnown(q db.Queryer, tenant, person id.ID, limit int) ([]Code, error) {
	return list(q, `SELECT `+columns+` FROM code WHERE tenant_id = $1 AND person_id = $2 AND text <> '' LIMIT $3`, tenant, person, limit)
}

// rename has a code be compared as another text, and show none.
func rename(tx *db.Tx, c Code, folded string) error {
	_, err := tx.Exec(`UPDATE code SET folded = $3, text = '', is_primary = FALSE, active = FALSE WHERE tenant_id = $1 AND folded = $2`,
		c.TenantID, c.Folded, folded)
	return wrapped("forget a code", err)
}

// isTaken reports whether a code was issued, be it to somebody who was forgotten.
func isTaken(q db.Queryer, tenant id.ID, folded string) (bool, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM code WHERE tenant_id = $1 AND folded IN ($2, $3)`, tenant, folded, anonymous(tenant, folded)).Scan(&n)
	return n > 0, wrapped("look for a code", err)
}

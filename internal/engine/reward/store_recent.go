package reward

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// RecentOf returns a person's latest rewards, those that a limit refused too, the
// latest first.
func RecentOf(q db.Queryer, tenant, person id.ID, limit int) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 ORDER BY id DESC LIMIT $3`, tenant, person, limit)
}

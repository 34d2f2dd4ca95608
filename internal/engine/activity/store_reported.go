package activity

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Reported returns a person's latest activities of a type, undone ones too, the
// latest first.
func Reported(q db.Queryer, tenant, person id.ID, activityType string, limit int) ([]*Activity, error) {
	return collect(q, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND type = $3
		ORDER BY occurred_at DESC, id DESC LIMIT $4`, tenant, person, activityType, limit)
}

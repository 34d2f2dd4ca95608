package reward

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// UpdatedAt is when the reward was changed last, as it was read; zero for one that
// was not read.
func (r *Reward) UpdatedAt() time.Time { return r.updated }

// After returns the tenant's rewards that follow one in the order in which they were
// given; zero: the first ones. Those that a limit refused are not among them.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id > $2 AND state <> 'refused' ORDER BY id LIMIT $3`,
		tenant, after, limit)
}

package referral

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// After returns the tenant's referrals that follow one in the order in which they
// were started; zero: the first ones.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

package person

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// After returns the tenant's people who follow one in the order of their ids, which
// is that in which they were created; zero: the first ones. Those who were forgotten
// are not among them.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Person, error) {
	return collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.id > $2 AND p.deleted_at IS NULL ORDER BY p.id LIMIT $3`,
		tenant, after, limit)
}

// IdentityIn returns by what a person is known in a scheme, and whether it is.
func IdentityIn(q db.Queryer, p *Person, scheme string) (Identity, bool, error) {
	if p.Scheme == scheme {
		return p.Identity, true, nil
	}
	as := Identity{Scheme: scheme}
	err := q.QueryRow(`SELECT key FROM identity WHERE tenant_id = $1 AND person_id = $2 AND scheme = $3 ORDER BY key LIMIT 1`,
		p.TenantID, p.ID, scheme).Scan(&as.Key)
	if errors.Is(err, db.ErrNoRows) {
		return Identity{}, false, nil
	}
	if err != nil {
		return Identity{}, false, fmt.Errorf("person: read an identity: %w", err)
	}
	return as, true, nil
}

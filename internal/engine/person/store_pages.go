package person

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// After returns the tenant's people who follow one in the order of their ids, which
// is that in which they were created; zero: the first ones. Those who were forgotten
// are among them: there may be any number of them in between.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Person, error) {
	return collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3`,
		tenant, after, limit)
}

// ByIDs returns those of the tenant's people who have one of the ids, who was
// forgotten too.
func ByIDs(q db.Queryer, tenant id.ID, ids []id.ID) (map[id.ID]*Person, error) {
	people := make(map[id.ID]*Person, len(ids))
	for list, args := range db.In(ids, tenant) {
		found, err := collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.id IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			people[p.ID] = p
		}
	}
	return people, nil
}

package code

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// ByShort returns the tenant's codes that have one of the short codes, active or not, by
// these. It looks at whose they are last: SQLite would read all codes of the tenant.
func ByShort(q db.Queryer, tenant id.ID, shorts []string) (map[string]Code, error) {
	codes := make(map[string]Code, len(shorts))
	for keys, args := range db.In(shorts) {
		found, err := list(q, `SELECT `+columns+` FROM code WHERE short IN `+keys, args...)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			if c.TenantID == tenant {
				codes[c.Short] = c
			}
		}
	}
	return codes, nil
}

// PrimaryOf returns the codes of people that are shown, of all programs, of each person
// in no order.
func PrimaryOf(q db.Queryer, tenant id.ID, people []id.ID) (map[id.ID][]Code, error) {
	codes := make(map[id.ID][]Code, len(people))
	somebody := slices.DeleteFunc(slices.Clone(people), id.ID.IsZero) // which a code has that is nobody's
	for keys, args := range db.In(somebody, tenant) {
		found, err := list(q, `SELECT `+columns+` FROM code WHERE tenant_id = $1 AND is_primary AND person_id IN `+keys, args...)
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			codes[c.PersonID] = append(codes[c.PersonID], c)
		}
	}
	return codes, nil
}

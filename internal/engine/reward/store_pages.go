package reward

import (
	"bytes"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// UpdatedAt is when the reward was changed last, as it was read; zero for one that
// was not read.
func (r *Reward) UpdatedAt() time.Time { return r.updated }

// After returns the tenant's rewards that follow one in the order in which they were
// given; zero: the first ones. Those that a limit refused are among them, since there
// may be any number of them in between.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// OfReferrals returns what referrals have led to, of each the earliest first, without
// what a limit refused.
func OfReferrals(q db.Queryer, tenant id.ID, referrals []id.ID) (map[id.ID][]*Reward, error) {
	given := make(map[id.ID][]*Reward)
	for list, args := range db.In(referrals, tenant) {
		found, err := collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND referral_id IS NOT NULL AND state <> 'refused'
			AND referral_id IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			given[r.ReferralID] = append(given[r.ReferralID], r)
		}
	}
	for _, of := range given {
		slices.SortFunc(of, func(a, b *Reward) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	}
	return given, nil
}

// OfPeople returns rewards of people, without those that a limit refused, in no order:
// no more than limit, whichever those are.
func OfPeople(q db.Queryer, tenant id.ID, people []id.ID, limit int) ([]*Reward, error) {
	var given []*Reward
	for list, args := range db.In(people, tenant, limit) {
		found, err := collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND state <> 'refused' AND person_id IN `+list+`
			LIMIT $2`, args...)
		if err != nil {
			return nil, err
		}
		if given = append(given, found...); len(given) >= limit {
			return given[:limit], nil
		}
	}
	return given, nil
}

// Before returns the tenant's rewards that were given before one, the latest first;
// zero: the latest ones. Those that a limit refused are among them: there may be any
// number of them in between.
func Before(q db.Queryer, tenant id.ID, p Page) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant, p.before(), p.Limit)
}

// BeforeOf is Before for the rewards of one person.
func BeforeOf(q db.Queryer, tenant, person id.ID, p Page) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		tenant, person, p.before(), p.Limit)
}

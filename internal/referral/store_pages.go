package referral

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// After returns the tenant's referrals that follow one in the order in which they
// were started; zero: the first ones.
func After(q db.Queryer, tenant, after id.ID, limit int) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

// ofReferredPeople returns by what people were referred, in all programs, of each
// person the earliest first.
func ofReferredPeople(q db.Queryer, tenant id.ID, people []id.ID) (map[id.ID][]*Referral, error) {
	referrals := make(map[id.ID][]*Referral)
	for list, args := range db.In(people, tenant) {
		found, err := collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referred_id IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			referrals[r.ReferredID] = append(referrals[r.ReferredID], r)
		}
	}
	for _, of := range referrals {
		slices.SortFunc(of, func(a, b *Referral) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	}
	return referrals, nil
}

// choice is some of the tenant's referrals.
type choice struct {
	text string // of a query, from FROM on
	args []any
}

// and is those of the choice that have a value in a column.
func (c choice) and(column string, value any) choice {
	return choice{fmt.Sprintf(`%s AND %s = $%d`, c.text, column, len(c.args)+1), append(slices.Clip(c.args), value)}
}

func (c choice) count(q db.Queryer) (int64, error) {
	var n int64
	if err := q.QueryRow(`SELECT count(*)`+c.text, c.args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("referral: count referrals: %w", err)
	}
	return n, nil
}

// list returns a part of it, the latest first.
func (c choice) list(q db.Queryer, p Page) ([]*Referral, error) {
	part := fmt.Sprintf(` ORDER BY id DESC LIMIT $%d OFFSET $%d`, len(c.args)+1, len(c.args)+2)
	return collect(q, `SELECT `+columns+c.text+part, append(slices.Clip(c.args), p.Limit, p.Offset)...)
}

// choice is what a filter chooses that names one referrer or nobody.
func (f Filter) choice(tenant id.ID) choice {
	text := ` FROM referral WHERE tenant_id = $1 AND id < $2 AND ($3 = '' OR state = $3) AND ($4 = '' OR referrer_moderation = $4)
		AND ($5 = '' OR referred_moderation = $5) AND ($6 OR started_at BETWEEN $7 AND $8)
		AND ($9 OR converted_at BETWEEN $10 AND $11) AND ($12 OR ended_at BETWEEN $13 AND $14)`
	args := []any{tenant, Page{Before: f.Before}.before(), string(f.State), string(f.Referrer), string(f.Referred)}
	for _, of := range []*Span{f.Started, f.Converted, f.Ended} {
		if of == nil {
			args = append(args, true, int64(0), int64(0))
		} else {
			args = append(args, false, db.Micro(of.From), db.Micro(of.To))
		}
	}
	if f.namesReferrer() {
		return choice{text, args}.and(`referrer_id`, f.ReferrerIDs[0])
	}
	return choice{text, args}
}

// chosen returns a part of what such a filter chooses, the latest first, and how many
// that is in all. It looks at all of them.
func chosen(q db.Queryer, tenant id.ID, f Filter) ([]*Referral, int64, error) {
	all, part := f.choice(tenant), Page{Limit: f.Limit, Offset: f.Offset}
	if !f.namesReferrer() {
		n, err := all.count(q)
		if err != nil {
			return nil, 0, err
		}
		page, err := all.list(q, part)
		return page, n, err
	}
	programs, err := programsOf(q, tenant, f.ReferrerIDs[0])
	if err != nil {
		return nil, 0, err
	}
	n, err := all.countIn(q, programs)
	if err != nil {
		return nil, 0, err
	}
	page, err := all.listIn(q, programs, part)
	return page, n, err
}

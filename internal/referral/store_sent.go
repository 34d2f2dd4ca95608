package referral

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// The index of what somebody has referred has it for each program apart. What was
// referred in all of them is merged, so that a part of it is found in as many steps as
// it is long, however many referrals there are.

// OfReferrer returns whom a person has referred, in all programs, the latest first.
func OfReferrer(q db.Queryer, tenant, person id.ID, p Page) ([]*Referral, error) {
	programs, err := programsOf(q, tenant, person)
	if err != nil {
		return nil, err
	}
	return ofReferrer(tenant, person, p).listIn(q, programs, p)
}

func ofReferrer(tenant, person id.ID, p Page) choice {
	return choice{` FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND id < $3`, []any{tenant, person, p.before()}}
}

// countIn returns how many of a referrer's there are in programs.
func (c choice) countIn(q db.Queryer, programs []id.ID) (int64, error) {
	var total int64
	for _, program := range programs {
		n, err := c.and(`program_id`, program).count(q)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// listIn returns a part of a referrer's in programs, the latest first.
func (c choice) listIn(q db.Queryer, programs []id.ID, p Page) ([]*Referral, error) {
	if len(programs) == 0 {
		return nil, nil
	}
	all := choice{args: c.args}
	for i, program := range programs {
		each := choice{c.text, all.args}.and(`program_id`, program)
		if i > 0 {
			each.text = ` UNION ALL SELECT ` + columns + each.text
		}
		all = choice{all.text + each.text, each.args}
	}
	return all.list(q, p)
}

// programsOf returns in which programs a person has referred anybody. It goes from one
// to the next, past all referrals in between.
func programsOf(q db.Queryer, tenant, person id.ID) ([]id.ID, error) {
	var programs []id.ID
	for last := (id.ID{}); ; programs = append(programs, last) {
		err := q.QueryRow(`SELECT program_id FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id > $3
			ORDER BY program_id LIMIT 1`, tenant, person, last).Scan(&last)
		if errors.Is(err, db.ErrNoRows) {
			return programs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("referral: look for a referrer's programs: %w", err)
		}
	}
}

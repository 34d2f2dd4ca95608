package referral

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// sender is who has sent people in a program.
type sender struct{ tenant, program, person id.ID }

func (r *Referral) sender() sender { return sender{r.TenantID, r.ProgramID, r.ReferrerID} }

// place is where a referral stands among those of its sender that are counted: by its id
// among those that have begun, and among those that were converted by what did that. One
// account that pays can convert many at once: then the referrals' ids decide.
type place struct{ Key, Referral id.ID }

// countStarted counts approved referrals that began before a place, and not before an
// id: up to so many, which is what it reads.
func countStarted(q db.Queryer, of sender, from id.ID, before place, upTo int64) (int64, error) {
	var n int64
	err := q.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3
		AND referrer_moderation = 'approved' AND id >= $4 AND id < $5 LIMIT $6) counted`,
		of.tenant, of.person, of.program, from, before.Key, upTo).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("referral: count referrals that began: %w", err)
	}
	return n, nil
}

// countConverted is countStarted for those that were converted.
func countConverted(q db.Queryer, of sender, from id.ID, before place, upTo int64) (int64, error) {
	var n int64
	err := q.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3
		AND referrer_moderation = 'approved' AND converted_by IS NOT NULL AND converted_by >= $4 AND (converted_by, id) < ($5, $6) LIMIT $7) counted`,
		of.tenant, of.person, of.program, from, before.Key, before.Referral, upTo).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("referral: count referrals that were converted: %w", err)
	}
	return n, nil
}

// startedAfter returns approved referrals that began after a place, in their order.
func startedAfter(q db.Queryer, of sender, after place, limit int) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3
		AND referrer_moderation = 'approved' AND id > $4 ORDER BY id LIMIT $5`,
		of.tenant, of.person, of.program, after.Key, limit)
}

// convertedAfter returns approved referrals that were converted after a place, in their
// order.
func convertedAfter(q db.Queryer, of sender, after place, limit int) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3
		AND referrer_moderation = 'approved' AND converted_by IS NOT NULL AND (converted_by, id) > ($4, $5) ORDER BY converted_by, id LIMIT $6`,
		of.tenant, of.person, of.program, after.Key, after.Referral, limit)
}

package reward

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `tenant_id, id, version, effect, placed, program_id, rule, rule_version, person_id, referral_id, audience, kind, amount, unit,
	name, source, def, code, details, state, held, given_at, due_at, available_at, expires_at, expires, zone, cancelled_at, cancel_reason,
	against, fixed, redeemed, clawback, lot, timed, limit_scope, limit_window, limit_taken, cause, updated_at`

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (*Reward, error) {
	var r Reward
	var effect, program, referral, cause []byte
	var details, scope, limit string
	var window, given, updated int64
	var due, available, expires, cancelled db.NullMicro
	err := row.Scan(&r.TenantID, &r.ID, &r.Version, &effect, &r.order, &program, &r.Rule, &r.RuleVersion, &r.PersonID, &referral, &r.Audience,
		&r.Kind, &r.Amount, &r.Unit, &r.Name, &r.Source, &r.Def, &r.Code, &details, &r.State, &r.Held, &given, &due, &available, &expires,
		&r.expires, &r.zoneName, &cancelled, &r.CancelReason, &r.against, &r.Fixed, &r.Redeemed, &r.clawback, &r.lot, &r.timed, &scope, &window, &limit,
		&cause, &updated)
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such reward")
	}
	if err != nil {
		return nil, fmt.Errorf("reward: read a reward: %w", err)
	}
	copy(r.ProgramID[:], program)
	copy(r.ReferralID[:], referral)
	copy(r.cause[:], cause)
	r.effect = string(effect)
	if details != "" {
		r.Details = json.RawMessage(details)
	}
	if scope != "" {
		r.limit = &taken{}
		if err := json.Unmarshal([]byte(limit), r.limit); err != nil {
			return nil, fmt.Errorf("reward: read what the reward %s takes of a limit: %w", r.ID, err)
		}
	}
	r.GivenAt, r.updated, r.DueAt, r.AvailableAt = db.FromMicro(given), db.FromMicro(updated), due.Time, available.Time
	r.ExpiresAt, r.CancelledAt = expires.Time, cancelled.Time
	return &r, nil
}

func (r *Reward) args(now time.Time) ([]any, error) {
	scope, window, limit := "", int64(0), ""
	if r.limit != nil {
		text, err := json.Marshal(r.limit)
		if err != nil {
			return nil, err
		}
		scope, window, limit = r.limit.Scope, r.limit.Start, string(text)
	}
	return []any{
		r.TenantID, r.ID, r.Version, []byte(r.effect), r.order, r.ProgramID.OrNull(), r.Rule, r.RuleVersion, r.PersonID, r.ReferralID.OrNull(),
		string(r.Audience), string(r.Kind), r.Amount, r.Unit, r.Name, r.Source, r.Def, r.Code, string(r.Details), string(r.State), r.Held,
		db.Micro(r.GivenAt),
		db.NullMicro{Time: r.DueAt},
		db.NullMicro{Time: r.AvailableAt},
		db.NullMicro{Time: r.ExpiresAt},
		r.expires, r.zoneName,
		db.NullMicro{Time: r.CancelledAt},
		r.CancelReason, int64(r.against), r.Fixed, r.Redeemed, string(r.clawback), string(r.lot), r.timed, scope, window, limit,
		r.cause.OrNull(), db.Micro(now),
	}, nil
}

func insert(tx *db.Tx, r *Reward, now time.Time) error {
	args, err := r.args(now)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO reward (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
		$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)`, args...)
	if err != nil {
		return fmt.Errorf("reward: store a reward: %w", err)
	}
	return nil
}

// update stores what may change about a reward.
func update(tx *db.Tx, r *Reward, now time.Time) error {
	args, err := r.args(now)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE reward SET version = $3, effect = $4, placed = $5, program_id = $6, rule = $7, rule_version = $8, person_id = $9,
		referral_id = $10, audience = $11, kind = $12, amount = $13, unit = $14, name = $15, source = $16, def = $17, code = $18, details = $19,
		state = $20, held = $21, given_at = $22, due_at = $23, available_at = $24, expires_at = $25, expires = $26, zone = $27,
		cancelled_at = $28, cancel_reason = $29, against = $30, fixed = $31, redeemed = $32, clawback = $33, lot = $34, timed = $35,
		limit_scope = $36, limit_window = $37, limit_taken = $38, cause = $39, updated_at = $40 WHERE tenant_id = $1 AND id = $2`, args...)
	if err != nil {
		return fmt.Errorf("reward: change a reward: %w", err)
	}
	return nil
}

func selectReward(q db.Queryer, tenant, of id.ID) (*Reward, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id = $2`, tenant, of))
}

func selectByEffect(q db.Queryer, tenant id.ID, effect string) (*Reward, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND effect = $2`, tenant, []byte(effect)))
}

func collect(q db.Queryer, query string, args ...any) ([]*Reward, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reward: read rewards: %w", err)
	}
	defer rows.Close()
	var rewards []*Reward
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		rewards = append(rewards, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reward: read rewards: %w", err)
	}
	return rewards, nil
}

// Get returns one of the tenant's rewards, or problem.NotFound.
func Get(q db.Queryer, tenant, of id.ID) (*Reward, error) { return selectReward(q, tenant, of) }

// Page is a part of a list, the latest first.
type Page struct {
	Before id.ID // the last one of the page before; zero: the first page
	Limit  int
}

func (p Page) before() id.ID {
	if p.Before.IsZero() {
		return id.Last()
	}
	return p.Before
}

// OfPerson returns a person's rewards, the latest first, without those that a limit
// refused.
func OfPerson(q db.Queryer, tenant, person id.ID, p Page) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND id < $3 AND state <> 'refused'
		ORDER BY id DESC LIMIT $4`, tenant, person, p.before(), p.Limit)
}

// OfReferral returns what a referral has led to, the earliest first, what a limit
// refused too.
func OfReferral(q db.Queryer, tenant, referral id.ID) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND referral_id = $2 AND referral_id IS NOT NULL
		ORDER BY id`, tenant, referral)
}

// List returns the tenant's rewards, the latest first, without those that a limit
// refused.
func List(q db.Queryer, tenant id.ID, p Page) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id < $2 AND state <> 'refused'
		ORDER BY id DESC LIMIT $3`, tenant, p.before(), p.Limit)
}

// selectRefused returns what a limit refused in a window, in the order of its causes.
func selectRefused(q db.Queryer, tenant id.ID, of *taken, limit int) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND limit_scope = $2 AND limit_window = $3 AND state = 'refused'
		ORDER BY placed, id LIMIT $4`, tenant, of.Scope, of.Start, limit)
}

// selectAllowed returns what a limit allowed in a window because of what happened
// later than something, the last first.
func selectAllowed(q db.Queryer, tenant id.ID, of *taken, after id.ID, limit int) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND limit_scope = $2 AND limit_window = $3 AND placed > $4
		AND limit_scope <> '' AND state <> 'refused' AND state <> 'cancelled' ORDER BY placed DESC LIMIT $5`,
		tenant, of.Scope, of.Start, after, limit)
}

// WaitingOf returns what a person was given that was never available, the earliest
// first: be it that it waits, or that it was refused or cancelled before.
func WaitingOf(q db.Queryer, tenant, person id.ID) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND available_at IS NULL ORDER BY id`, tenant, person)
}

// OfRule returns what a rule has given to a person, the earliest first.
func OfRule(q db.Queryer, tenant, person, program id.ID, rule string) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND program_id = $3 AND rule = $4
		ORDER BY id LIMIT $5`, tenant, person, program, rule, maxOfRule)
}

// maxOfRule is how many rewards of a rule for one person are looked at.
const maxOfRule = 10_000

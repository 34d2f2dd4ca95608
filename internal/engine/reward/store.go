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
	against, fixed, redeemed, clawback, lot, timed, limit_scope, limit_window, limit_taken, cause, updated_at,
	set_off`

// settled has the database see what the transaction has stored.
func settled(q db.Queryer) error {
	if tx, ok := q.(*db.Tx); ok {
		return tx.Flush()
	}
	return nil
}

// stored are the columns that are written: those, and what only queries look at.
const stored = columns + `, limit_fits`

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
		&cause, &updated, &r.SetOff)
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
	scope, window := "", int64(0)
	if r.limit != nil {
		scope, window = r.limit.Scope, r.limit.Start
	}
	limit, err := r.limit.text()
	if err != nil {
		return nil, err
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
		r.cause.OrNull(), db.Micro(now), r.SetOff, r.limit.fits(),
	}, nil
}

// text is what is stored of it besides its scope and window; nil: nothing.
func (l *taken) text() (string, error) {
	if l == nil {
		return "", nil
	}
	text, err := json.Marshal(l)
	return string(text), err
}

func insert(tx *db.Tx, r *Reward, now time.Time) error {
	args, err := r.args(now)
	if err != nil {
		return err
	}
	err = tx.Later(`INSERT INTO reward (`+stored+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
		$18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42)`, args, nil)
	if err != nil {
		return fmt.Errorf("reward: store a reward: %w", err)
	}
	return nil
}

// update stores what may change about a reward. It names no column that can't: an index
// of one would be written anew each time.
func update(tx *db.Tx, r *Reward, now time.Time) error {
	limit, err := r.limit.text()
	if err != nil {
		return err
	}
	forget(tx, r.ID)
	err = tx.Later(`UPDATE reward SET version = $3, amount = $4, code = $5, state = $6, held = $7, available_at = $8, expires_at = $9,
		cancelled_at = $10, cancel_reason = $11, against = $12, redeemed = $13, lot = $14, timed = $15, limit_taken = $16, cause = $17,
		updated_at = $18, set_off = $19, limit_fits = $20 WHERE tenant_id = $1 AND id = $2`, []any{
		r.TenantID, r.ID, r.Version, r.Amount, r.Code, string(r.State), r.Held,
		db.NullMicro{Time: r.AvailableAt},
		db.NullMicro{Time: r.ExpiresAt},
		db.NullMicro{Time: r.CancelledAt},
		r.CancelReason, int64(r.against), r.Redeemed, string(r.lot), r.timed, limit, r.cause.OrNull(),
		db.Micro(now), r.SetOff, r.limit.fits(),
	}, nil)
	if err != nil {
		return fmt.Errorf("reward: change a reward: %w", err)
	}
	return nil
}

// updateCause stores by what a reward was given.
func updateCause(tx *db.Tx, r *Reward) error {
	forget(tx, r.ID)
	if err := tx.Later(`UPDATE reward SET cause = $3 WHERE tenant_id = $1 AND id = $2`, []any{r.TenantID, r.ID, r.cause.OrNull()}, nil); err != nil {
		return fmt.Errorf("reward: change a reward: %w", err)
	}
	return nil
}

// updatePlace stores where what caused a reward stands now.
func updatePlace(tx *db.Tx, r *Reward) error {
	forget(tx, r.ID)
	if err := tx.Later(`UPDATE reward SET placed = $3 WHERE tenant_id = $1 AND id = $2`, []any{r.TenantID, r.ID, r.order}, nil); err != nil {
		return fmt.Errorf("reward: change a reward: %w", err)
	}
	return nil
}

// updateReferral stores in which referral a reward is given now, and as what.
func updateReferral(tx *db.Tx, r *Reward) error {
	forget(tx, r.ID)
	err := tx.Later(`UPDATE reward SET referral_id = $3, audience = $4 WHERE tenant_id = $1 AND id = $2`,
		[]any{r.TenantID, r.ID, r.ReferralID.OrNull(), string(r.Audience)}, nil)
	if err != nil {
		return fmt.Errorf("reward: change a reward: %w", err)
	}
	return nil
}

func selectReward(q db.Queryer, tenant, of id.ID) (*Reward, error) {
	if r := foreseen(q, tenant, of); r != nil {
		return r, nil
	}
	if err := settled(q); err != nil {
		return nil, err
	}
	return scan(q.QueryRow(selectOne, tenant, of))
}

func selectByEffect(q db.Queryer, tenant id.ID, effect string) (*Reward, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	return scan(q.QueryRow(`SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND effect = $2`, tenant, []byte(effect)))
}

func collect(q db.Queryer, query string, args ...any) ([]*Reward, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
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

// OfReferralTo returns the ids of what a referral has led to for one of its people, what
// a limit refused too.
func OfReferralTo(q db.Queryer, tenant, referral, person id.ID) ([]id.ID, error) {
	rows, err := q.Query(`SELECT id FROM reward WHERE tenant_id = $1 AND referral_id = $2 AND referral_id IS NOT NULL AND person_id = $3
		ORDER BY id`, tenant[:], referral[:], person[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []id.ID
	for rows.Next() {
		var of id.ID
		if err := rows.Scan(&of); err != nil {
			return nil, err
		}
		ids = append(ids, of)
	}
	return ids, rows.Err()
}

// List returns the tenant's rewards, the latest first, without those that a limit
// refused.
func List(q db.Queryer, tenant id.ID, p Page) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND id < $2 AND state <> 'refused'
		ORDER BY id DESC LIMIT $3`, tenant, p.before(), p.Limit)
}

// refusals are a part of what a limit refused in a window, in the order of its causes.
type refusals struct {
	of    *taken
	after *Reward // the last one of the part before; nil: the first part
	used  int64   // only what fits where so much is used
	limit int
}

func selectRefused(q db.Queryer, tenant id.ID, r refusals) ([]*Reward, error) {
	var placed, last id.ID
	if r.after != nil {
		placed, last = r.after.order, r.after.ID
	}
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND limit_scope = $2 AND limit_window = $3 AND (placed, id) > ($4, $5)
		AND limit_fits >= $6 AND state = 'refused' ORDER BY placed, id LIMIT $7`, tenant, r.of.Scope, r.of.Start, placed, last, r.used, r.limit)
}

// allowances are a part of what a limit allowed in a window because of what happened
// later than something, the last first.
type allowances struct {
	of     *taken
	after  id.ID
	before *Reward // the last one of the part before; nil: the first part
	limit  int
}

func selectAllowed(q db.Queryer, tenant id.ID, a allowances) ([]*Reward, error) {
	placed, last := id.Last(), id.Last()
	if a.before != nil {
		placed, last = a.before.order, a.before.ID
	}
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND limit_scope = $2 AND limit_window = $3 AND placed > $4
		AND (placed, id) < ($5, $6) AND limit_scope <> '' AND state <> 'refused' AND state <> 'cancelled' ORDER BY placed DESC, id DESC LIMIT $7`,
		tenant, a.of.Scope, a.of.Start, a.after, placed, last, a.limit)
}

// WaitingOf returns what a person was given that was never available, the earliest
// first: be it that it waits, or that it was cancelled before; and all that was refused.
func WaitingOf(q db.Queryer, tenant, person id.ID) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND (available_at IS NULL OR state = 'refused') ORDER BY id`, tenant, person)
}

// OfRule returns what a rule has given to a person, the earliest first.
func OfRule(q db.Queryer, tenant, person, program id.ID, rule string) ([]*Reward, error) {
	return collect(q, `SELECT `+columns+` FROM reward WHERE tenant_id = $1 AND person_id = $2 AND program_id = $3 AND rule = $4
		ORDER BY id LIMIT $5`, tenant, person, program, rule, maxOfRule)
}

// maxOfRule is how many rewards of a rule for one person are looked at.
const maxOfRule = 10_000

package referral

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `tenant_id, id, version, program_id, program_key, referrer_id, referred_id, code, engagement, share, method, touch_id, state,
	started_at, converted_at, ended_at, end_reason, referrer_moderation, referred_moderation, moderated_at, auto_moderated_at, by_hand,
	signals, ip, device, email, converted_by`

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (*Referral, error) {
	var r Referral
	var touch, by []byte
	var engagement, share, signals string
	var started int64
	var converted, ended, moderated, auto db.NullMicro
	err := row.Scan(&r.TenantID, &r.ID, &r.Version, &r.ProgramID, &r.ProgramKey, &r.ReferrerID, &r.ReferredID, &r.Code, &engagement, &share, &r.Method,
		&touch, &r.State, &started, &converted, &ended, &r.EndReason, &r.Referrer, &r.Referred, &moderated, &auto, &r.ByHand, &signals,
		&r.ip, &r.device, &r.email, &by)
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such referral")
	}
	if err != nil {
		return nil, fmt.Errorf("referral: read a referral: %w", err)
	}
	copy(r.TouchID[:], touch)
	copy(r.convertedBy[:], by)
	r.Link = code.Link{Engagement: code.Engagement(engagement), Share: code.Share(share)}
	r.StartedAt, r.ConvertedAt, r.EndedAt = db.FromMicro(started), converted.Time, ended.Time
	r.ModeratedAt, r.AutoModeratedAt = moderated.Time, auto.Time
	if signals != "" {
		if err := json.Unmarshal([]byte(signals), &r.Signals); err != nil {
			return nil, fmt.Errorf("referral: read the signals of the referral %s: %w", r.ID, err)
		}
	}
	return &r, nil
}

func (r *Referral) args() ([]any, error) {
	signals := ""
	if len(r.Signals) > 0 {
		text, err := json.Marshal(r.Signals)
		if err != nil {
			return nil, err
		}
		signals = string(text)
	}
	address := r.email
	if form, ok := email.Normalize(r.email); ok {
		address = form
	}
	return []any{
		r.TenantID, r.ID, r.Version, r.ProgramID, r.ProgramKey, r.ReferrerID, r.ReferredID, r.Code, string(r.Link.Engagement), string(r.Link.Share),
		string(r.Method), r.TouchID.OrNull(), string(r.State), db.Micro(r.StartedAt),
		db.NullMicro{Time: r.ConvertedAt},
		db.NullMicro{Time: r.EndedAt},
		r.EndReason, string(r.Referrer), string(r.Referred),
		db.NullMicro{Time: r.ModeratedAt},
		db.NullMicro{Time: r.AutoModeratedAt},
		r.ByHand,
		signals, r.ip, r.device, address, r.convertedBy.OrNull(),
	}, nil
}

func insert(tx *db.Tx, r *Referral) error {
	args, err := r.args()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO referral (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
		$19, $20, $21, $22, $23, $24, $25, $26, $27)`, args...)
	if err != nil {
		return fmt.Errorf("referral: store a referral: %w", err)
	}
	shard := int(r.ID[len(r.ID)-1]) % shards
	err = tx.Later(`INSERT INTO referral_count (tenant_id, shard, referrals) VALUES ($1, $2, 1)
		ON CONFLICT (tenant_id, shard) DO UPDATE SET referrals = referral_count.referrals + 1`, []any{r.TenantID, shard}, nil)
	if err != nil {
		return fmt.Errorf("referral: count referrals: %w", err)
	}
	return nil
}

// shards is over how many rows a tenant's referrals are counted, so that those who
// start them do not wait for each other.
const shards = 16

// Count returns how many referrals the tenant has, in the same time however many.
func Count(q db.Queryer, tenant id.ID) (int64, error) {
	var n int64
	err := q.QueryRow(`SELECT CAST(coalesce(sum(referrals), 0) AS BIGINT) FROM referral_count WHERE tenant_id = $1`, tenant).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("referral: count referrals: %w", err)
	}
	return n, nil
}

// update stores what may change about a referral.
func update(tx *db.Tx, r *Referral) error {
	args, err := r.args()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE referral SET version = $3, program_id = $4, program_key = $5, referrer_id = $6, referred_id = $7, code = $8,
		engagement = $9, share = $10, method = $11, touch_id = $12, state = $13, started_at = $14, converted_at = $15, ended_at = $16,
		end_reason = $17, referrer_moderation = $18, referred_moderation = $19, moderated_at = $20, auto_moderated_at = $21, by_hand = $22,
		signals = $23, ip = $24, device = $25, email = $26, converted_by = $27 WHERE tenant_id = $1 AND id = $2`, args...)
	if err != nil {
		return fmt.Errorf("referral: change a referral: %w", err)
	}
	return nil
}

func selectReferral(q db.Queryer, tenant, of id.ID) (*Referral, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND id = $2`, tenant, of))
}

// byReferred returns by what a person was referred in a program, or
// problem.NotFound.
func byReferred(q db.Queryer, tenant, program, person id.ID) (*Referral, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referred_id = $2 AND program_id = $3`, tenant, person, program))
}

// referrerOf returns who has referred a person in a program; zero: nobody.
func referrerOf(q db.Queryer, tenant, program, person id.ID) (id.ID, error) {
	var referrer id.ID
	err := q.QueryRow(`SELECT referrer_id FROM referral WHERE tenant_id = $1 AND referred_id = $2 AND program_id = $3`, tenant, person, program).
		Scan(&referrer)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return id.ID{}, fmt.Errorf("referral: read a referral: %w", err)
	}
	return referrer, nil
}

// hasReferred reports whether a person had referred anybody in a program when
// something happened.
func hasReferred(q db.Queryer, tenant, program id.ID, h effect.Happening) (bool, error) {
	until := Page{}.before()
	if h.Activity != nil {
		until = h.Key
	}
	has := false
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3 AND id < $4)`,
		tenant, h.Person, program, until).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("referral: look for referrals: %w", err)
	}
	return has, nil
}

func collect(q db.Queryer, query string, args ...any) ([]*Referral, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("referral: read referrals: %w", err)
	}
	defer rows.Close()
	var referrals []*Referral
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		referrals = append(referrals, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("referral: read referrals: %w", err)
	}
	return referrals, nil
}

// OfReferred returns by what a person was referred, in all programs, the earliest
// first.
func OfReferred(q db.Queryer, tenant, person id.ID) ([]*Referral, error) {
	all, err := collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referred_id = $2`, tenant, person)
	// One for each program at most. SQLite would read all referrals to have them in order.
	slices.SortFunc(all, func(a, b *Referral) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all, err
}

// earlier is what later referrals of the same referrer are judged by.
type earlier struct {
	ID, ReferredID    id.ID
	StartedAt         time.Time
	ip, device, email string
	signals           string // as they are stored
}

// sentIn returns whom a person has referred in a program, the latest first.
func sentIn(q db.Queryer, tenant, program, person id.ID, limit int) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3
		ORDER BY id DESC LIMIT $4`, tenant, person, program, limit)
}

// recentOf returns the latest referrals of a referrer in a program, the latest
// first.
func recentOf(q db.Queryer, tenant, program, person id.ID, limit int) ([]earlier, error) {
	rows, err := q.Query(`SELECT id, referred_id, started_at, ip, device, email, signals FROM referral
		WHERE tenant_id = $1 AND referrer_id = $2 AND program_id = $3 ORDER BY id DESC LIMIT $4`, tenant, person, program, limit)
	if err != nil {
		return nil, fmt.Errorf("referral: read earlier referrals: %w", err)
	}
	defer rows.Close()
	var all []earlier
	for rows.Next() {
		var e earlier
		var started int64
		if err := rows.Scan(&e.ID, &e.ReferredID, &started, &e.ip, &e.device, &e.email, &e.signals); err != nil {
			return nil, fmt.Errorf("referral: read an earlier referral: %w", err)
		}
		e.StartedAt = db.FromMicro(started)
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("referral: read earlier referrals: %w", err)
	}
	return all, nil
}

// Page is a part of a list, the latest first.
type Page struct {
	Before id.ID // the last one of the page before; zero: the first page
	Offset int   // further ones to pass over
	Limit  int
}

func (p Page) before() id.ID {
	if p.Before.IsZero() {
		return id.Last()
	}
	return p.Before
}

// List returns the tenant's referrals, the latest first.
func List(q db.Queryer, tenant id.ID, p Page) ([]*Referral, error) {
	return collect(q, `SELECT `+columns+` FROM referral WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3 OFFSET $4`,
		tenant, p.before(), p.Limit, p.Offset)
}

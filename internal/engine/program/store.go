package program

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `p.tenant_id, p.id, p.key, p.kind, p.name, p.status, p.starts_at, p.ends_at, p.zone, p.unit, p.settings,
	p.rules_version, p.version, p.created_at, p.updated_at, r.rules, r.created_at`

var errNoProgram = problem.NotFound.New("there is no such program")

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func (s *Service) scan(row scanner) (*Program, error) {
	var p Program
	var zone, settings, rules string
	var starts, ends db.NullMicro
	var created, updated, since int64
	err := row.Scan(&p.TenantID, &p.ID, &p.Key, &p.Kind, &p.Name, &p.Status, &starts, &ends, &zone, &p.Unit, &settings,
		&p.RulesVersion, &p.Version, &created, &updated, &rules, &since)
	if errors.Is(err, db.ErrNoRows) {
		return nil, errNoProgram
	}
	if err != nil {
		return nil, fmt.Errorf("program: read a program: %w", err)
	}
	p.Settings, p.StartsAt, p.EndsAt = json.RawMessage(settings), starts.Time, ends.Time
	p.CreatedAt, p.UpdatedAt, p.rulesSince = db.FromMicro(created), db.FromMicro(updated), db.FromMicro(since)
	if p.Zone, err = s.rules.zone(zone); err != nil {
		return nil, fmt.Errorf("program: the time zone of the program %s: %w", p.ID, err)
	}
	if p.Rules, err = s.rules.of(p.ID, p.RulesVersion, rules); err != nil {
		return nil, fmt.Errorf("program: the rules of the program %s: %w", p.ID, err)
	}
	return &p, nil
}

const from = ` FROM program p JOIN rule_set r ON r.tenant_id = p.tenant_id AND r.program_id = p.id AND r.version = p.rules_version `

// Get returns one of the tenant's programs, or problem.NotFound.
func (s *Service) Get(q db.Queryer, tenant, of id.ID) (*Program, error) {
	return s.scan(q.QueryRow(`SELECT `+columns+from+`WHERE p.tenant_id = $1 AND p.id = $2`, tenant, of))
}

// ByKey returns the tenant's program with the key, or problem.NotFound.
func (s *Service) ByKey(q db.Queryer, tenant id.ID, key string) (*Program, error) {
	return s.scan(q.QueryRow(`SELECT `+columns+from+`WHERE p.tenant_id = $1 AND p.key = $2`, tenant, key))
}

// List returns the tenant's programs, the earliest first.
func (s *Service) List(q db.Queryer, tenant id.ID) ([]*Program, error) {
	rows, err := q.Query(`SELECT `+columns+from+`WHERE p.tenant_id = $1 ORDER BY p.id`, tenant)
	if err != nil {
		return nil, fmt.Errorf("program: read programs: %w", err)
	}
	defer rows.Close()
	var programs []*Program
	for rows.Next() {
		p, err := s.scan(rows)
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("program: read programs: %w", err)
	}
	return programs, nil
}

// Running returns the tenant's programs of a kind in which something new may begin
// now, the earliest first.
func (s *Service) Running(q db.Queryer, tenant id.ID, kind string, now time.Time) ([]*Program, error) {
	all, err := s.List(q, tenant)
	var running []*Program
	for _, p := range all {
		if p.Kind == kind && p.Runs(now) {
			running = append(running, p)
		}
	}
	return running, err
}

// RulesAt returns the rules that held at a time, and their version: those by which
// what happened then is judged, however they were edited since.
func (s *Service) RulesAt(q db.Queryer, p *Program, at time.Time) (*rule.Set, int64, error) {
	if !at.Before(p.rulesSince) {
		return p.Rules, p.RulesVersion, nil
	}
	var version int64
	var raw string
	err := q.QueryRow(`SELECT version, rules FROM rule_set WHERE tenant_id = $1 AND program_id = $2 AND created_at <= $3
		ORDER BY version DESC LIMIT 1`, p.TenantID, p.ID, db.Micro(at)).Scan(&version, &raw)
	if errors.Is(err, db.ErrNoRows) {
		return p.Rules, p.RulesVersion, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("program: read rules: %w", err)
	}
	set, err := s.rules.of(p.ID, version, raw)
	return set, version, err
}

// RuleSets returns the versions of a program's rules, the latest first.
func (s *Service) RuleSets(q db.Queryer, tenant, of id.ID, limit int) ([]RuleSet, error) {
	rows, err := q.Query(`SELECT version, rules, created_at FROM rule_set WHERE tenant_id = $1 AND program_id = $2
		ORDER BY version DESC LIMIT $3`, tenant, of, limit)
	if err != nil {
		return nil, fmt.Errorf("program: read rules: %w", err)
	}
	defer rows.Close()
	var sets []RuleSet
	for rows.Next() {
		var set RuleSet
		var rules string
		var created int64
		if err := rows.Scan(&set.Version, &rules, &created); err != nil {
			return nil, fmt.Errorf("program: read rules: %w", err)
		}
		set.Rules, set.CreatedAt = json.RawMessage(rules), db.FromMicro(created)
		sets = append(sets, set)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("program: read rules: %w", err)
	}
	return sets, nil
}

// selectRules returns a version of a program's rules, or problem.NotFound.
func selectRules(q db.Queryer, p *Program, version int64) (RuleSet, error) {
	set := RuleSet{Version: version}
	var rules string
	var created int64
	err := q.QueryRow(`SELECT rules, created_at FROM rule_set WHERE tenant_id = $1 AND program_id = $2 AND version = $3`, p.TenantID, p.ID, version).
		Scan(&rules, &created)
	if errors.Is(err, db.ErrNoRows) {
		return RuleSet{}, problem.NotFound.New("there is no such version of the rules")
	}
	if err != nil {
		return RuleSet{}, fmt.Errorf("program: read rules: %w", err)
	}
	set.Rules, set.CreatedAt = json.RawMessage(rules), db.FromMicro(created)
	return set, nil
}

func insert(tx *db.Tx, p *Program) error {
	_, err := tx.Exec(`INSERT INTO program (tenant_id, id, key, kind, name, status, starts_at, ends_at, zone, unit, settings,
		rules_version, version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`, p.args()...)
	if err != nil {
		return fmt.Errorf("program: store a program: %w", err)
	}
	return nil
}

func (p *Program) args() []any {
	return []any{
		p.TenantID, p.ID, p.Key, p.Kind, p.Name, string(p.Status),
		db.NullMicro{Time: p.StartsAt},
		db.NullMicro{Time: p.EndsAt},
		p.Zone.String(), p.Unit,
		string(p.Settings), p.RulesVersion, p.Version, db.Micro(p.CreatedAt), db.Micro(p.UpdatedAt),
	}
}

func update(tx *db.Tx, p *Program) error {
	_, err := tx.Exec(`UPDATE program SET key = $3, kind = $4, name = $5, status = $6, starts_at = $7, ends_at = $8, zone = $9, unit = $10,
		settings = $11, rules_version = $12, version = $13, created_at = $14, updated_at = $15 WHERE tenant_id = $1 AND id = $2`, p.args()...)
	if err != nil {
		return fmt.Errorf("program: change a program: %w", err)
	}
	return nil
}

func insertRules(tx *db.Tx, p *Program, at time.Time) error {
	_, err := tx.Exec(`INSERT INTO rule_set (tenant_id, program_id, version, rules, created_at) VALUES ($1, $2, $3, $4, $5)`,
		p.TenantID, p.ID, p.RulesVersion, string(p.Rules.JSON()), db.Micro(at))
	if err != nil {
		return fmt.Errorf("program: store rules: %w", err)
	}
	return nil
}

// Enter has a person be in a program, who is not in it: see [MembershipOf].
func Enter(tx *db.Tx, p *Program, person id.ID, at time.Time) (Membership, error) {
	m := Membership{ID: id.New(tx.Now()), TenantID: p.TenantID, ProgramID: p.ID, PersonID: person, JoinedAt: at}
	err := tx.Later(`INSERT INTO membership (tenant_id, person_id, program_id, id, joined_at) VALUES ($1, $2, $3, $4, $5)`,
		[]any{m.TenantID, m.PersonID, m.ProgramID, m.ID, db.Micro(at)}, nil)
	if err != nil {
		return Membership{}, fmt.Errorf("program: store a membership: %w", err)
	}
	return m, nil
}

// MembershipOf returns a person's membership in a program, or problem.NotFound.
func MembershipOf(q db.Queryer, tenant, program, person id.ID) (Membership, error) {
	m := Membership{TenantID: tenant, ProgramID: program, PersonID: person}
	var joined int64
	err := q.QueryRow(`SELECT id, joined_at FROM membership WHERE tenant_id = $1 AND person_id = $2 AND program_id = $3`, tenant, person, program).
		Scan(&m.ID, &joined)
	if errors.Is(err, db.ErrNoRows) {
		return Membership{}, problem.NotFound.New("the person is not in the program")
	}
	if err != nil {
		return Membership{}, fmt.Errorf("program: read a membership: %w", err)
	}
	m.JoinedAt = db.FromMicro(joined)
	return m, nil
}

package program

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Service creates and changes programs. Its methods may be called concurrently.
type Service struct {
	db    *db.DB
	kinds []Kind
	rules *parsed
	pairs knownPairs
}

// NewService returns a service for programs of these kinds.
func NewService(d *db.DB, kinds ...Kind) *Service {
	return &Service{db: d, kinds: kinds, rules: newParsed()}
}

// maxPrograms bounds how many programs a tenant has, since each command asks all
// of them.
const maxPrograms = 100

var keyFormat = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// Create stores a program. It returns problem.Invalid with everything that is wrong,
// and problem.Conflict if the tenant has one with the key.
func (s *Service) Create(ctx context.Context, tenant id.ID, n New) (*Program, error) {
	p := &Program{
		TenantID: tenant, Key: n.Key, Kind: n.Kind, Name: n.Name, Status: n.Status, StartsAt: n.StartsAt, EndsAt: n.EndsAt, Unit: n.Unit,
		RulesVersion: 1, Version: 1,
	}
	if p.Status == "" {
		p.Status = Active
	}
	if p.Name == "" {
		p.Name = p.Key
	}
	var checks problem.Checks
	if !keyFormat.MatchString(p.Key) {
		checks.Add("key", "must be 1 to 64 small letters, digits, '-' or '_', and begin with a letter or a digit")
	}
	kind, known := s.kind(p.Kind)
	if !known {
		checks.Add("kind", "must be %s", s.kindNames())
	}
	s.setZone(&checks, p, n.Zone)
	s.check(&checks, p)
	if known {
		var err error
		p.Settings, err = kind.Check(n.Settings)
		checks.AddError("settings", err)
	}
	raw := n.Rules
	if len(raw) == 0 {
		raw = json.RawMessage("[]")
	}
	var err error
	p.Rules, err = rule.Parse("rules", raw, kind.rulesOf(p))
	checks.AddError("rules", err)
	if err := checks.Err(); err != nil {
		return nil, err
	}
	err = s.db.WriteKey(ctx, tenant.String()+"/programs", func(tx *db.Tx) error {
		p.ID, p.CreatedAt, p.UpdatedAt = id.New(tx.Now()), tx.Now(), tx.Now()
		return s.store(ctx, tx, p)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *Service) store(ctx context.Context, tx *db.Tx, p *Program) error {
	all, err := s.List(tx, p.TenantID)
	switch {
	case err != nil:
		return err
	case len(all) >= maxPrograms:
		return problem.Conflict.New("the tenant has %d programs, which is as many as there may be", maxPrograms)
	case slices.ContainsFunc(all, func(other *Program) bool { return other.Key == p.Key }):
		return problem.Conflict.New("the tenant has a program with this key already")
	}
	if err := insert(tx, p); err != nil {
		return err
	}
	if err := insertRules(tx, p, tx.Now()); err != nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Change{
		TenantID: p.TenantID, Action: audit.ProgramCreated, ObjectID: ProgramID.Format(p.ID), Fields: []audit.Field{{Name: "key", After: p.Key}},
	})
}

func (s *Service) kind(name string) (Kind, bool) {
	i := slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return s.kinds[i], true
}

func (s *Service) kindNames() string {
	names := make([]string, len(s.kinds))
	for i, k := range s.kinds {
		names[i] = k.Name
	}
	return strings.Join(names, " or ")
}

func (s *Service) setZone(checks *problem.Checks, p *Program, name string) {
	var err error
	if p.Zone, err = time.LoadLocation(name); err != nil || name == "Local" {
		checks.Add("time_zone", "must be a name of the IANA time zone database, such as Europe/Berlin")
		p.Zone = time.UTC
	}
}

func (s *Service) check(checks *problem.Checks, p *Program) {
	if n := utf8.RuneCountInString(p.Name); n > 200 || strings.ContainsFunc(p.Name, unicode.IsControl) {
		checks.Add("name", "must have at most 200 characters, all of which can be seen")
	}
	if !slices.Contains(Statuses, p.Status) {
		checks.Add("status", "must be draft, active, paused or ended")
	}
	if !p.EndsAt.IsZero() && !p.EndsAt.After(p.StartsAt) {
		checks.Add("ends_at", "must be after starts_at")
	}
	if len(p.Unit) > 32 || strings.ContainsFunc(p.Unit, unicode.IsControl) {
		checks.Add("unit", "must have at most 32 characters")
	}
}

// Update changes a program. Without a difference it changes nothing.
func (s *Service) Update(ctx context.Context, tenant, of id.ID, patch Patch) (*Program, error) {
	var p *Program
	err := s.db.WriteKey(ctx, tenant.String()+"/programs", func(tx *db.Tx) error {
		var err error
		if p, err = s.Get(tx, tenant, of); err != nil {
			return err
		}
		changed, err := s.apply(p, patch)
		if err != nil || len(changed) == 0 {
			return err
		}
		p.Version++
		p.UpdatedAt = tx.Now()
		if err := update(tx, p); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{TenantID: tenant, Action: audit.ProgramUpdated, ObjectID: ProgramID.Format(p.ID), Fields: changed})
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *Service) apply(p *Program, patch Patch) ([]audit.Field, error) {
	var changed []audit.Field
	var checks problem.Checks
	if patch.Name != nil && *patch.Name != p.Name {
		p.Name, changed = *patch.Name, append(changed, audit.Field{Name: "name"})
	}
	if patch.Status != nil && *patch.Status != p.Status {
		changed = append(changed, audit.Field{Name: "status", After: string(*patch.Status)})
		p.Status = *patch.Status
	}
	if patch.StartsAt != nil && !patch.StartsAt.Equal(p.StartsAt) {
		p.StartsAt, changed = *patch.StartsAt, append(changed, audit.Field{Name: "starts_at"})
	}
	if patch.EndsAt != nil && !patch.EndsAt.Equal(p.EndsAt) {
		p.EndsAt, changed = *patch.EndsAt, append(changed, audit.Field{Name: "ends_at"})
	}
	if patch.Zone != nil && *patch.Zone != p.Zone.String() {
		s.setZone(&checks, p, *patch.Zone)
		changed = append(changed, audit.Field{Name: "time_zone"})
	}
	if patch.Unit != nil && *patch.Unit != p.Unit {
		p.Unit, changed = *patch.Unit, append(changed, audit.Field{Name: "unit"})
	}
	s.check(&checks, p)
	if patch.Unit != nil && p.Unit == "" {
		if r, lacks := p.Rules.LacksUnit(); lacks {
			checks.Add("unit", "is required, since the rule %s gives in it: name a unit there first", r.Key)
		}
	}
	if patch.Settings != nil {
		kind, _ := s.kind(p.Kind)
		settings, err := kind.Check(*patch.Settings)
		checks.AddError("settings", err)
		if string(settings) != string(p.Settings) {
			p.Settings, changed = settings, append(changed, audit.Field{Name: "settings"})
		}
	}
	return changed, checks.Err()
}

// SetRules replaces a program's rules by a new version. Rules that are the same
// change nothing.
func (s *Service) SetRules(ctx context.Context, tenant, of id.ID, raw json.RawMessage) (*Program, error) {
	var p *Program
	err := s.db.WriteKey(ctx, tenant.String()+"/programs", func(tx *db.Tx) error {
		var err error
		if p, err = s.Get(tx, tenant, of); err != nil {
			return err
		}
		if p.Rules.Is(raw) {
			return nil
		}
		set, err := s.ReadRules(p, raw)
		if err != nil {
			return err
		}
		p.Rules = set
		p.RulesVersion++
		p.Version++
		p.UpdatedAt = tx.Now()
		if err := update(tx, p); err != nil {
			return err
		}
		if err := insertRules(tx, p, tx.Now()); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{
			TenantID: tenant, Action: audit.ProgramRulesChanged, ObjectID: ProgramID.Format(p.ID),
			Fields: []audit.Field{{Name: "rules_version", After: fmt.Sprint(p.RulesVersion)}},
		})
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ReadRules reads and checks rules as those of the program would have to be.
func (s *Service) ReadRules(p *Program, raw json.RawMessage) (*rule.Set, error) {
	kind, _ := s.kind(p.Kind)
	return rule.Parse("rules", raw, kind.rulesOf(p))
}

// rulesOf says what the rules of a program may do.
func (k Kind) rulesOf(p *Program) rule.Options {
	options := k.Rules
	if options.World != nil {
		world := *options.World
		world.Unit = p.Unit
		options.World = &world
	}
	return options
}

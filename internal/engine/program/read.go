package program

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Named returns the tenant's program with the id, as it is shown, or with the key;
// where one looks like the other the id wins. It returns problem.NotFound where
// there is neither.
func (s *Service) Named(ctx context.Context, tenant id.ID, named string) (*Program, error) {
	return read(ctx, s.db, func(q db.Queryer) (*Program, error) {
		if of, err := ProgramID.Parse(named); err == nil {
			return s.Get(q, tenant, of)
		}
		return s.ByKey(q, tenant, named)
	})
}

// All returns the tenant's programs, the earliest first. There are at most a hundred.
func (s *Service) All(ctx context.Context, tenant id.ID) ([]*Program, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]*Program, error) { return s.List(q, tenant) })
}

// listed is under what a transaction keeps a tenant's programs.
type listed id.ID

// ListOnce returns the tenant's programs as List does, and reads them once in a
// transaction, in which they must not change.
func (s *Service) ListOnce(tx *db.Tx, tenant id.ID) ([]*Program, error) {
	if known, ok := tx.Kept(listed(tenant)).([]*Program); ok {
		return known, nil
	}
	programs, err := s.List(tx, tenant)
	if err == nil {
		tx.Keep(listed(tenant), programs)
	}
	return programs, err
}

// maxVersions is how many versions of rules are shown.
const maxVersions = 250

// Versions returns the latest 250 versions of a program's rules, the latest first.
func (s *Service) Versions(ctx context.Context, p *Program) ([]RuleSet, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]RuleSet, error) { return s.RuleSets(q, p.TenantID, p.ID, maxVersions) })
}

// RulesOf returns a version of a program's rules, or problem.NotFound.
func (s *Service) RulesOf(ctx context.Context, p *Program, version int64) (RuleSet, error) {
	return read(ctx, s.db, func(q db.Queryer) (RuleSet, error) { return selectRules(q, p, version) })
}

// read runs fn on a snapshot.
func read[T any](ctx context.Context, d *db.DB, fn func(q db.Queryer) (T, error)) (T, error) {
	var found T
	err := d.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = fn(q)
		return err
	})
	return found, err
}

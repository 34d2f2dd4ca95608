package tenant

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// topic is that of tenants, their keys and settings: of all that is kept in memory
// here.
const topic = "tenant"

// heard forgets what another process has changed: all that is known of a tenant,
// or, of the zero ID, of all of them.
func (s *Service) heard(_ context.Context, tenant id.ID) {
	s.principals.drop(func(_ hash, e *entry) bool { return tenant.IsZero() || e.principal.Tenant.ID == tenant })
	s.speakers.drop(func(of speaking, _ *speaker) bool { return tenant.IsZero() || of.tenant == tenant })
}

// forgetTenant forgets, once tx is committed, all that is known of the tenant.
func (s *Service) forgetTenant(tx *db.Tx, tenant id.ID) error {
	tx.After(func() { s.heard(context.Background(), tenant) })
	return s.tell(tx, tenant)
}

// forgetIdentities forgets, once tx is committed, how the tenant speaks the
// dialect.
func (s *Service) forgetIdentities(tx *db.Tx, tenant id.ID, dialect string) error {
	tx.After(func() {
		s.speakers.drop(func(of speaking, _ *speaker) bool { return of == speaking{tenant, dialect} })
	})
	return s.tell(tx, tenant)
}

// forgetKeys forgets, once tx is committed, who has the tenant's keys of a
// dialect and how the tenant speaks it.
func (s *Service) forgetKeys(tx *db.Tx, tenant id.ID, dialect string) error {
	tx.After(func() {
		s.principals.drop(func(_ hash, e *entry) bool {
			return e.principal.Tenant.ID == tenant && e.principal.Dialect == dialect
		})
	})
	return s.forgetIdentities(tx, tenant, dialect)
}

// tell has the other processes forget the tenant.
func (s *Service) tell(tx *db.Tx, tenant id.ID) error {
	if s.feed == nil {
		return nil
	}
	return s.feed.Changed(tx, topic, tenant)
}

package tenant

import (
	"context"
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Principal returns who has one of a tenant's keys, at now, as Authenticate does
// for whoever shows the key itself: for a session that began with the key and
// must end with it. It returns problem.Unauthenticated for a key that is
// unknown, revoked or expired, and for that of a tenant that was deleted.
func (s *Service) Principal(ctx context.Context, tenant, key id.ID, now time.Time) (Principal, error) {
	var k Key
	var t Tenant
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if k, err = keyByID(q, tenant, key); err != nil {
			return err
		}
		t, err = tenantByID(q, tenant)
		return err
	})
	switch {
	case errors.Is(err, db.ErrNoRows):
		return Principal{}, unauthenticated()
	case err != nil:
		return Principal{}, err
	case !k.RevokedAt.IsZero() || expired(k.ExpiresAt, now):
		return Principal{}, unauthenticated()
	}
	return Principal{KeyID: k.ID, KeyName: k.Name, KeyHint: k.Hint, Tenant: t, Scopes: k.Scopes, ExpiresAt: k.ExpiresAt}, nil
}

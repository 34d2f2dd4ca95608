package tenant

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// maxOverlap is how long a key that was rolled may go on.
const maxOverlap = 7 * 24 * time.Hour

// Options are the settings of New. The zero value works.
type Options struct {
	// OnDelete is called inside the transaction that deletes a tenant, so that
	// other packages end what is theirs. The tenant can't be found any more. An
	// error keeps the tenant, and Delete returns it.
	OnDelete func(tx *db.Tx, tenant id.ID) error

	// CachedKeys is how many keys' principals are kept in memory at most; zero:
	// 10,000.
	CachedKeys int
}

// Service is the tenants and keys of one database. All methods may be called
// concurrently. Those that look for a tenant or a key return problem.NotFound
// if there is none, and for a key of another tenant as if there were none.
type Service struct {
	db         *db.DB
	onDelete   func(tx *db.Tx, tenant id.ID) error
	principals *principals
	admin      atomic.Pointer[hash] // nil: no admin key is accepted
}

// New returns the service of d. It accepts no admin key until EnsureAdminKey
// was called.
func New(d *db.DB, opts Options) (*Service, error) {
	if d == nil {
		return nil, errors.New("tenant: there is no database")
	}
	if opts.CachedKeys < 0 {
		return nil, errors.New("tenant: CachedKeys must not be negative")
	}
	if opts.CachedKeys == 0 {
		opts.CachedKeys = 10_000
	}
	if opts.OnDelete == nil {
		opts.OnDelete = func(*db.Tx, id.ID) error { return nil }
	}
	return &Service{db: d, onDelete: opts.OnDelete, principals: newPrincipals(opts.CachedKeys)}, nil
}

// Create makes a tenant with its first key, "default", which has all scopes and
// does not expire. It returns the tenant, the key, and the key's plaintext,
// which can't be had again. It returns problem.Invalid for a bad alias and
// problem.AliasTaken for that of another living tenant.
func (s *Service) Create(ctx context.Context, n NewTenant) (Tenant, Key, string, error) {
	var c problem.Checks
	checkAlias(&c, n.Alias)
	if err := c.Err(); err != nil {
		return Tenant{}, Key{}, "", err
	}
	var t Tenant
	var key storedKey
	var plaintext string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t = Tenant{ID: id.New(tx.Now()), Alias: n.Alias, Live: n.Live, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		if err := aliasFree(tx, n.Alias); err != nil {
			return err
		}
		if err := insertTenant(tx, t); err != nil {
			return err
		}
		key, plaintext = makeKey(t, tx.Now(), NewKey{Name: "default", Scopes: AllScopes()})
		return insertKey(tx, key)
	})
	if err != nil {
		return Tenant{}, Key{}, "", err
	}
	return t, key.Key, plaintext, nil
}

// Get returns a tenant.
func (s *Service) Get(ctx context.Context, tenant id.ID) (Tenant, error) {
	var t Tenant
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		t, err = living(q, tenant)
		return err
	})
	return t, err
}

// ByAlias returns the living tenant that has the alias.
func (s *Service) ByAlias(ctx context.Context, alias string) (Tenant, error) {
	var t Tenant
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		t, err = tenantByAlias(q, alias)
		return noTenant(err)
	})
	return t, err
}

// List returns the tenants of a page, and the After of the next page: zero if
// there is none.
func (s *Service) List(ctx context.Context, page Page) ([]Tenant, id.ID, error) {
	var read []Tenant
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		read, err = tenantsAfter(q, page.After, page.limit()+1)
		return err
	})
	if err != nil {
		return nil, id.ID{}, err
	}
	tenants, next := cut(page, read, func(t Tenant) id.ID { return t.ID })
	return tenants, next, nil
}

// Update changes a tenant and returns it. It returns problem.Invalid for a bad
// alias and problem.AliasTaken for that of another living tenant.
func (s *Service) Update(ctx context.Context, tenant id.ID, patch Patch) (Tenant, error) {
	var c problem.Checks
	if patch.Alias != nil {
		checkAlias(&c, *patch.Alias)
	}
	if err := c.Err(); err != nil {
		return Tenant{}, err
	}
	var t Tenant
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if t, err = living(tx, tenant); err != nil {
			return err
		}
		if patch.Alias == nil || *patch.Alias == t.Alias {
			return nil
		}
		if err := aliasFree(tx, *patch.Alias); err != nil {
			return err
		}
		t.Alias, t.UpdatedAt = *patch.Alias, tx.Now()
		tx.After(func() { s.principals.drop(tenant) })
		return updateAlias(tx, t)
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, nil
}

// Delete ends a tenant and revokes its keys. What belongs to it ends in the
// same transaction, by Options.OnDelete.
func (s *Service) Delete(ctx context.Context, tenant id.ID) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := living(tx, tenant); err != nil {
			return err
		}
		if err := buryTenant(tx, tenant); err != nil {
			return err
		}
		tx.After(func() { s.principals.drop(tenant) })
		if err := s.onDelete(tx, tenant); err != nil {
			return fmt.Errorf("tenant: end what belongs to the tenant: %w", err)
		}
		return nil
	})
}

// CreateKey makes a further key for a tenant. It returns the key and its
// plaintext, which can't be had again, or problem.Invalid.
func (s *Service) CreateKey(ctx context.Context, tenant id.ID, n NewKey) (Key, string, error) {
	if err := n.check(time.Now()); err != nil {
		return Key{}, "", err
	}
	var key storedKey
	var plaintext string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := living(tx, tenant)
		if err != nil {
			return err
		}
		key, plaintext = makeKey(t, tx.Now(), n)
		return insertKey(tx, key)
	})
	if err != nil {
		return Key{}, "", err
	}
	return key.Key, plaintext, nil
}

// ListKeys returns a page of a tenant's keys, revoked and expired ones too, and
// the After of the next page: zero if there is none.
func (s *Service) ListKeys(ctx context.Context, tenant id.ID, page Page) ([]Key, id.ID, error) {
	var read []storedKey
	err := s.db.Read(ctx, func(q db.Queryer) error {
		if _, err := living(q, tenant); err != nil {
			return err
		}
		var err error
		read, err = keysAfter(q, tenant, page.After, page.limit()+1)
		return err
	})
	if err != nil {
		return nil, id.ID{}, err
	}
	stored, next := cut(page, read, func(k storedKey) id.ID { return k.ID })
	keys := make([]Key, len(stored))
	for i, k := range stored {
		keys[i] = k.Key
	}
	return keys, next, nil
}

// RevokeKey ends a key: once it has returned, the key is refused. Revoking a
// key again does nothing.
func (s *Service) RevokeKey(ctx context.Context, tenant, key id.ID) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := ownKey(tx, tenant, key); err != nil {
			return err
		}
		tx.After(func() { s.principals.drop(tenant) })
		return revokeKey(tx, key)
	})
}

// RollKey replaces a key by a new one with the same name and scopes, which does
// not expire. The old one goes on for the overlap, 0 to 7 days, but never longer
// than it would have. RollKey returns the new key and its plaintext, which can't
// be had again, or problem.Invalid for the overlap, or problem.Conflict for a
// key that has ended already.
func (s *Service) RollKey(ctx context.Context, tenant, key id.ID, overlap time.Duration) (Key, string, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Key{}, "", problem.InvalidField("overlap", "must be 0 to 7 days")
	}
	var rolled storedKey
	var plaintext string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		old, err := ownKey(tx, tenant, key)
		if err != nil {
			return err
		}
		if !old.RevokedAt.IsZero() || expired(old.ExpiresAt, tx.Now()) {
			return problem.Conflict.New("the key is revoked or expired: create another one")
		}
		t, err := living(tx, tenant)
		if err != nil {
			return err
		}
		rolled, plaintext = makeKey(t, tx.Now(), NewKey{Name: old.Name, Scopes: old.Scopes})
		if err := insertKey(tx, rolled); err != nil {
			return err
		}
		end := tx.Now().Add(overlap)
		if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(end) {
			return nil
		}
		tx.After(func() { s.principals.drop(tenant) })
		return expireKey(tx, key, end)
	})
	if err != nil {
		return Key{}, "", err
	}
	return rolled.Key, plaintext, nil
}

// makeKey returns a key for the tenant, and its plaintext.
func makeKey(t Tenant, now time.Time, n NewKey) (storedKey, string) {
	prefix := prefixOf(t)
	plaintext := newPlaintext(prefix)
	key := Key{
		ID:        id.New(now),
		TenantID:  t.ID,
		Name:      n.Name,
		Scopes:    newScopes(n.Scopes),
		Hint:      hintOf(plaintext, prefix),
		CreatedAt: now,
	}
	if n.ExpiresAt != nil {
		key.ExpiresAt = db.FromMicro(db.Micro(*n.ExpiresAt))
	}
	return storedKey{Key: key, hash: hashOf(plaintext)}, plaintext
}

// living returns a tenant that is not deleted.
func living(q db.Queryer, tenant id.ID) (Tenant, error) {
	t, err := tenantByID(q, tenant)
	return t, noTenant(err)
}

// ownKey returns the key of a tenant that is not deleted.
func ownKey(q db.Queryer, tenant, key id.ID) (Key, error) {
	if _, err := living(q, tenant); err != nil {
		return Key{}, err
	}
	k, err := keyByID(q, tenant, key)
	if errors.Is(err, db.ErrNoRows) {
		return Key{}, problem.NotFound.New("there is no such key")
	}
	return k, err
}

func noTenant(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return problem.NotFound.New("there is no such tenant")
	}
	return err
}

// aliasFree returns problem.AliasTaken if a living tenant has the alias.
func aliasFree(tx *db.Tx, alias string) error {
	_, err := tenantByAlias(tx, alias)
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return problem.AliasTaken.New("another tenant has this alias")
}

package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// Options are the settings of New. The zero value works.
type Options struct {
	// OnDelete is called inside the transaction that deletes a tenant, so that
	// other packages end what is theirs. The tenant can't be found any more. An
	// error keeps the tenant, and Delete returns it.
	OnDelete func(tx *db.Tx, tenant id.ID) error

	// CachedKeys is how many keys' principals, and how many identities, are kept
	// in memory at most; zero: 10,000.
	CachedKeys int

	// Box seals the keys that dialects sign with. nil: none can be made.
	Box *secret.Box

	// Dialects are what the server speaks, the default first; nil: all that there
	// are.
	Dialects []wire.Dialect

	// RSAKey returns the server's own key, for the tenants that have a dialect
	// sign with it: the same pointer until it is another key. nil: no tenant can.
	RSAKey func(ctx context.Context) (*wire.RSAKey, error)

	Kept Kept // tenants can't ask for more

	// Feed tells of what other processes change. nil: there are none.
	Feed db.Feed
}

// Service is the tenants and keys of one database. All methods may be called
// concurrently. Those that look for a tenant or a key return problem.NotFound
// if there is none, and for a key of another tenant as if there were none.
type Service struct {
	db         *db.DB
	box        *secret.Box // nil: no key can be kept
	dialects   []wire.Dialect
	rsaKey     func(ctx context.Context) (*wire.RSAKey, error)
	onDelete   func(tx *db.Tx, tenant id.ID) error
	kept       Kept
	feed       db.Feed // nil: nobody else changes the database
	principals *cache[hash, *entry]
	speakers   *cache[speaking, *speaker]
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
	if opts.Dialects == nil {
		opts.Dialects = dialects.All
	}
	if opts.RSAKey == nil {
		opts.RSAKey = func(context.Context) (*wire.RSAKey, error) { return nil, errNoRSAKey }
	}
	s := &Service{
		db: d, box: opts.Box, dialects: opts.Dialects, rsaKey: opts.RSAKey, onDelete: opts.OnDelete, kept: opts.Kept, feed: opts.Feed,
		principals: newCache[hash, *entry](opts.CachedKeys, opts.Feed),
		speakers:   newCache[speaking, *speaker](opts.CachedKeys, opts.Feed),
	}
	if s.feed != nil {
		s.feed.Watch(topic, s.heard)
	}
	return s, nil
}

var errNoRSAKey = errors.New("tenant: the server has no RSA keys")

// Create makes a tenant with its first key, "default", which has all scopes and
// does not expire. It returns the tenant, the key, and the key's plaintext,
// which can't be had again. It returns problem.Invalid for a bad alias or an
// unknown dialect, and problem.AliasTaken for the alias of another living tenant.
func (s *Service) Create(ctx context.Context, n NewTenant) (Tenant, Key, string, error) {
	var c problem.Checks
	checkAlias(&c, n.Alias)
	speaks := s.spoken(&c, n.Dialects)
	if err := c.Err(); err != nil {
		return Tenant{}, Key{}, "", err
	}
	var t Tenant
	var key Key
	var plaintext string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		t = Tenant{ID: id.New(tx.Now()), Alias: n.Alias, Live: n.Live, Dialects: speaks, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
		if err := aliasFree(tx, n.Alias); err != nil {
			return err
		}
		if err := insertTenant(tx, t); err != nil {
			return err
		}
		var err error
		key, plaintext, err = s.addKey(tx, t, NewKey{Name: "default", Scopes: AllScopes()})
		if err != nil {
			return err
		}
		if err := auditTenant(ctx, tx, Tenant{}, t); err != nil {
			return err
		}
		return auditNewKey(ctx, tx, key, id.ID{})
	})
	if err != nil {
		return Tenant{}, Key{}, "", err
	}
	return t, key, plaintext, nil
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
// alias, an unknown dialect or a bad retention, and problem.AliasTaken for the alias of another
// living tenant.
func (s *Service) Update(ctx context.Context, tenant id.ID, patch Patch) (Tenant, error) {
	var c problem.Checks
	if patch.Alias != nil {
		checkAlias(&c, *patch.Alias)
	}
	var speaks []string
	if patch.Dialects != nil {
		speaks = s.spoken(&c, *patch.Dialects)
	}
	if err := c.Err(); err != nil {
		return Tenant{}, err
	}
	var t Tenant
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		was, err := living(tx, tenant)
		if err != nil {
			return err
		}
		t = was
		if patch.Alias != nil {
			t.Alias = *patch.Alias
		}
		if patch.Dialects != nil {
			t.Dialects = speaks
		}
		if err := patch.retain(&t.Retention, s.kept); err != nil {
			return err
		}
		if t.Alias == was.Alias && slices.Equal(t.Dialects, was.Dialects) && t.Retention == was.Retention {
			return nil
		}
		if t.Alias != was.Alias {
			if err := aliasFree(tx, t.Alias); err != nil {
				return err
			}
		}
		t.UpdatedAt = tx.Now()
		if err := s.forgetTenant(tx, tenant); err != nil {
			return err
		}
		if err := updateTenant(tx, t); err != nil {
			return err
		}
		return auditTenant(ctx, tx, was, t)
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
		was, err := living(tx, tenant)
		if err != nil {
			return err
		}
		if err := buryTenant(tx, tenant); err != nil {
			return err
		}
		if err := s.forgetTenant(tx, tenant); err != nil {
			return err
		}
		if err := s.onDelete(tx, tenant); err != nil {
			return fmt.Errorf("tenant: end what belongs to the tenant: %w", err)
		}
		return auditTenant(ctx, tx, was, Tenant{})
	})
}

// living returns a tenant that is not deleted.
func living(q db.Queryer, tenant id.ID) (Tenant, error) {
	t, err := tenantByID(q, tenant)
	return t, noTenant(err)
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

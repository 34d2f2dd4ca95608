package tenant

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// maxOverlap is how long a key that was rolled may go on.
const maxOverlap = 7 * 24 * time.Hour

// CreateKey makes a further key for a tenant. It returns the key and its
// plaintext, which can't be had again, or problem.Invalid, or problem.Conflict
// for a value that a key has already which is not revoked.
//
// Where a dialect's key alone finds its tenant, the refusal tells that some
// tenant has the value, and not which. Who could learn from that has to name the
// whole key, secret half and all; authenticating with it would tell more.
func (s *Service) CreateKey(ctx context.Context, tenant id.ID, n NewKey) (Key, string, error) {
	t, err := s.Get(ctx, tenant)
	if err != nil {
		return Key{}, "", err
	}
	var c problem.Checks
	s.checkValue(&c, n, t)
	n.check(&c, time.Now())
	if err := c.Err(); err != nil {
		return Key{}, "", err
	}
	var key Key
	var plaintext string
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		t, err := living(tx, tenant)
		if err != nil {
			return err
		}
		if key, plaintext, err = s.addKey(tx, t, n); err != nil {
			return err
		}
		return auditNewKey(ctx, tx, key, id.ID{})
	})
	if err != nil {
		return Key{}, "", err
	}
	return key, plaintext, nil
}

// checkValue notes what is wrong with the dialect and the value of a key for the
// tenant.
func (s *Service) checkValue(c *problem.Checks, n NewKey, t Tenant) {
	if n.Dialect == native {
		if n.Value != "" {
			c.Add("value", "can only be given with a dialect: native keys are made here")
		}
		return
	}
	form, ok := keyForms[n.Dialect]
	switch {
	case s.dialect(n.Dialect) == nil:
		c.Add("dialect", "must be one of %s", strings.Join(s.dialectNames(), ", "))
	case !ok:
		c.Add("dialect", "has no keys of its own: leave it out for a native key")
	case !t.Speaks(n.Dialect):
		c.Add("dialect", "is not a dialect that the tenant speaks: let it speak that first")
	case n.Value != "":
		form.check(c, n.Value, t)
	}
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

// RevokeKey ends a key: once it has returned, the key is refused; by other
// processes a moment later. Revoking a key again does nothing.
func (s *Service) RevokeKey(ctx context.Context, tenant, key id.ID) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		k, err := ownKey(tx, tenant, key)
		if err != nil {
			return err
		}
		if err := s.forgetKeys(tx, tenant, k.Dialect); err != nil {
			return err
		}
		if err := revokeKey(tx, key); err != nil {
			return err
		}
		return auditRevokedKey(ctx, tx, k)
	})
}

// RollKey replaces a key by a new one of the same dialect, in the form in which
// they are made, with the same name and scopes, which does not expire. The old
// one goes on for the overlap, 0 to 7 days, but never longer than it would have;
// a dialect signs with the new one from now on. RollKey returns the new key and
// its plaintext, which can't be had again, or problem.Invalid for the overlap, or
// problem.Conflict for a key that has ended already.
func (s *Service) RollKey(ctx context.Context, tenant, key id.ID, overlap time.Duration) (Key, string, error) {
	if overlap < 0 || overlap > maxOverlap {
		return Key{}, "", problem.InvalidField("overlap", "must be 0 to 7 days")
	}
	var rolled Key
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
		rolled, plaintext, err = s.addKey(tx, t, NewKey{Dialect: old.Dialect, Name: old.Name, Scopes: old.Scopes})
		if err != nil {
			return err
		}
		end := tx.Now().Add(overlap)
		if !old.ExpiresAt.IsZero() && old.ExpiresAt.Before(end) {
			return auditRolledKey(ctx, tx, keyRoll{old, rolled, old.ExpiresAt})
		}
		if err := s.forgetKeys(tx, tenant, old.Dialect); err != nil {
			return err
		}
		if err := expireKey(tx, key, end); err != nil {
			return err
		}
		return auditRolledKey(ctx, tx, keyRoll{old, rolled, end})
	})
	if err != nil {
		return Key{}, "", err
	}
	return rolled, plaintext, nil
}

// addKey stores a key that was checked, and returns it with its plaintext.
func (s *Service) addKey(tx *db.Tx, t Tenant, n NewKey) (Key, string, error) {
	form := keyForms[n.Dialect]
	plaintext, hint := n.Value, form.hintOfValue(n.Value)
	if n.Value == "" {
		plaintext = form.plaintext(t)
		hint = form.hint(plaintext, t)
	}
	k := storedKey{hash: placeOf(n.Dialect, t.ID).hash(plaintext), Key: Key{
		ID:        id.New(tx.Now()),
		TenantID:  t.ID,
		Dialect:   n.Dialect,
		Name:      n.Name,
		Scopes:    newScopes(n.Scopes),
		Hint:      hint,
		CreatedAt: tx.Now(),
	}}
	if n.ExpiresAt != nil {
		k.ExpiresAt = db.FromMicro(db.Micro(*n.ExpiresAt))
	}
	if err := hashFree(tx, k.hash); err != nil {
		return Key{}, "", err
	}
	if s.signsByKey(n.Dialect) {
		if err := s.makeSigning(tx, &k, plaintext); err != nil {
			return Key{}, "", err
		}
		if err := s.forgetIdentities(tx, t.ID, n.Dialect); err != nil {
			return Key{}, "", err
		}
	}
	return k.Key, plaintext, insertKey(tx, k)
}

// makeSigning makes a key the one that its dialect signs with: it is kept, and
// the newest of its kind, also if the clock was set back.
func (s *Service) makeSigning(tx *db.Tx, k *storedKey, plaintext string) error {
	if s.box == nil {
		return errNoBox
	}
	var err error
	if k.sealed, err = s.box.Seal([]byte(plaintext), k.ID); err != nil {
		return err
	}
	newest, err := newestSigning(tx, speaking{k.TenantID, k.Dialect})
	if err != nil {
		return err
	}
	if !k.CreatedAt.After(newest) {
		k.CreatedAt = newest.Add(time.Microsecond)
	}
	return nil
}

var errNoBox = errors.New("tenant: without a box no key can be kept")

// signsByKey reports whether the dialect signs with the key of its API.
func (s *Service) signsByKey(dialect string) bool {
	d := s.dialect(dialect)
	return d != nil && d.Signing() == wire.ByKey
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

// hashFree returns problem.Conflict if a key that is not revoked has the hash.
func hashFree(tx *db.Tx, h hash) error {
	taken, err := hashTaken(tx, h)
	if err != nil {
		return err
	}
	if taken {
		return problem.Conflict.New("a key with this value is in use: revoke that one first, or give another value")
	}
	return nil
}

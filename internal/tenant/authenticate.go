package tenant

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Authenticate returns who has the key, at now. Whatever is wrong with the key,
// malformed, unknown, revoked or expired, it returns the same
// problem.Unauthenticated; another error says that it could not be looked up.
func (s *Service) Authenticate(ctx context.Context, plaintext string, now time.Time) (Principal, error) {
	if strings.HasPrefix(plaintext, adminPrefix) {
		return s.authenticateAdmin(plaintext)
	}
	if !isTenantKey(plaintext) {
		return Principal{}, unauthenticated()
	}
	h := hashOf(plaintext)
	e := s.principals.get(h)
	if e == nil {
		var err error
		if e, err = s.loadPrincipal(ctx, h); err != nil {
			return Principal{}, err
		}
	}
	if !e.hash.equal(h) || expired(e.principal.ExpiresAt, now) {
		return Principal{}, unauthenticated()
	}
	return e.principal, nil
}

func (s *Service) authenticateAdmin(plaintext string) (Principal, error) {
	want := s.admin.Load()
	if want == nil || checkAdminKey(plaintext) != nil || !want.equal(hashOf(plaintext)) {
		return Principal{}, unauthenticated()
	}
	return Principal{Admin: true}, nil
}

// loadPrincipal reads who has the key with the hash and keeps that in memory,
// unless the key can't be used: then it returns problem.Unauthenticated.
func (s *Service) loadPrincipal(ctx context.Context, h hash) (*entry, error) {
	return s.principals.load(func() (*entry, error) {
		var e *entry
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			e, err = principalByHash(q, h)
			return err
		})
		return e, err
	})
}

func principalByHash(q db.Queryer, h hash) (*entry, error) {
	key, err := keyByHash(q, h)
	if errors.Is(err, db.ErrNoRows) || err == nil && !key.RevokedAt.IsZero() {
		return nil, unauthenticated()
	}
	if err != nil {
		return nil, err
	}
	t, err := tenantByID(q, key.TenantID)
	if errors.Is(err, db.ErrNoRows) {
		return nil, unauthenticated()
	}
	if err != nil {
		return nil, err
	}
	return &entry{hash: key.hash, principal: Principal{
		KeyID:     key.ID,
		Tenant:    t,
		Scopes:    key.Scopes,
		ExpiresAt: key.ExpiresAt,
	}}, nil
}

// EnsureAdminKey decides which admin key the service accepts. A key that the
// operator gives has to be "gv_admin_" and 24 to 200 further printable
// characters; then only that one is accepted, and nothing is stored. Without
// one (fromEnv is empty) it is the key that an earlier call made; where none
// was made, one is made now, stored as its hash and returned, to be shown once.
// In every other case the returned text is empty.
func (s *Service) EnsureAdminKey(ctx context.Context, fromEnv string) (string, error) {
	if fromEnv != "" {
		if err := checkAdminKey(fromEnv); err != nil {
			return "", err
		}
		s.admin.Store(new(hashOf(fromEnv)))
		return "", nil
	}
	var accepted hash
	var made string
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		made = ""
		if accepted, err = adminHash(tx); !errors.Is(err, db.ErrNoRows) {
			return err
		}
		made = newPlaintext(adminPrefix)
		accepted = hashOf(made)
		return insertAdminKey(tx, accepted)
	})
	if err != nil {
		return "", err
	}
	s.admin.Store(&accepted)
	return made, nil
}

// unauthenticated says the same of every key that is not accepted.
func unauthenticated() error {
	return problem.Unauthenticated.New("the key is malformed, unknown, revoked or expired")
}

// expired reports whether what ends at end has ended at now. The zero end never
// comes.
func expired(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

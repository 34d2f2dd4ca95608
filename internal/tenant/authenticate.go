package tenant

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
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
	e, err := s.principal(ctx, h, func(q db.Queryer) (*entry, error) { return principalByHash(q, native, h) })
	if err != nil {
		return Principal{}, err
	}
	if !e.hash.equal(h) || e.principal.Dialect != native || expired(e.principal.ExpiresAt, now) {
		return Principal{}, unauthenticated()
	}
	return e.principal, nil
}

// Credential is what a client of a dialect's API shows.
type Credential struct {
	Dialect string
	Alias   string // of the tenant, where the paths of the dialect's API name it; else empty
	Key     string // as it was made or given; a pair with its colon
}

// maxCredential is as long as a pair may be.
const maxCredential = 2*maxValue + 1

// AuthenticateDialect returns who has the key of a dialect's API, at now. A key
// opens nothing but its own dialect. Whatever is wrong with the key, an unknown
// alias included, it returns the same problem.Unauthenticated; for a tenant that
// has the key and does not speak the dialect any more, problem.Forbidden; another
// error says that the key could not be looked up.
func (s *Service) AuthenticateDialect(ctx context.Context, c Credential, now time.Time) (Principal, error) {
	form, ok := keyForms[c.Dialect]
	if !ok || c.Dialect == native || c.Key == "" || len(c.Key) > maxCredential || len(c.Alias) > maxAlias || !isPrintable(c.Key) {
		return Principal{}, unauthenticated()
	}
	if !form.shared {
		c.Alias = ""
	}
	read := func(q db.Queryer) (*entry, error) { return principalByCredential(q, c) }
	e, err := s.principal(ctx, c.hash(), read)
	if err == nil && s.feed != nil && !e.principal.Tenant.Speaks(c.Dialect) {
		s.principals.end(c.hash(), e) // another process may just have let the tenant speak it
		e, err = s.principal(ctx, c.hash(), read)
	}
	if err != nil {
		return Principal{}, err
	}
	p := e.principal
	if !e.hash.equal(placeOf(c.Dialect, p.Tenant.ID).hash(c.Key)) || p.Dialect != c.Dialect || expired(p.ExpiresAt, now) {
		return Principal{}, unauthenticated()
	}
	if !p.Tenant.Speaks(c.Dialect) {
		return Principal{}, problem.Forbidden.New("the tenant does not speak this dialect")
	}
	return p, nil
}

// hash is that under which the principal is kept in memory. The key's own, which
// is stored, is known only once its tenant is.
func (c Credential) hash() hash {
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", c.Dialect, c.Alias, c.Key))
}

// principalByCredential looks for the key even where no tenant has the alias, so
// that this takes as long as a key that is wrong.
func principalByCredential(q db.Queryer, c Credential) (*entry, error) {
	var t Tenant
	if c.Alias != "" {
		var err error
		if t, err = tenantByAlias(q, c.Alias); err != nil && !errors.Is(err, db.ErrNoRows) {
			return nil, err
		}
	}
	return principalByHash(q, c.Dialect, placeOf(c.Dialect, t.ID).hash(c.Key))
}

func (s *Service) authenticateAdmin(plaintext string) (Principal, error) {
	want := s.admin.Load()
	if want == nil || checkAdminKey(plaintext) != nil || !want.equal(hashOf(plaintext)) {
		return Principal{}, unauthenticated()
	}
	return Principal{Admin: true}, nil
}

// AdminProof returns a code of the admin key that is accepted under a secret of the
// caller's, by which he can tell later whether it is still that key. Nobody can
// guess the key from the code who does not have the secret.
func (s *Service) AdminProof(secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	if key := s.admin.Load(); key != nil {
		mac.Write(key[:])
	}
	return mac.Sum(nil)
}

// entry is a key's principal. The hash is the key's as the database has it.
type entry struct {
	hash      hash
	principal Principal
}

// principal returns what is kept under the hash. What is not there is read and
// kept, unless the key can't be used: then read returns problem.Unauthenticated.
func (s *Service) principal(ctx context.Context, h hash, read func(q db.Queryer) (*entry, error)) (*entry, error) {
	if e := s.principals.get(h); e != nil {
		return e, nil
	}
	return s.principals.load(h, func() (*entry, error) {
		var e *entry
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			e, err = read(q)
			return err
		})
		return e, err
	})
}

func principalByHash(q db.Queryer, dialect string, h hash) (*entry, error) {
	key, err := keyByHash(q, dialect, h)
	if errors.Is(err, db.ErrNoRows) {
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
		Dialect:   key.Dialect,
		KeyID:     key.ID,
		KeyName:   key.Name,
		KeyHint:   key.Hint,
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
		made = newText(adminPrefix, randomLength)
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

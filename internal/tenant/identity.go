package tenant

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// speaking names a tenant in a dialect.
type speaking struct {
	tenant  id.ID
	dialect string
}

// speaker is a tenant in a dialect, as it was read.
type speaker struct {
	refusal  error                         // not nil: the tenant does not speak the dialect
	key      SigningKey                    // zero: there is none, or the dialect does not sign with it
	until    time.Time                     // when its key expires; zero: it does not
	wantsRSA bool                          // the identity has the server's key besides
	identity atomic.Pointer[wire.Identity] // nil where there is a refusal
}

// Identity returns how a tenant speaks a dialect now. It is read once and then
// known: the same pointer comes back until something about it changes, or until
// more identities are in use than are kept. A change is seen by every call that
// begins after the change was committed; where another process made it, after a
// moment, but a refusal is always of now.
//
// It returns problem.Invalid, which names "dialect", for a dialect that the
// server or the tenant does not speak, and problem.NotFound if there is no such
// tenant.
func (s *Service) Identity(ctx context.Context, tenant id.ID, dialect string) (*wire.Identity, error) {
	sp, err := s.speakerOf(ctx, tenant, dialect)
	if err != nil {
		return nil, err
	}
	if !sp.wantsRSA {
		return sp.identity.Load(), nil
	}
	key, err := s.rsaKey(ctx)
	if err != nil {
		return nil, err
	}
	return sp.withRSA(key), nil
}

// speakerOf returns the tenant in a dialect that it speaks. Its errors are those of
// Identity.
func (s *Service) speakerOf(ctx context.Context, tenant id.ID, dialect string) (*speaker, error) {
	d := s.dialect(dialect)
	if d == nil {
		return nil, problem.InvalidField("dialect", "must be one of %s", strings.Join(s.dialectNames(), ", "))
	}
	sp, err := s.speaker(ctx, tenant, d)
	if err != nil {
		return nil, err
	}
	return sp, sp.refusal
}

// speaker returns the tenant in the dialect, from memory unless its key has
// expired since it was read.
func (s *Service) speaker(ctx context.Context, tenant id.ID, d wire.Dialect) (*speaker, error) {
	key := speaking{tenant, d.Name()}
	for {
		sp := s.speakers.get(key)
		if sp != nil && sp.refusal != nil && s.feed != nil {
			s.speakers.end(key, sp) // another process may just have let the tenant speak it
			sp = nil
		}
		if sp == nil {
			var err error
			if sp, err = s.loadSpeaker(ctx, key, d); err != nil {
				return nil, err
			}
		}
		if !expired(sp.until, time.Now()) {
			return sp, nil
		}
		s.speakers.end(key, sp)
	}
}

func (s *Service) loadSpeaker(ctx context.Context, key speaking, d wire.Dialect) (*speaker, error) {
	return s.speakers.load(key, func() (*speaker, error) {
		var sp *speaker
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			sp, err = s.readSpeaker(q, key.tenant, d)
			return err
		})
		return sp, err
	})
}

// readSpeaker reads the tenant in the dialect as it is now.
func (s *Service) readSpeaker(q db.Queryer, tenant id.ID, d wire.Dialect) (*speaker, error) {
	t, err := living(q, tenant)
	if err != nil {
		return nil, err
	}
	if !t.Speaks(d.Name()) {
		return &speaker{refusal: problem.InvalidField("dialect", "is not a dialect that the tenant speaks")}, nil
	}
	settings, err := settingsOf(q, speaking{tenant, d.Name()})
	if err != nil {
		return nil, err
	}
	as := &wire.Identity{Tenant: wire.Tenant{Alias: t.Alias, Live: t.Live, Settings: settings}}
	sp := &speaker{wantsRSA: wantsRSA(d, settings)}
	if d.Signing() == wire.ByKey {
		if sp.key, sp.until, err = s.signingKey(q, tenant, d.Name()); err != nil {
			return nil, err
		}
		as.Key = sp.key.Text
	}
	sp.identity.Store(as)
	return sp, nil
}

// signingKey returns the key that the dialect signs with now, the zero one if there
// is none, and when that expires.
func (s *Service) signingKey(q db.Queryer, tenant id.ID, dialect string) (SigningKey, time.Time, error) {
	k, err := signingKeyAt(q, speaking{tenant, dialect}, time.Now())
	if errors.Is(err, db.ErrNoRows) {
		return SigningKey{}, time.Time{}, nil
	}
	if err != nil {
		return SigningKey{}, time.Time{}, err
	}
	if s.box == nil {
		return SigningKey{}, time.Time{}, errNoBox
	}
	key, err := s.opened(k)
	return key, k.ExpiresAt, err
}

// withRSA returns the identity with the server's key, the same one until that is
// another.
func (sp *speaker) withRSA(key *wire.RSAKey) *wire.Identity {
	for {
		has := sp.identity.Load()
		if has.RSA == key {
			return has
		}
		other := *has
		other.RSA = key
		if sp.identity.CompareAndSwap(has, &other) {
			return &other
		}
	}
}

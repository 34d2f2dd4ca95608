package tenant

import (
	"context"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// maxValid is how many of a tenant's keys are tried on what was signed with one.
const maxValid = 10

// SigningKey is a key of a dialect that signs with it, and what it is good for: what
// was signed with it is worth no more than the key itself.
type SigningKey struct {
	Text   string
	Scopes Scopes // shared by all who ask: not to be changed
}

// NewestKey returns the key that a dialect signs with now, the zero one if there is
// none. It is known from memory as Identity is, with the same errors.
func (s *Service) NewestKey(ctx context.Context, tenant id.ID, dialect string) (SigningKey, error) {
	sp, err := s.speakerOf(ctx, tenant, dialect)
	if err != nil {
		return SigningKey{}, err
	}
	return sp.key, nil
}

// ValidKeys returns the keys of a dialect that signs with them, those that are
// neither revoked nor expired at now, the newest first: ten at most. What a tenant's
// server signed with a key holds as long as the key does, also while a newer one
// signs already. It is read from the database each time; NewestKey knows the first of them.
func (s *Service) ValidKeys(ctx context.Context, tenant id.ID, dialect string, now time.Time) ([]SigningKey, error) {
	if s.box == nil {
		return nil, nil
	}
	var stored []storedKey
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		stored, err = validKeys(q, speaking{tenant, dialect}, now)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys := make([]SigningKey, len(stored))
	for i, k := range stored {
		if keys[i], err = s.opened(k); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// opened returns a stored key in plain text.
func (s *Service) opened(k storedKey) (SigningKey, error) {
	plaintext, err := s.box.Open(k.sealed, k.ID)
	if err != nil {
		return SigningKey{}, fmt.Errorf("tenant: open the key %s: %w", id.Key.Format(k.ID), err)
	}
	return SigningKey{Text: string(plaintext), Scopes: k.Scopes}, nil
}

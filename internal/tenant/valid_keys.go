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

// ValidKeys returns the keys of a dialect that signs with them, those that are
// neither revoked nor expired at now, the newest first: ten at most. What a tenant's
// server signed with a key holds as long as the key does, also while a newer one
// signs already. It is read from the database each time; Identity knows the newest.
func (s *Service) ValidKeys(ctx context.Context, tenant id.ID, dialect string, now time.Time) ([]string, error) {
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
	keys := make([]string, len(stored))
	for i, k := range stored {
		plaintext, err := s.box.Open(k.sealed, k.ID)
		if err != nil {
			return nil, fmt.Errorf("tenant: open the key %s: %w", id.Key.Format(k.ID), err)
		}
		keys[i] = string(plaintext)
	}
	return keys, nil
}

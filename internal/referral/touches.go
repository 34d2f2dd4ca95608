package referral

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// How long a click is kept that turned out to be nobody's: as long as the tenant's
// programs count touches, but leastKept; and mostKept where one of them counts them for
// ever, since no browser keeps a cookie for longer by which it could still turn out
// whose it was.
const (
	leastKept = 90 * 24 * time.Hour
	mostKept  = 400 * 24 * time.Hour
)

// maxPruned is how many touches one transaction removes, a few milliseconds' work.
const maxPruned = 500

// PruneTouches removes the touches of all tenants that are nobody's and too old to
// become somebody's, and returns how many. It does so in small transactions, and rests
// after each for as long as it took. Several processes may do it at once.
func (s *Service) PruneTouches(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for tenant := (id.ID{}); ; {
		var more bool
		var kept time.Duration
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			if tenant, more, err = attribution.NextWithNobodys(q, tenant); err != nil || !more {
				return err
			}
			kept, err = s.keepsTouches(q, tenant)
			return err
		})
		if err != nil || !more {
			return total, err
		}
		n, err := s.pruneTouches(ctx, tenant, now.Add(-kept))
		if total += n; err != nil {
			return total, err
		}
	}
}

func (s *Service) pruneTouches(ctx context.Context, tenant id.ID, before time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		begun := time.Now()
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			var err error
			n, err = attribution.Prune(tx, tenant, before, maxPruned)
			return err
		})
		if total += n; err != nil || n < maxPruned {
			return total, err
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}

// keepsTouches returns how long touches of nobody can still count for a tenant.
func (s *Service) keepsTouches(q db.Queryer, tenant id.ID) (time.Duration, error) {
	programs, err := s.programs.List(q, tenant)
	if err != nil {
		return 0, err
	}
	longest := leastKept
	for _, p := range programs {
		if p.Kind != KindName {
			continue
		}
		of, err := s.withSettings(p)
		if err != nil {
			return 0, err
		}
		window := of.Settings.policy(time.Now(), p.Zone).Window
		if window == 0 {
			longest = max(longest, mostKept)
			continue
		}
		longest = max(longest, window+24*time.Hour) // a later one may reach back as far, to an earlier time of day
	}
	return longest, nil
}

package webhook

import (
	"context"
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// EnableSubscription sends again: first what was pending when it was disabled,
// and what is published from now on. Deliveries that are held stay so until they
// are retried or recovered.
func (s *Service) EnableSubscription(ctx context.Context, tenant, sub id.ID) (*Subscription, error) {
	return s.enable(ctx, tenant, sub, func(*db.Tx) error { return nil })
}

// Missed is what a subscription has not got. Of what failed, the tenant's latest
// hundred thousand failures are looked at, and as many that are held.
type Missed struct {
	Failed, Held int64
	Since        time.Time // of the oldest event among them; zero: nothing was missed
}

// Enabling is what came of enabling a subscription.
type Enabling struct {
	Subscription *Subscription
	Missed       Missed  // before what recovers it began
	Replay       *Replay // which recovers it; nil: none was asked for
}

// EnableAndRecover is EnableSubscription, and says what the subscription has
// missed. Unless since is zero, what it has missed of the events since then is
// recovered.
func (s *Service) EnableAndRecover(ctx context.Context, tenant, sub id.ID, since time.Time) (Enabling, error) {
	var e Enabling
	err := s.search(ctx, func(q db.Queryer) error {
		if _, err := s.selectSubscription(q, tenant, sub); err != nil {
			return err
		}
		var err error
		e.Missed, err = selectMissed(q, tenant, sub)
		return err
	})
	if err != nil && !problem.QueryTooSlow.Has(err) { // it is for people, and enabling does not wait for that
		return Enabling{}, err
	}
	if since.IsZero() {
		e.Subscription, err = s.EnableSubscription(ctx, tenant, sub)
		return e, err
	}
	now := time.Now()
	spec, err := newReplay(KindRecover, recovery(sub, since, time.Time{}), s.ids.New(now), now)
	if err != nil {
		return Enabling{}, recoverSince(err)
	}
	total, err := s.replayTotal(ctx, tenant, spec)
	if err != nil {
		return Enabling{}, err
	}
	e.Subscription, err = s.enable(ctx, tenant, sub, func(tx *db.Tx) error {
		// What was published since is held as well.
		before := s.ids.New(tx.Now())
		spec.Before, spec.Unchanged = before[:], db.Micro(tx.Now())
		replay, err := s.addReplay(ctx, tx, spec, job.New{TenantID: tenant, Total: total})
		e.Replay = &replay
		return err
	})
	return e, err
}

// recoverSince names the field as the call that enables does.
func recoverSince(err error) error {
	refused, ok := errors.AsType[*problem.Error](err)
	if !ok || len(refused.Fields) != 1 {
		return err
	}
	return problem.InvalidField("recover_since", "%s", refused.Fields[0].Message)
}

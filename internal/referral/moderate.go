package referral

import (
	"context"
	"fmt"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// approveTimer approves what nobody has decided about by then.
const approveTimer = "referral.approve"

// Decision is what somebody decides about sides of a referral.
type Decision struct {
	Referral id.ID
	Side     Side
	To       Moderation
}

// Moderate decides about sides of referrals, all of them or none, however often it
// was decided otherwise before. A side that is denied loses its rewards; one that is
// approved gets those that waited, or that it had lost so. What is decided already
// changes nothing.
func (s *Service) Moderate(ctx context.Context, tenant id.ID, decisions []Decision) ([]*Referral, error) {
	if err := checkDecisions(decisions); err != nil {
		return nil, err
	}
	var moderated []*Referral
	err := s.do(ctx, tenant, "moderation", func(c *fact.Command) error {
		moderated = nil
		for i, d := range decisions {
			r, err := selectReferral(c.Tx(), tenant, d.Referral)
			if problem.NotFound.Has(err) {
				return problem.NotFound.New("there is no such referral: actions[%d]", i)
			}
			if err != nil {
				return err
			}
			if err := onRecord(ctx, c, moderation(r, d), func() error { return s.decide(c, r, d) }); err != nil {
				return err
			}
			moderated = append(moderated, r)
		}
		return nil
	})
	return moderated, err
}

// maxDecisions is how many decisions one command makes.
const maxDecisions = 1000

func checkDecisions(decisions []Decision) error {
	var checks problem.Checks
	if n := len(decisions); n < 1 || n > maxDecisions {
		checks.Add("actions", "must be 1 to %d", maxDecisions)
	}
	for i, d := range decisions {
		if !slices.Contains([]Moderation{Undecided, Approved, Denied}, d.To) {
			checks.Add(fmt.Sprintf("actions[%d].to", i), "must be pending, approved or denied")
		}
		if !slices.Contains([]Side{ReferrerSide, ReferredSide, BothSides}, d.Side) {
			checks.Add(fmt.Sprintf("actions[%d].side", i), "must be referrer, referred or both")
		}
	}
	return checks.Err()
}

func (s *Service) decide(c *fact.Command, r *Referral, d Decision) error {
	was := *r
	if d.Side != ReferredSide {
		r.Referrer = d.To
	}
	if d.Side != ReferrerSide {
		r.Referred = d.To
	}
	if r.Referrer == was.Referrer && r.Referred == was.Referred {
		return nil
	}
	r.ModeratedAt, r.ByHand = c.Now(), true
	return s.moderated(c, r, d.Side)
}

// moderated stores a referral about which something was decided, and has the
// rewards of the side follow.
func (s *Service) moderated(c *fact.Command, r *Referral, side Side) error {
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	now := *r
	f, err := c.Append(fact.Fact{Type: Moderated, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: &now})
	if err != nil {
		return err
	}
	return c.Because(f.ID, func() error { return s.followModeration(c, r, side) })
}

func (s *Service) followModeration(c *fact.Command, r *Referral, side Side) error {
	return s.conformAll(c, r, func(given *reward.Reward) bool { return side == BothSides || side == sideOfReward(given) })
}

// conformAll brings the rewards of a referral that are meant to where it wants them.
func (s *Service) conformAll(c *fact.Command, r *Referral, meant func(given *reward.Reward) bool) error {
	rewards, err := reward.OfReferral(c.Tx(), c.Tenant(), r.ID)
	if err != nil {
		return err
	}
	for _, given := range rewards {
		if !meant(given) {
			continue
		}
		// What was done for the one before may have changed it.
		if given, err = reward.Get(c.Tx(), c.Tenant(), given.ID); err != nil {
			return err
		}
		if err := s.conform(c, r, given); err != nil {
			return err
		}
	}
	return nil
}

// conform brings a reward to where its referral wants it, which may be nil, and whether
// its person is blocked.
func (s *Service) conform(c *fact.Command, r *Referral, given *reward.Reward) error {
	owner, err := person.Now(c, given.PersonID)
	if err != nil {
		return err
	}
	return s.rewards.Conform(c, given, termsOf(r, given, owner))
}

// termsOf says what a reward depends on.
func termsOf(r *Referral, given *reward.Reward, who *person.Person) reward.Terms {
	t := effect.TermsOf(who)
	if r == nil {
		return t
	}
	decided := r.decided(sideOfReward(given))
	t.Held = t.Held || decided == Undecided
	t.Denied = decided == Denied
	// What had no more to wait for when the referral ended was available by then.
	ended := given.State == reward.IsCancelled && given.CancelReason == reward.ReasonEnded
	t.Ended = t.Ended || r.State == IsEnded && (ended || given.Held || t.Held || given.DueAt.After(r.EndedAt))
	return t
}

// sideOfReward is the side of a referral that a reward is of.
func sideOfReward(given *reward.Reward) Side {
	if given.Audience == rule.Referred {
		return ReferredSide
	}
	return ReferrerSide
}

// approveDue approves what is still pending when the time for that is over.
func (s *Service) approveDue(c *fact.Command, t timer.Timer) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), t.Ref)
	if err != nil || r.ByHand || r.State == IsEnded || r.isSuspect() {
		return err
	}
	was := *r
	if r.Referrer == Undecided {
		r.Referrer = Approved
	}
	if r.Referred == Undecided {
		r.Referred = Approved
	}
	if r.Referrer == was.Referrer && r.Referred == was.Referred {
		return nil
	}
	r.ModeratedAt = c.Now()
	return s.moderated(c, r, BothSides)
}

// isSuspect reports whether a signal has somebody look at the referral.
func (r *Referral) isSuspect() bool {
	return slices.ContainsFunc(r.Signals, func(signal fraud.Signal) bool { return signal.Action == fraud.Hold || signal.Action == fraud.Block })
}

// Get returns one of the tenant's referrals, or problem.NotFound.
func Get(q db.Queryer, tenant, of id.ID) (*Referral, error) { return selectReferral(q, tenant, of) }

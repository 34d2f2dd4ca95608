package referral

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// convert notes that the referred person did what the program asks for. by is what
// that was, by its place among all that happens. A referral that has ended meanwhile
// stays so, but was converted before.
func (s *Service) convert(c *fact.Command, r *Referral, by id.ID) error {
	if r.isConverted() {
		return nil
	}
	r.ConvertedAt, r.convertedBy = c.Now(), by
	if r.State == IsStarted {
		r.State = IsConverted
	}
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	return s.tell(c, r, Converted)
}

// convertAll converts what a person was referred by, because we are told so.
func (s *Service) convertAll(c *fact.Command, p *person.Person) error {
	referrals, err := OfReferred(c.Tx(), c.Tenant(), p.ID)
	if err != nil {
		return err
	}
	for _, r := range referrals {
		if r.State != IsStarted {
			continue
		}
		if err := s.convert(c, r, id.New(c.Tx().Now())); err != nil {
			return err
		}
	}
	return nil
}

// Convert converts a referral by hand. It returns problem.Conflict for one that has
// ended; converting it again changes nothing.
func (s *Service) Convert(ctx context.Context, tenant, of id.ID) (*Referral, error) {
	return s.onReferral(ctx, tenant, of, func(c *fact.Command, r *Referral) error {
		if r.State == IsEnded {
			return problem.Conflict.New("the referral has ended")
		}
		return onRecord(ctx, c, ofReferral(audit.ReferralConverted, of), func() error { return s.convert(c, r, id.New(c.Tx().Now())) })
	})
}

// End ends a referral by hand: what it was to lead to is not given any more. It can
// be undone by its fact. Ending it again changes nothing.
func (s *Service) End(ctx context.Context, tenant, of id.ID) (*Referral, error) {
	return s.onReferral(ctx, tenant, of, func(c *fact.Command, r *Referral) error {
		return onRecord(ctx, c, ofReferral(audit.ReferralEnded, of), func() error { return s.end(c, r, EndedByHand) })
	})
}

func (s *Service) onReferral(ctx context.Context, tenant, of id.ID, fn func(c *fact.Command, r *Referral) error) (*Referral, error) {
	var r *Referral
	err := s.do(ctx, tenant, "referral/"+of.String(), func(c *fact.Command) error {
		var err error
		if r, err = selectReferral(c.Tx(), tenant, of); err != nil {
			return err
		}
		return fn(c, r)
	})
	return r, err
}

// end ends a referral. What is pending of its rewards is cancelled with it; what was
// given stays.
func (s *Service) end(c *fact.Command, r *Referral, reason string) error {
	if r.State == IsEnded {
		return nil
	}
	r.State, r.EndedAt, r.EndReason = IsEnded, c.Now(), reason
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	now := *r
	f, err := c.Append(fact.Fact{Type: Ended, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: &now})
	if err != nil {
		return err
	}
	return c.Because(f.ID, func() error { return s.conformAll(c, r, anyReward) })
}

func anyReward(*reward.Reward) bool { return true }

// endAll ends what a person is in on either side.
func (s *Service) endAll(c *fact.Command, of id.ID, reason string) error {
	referrals, err := OfReferred(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, r := range referrals {
		if err := s.end(c, r, reason); err != nil {
			return err
		}
	}
	return nil
}

// retract takes back that a referral was converted, and whatever may convert it now
// does so after all: see evaluateAgain.
func (s *Service) retract(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || !r.isConverted() {
		return err
	}
	if r.State == IsConverted {
		r.State = IsStarted
	}
	r.ConvertedAt, r.convertedBy = time.Time{}, id.ID{}
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	return s.tell(c, r, Retracted)
}

// reconvert brings back what retract has taken back. It follows from what had
// converted it then, so that it is undone with that.
func (s *Service) reconvert(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || r.isConverted() {
		return err
	}
	by, err := s.converter(c, f)
	if err != nil {
		return err
	}
	return c.Because(f.Cause, func() error { return s.convert(c, r, by) })
}

// converter returns what led to a fact that a referral was converted, by its place
// among all that happens.
func (s *Service) converter(c *fact.Command, f *fact.Fact) (id.ID, error) {
	if f.Cause.IsZero() {
		return f.ID, nil
	}
	cause, err := fact.Get(c.Tx(), c.Tenant(), f.Cause)
	if err != nil || cause.Type != activity.Tracked {
		return f.Cause, err
	}
	return cause.Subject.ID, nil
}

// resume takes back that a referral has ended: what was done since counts after all.
func (s *Service) resume(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || r.State != IsEnded {
		return err
	}
	since := id.First(r.EndedAt)
	r.State, r.EndedAt, r.EndReason = IsStarted, time.Time{}, ""
	if r.isConverted() {
		r.State = IsConverted
	}
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	if err := s.tell(c, r, Resumed); err != nil {
		return err
	}
	if err := s.approveAnew(c, r); err != nil {
		return err
	}
	if err := s.conformAll(c, r, anyReward); err != nil {
		return err
	}
	if err := s.evaluateSince(c, r.ReferredID, since); err != nil {
		return err
	}
	return s.followAccountAgain(c, r.ReferredID)
}

// approveAnew sets the timer of an approval that may have come while the referral was
// ended.
func (s *Service) approveAnew(c *fact.Command, r *Referral) error {
	of, err := s.ProgramOf(c.Tx(), c.Tenant(), r.ProgramID)
	if err != nil {
		return err
	}
	if _, err := timer.Cancel(c.Tx(), c.Tenant(), approveTimer, r.ID); err != nil {
		return err
	}
	return approveLater(c, &of, r)
}

func (s *Service) endAgain(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil {
		return err
	}
	raw, err := f.Raw()
	if err != nil {
		return err
	}
	var then Referral
	if err := json.Unmarshal(raw, &then); err != nil {
		return err
	}
	return s.end(c, r, cmp.Or(then.EndReason, EndedByHand))
}

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
	return tellConversion(c, r, Converted)
}

// convertNow converts a referral because somebody says so.
func (s *Service) convertNow(c *fact.Command, r *Referral) error {
	by, err := placeOf(c, r)
	if err != nil {
		return err
	}
	return s.convert(c, r, by)
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
		if err := s.convertNow(c, r); err != nil {
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
		return onRecord(ctx, c, ofReferral(audit.ReferralConverted, of), func() error { return s.convertNow(c, r) })
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
	at, err := endOf(c, r)
	if err != nil {
		return err
	}
	r.State, r.EndedAt, r.EndReason = IsEnded, at, reason
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

// mayRetract refuses to undo a fact that a referral was converted which is so no more, or
// by something else since.
func mayRetract(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil {
		return err
	}
	if !r.isConverted() {
		return problem.Conflict.New("the referral is not converted any more: there is nothing to undo")
	}
	last, err := lastConversion(c, r.ID)
	if err == nil && last != f.ID {
		return problem.Conflict.New("the referral was converted anew since: undo %s, which says so", fact.FactID.Format(last))
	}
	return err
}

// lastConversion returns the fact that a referral was converted last, whether it holds or
// not: of one that is converted, it is the fact that it is so. The facts of conversions
// before may hold besides, as when an undoing was undone of what some other thing
// converted meanwhile.
func lastConversion(c *fact.Command, of id.ID) (id.ID, error) {
	f, err := latestFact(c, of, func(f *fact.Fact) bool { return f.Type == Converted })
	if err != nil || f == nil {
		return id.ID{}, err
	}
	return f.ID, nil
}

// mayResume refuses to undo a fact that a referral has ended which goes on, or can't go
// on as long as the referred person takes part in nothing.
func mayResume(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil {
		return err
	}
	if r.State != IsEnded {
		return problem.Conflict.New("the referral goes on already: there is nothing to undo")
	}
	referred, err := person.Now(c, r.ReferredID)
	switch {
	case err != nil:
		return err
	case referred.IsDeleted():
		return problem.Conflict.New("the referred person was forgotten, and the referral has ended for good")
	case referred.IsBlocked():
		return problem.Conflict.New("the referred person is blocked: unblock them, and the referral goes on")
	}
	return nil
}

// retract takes back that a referral was converted, and whatever may convert it now
// does so after all: the engine asks the rules again. One that something else has
// converted since stays so.
func (s *Service) retract(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || !r.isConverted() {
		return err
	}
	if last, err := lastConversion(c, r.ID); err != nil || last != f.ID {
		return err
	}
	if r.State == IsConverted {
		r.State = IsStarted
	}
	r.ConvertedAt, r.convertedBy, r.convertedBefore = time.Time{}, id.ID{}, r.convertedBy
	r.Version++
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	return tellConversion(c, r, Retracted)
}

// tellConversion appends the fact that a referral was converted, or is so no more. Where
// that is as it was before the command, as when a later purchase converts in the place of
// one that was undone, nobody is told of either.
func tellConversion(c *fact.Command, r *Referral, what string) error {
	var before *fact.Fact
	for _, f := range c.Facts() {
		if f.Subject.ID == r.ID && (f.Type == Converted || f.Type == Retracted) && !f.IsQuiet() {
			before = f
		}
	}
	now := *r
	f, err := c.Append(fact.Fact{Type: what, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: &now})
	if err == nil && before != nil && before.Type != what {
		before.Quiet()
		f.Quiet()
	}
	return err
}

// reconvert brings back what retract has taken back. It follows from what had
// converted it then, so that it is undone with that, and unless that was undone
// meanwhile.
func (s *Service) reconvert(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || r.isConverted() {
		return err
	}
	by, holds, err := converter(c, f)
	if err != nil || !holds {
		return err
	}
	return c.Because(f.Cause, func() error { return s.convert(c, r, by) })
}

// converter returns what led to a fact that a referral was converted, by its place
// among all that happens, and whether that holds.
func converter(c *fact.Command, f *fact.Fact) (id.ID, bool, error) {
	if f.Cause.IsZero() {
		return f.ID, true, nil
	}
	cause, err := fact.Get(c.Tx(), c.Tenant(), f.Cause)
	if err != nil {
		return id.ID{}, false, err
	}
	by := cause.ID
	if cause.Type == activity.Tracked {
		by = cause.Subject.ID
	}
	return by, cause.UndoneBy.IsZero(), nil
}

// resume takes back that a referral has ended: what was done since counts after all.
func (s *Service) resume(c *fact.Command, f *fact.Fact) error {
	r, err := selectReferral(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || r.State != IsEnded {
		return err
	}
	if err := mayResume(c, f); err != nil {
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
	if err := s.effects.AskSince(c, r.ReferredID, since); err != nil {
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

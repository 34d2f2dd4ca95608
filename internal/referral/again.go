package referral

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// takeBackBy undoes the activities of a person that another one takes back, as a
// refund does.
func (s *Service) takeBackBy(c *fact.Command, a *activity.Activity) error {
	return s.eachRule(c, func(r *rule.Rule) error {
		if r.UndoOn == nil || r.UndoOn.Event != a.Type {
			return nil
		}
		causes, err := activity.OfTypes(c.Tx(), c.Tenant(), a.PersonID, r.On, maxCauses)
		if err != nil {
			return err
		}
		event := a.Document()
		for _, cause := range causes {
			if bytes.Compare(cause.ID[:], a.ID[:]) >= 0 || !r.MatchUndo(a.Type, event, cause.Document()) {
				continue
			}
			if err := s.takeBack(c, cause, a); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxCauses is how many of somebody's latest activities of a type a refund is
// compared with.
const maxCauses = 500

// takeBack undoes one activity because of another, unless that did so before: then
// somebody has undone its doing so.
func (s *Service) takeBack(c *fact.Command, cause, by *activity.Activity) error {
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	led, err := fact.CausedBy(c.Tx(), c.Tenant(), by.FactID)
	if err != nil {
		return err
	}
	for _, f := range led {
		if f.Type != fact.Undone {
			continue
		}
		var before fact.UndoneData
		raw, err := f.Raw()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &before); err != nil {
			return err
		}
		if before.Root == cause.FactID {
			return nil
		}
	}
	return c.Because(by.FactID, func() error {
		_, err := c.Undo(fact.Undoing{Fact: cause.FactID, Reason: by.Type})
		if errors.Is(err, fact.ErrUndone) {
			return nil
		}
		return err
	})
}

// eachRule hands over the rules that the tenant's referral programs have now.
func (s *Service) eachRule(c *fact.Command, fn func(r *rule.Rule) error) error {
	programs, err := s.all(c)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.Kind != KindName {
			continue
		}
		for _, r := range p.Rules.Rules() {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluateAgain asks the rules once more of what somebody did since an activity that
// was undone, or brought about again: what they say now holds.
func (s *Service) evaluateAgain(c *fact.Command, of *activity.Activity) error {
	if err := s.evaluateWaiting(c, of); err != nil {
		return err
	}
	if err := s.evaluateSince(c, of.PersonID, before(of.ID)); err != nil {
		return err
	}
	return s.followAccountAgain(c, of.PersonID)
}

// before returns the id that no other one stands between and the one given.
func before(of id.ID) id.ID {
	for i := len(of) - 1; i >= 0; i-- {
		of[i]--
		if of[i] != 0xff {
			break
		}
	}
	return of
}

// evaluateSince asks the rules once more of what somebody did after a moment: first
// what that takes back.
func (s *Service) evaluateSince(c *fact.Command, of, after id.ID) error {
	err := s.eachSince(c, of, after, func(a *activity.Activity) error { return s.takeBackBy(c, a) })
	if err != nil {
		return err
	}
	return s.eachSince(c, of, after, func(a *activity.Activity) error { return s.askAgain(c, a) })
}

func (s *Service) askAgain(c *fact.Command, a *activity.Activity) error {
	h := ofActivity(a)
	h.again = true
	return s.evaluate(c, h)
}

// eachSince hands over what somebody did after a moment and was not undone.
func (s *Service) eachSince(c *fact.Command, of, after id.ID, fn func(a *activity.Activity) error) error {
	for {
		page, err := activity.Since(c.Tx(), c.Tenant(), of, activity.Page{After: after, Limit: 200})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, a := range page {
			if err := fn(a); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// evaluateWaiting asks the rules again of what somebody did before an activity, which
// had kept something from following from that, or keeps it now.
func (s *Service) evaluateWaiting(c *fact.Command, of *activity.Activity) error {
	return s.eachRule(c, func(r *rule.Rule) error {
		if r.Unless == nil || r.Unless.Event != of.Type {
			return nil
		}
		earlier, err := activity.OfTypes(c.Tx(), c.Tenant(), of.PersonID, r.On, maxCauses)
		if err != nil {
			return err
		}
		for _, a := range earlier {
			if bytes.Compare(a.ID[:], of.ID[:]) < 0 {
				if err := s.askAgain(c, a); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// followAccountAgain converts what somebody was referred by, whose account has paid, if
// that had not done so because something else did before.
func (s *Service) followAccountAgain(c *fact.Command, of id.ID) error {
	p, err := person.Get(c.Tx(), c.Tenant(), of)
	if err != nil || p.Account == "" {
		return err
	}
	account, err := person.AccountOf(c.Tx(), c.Tenant(), p.Account)
	if problem.NotFound.Has(err) || err == nil && account.State != person.Paid {
		return nil
	}
	if err != nil {
		return err
	}
	paid, err := s.latest(c, account.ID, person.AccountChanged)
	if err != nil || paid == nil {
		return err
	}
	referrals, err := OfReferred(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, r := range referrals {
		err := c.Because(paid.ID, func() error { return s.followAccount(c, r, account, paid.ID) })
		if err != nil {
			return err
		}
	}
	return nil
}

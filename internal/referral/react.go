package referral

import (
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// React does what follows from a fact.
func (s *Service) React(c *fact.Command, f *fact.Fact) error {
	switch data := f.Data.(type) {
	case *person.Person:
		return s.onPerson(c, f, data)
	case *person.Account:
		return s.onAccount(c, f, data)
	case *activity.Activity:
		return s.onActivity(c, f, data)
	case *Referral:
		return s.onReferralFact(c, f, data)
	case *reward.Reward:
		return s.onReward(c, f, data)
	case *reward.Limit:
		return s.writeLimit(c, data)
	case fact.UndoneData:
		return s.onUndone(c, data)
	}
	return nil
}

func (s *Service) onPerson(c *fact.Command, f *fact.Fact, p *person.Person) error {
	switch f.Type {
	case person.Created, person.Updated:
		programs, err := s.running(c)
		if err != nil {
			return err
		}
		for _, of := range programs {
			if err := s.join(c, of.Program, p); err != nil {
				return err
			}
		}
		if f.Type == person.Created {
			return s.evaluateFact(c, f, p.ID)
		}
	case person.Blocked:
		if err := s.endAll(c, p.ID, EndedByBlock); err != nil {
			return err
		}
		return s.conformWaiting(c, p.ID)
	case person.Unblocked:
		return s.unblocked(c, p.ID)
	case person.Deleted:
		if err := s.endAll(c, p.ID, EndedByDelete); err != nil {
			return err
		}
		if err := s.conformWaiting(c, p.ID); err != nil {
			return err
		}
		return s.forgotten(c, p.ID)
	}
	return nil
}

// onAccount converts or ends what the people of an account were referred by.
func (s *Service) onAccount(c *fact.Command, f *fact.Fact, a *person.Account) error {
	people, err := person.OfAccount(c.Tx(), c.Tenant(), a.Key, id.ID{}, maxPeople)
	if err != nil {
		return err
	}
	for _, p := range people {
		referrals, err := OfReferred(c.Tx(), c.Tenant(), p.ID)
		if err != nil {
			return err
		}
		for _, r := range referrals {
			if err := s.followAccount(c, r, a, f.ID); err != nil {
				return err
			}
		}
		if err := s.evaluate(c, happening{on: "account." + string(a.State), person: p.ID, key: f.ID, document: accountDocument(a)}); err != nil {
			return err
		}
	}
	return nil
}

func accountDocument(a *person.Account) map[string]any {
	return map[string]any{"account": a.Key, "state": string(a.State), "currency": a.Currency}
}

func (s *Service) followAccount(c *fact.Command, r *Referral, a *person.Account, by id.ID) error {
	of, err := s.ProgramOf(c.Tx(), c.Tenant(), r.ProgramID)
	if err != nil || !of.Settings.convertsAccounts() {
		return err
	}
	switch a.State {
	case person.Paid:
		if r.State != IsStarted {
			return nil
		}
		return s.convert(c, r, by)
	case person.Cancelled:
		return s.end(c, r, EndedByAccount)
	case person.Trial, person.Free:
	}
	return nil
}

func (s *Service) onReferralFact(c *fact.Command, f *fact.Fact, r *Referral) error {
	switch f.Type {
	case Started:
		if err := s.writeStarted(c, r); err != nil {
			return err
		}
		return s.evaluateReferral(c, f, r)
	case Converted:
		if err := s.writeConverted(c, r); err != nil {
			return err
		}
		return s.evaluateReferral(c, f, r)
	}
	return nil
}

func (s *Service) onReward(c *fact.Command, f *fact.Fact, r *reward.Reward) error {
	if r.FirstAvailable(f) {
		return s.writeReward(c, r)
	}
	return nil
}

// onUndone has what an activity had prevented happen after all.
func (s *Service) onUndone(c *fact.Command, u fact.UndoneData) error {
	if u.Type != activity.Tracked {
		return nil
	}
	root, err := fact.Get(c.Tx(), c.Tenant(), u.Root)
	if err != nil {
		return err
	}
	a, err := activity.Get(c.Tx(), c.Tenant(), root.Subject.ID)
	if err != nil {
		return err
	}
	return s.evaluateAgain(c, a)
}

// unblocked resumes what Block has ended, and gives what waited.
func (s *Service) unblocked(c *fact.Command, of id.ID) error {
	referrals, err := OfReferred(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, r := range referrals {
		if r.State != IsEnded || r.EndReason != EndedByBlock {
			continue
		}
		ended, err := s.latest(c, r.ID, Ended)
		if err != nil {
			return err
		}
		if ended == nil {
			continue
		}
		if _, err := c.Undo(fact.Undoing{Fact: ended.ID, Reason: "unblocked", Depth: 1}); err != nil {
			return err
		}
	}
	return s.conformWaiting(c, of)
}

// conformWaiting brings the rewards that a person has not had yet to where it wants
// them that the person is blocked, or is not any more.
func (s *Service) conformWaiting(c *fact.Command, of id.ID) error {
	waiting, err := reward.WaitingOf(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, given := range waiting {
		// What was done for the one before may have changed it.
		if given, err = reward.Get(c.Tx(), c.Tenant(), given.ID); err != nil {
			return err
		}
		var r *Referral
		if !given.ReferralID.IsZero() {
			if r, err = selectReferral(c.Tx(), c.Tenant(), given.ReferralID); err != nil {
				return err
			}
		}
		if err := s.conform(c, r, given); err != nil {
			return err
		}
	}
	return nil
}

// latest returns the latest fact of a type about a subject that holds; nil: there is
// none.
func (s *Service) latest(c *fact.Command, of id.ID, factType string) (*fact.Fact, error) {
	if err := c.Tx().Flush(); err != nil {
		return nil, err
	}
	page := fact.Page{Limit: 100}
	for {
		facts, err := fact.Of(c.Tx(), c.Tenant(), of, page)
		if err != nil || len(facts) == 0 {
			return nil, err
		}
		for _, f := range facts {
			if f.Type == factType && f.UndoneBy.IsZero() {
				return f, nil
			}
		}
		page.Before = facts[len(facts)-1].ID
	}
}

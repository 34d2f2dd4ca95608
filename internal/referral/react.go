package referral

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// React does what follows from a fact.
func (s *Service) React(c *fact.Command, f *fact.Fact) error {
	switch data := f.Data.(type) {
	case *person.Person:
		return s.onPerson(c, f, data)
	case *person.Account:
		return s.onAccount(c, f, data)
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
			return s.ask(c, f, p.ID)
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
		if err := s.onAccountOf(c, f, a, p.ID); err != nil {
			return err
		}
	}
	return nil
}

// onAccountOf does what follows for one of an account's people from where it stands.
// Rules are asked while a referral that a cancellation ends is still under way.
func (s *Service) onAccountOf(c *fact.Command, f *fact.Fact, a *person.Account, of id.ID) error {
	ask := func() error {
		return s.effects.Ask(c, effect.Happening{On: accountPrefix + string(a.State), Person: of, Key: f.ID, FactID: f.ID, Document: accountDocument(a)})
	}
	steps := []func() error{func() error { return s.followAccountOf(c, of, a, f.ID) }, ask}
	if a.State == person.Cancelled {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// followAccountOf converts or ends what somebody was referred by.
func (s *Service) followAccountOf(c *fact.Command, of id.ID, a *person.Account, by id.ID) error {
	referrals, err := OfReferred(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, r := range referrals {
		if err := s.followAccount(c, r, a, by); err != nil {
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
		return s.askOf(c, f, r)
	case Converted:
		if err := s.writeConverted(c, r); err != nil {
			return err
		}
		return s.askOf(c, f, r)
	case Retracted:
		return s.recountAfter(c, f, r, Converted, place{r.convertedBefore, r.ID})
	case Moderated:
		return s.recountModerated(c, f, r)
	}
	return nil
}

func (s *Service) onReward(c *fact.Command, f *fact.Fact, r *reward.Reward) error {
	if err := s.recountReward(c, f, r); err != nil {
		return err
	}
	if r.FirstAvailable(f) {
		return s.writeReward(c, r)
	}
	return nil
}

// askOf has rules listen to a fact about a referral, and those that count be asked again
// of what stands after it.
func (s *Service) askOf(c *fact.Command, f *fact.Fact, r *Referral) error {
	askedBy(c)[askedFact{f.Type, r.ID}] = len(c.Facts())
	if err := s.ask(c, f, r.ReferredID); err != nil {
		return err
	}
	return s.recountAfter(c, f, r, f.Type, r.standsAt(f.Type))
}

// ask has rules listen to a fact, as one about a person: what happens to a referral is
// the referred person's.
func (s *Service) ask(c *fact.Command, f *fact.Fact, about id.ID) error {
	return s.effects.Ask(c, effect.Happening{On: f.Type, Person: about, Key: f.Subject.ID, FactID: f.ID, Document: map[string]any{}})
}

// onUndone has an account that has paid convert what an activity had before, which was
// undone, or had kept from being converted; rules are asked again by the engine.
func (s *Service) onUndone(c *fact.Command, u fact.UndoneData) error {
	if u.Type != activity.Tracked {
		return nil
	}
	a, err := activity.Undone(c, u)
	if err != nil {
		return err
	}
	return s.followAccountAgain(c, a.PersonID)
}

// followAccountAgain converts what somebody was referred by, whose account has paid, if
// that had not done so because something else did before.
func (s *Service) followAccountAgain(c *fact.Command, of id.ID) error {
	p, err := person.Now(c, of)
	if err != nil || p.Account == "" || p.IsDeleted() {
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
	return latestFact(c, of, func(f *fact.Fact) bool { return f.Type == factType && f.UndoneBy.IsZero() })
}

// latestFact returns the latest fact about a subject that is meant; nil: there is none.
func latestFact(c *fact.Command, of id.ID, meant func(f *fact.Fact) bool) (*fact.Fact, error) {
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
			if meant(f) {
				return f, nil
			}
		}
		page.Before = facts[len(facts)-1].ID
	}
}

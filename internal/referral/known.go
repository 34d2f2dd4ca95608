package referral

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// What a command has changed itself need not be read: its facts have it.

// keptAccount is under what a command keeps an account.
type keptAccount string

// accountNow returns an account as it was when the command asked first, or
// problem.NotFound: what changes accounts asks before it does so.
func accountNow(c *fact.Command, key string) (*person.Account, error) {
	switch known := c.Tx().Kept(keptAccount(key)).(type) {
	case *person.Account:
		return known, nil
	case error:
		return nil, known
	}
	a, err := person.AccountOf(c.Tx(), c.Tenant(), key)
	switch {
	case err == nil:
		c.Tx().Keep(keptAccount(key), a)
	case problem.NotFound.Has(err):
		c.Tx().Keep(keptAccount(key), err)
	}
	return a, err
}

// isNew reports whether somebody came to be in the command. Whatever there is of such
// a person the command has made itself.
func isNew(c *fact.Command, of id.ID) bool {
	return slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { return f.Type == person.Created && f.Subject.ID == of })
}

// keptMembership is under what a command keeps a membership that it has made.
type keptMembership struct{ program, person id.ID }

// membershipNow returns a person's membership in a program as the command has left it
// so far, or problem.NotFound.
func membershipNow(c *fact.Command, in, of id.ID) (program.Membership, error) {
	if m, ok := c.Tx().Kept(keptMembership{in, of}).(program.Membership); ok {
		return m, nil
	}
	if isNew(c, of) {
		return program.Membership{}, problem.NotFound.New("the person is not in the program")
	}
	return program.MembershipOf(c.Tx(), c.Tenant(), in, of)
}

// byReferredNow returns by what a person was referred in a program as the command has
// left it so far, or problem.NotFound.
func byReferredNow(c *fact.Command, in, of id.ID) (*Referral, error) {
	if !isNew(c, of) {
		return byReferred(c.Tx(), c.Tenant(), in, of)
	}
	all, err := referralsNow(c, of)
	i := slices.IndexFunc(all, func(r *Referral) bool { return r.ProgramID == in })
	if err == nil && i < 0 {
		err = problem.NotFound.New("there is no such referral")
	}
	if err != nil {
		return nil, err
	}
	return all[i], nil
}

// programNow returns one of the tenant's referral programs with its settings, or
// problem.NotFound.
func (s *Service) programNow(c *fact.Command, of id.ID) (Running, error) {
	all, err := s.all(c)
	if err != nil {
		return Running{}, err
	}
	for _, p := range all {
		if p.ID == of {
			return s.withSettings(p)
		}
	}
	return s.ProgramOf(c.Tx(), c.Tenant(), of)
}

// respelled is under what a command keeps that it has shown a code in another
// spelling, which no fact says.
type respelled struct{}

// codesOfNew returns the codes of somebody who came to be in the command, as codesIn
// does, and reports whether that is so.
func codesOfNew(c *fact.Command, programs []*program.Program, of id.ID) ([]Code, bool) {
	if !isNew(c, of) || c.Tx().Kept(respelled{}) != nil {
		return nil, false
	}
	var codes []Code
	for _, p := range programs {
		for _, f := range slices.Backward(c.Facts()) { // the latest one is the one that is shown
			if made, ok := f.Data.(*Code); ok && made.PersonID == of && made.ProgramID == p.ID {
				codes = append(codes, *made)
				break
			}
		}
	}
	return codes, true
}

// codesNow returns somebody's codes as the command has left them so far.
func (s *Service) codesNow(c *fact.Command, of id.ID) ([]Code, error) {
	programs, err := s.all(c)
	if err != nil {
		return nil, err
	}
	if codes, ok := codesOfNew(c, programs, of); ok {
		return codes, nil
	}
	return codesIn(c.Tx(), programs, of)
}

// startedNow reports whether a referral came to be in the command.
func startedNow(c *fact.Command, of id.ID) bool {
	return slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { return f.Type == Started && f.Subject.ID == of })
}

// referralsNow returns by what a person was referred, as OfReferred does, as the
// command has left it so far.
func referralsNow(c *fact.Command, of id.ID) ([]*Referral, error) {
	if !isNew(c, of) {
		return OfReferred(c.Tx(), c.Tenant(), of)
	}
	var referrals []*Referral
	for _, f := range slices.Backward(c.Facts()) {
		r, ok := f.Data.(*Referral)
		known := ok && slices.ContainsFunc(referrals, func(other *Referral) bool { return other.ID == r.ID })
		if ok && r.ReferredID == of && !known {
			now := *r
			now.First = false
			referrals = append(referrals, &now)
		}
	}
	slices.SortFunc(referrals, func(a, b *Referral) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return referrals, nil
}

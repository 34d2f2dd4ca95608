package referral

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// What a command has changed itself need not be read: its facts have it. And what it
// has read once of people whom it does not change, it keeps.

// keptPerson is under what a command keeps a person.
type keptPerson id.ID

// personNow returns a person as the command has left it so far, or problem.NotFound.
func personNow(c *fact.Command, of id.ID) (*person.Person, error) {
	for _, f := range slices.Backward(c.Facts()) {
		if p, ok := f.Data.(*person.Person); ok && p.ID == of {
			return p, nil
		}
	}
	if p, ok := c.Tx().Kept(keptPerson(of)).(*person.Person); ok {
		return p, nil
	}
	p, err := person.Get(c.Tx(), c.Tenant(), of)
	if err == nil {
		c.Tx().Keep(keptPerson(of), p)
	}
	return p, err
}

// respelled is under what a command keeps that it has shown a code in another
// spelling, which no fact says.
type respelled struct{}

// codesOfNew returns the codes of somebody who came to be in the command, as CodesOf
// does, and reports whether that is so.
func codesOfNew(c *fact.Command, programs []*program.Program, of id.ID) ([]Code, bool) {
	isNew := slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { return f.Type == person.Created && f.Subject.ID == of })
	if !isNew || c.Tx().Kept(respelled{}) != nil {
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
	isNew := slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { return f.Type == person.Created && f.Subject.ID == of })
	if !isNew {
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

package effect

import (
	"cmp"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
)

// rewards gives what rules say as rewards.
type rewards struct{ service *reward.Service }

var _ Giver = rewards{}

// Give gives a reward, as its terms and its limit allow, to somebody who is not
// forgotten.
func (s rewards) Give(c *fact.Command, g Gift) error {
	to, err := person.Now(c, g.To)
	if err != nil || to.IsDeleted() {
		return err
	}
	award := g.award()
	begun := &reward.Reward{Audience: award.Audience, DueAt: award.DueAt}
	if w := g.Effect.Wait; w != nil && begun.DueAt.IsZero() { // it waited as what is pending does
		begun.DueAt = w.Until
	}
	terms := g.terms(begun, to)
	award.Held = terms.Held || terms.Denied || terms.Ended
	given, _, err := s.service.Give(c, award)
	if err != nil {
		return err
	}
	return s.service.Conform(c, given, g.terms(given, to))
}

func (s rewards) Withdraw(c *fact.Command, g Gift) error { return s.service.Withdraw(c, g.Key()) }

func (s rewards) GaveEarlier(q db.Queryer, g Gift) (bool, error) {
	var given []*reward.Reward
	var err error
	if g.Of.Subject != nil {
		given, err = reward.OfReferral(q, g.Of.Program.TenantID, g.Of.Subject.Ref())
	} else {
		given, err = reward.OfRule(q, g.Of.Program.TenantID, g.To, g.Of.Program.ID, g.Rule.Key)
	}
	return slices.ContainsFunc(given, func(r *reward.Reward) bool {
		return r.Rule == g.Rule.Key && r.PersonID == g.To && r.Counts() && r.Before(g.For.Key)
	}), err
}

// terms says what a reward depends on that is the gift, or is to be.
func (g Gift) terms(given *reward.Reward, to *person.Person) reward.Terms {
	if g.Of.Subject == nil {
		return TermsOf(to)
	}
	return g.Of.Subject.Terms(given, to)
}

func (g Gift) award() reward.Award {
	of, e := g.Of, g.Effect
	a := reward.Award{
		Effect: g.Key(), Order: g.place(), ProgramID: of.Program.ID, Rule: g.Rule.Key, RuleVersion: of.RulesVersion,
		PersonID: g.To, Audience: e.To, Kind: e.Kind, Amount: e.Amount, Unit: cmp.Or(e.Unit, of.Program.Unit), Name: e.Name, Source: e.Source, Def: e.Def,
		DueAt: e.DueAt, Expires: g.Rule.Give.Expires, Zone: of.Program.Zone, Clawback: of.Clawback, Limit: g.Allowance(),
	}
	if of.Subject == nil {
		return a
	}
	a.ReferralID = of.Subject.Ref()
	if e.To == rule.Self {
		a.Audience = of.Role
	}
	return a
}

// Allowance is the limit that the gift counts against; nil: there is none.
func (g Gift) Allowance() *reward.Allowance {
	l := g.Rule.Limit
	if l == nil {
		return nil
	}
	scope := "rule/" + g.Of.Program.ID.String() + "/" + g.Rule.Key
	switch l.Per {
	case rule.PerPerson:
		scope += "/" + g.To.String()
	case rule.PerTenant:
		scope = "rule/tenant/" + g.Rule.Key
	case rule.PerProgram:
	}
	at := g.For.Received
	if w := g.Effect.Wait; w != nil {
		at = w.Until
	}
	return &reward.Allowance{Scope: scope, Window: l.Window, Count: l.Count, Amount: l.Amount, Clamp: l.Over == rule.Clamp, Notify: l.Notify, At: at}
}

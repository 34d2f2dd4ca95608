package referral

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// unlessTimer gives what somebody gets if they did not do something by then.
const unlessTimer = "referral.unless"

// happening is what rules listen to: an activity, or a fact about somebody.
type happening struct {
	on       string // its type
	person   id.ID  // who did it
	key      id.ID  // of what happened, the same each time that it is looked at
	at       time.Time
	received time.Time
	document map[string]any
	activity *activity.Activity // nil: it is a fact
}

func ofActivity(a *activity.Activity) happening {
	at := a.OccurredAt
	if a.ReceivedAt.Before(at) { // a clock is ahead
		at = a.ReceivedAt
	}
	return happening{on: a.Type, person: a.PersonID, key: a.ID, at: at, received: a.ReceivedAt, document: a.Document(), activity: a}
}

func (s *Service) onActivity(c *fact.Command, f *fact.Fact, a *activity.Activity) error {
	if f.Type != activity.Tracked {
		return nil
	}
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	if err := s.takeBackBy(c, a); err != nil {
		return err
	}
	return s.evaluate(c, ofActivity(a))
}

// evaluateFact has rules listen to a fact about a person.
func (s *Service) evaluateFact(c *fact.Command, f *fact.Fact, of id.ID) error {
	return s.evaluate(c, happening{on: f.Type, person: of, key: f.Subject.ID, document: map[string]any{}})
}

// evaluateReferral has rules listen to a fact about a referral: it is the referred
// person's.
func (s *Service) evaluateReferral(c *fact.Command, f *fact.Fact, r *Referral) error {
	return s.evaluate(c, happening{on: f.Type, person: r.ReferredID, key: r.ID, document: map[string]any{}})
}

// evaluate does what the rules of all programs say of what happened.
func (s *Service) evaluate(c *fact.Command, h happening) error {
	h.at, h.received = orNow(h.at, c), orNow(h.received, c)
	programs, err := s.programs.List(c.Tx(), c.Tenant())
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.Kind != KindName || !p.Runs(h.received) {
			continue
		}
		set, version, err := s.programs.RulesAt(c.Tx(), p, h.received)
		if err != nil {
			return err
		}
		if len(set.On(h.on)) == 0 {
			continue
		}
		if err := s.evaluateIn(c, p, set, version, h); err != nil {
			return err
		}
	}
	return nil
}

func orNow(t time.Time, c *fact.Command) time.Time {
	if t.IsZero() {
		return c.Now()
	}
	return t
}

// part is the part that somebody has in what happened.
type part struct {
	program  *program.Program
	version  int64 // of the rules
	role     rule.Role
	referral *Referral // in which they are referred; nil: in none
	person   *person.Person
}

// parts returns the parts that the person has in a program. Rules of everybody are
// asked in the first one only.
func (s *Service) parts(q db.Queryer, p *program.Program, h happening) ([]part, error) {
	who, err := person.Get(q, p.TenantID, h.person)
	if err != nil {
		return nil, err
	}
	var parts []part
	r, err := byReferred(q, p.TenantID, p.ID, h.person)
	switch {
	case err == nil && r.State != IsEnded:
		parts = append(parts, part{program: p, role: rule.Referred, referral: r, person: who})
	case err != nil && !problem.NotFound.Has(err):
		return nil, err
	}
	refers, err := hasReferred(q, p.TenantID, p.ID, h.person)
	if err != nil {
		return nil, err
	}
	if refers {
		parts = append(parts, part{program: p, role: rule.Referrer, person: who})
	}
	if len(parts) == 0 {
		parts = append(parts, part{program: p, role: rule.Self, person: who})
	}
	return parts, nil
}

func (s *Service) evaluateIn(c *fact.Command, p *program.Program, set *rule.Set, version int64, h happening) error {
	parts, err := s.parts(c.Tx(), p, h)
	if err != nil {
		return err
	}
	for i, of := range parts {
		of.version = version
		results, err := set.Evaluate(of.input(c.Tx(), h))
		if err != nil {
			return err
		}
		for _, result := range results {
			if i > 0 && result.Rule.Actor != of.role { // it was asked in the first part
				continue
			}
			if err := s.apply(c, of, h, result); err != nil {
				return err
			}
		}
	}
	return nil
}

// input is what rules see.
func (of part) input(q db.Queryer, h happening) rule.Input {
	in := rule.Input{
		Now: h.at, Zone: of.program.Zone, On: h.on, Actor: of.role,
		Documents: map[string]any{
			"event": h.document, "person": personDocument(of.person), "program": map[string]any{"key": of.program.Key, "name": of.program.Name},
		},
	}
	history := activity.History{Queryer: q, Tenant: of.program.TenantID, Person: h.person}
	switch {
	case h.activity == nil:
	case h.activity.ID.IsZero(): // it is not stored
		history.Beside = h.activity
	default:
		history.Until = h.activity.ID
	}
	in.History = history
	if of.referral != nil {
		in.Since = of.referral.StartedAt
		in.Documents["referral"] = referralDocument(of.referral)
	}
	return in
}

func personDocument(p *person.Person) map[string]any {
	doc := map[string]any{
		"id": person.Kind.Format(p.ID), "external_id": p.Key, "account": p.Account, "email": p.Email, "first_name": p.FirstName, "last_name": p.LastName,
		"locale": p.Locale, "country": p.Country, "created_at": p.CreatedAt.UTC().Format(time.RFC3339Nano), "fields": activity.ReadFields(p.Fields),
	}
	return doc
}

func referralDocument(r *Referral) map[string]any {
	return map[string]any{
		"id": ReferralID.Format(r.ID), "state": string(r.State), "code": r.Code, "method": string(r.Method),
		"started_at": r.StartedAt.UTC().Format(time.RFC3339Nano),
	}
}

// apply does what came of a rule, or takes back what it did when it was asked
// before and said otherwise.
func (s *Service) apply(c *fact.Command, of part, h happening, result rule.Result) error {
	if !result.Matched {
		return s.withdraw(c, of, h, result.Rule)
	}
	if w := result.Effect.Wait; w != nil && w.Until.After(c.Now()) {
		return s.waitFor(c, of, h, result)
	}
	if w := result.Effect.Wait; w != nil {
		happened, err := activity.History{Queryer: c.Tx(), Tenant: c.Tenant(), Person: h.person}.Happened(w.Event, h.at, w.Until)
		if err != nil {
			return err
		}
		if happened {
			return s.withdraw(c, of, h, result.Rule)
		}
	}
	return s.effect(c, of, h, result)
}

// effect does what a rule says.
func (s *Service) effect(c *fact.Command, of part, h happening, result rule.Result) error {
	e := result.Effect
	to, ok := of.beneficiary(e.To)
	if !ok {
		return nil
	}
	if e.Convert && of.referral != nil && of.referral.State == IsStarted {
		if err := s.convert(c, of.referral, h.key); err != nil {
			return err
		}
	}
	if e.Kind == "" {
		return nil
	}
	if e.Once {
		taken, err := s.givenBefore(c, of, h, to, result.Rule)
		if err != nil || taken {
			return err
		}
	}
	return s.give(c, of, h, to, result)
}

// beneficiary is who gets what a rule gives to a role.
func (of part) beneficiary(to rule.Role) (id.ID, bool) {
	switch {
	case to == rule.Self, to == of.role:
		return of.person.ID, true
	case of.referral == nil:
		return id.ID{}, false
	case to == rule.Referrer:
		return of.referral.ReferrerID, true
	case to == rule.Referred:
		return of.referral.ReferredID, true
	default:
		return id.ID{}, false
	}
}

// effectKey names what a rule does because of something that happened.
func (of part) effectKey(r *rule.Rule, to id.ID, h happening) string {
	return of.program.ID.String() + "/" + r.Key + "/" + to.String() + "/" + h.on + "/" + h.key.String()
}

// givenBefore reports whether a rule that gives once has given already, because of
// something that happened before. What it gave because of this, since it was asked
// before something earlier was brought about again, is taken back then.
func (s *Service) givenBefore(c *fact.Command, of part, h happening, to id.ID, r *rule.Rule) (bool, error) {
	earlier, err := of.gaveEarlier(c.Tx(), h, to, r)
	if err != nil || !earlier {
		return false, err
	}
	return true, s.rewards.Withdraw(c, of.effectKey(r, to, h))
}

// gaveEarlier reports whether a rule has given to somebody because of something that
// happened before.
func (of part) gaveEarlier(q db.Queryer, h happening, to id.ID, r *rule.Rule) (bool, error) {
	var given []*reward.Reward
	var err error
	if of.referral != nil {
		given, err = reward.OfReferral(q, of.program.TenantID, of.referral.ID)
	} else {
		given, err = reward.OfRule(q, of.program.TenantID, to, of.program.ID, r.Key)
	}
	return slices.ContainsFunc(given, func(g *reward.Reward) bool {
		return g.Rule == r.Key && g.PersonID == to && g.Counts() && g.Before(h.key)
	}), err
}

// give gives what a rule says.
func (s *Service) give(c *fact.Command, of part, h happening, to id.ID, result rule.Result) error {
	e, give := result.Effect, result.Rule.Give
	settings, err := s.settings.read(of.program)
	if err != nil {
		return err
	}
	award := reward.Award{
		Effect: of.effectKey(result.Rule, to, h), Order: h.key, ProgramID: of.program.ID, Rule: result.Rule.Key, RuleVersion: of.version,
		PersonID: to, Audience: e.To, Kind: e.Kind, Amount: e.Amount, Unit: cmp.Or(e.Unit, of.program.Unit), Name: e.Name, Source: e.Source, Def: e.Def,
		DueAt: e.DueAt, Expires: give.Expires, Zone: of.program.Zone, Clawback: settings.Clawback, Limit: of.allowance(result.Rule, to),
	}
	denied := false
	if of.referral != nil {
		award.ReferralID = of.referral.ID
		if e.To == rule.Self {
			award.Audience = rule.Referred
		}
		side := ReferrerSide
		if award.Audience == rule.Referred {
			side = ReferredSide
		}
		award.Held = of.referral.decided(side) == Undecided
		denied = of.referral.decided(side) == Denied
	}
	who, err := person.Get(c.Tx(), c.Tenant(), to)
	if err != nil || who.IsDeleted() {
		return err
	}
	award.Held = award.Held || who.IsBlocked()
	given, isNew, err := s.rewards.Give(c, award)
	if err != nil || !denied || !isNew {
		return err
	}
	return s.rewards.Deny(c, given)
}

// allowance is the limit of a rule for somebody.
func (of part) allowance(r *rule.Rule, to id.ID) *reward.Allowance {
	l := r.Limit
	if l == nil {
		return nil
	}
	scope := "rule/" + of.program.ID.String() + "/" + r.Key
	switch l.Per {
	case rule.PerPerson:
		scope += "/" + to.String()
	case rule.PerTenant:
		scope = "rule/tenant/" + r.Key
	case rule.PerProgram:
	}
	return &reward.Allowance{Scope: scope, Window: l.Window, Count: l.Count, Amount: l.Amount, Clamp: l.Over == rule.Clamp, Notify: l.Notify}
}

// withdraw takes back what a rule did because of something of which it does not say
// so any more.
func (s *Service) withdraw(c *fact.Command, of part, h happening, r *rule.Rule) error {
	if h.activity == nil || r.Give == nil && !r.Convert {
		return nil
	}
	if r.Convert && of.referral != nil && of.referral.convertedBy == h.key {
		converted, err := s.latest(c, of.referral.ID, Converted)
		if err != nil {
			return err
		}
		if converted != nil {
			if _, err := c.Undo(fact.Undoing{Fact: converted.ID, Reason: "its cause was undone"}); err != nil {
				return err
			}
		}
	}
	to, ok := of.beneficiary(r.To)
	if r.Give == nil || !ok {
		return nil
	}
	return s.rewards.Withdraw(c, of.effectKey(r, to, h))
}

// waiting is what an unlessTimer is to do.
type waiting struct {
	Activity id.ID  `json:"activity"`
	Program  id.ID  `json:"program"`
	Rule     string `json:"rule"`
}

// waitFor has the rule asked again when the time is over in which something must not
// happen.
func (s *Service) waitFor(c *fact.Command, of part, h happening, result rule.Result) error {
	if h.activity == nil { // a fact has no later one that could keep it from counting
		return s.effect(c, of, h, result)
	}
	data, err := json.Marshal(waiting{h.activity.ID, of.program.ID, result.Rule.Key})
	if err != nil {
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: unlessTimer, DueAt: result.Effect.Wait.Until, Ref: h.activity.ID, Data: data})
	return err
}

func (s *Service) unlessDue(c *fact.Command, t timer.Timer) error {
	var w waiting
	if err := json.Unmarshal(t.Data, &w); err != nil {
		return err
	}
	a, err := activity.Get(c.Tx(), c.Tenant(), w.Activity)
	if err != nil || !a.UndoneAt.IsZero() {
		return err
	}
	p, err := s.programs.Get(c.Tx(), c.Tenant(), w.Program)
	if err != nil {
		return err
	}
	set, version, err := s.programs.RulesAt(c.Tx(), p, a.ReceivedAt)
	if err != nil {
		return err
	}
	return c.Because(a.FactID, func() error { return s.evaluateIn(c, p, set, version, ofActivity(a)) })
}

// takeBackBy undoes the activities of a person that another one takes back, as a
// refund does.
func (s *Service) takeBackBy(c *fact.Command, a *activity.Activity) error {
	programs, err := s.programs.List(c.Tx(), c.Tenant())
	if err != nil {
		return err
	}
	event := a.Document()
	for _, p := range programs {
		if p.Kind != KindName {
			continue
		}
		for _, r := range p.Rules.Rules() {
			if r.UndoOn == nil || r.UndoOn.Event != a.Type {
				continue
			}
			causes, err := activity.OfTypes(c.Tx(), c.Tenant(), a.PersonID, r.On, maxCauses)
			if err != nil {
				return err
			}
			for _, cause := range causes {
				if cause.ID == a.ID || !r.MatchUndo(a.Type, event, cause.Document()) {
					continue
				}
				if _, err := c.Undo(fact.Undoing{Fact: cause.FactID, Reason: a.Type}); err != nil && !problem.Conflict.Has(err) {
					return err
				}
			}
		}
	}
	return nil
}

// maxCauses is how many of somebody's latest activities of a type a refund is
// compared with.
const maxCauses = 500

// evaluateAgain asks the rules once more of what somebody did since an activity that
// was undone, or brought about again: what they say now holds.
func (s *Service) evaluateAgain(c *fact.Command, of *activity.Activity) error {
	after := of.ID
	for {
		page, err := activity.Since(c.Tx(), c.Tenant(), of.PersonID, activity.Page{After: after, Limit: 200})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, a := range page {
			err := c.Because(a.FactID, func() error { return s.evaluate(c, ofActivity(a)) })
			if err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

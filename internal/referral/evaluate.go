package referral

import (
	"bytes"
	"cmp"
	"crypto/sha256"
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
	again    bool               // it was asked about before
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
	programs, err := s.all(c)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.Kind != KindName || !h.concerns(p) {
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

// concerns reports whether the rules of a program are asked about what happened. In one
// that does not run any more nothing new begins, but what was begun is asked about
// again.
func (h happening) concerns(p *program.Program) bool {
	return p.Runs(h.received) || h.again && p.Status != program.Draft
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

// parts returns the parts that the person had in a program when something happened.
// Rules of everybody are asked in the first one only.
func (s *Service) parts(q db.Queryer, p *program.Program, h happening) ([]part, error) {
	who, err := person.Get(q, p.TenantID, h.person)
	if err != nil {
		return nil, err
	}
	var parts []part
	r, err := byReferred(q, p.TenantID, p.ID, h.person)
	switch {
	case err == nil && r.heldAt(h):
		parts = append(parts, part{program: p, role: rule.Referred, referral: r, person: who})
	case err != nil && !problem.NotFound.Has(err):
		return nil, err
	}
	refers, err := hasReferred(q, p.TenantID, p.ID, h)
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

// heldAt reports whether a referral had begun and not ended when something happened.
func (r *Referral) heldAt(h happening) bool {
	if h.activity == nil {
		return r.State != IsEnded
	}
	return !h.precedes(r.ID) && (r.State != IsEnded || h.received.Before(r.EndedAt))
}

// precedes reports whether an activity happened before something else.
func (h happening) precedes(other id.ID) bool { return bytes.Compare(h.key[:], other[:]) < 0 }

// evaluations is under what a command keeps how often it has asked rules.
type evaluations struct{}

// maxEvaluations bounds how often one command asks rules, some seconds' work: nobody
// else can write meanwhile, and an undoing asks them again of all that came after.
const maxEvaluations = 10_000

func countEvaluation(c *fact.Command) error {
	n, _ := c.Tx().Kept(evaluations{}).(int)
	if n++; n > maxEvaluations {
		return problem.Conflict.New("the rules would have to be asked more than %d times, of all that somebody did since: that is too much for one call", maxEvaluations)
	}
	c.Tx().Keep(evaluations{}, n)
	return nil
}

func (s *Service) evaluateIn(c *fact.Command, p *program.Program, set *rule.Set, version int64, h happening) error {
	if err := countEvaluation(c); err != nil {
		return err
	}
	if err := c.Tx().Flush(); err != nil { // the person may be new
		return err
	}
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
		converts := false
		for _, result := range results {
			// Each rule is asked in one part: that of its actor, or the first.
			if result.Rule.Actor != of.role && (i > 0 || result.Rule.Actor != rule.Self) {
				continue
			}
			holds, err := s.apply(c, of, h, result)
			if err != nil {
				return err
			}
			converts = converts || holds && result.Rule.Convert
		}
		if of.referral != nil && !converts && h.again && of.referral.convertedBy == h.key {
			if err := s.unconvert(c, of.referral, "what converted it does not do so any more"); err != nil {
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
		in.Documents["referral"] = of.referral.documentAt(h)
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

// documentAt is what rules see of a referral: where it stood when something happened.
func (r *Referral) documentAt(h happening) map[string]any {
	state := r.State
	if h.activity != nil {
		state = IsStarted
		if r.isConverted() && bytes.Compare(r.convertedBy[:], h.key[:]) < 0 {
			state = IsConverted
		}
	}
	return map[string]any{
		"id": ReferralID.Format(r.ID), "state": string(state), "code": r.Code, "method": string(r.Method),
		"started_at": r.StartedAt.UTC().Format(time.RFC3339Nano),
	}
}

// apply does what came of a rule, or takes back what it did when it was asked
// before and said otherwise. It reports whether what the rule says holds.
func (s *Service) apply(c *fact.Command, of part, h happening, result rule.Result) (bool, error) {
	if !result.Matched {
		return false, s.withdraw(c, of, h, result.Rule)
	}
	if w := result.Effect.Wait; w != nil && w.Until.After(c.Now()) {
		return false, s.waitFor(c, of, h, result)
	}
	if w := result.Effect.Wait; w != nil {
		happened, err := activity.History{Queryer: c.Tx(), Tenant: c.Tenant(), Person: h.person}.Happened(w.Event, h.at, w.Until)
		if err != nil {
			return false, err
		}
		if happened {
			return false, s.withdraw(c, of, h, result.Rule)
		}
	}
	return true, s.effect(c, of, h, result)
}

// effect does what a rule says.
func (s *Service) effect(c *fact.Command, of part, h happening, result rule.Result) error {
	e := result.Effect
	if !of.program.Runs(h.received) && e.Wait == nil { // nothing new begins
		return nil
	}
	to, ok := of.beneficiary(e.To)
	if !ok {
		return nil
	}
	if e.Convert && of.referral != nil {
		if err := s.convertBy(c, of.referral, h); err != nil {
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
	return s.because(c, h, func() error { return s.give(c, of, h, to, result) })
}

// because runs fn with what happened as the cause of what it appends.
func (s *Service) because(c *fact.Command, h happening, fn func() error) error {
	if h.activity == nil {
		return fn()
	}
	return c.Because(h.activity.FactID, fn)
}

// convertBy has what happened convert a referral, unless something did so before. What
// did so later does not any more.
func (s *Service) convertBy(c *fact.Command, r *Referral, h happening) error {
	if r.isConverted() && h.precedes(r.convertedBy) {
		if err := s.unconvert(c, r, "something earlier converts the referral"); err != nil {
			return err
		}
	}
	return s.because(c, h, func() error { return s.convert(c, r, h.key) })
}

// unconvert takes back that a referral was converted, with what that led to.
func (s *Service) unconvert(c *fact.Command, r *Referral, reason string) error {
	converted, err := s.latest(c, r.ID, Converted)
	if err != nil || converted == nil {
		return err
	}
	if _, err := c.Undo(fact.Undoing{Fact: converted.ID, Reason: reason}); err != nil {
		return err
	}
	now, err := selectReferral(c.Tx(), c.Tenant(), r.ID)
	if err == nil {
		*r = *now
	}
	return err
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
		DueAt: e.DueAt, Expires: give.Expires, Zone: of.program.Zone, Clawback: settings.Clawback, Limit: of.allowance(result, to, h),
	}
	beneficiary, err := personNow(c, to)
	if err != nil || beneficiary.IsDeleted() {
		return err
	}
	if of.referral != nil {
		award.ReferralID = of.referral.ID
		if e.To == rule.Self {
			award.Audience = rule.Referred
		}
	}
	terms := termsOf(of.referral, &reward.Reward{Audience: award.Audience, DueAt: award.DueAt}, beneficiary)
	award.Held = terms.Held || terms.Denied || terms.Ended
	given, _, err := s.rewards.Give(c, award)
	if err != nil {
		return err
	}
	return s.conform(c, of.referral, given)
}

// allowance is the limit of a rule for somebody.
func (of part) allowance(result rule.Result, to id.ID, h happening) *reward.Allowance {
	r := result.Rule
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
	at := h.received
	if w := result.Effect.Wait; w != nil && h.activity != nil {
		at = w.Until
	}
	return &reward.Allowance{Scope: scope, Window: l.Window, Count: l.Count, Amount: l.Amount, Clamp: l.Over == rule.Clamp, Notify: l.Notify, At: at}
}

// withdraw takes back what a rule gave because of something of which it does not say
// so any more.
func (s *Service) withdraw(c *fact.Command, of part, h happening, r *rule.Rule) error {
	to, ok := of.beneficiary(r.To)
	if !h.again || r.Give == nil || !ok {
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
	ref := of.waitRef(result.Rule, h)
	if _, err := timer.Cancel(c.Tx(), c.Tenant(), unlessTimer, ref); err != nil { // it may be asked about again
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: unlessTimer, DueAt: result.Effect.Wait.Until, Ref: ref, Data: data})
	return err
}

// waitRef names what a rule waits for because of something that happened.
func (of part) waitRef(r *rule.Rule, h happening) id.ID {
	sum := sha256.Sum256([]byte(of.program.ID.String() + "/" + r.Key + "/" + h.key.String()))
	return id.ID(sum[:len(id.ID{})])
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
	h := ofActivity(a)
	h.again = true
	return s.evaluateIn(c, p, set, version, h)
}

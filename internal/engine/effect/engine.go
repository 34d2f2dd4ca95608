package effect

import (
	"maps"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Options are what an Engine needs. All are required.
type Options struct {
	Log      *fact.Log
	Programs *program.Service
	Rewards  *reward.Service
}

// Engine runs the rules of the programs of all hosts.
type Engine struct {
	programs *program.Service
	rewards  rewards
	hosts    map[string]Host
}

// New returns an Engine, which reacts to the activities of the log. Hosts are added
// before the first command.
func New(opts Options) *Engine {
	e := &Engine{programs: opts.Programs, rewards: rewards{opts.Rewards}, hosts: make(map[string]Host)}
	opts.Log.React(e)
	opts.Log.Handle(waitTimer, e.waited)
	opts.Log.Handle(formerWaitTimer, e.waited)
	opts.Log.Handle(takeBackTimer, onRest(e.takeBackBy))
	opts.Log.Handle(askWaitingTimer, onRest(e.askAround))
	opts.Log.Reverse(activity.Tracked, activity.Reversal())
	return e
}

// Add has the rules of a kind of programs be run.
func (e *Engine) Add(h Host) { e.hosts[h.Kind()] = h }

// React asks the rules of an activity, and asks them again when one was undone.
func (e *Engine) React(c *fact.Command, f *fact.Fact) error {
	switch data := f.Data.(type) {
	case *activity.Activity:
		if f.Type == activity.Tracked {
			return e.tracked(c, data)
		}
	case fact.UndoneData:
		return e.undone(c, data)
	}
	return nil
}

func (e *Engine) tracked(c *fact.Command, a *activity.Activity) error {
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	if err := e.takeBackBy(c, look{than: a, kind: takeBackTimer}); err != nil {
		return err
	}
	return e.Ask(c, OfActivity(a))
}

// Ask does what the rules of all programs say of what happened. Of activities the
// engine asks by itself; of a fact it is asked by the package that has it, once what
// that does about it is done. Asking twice gives nothing twice.
func (e *Engine) Ask(c *fact.Command, h Happening) error {
	h.At, h.Received = orNow(h.At, c), orNow(h.Received, c)
	programs, err := e.hosted(c)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if p.Status == program.Draft {
			continue
		}
		if err := e.askIn(c, p, h); err != nil {
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

// hosted returns the tenant's programs whose rules are run here.
func (e *Engine) hosted(c *fact.Command) ([]*program.Program, error) {
	all, err := e.programs.ListOnce(c.Tx(), c.Tenant())
	var hosted []*program.Program
	for _, p := range all {
		if e.hosts[p.Kind] != nil {
			hosted = append(hosted, p)
		}
	}
	return hosted, err
}

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

// askIn asks the rules of one program, as they were when we heard of it.
func (e *Engine) askIn(c *fact.Command, p *program.Program, h Happening) error {
	set, version, err := e.programs.RulesAt(c.Tx(), p, h.Received)
	if err != nil || len(set.On(h.On)) == 0 {
		return err
	}
	if err := countEvaluation(c); err != nil {
		return err
	}
	if err := c.Tx().Flush(); err != nil { // the person may be new
		return err
	}
	parts, err := e.parts(c.Tx(), p, h)
	if err != nil {
		return err
	}
	for i, of := range parts {
		of.RulesVersion = version
		results, err := of.Evaluate(set, of.Input(c.Tx(), h), h)
		if err != nil {
			return err
		}
		converts := false
		for _, result := range results {
			if !of.answers(result.Rule, i == 0) || !h.asks(of, result.Rule) {
				continue
			}
			holds, err := e.apply(c, of, h, result)
			if err != nil {
				return err
			}
			converts = converts || holds && result.Rule.Convert
		}
		if of.Subject != nil && !converts && h.again && h.only == "" && !h.counting && of.Subject.ConvertedBy() == h.Key {
			if err := of.Subject.Unconvert(c, "what converted it does not do so any more"); err != nil {
				return err
			}
		}
	}
	return nil
}

// parts returns the parts that the person had in a program when something happened.
func (e *Engine) parts(q db.Queryer, p *program.Program, h Happening) ([]Part, error) {
	who, err := person.Get(q, p.TenantID, h.Person)
	if err != nil {
		return nil, err
	}
	host := e.hosts[p.Kind]
	parts, err := host.Parts(q, p, h)
	for i := range parts {
		parts[i].Program, parts[i].Person, parts[i].host = p, who, host
	}
	return parts, err
}

// answers reports whether a rule is asked in this part: in that of its actor, or else
// in the first one.
func (of Part) answers(r *rule.Rule, first bool) bool {
	return r.Actor == of.Role || first && r.Actor == rule.Self
}

// asks reports whether a rule is asked about it: one that would only begin something
// where nothing new begins is not, unless that was begun before.
func (h Happening) asks(of Part, r *rule.Rule) bool {
	switch {
	case h.only != "":
		return r.Key == h.only
	case h.counting: // of rules that pick, one gives where another does not
		return of.countsFacts(r) || r.PickMax
	}
	return h.again || of.Begins(r, h)
}

// Evaluate returns what comes of the rules of a set ([rule.Set.Evaluate]). One that gives
// what no reward can be, such as points without a unit, does not match: that is no reason
// to refuse what was reported.
func (of Part) Evaluate(set *rule.Set, in rule.Input, h Happening) ([]rule.Result, error) {
	results, err := set.Evaluate(in)
	for i := range results {
		result := &results[i]
		if !result.Matched || result.Effect.Kind == "" || of.host != nil && of.host.Giver(result.Effect.Kind) != nil {
			continue
		}
		if err := (Gift{Of: of, For: h, Rule: result.Rule, Effect: result.Effect}).award().Check(in.Now); err != nil {
			result.Matched, result.Effect, result.Reason = false, nil, rule.BadAmount
			result.Err, result.Detail = err, "it can't be given: "+err.Error()
		}
	}
	return results, err
}

// Input is what rules see of what happened to somebody who has this part.
func (of Part) Input(q db.Queryer, h Happening) rule.Input {
	in := rule.Input{
		Now: h.At, Zone: of.Program.Zone, On: h.On, Actor: of.Role, Since: of.Since,
		Documents: map[string]any{
			"event": h.Document, "person": personDocument(of.Person), "program": map[string]any{"key": of.Program.Key, "name": of.Program.Name},
		},
	}
	maps.Copy(in.Documents, of.Documents)
	history := activity.History{Queryer: q, Tenant: of.Program.TenantID, Person: h.Person}
	switch {
	case h.Activity == nil:
	case h.Activity.ID.IsZero(): // it is not stored
		history.Beside = h.Activity
	default:
		history.Until = h.Activity.ID
	}
	in.History = history
	if c := of.counter(); c != nil && h.Activity == nil {
		in.Facts, in.Uncounted = counts{c, q, of, h}, of.Uncounted
	}
	return in
}

func personDocument(p *person.Person) map[string]any {
	return map[string]any{
		"id": person.Kind.Format(p.ID), "external_id": p.Key, "account": p.Account, "email": p.Email, "first_name": p.FirstName, "last_name": p.LastName,
		"locale": p.Locale, "country": p.Country, "created_at": p.CreatedAt.UTC().Format(time.RFC3339Nano), "fields": activity.ReadFields(p.Fields),
	}
}

// apply does what came of a rule, or takes back what it did when it was asked before
// and said otherwise. It reports whether what the rule says holds.
func (e *Engine) apply(c *fact.Command, of Part, h Happening, result rule.Result) (bool, error) {
	if !result.Matched {
		return false, e.withdraw(c, of, h, result.Rule)
	}
	if w := result.Effect.Wait; w != nil && w.Until.After(c.Now()) {
		return false, e.waitFor(c, of, h, result)
	}
	if w := result.Effect.Wait; w != nil {
		happened, err := activity.History{Queryer: c.Tx(), Tenant: c.Tenant(), Person: h.Person}.Happened(w.Event, h.At, w.Until)
		if err != nil {
			return false, err
		}
		if happened {
			return false, e.withdraw(c, of, h, result.Rule)
		}
	}
	return true, e.follow(c, of, h, result)
}

// follow does what a rule says.
func (e *Engine) follow(c *fact.Command, of Part, h Happening, result rule.Result) error {
	effect := result.Effect
	if !of.Begins(result.Rule, h) && (effect.Wait == nil || !h.waited) {
		return nil
	}
	to, ok := of.Beneficiary(effect.To)
	if !ok {
		return nil
	}
	if effect.Convert && of.Subject != nil {
		if err := convert(c, of.Subject, h); err != nil {
			return err
		}
	}
	if effect.Kind == "" {
		return nil
	}
	gift := Gift{Of: of, For: h, Rule: result.Rule, Effect: effect, To: to}
	if effect.Once {
		given, err := e.gaveEarlier(c, gift)
		if err != nil || given {
			return err
		}
	}
	return h.because(c, func() error { return e.giver(of, effect.Kind).Give(c, gift) })
}

// convert has what happened convert a subject, unless something did so before. What
// did so later does not any more.
func convert(c *fact.Command, s Subject, h Happening) error {
	if h.Precedes(s.ConvertedBy()) {
		if err := s.Unconvert(c, "something earlier converts it"); err != nil {
			return err
		}
	}
	return h.because(c, func() error { return s.Convert(c, h.Key) })
}

// giver is who gives what is of a kind.
func (e *Engine) giver(of Part, kind rule.Kind) Giver {
	if g := of.host.Giver(kind); g != nil {
		return g
	}
	return e.rewards
}

// gaveEarlier reports whether a rule that gives once has given already, because of
// something that happened before. What it gave because of this, since it was asked
// before something earlier was brought about again, is taken back then.
func (e *Engine) gaveEarlier(c *fact.Command, g Gift) (bool, error) {
	giver := e.giver(g.Of, g.Effect.Kind)
	earlier, err := giver.GaveEarlier(c.Tx(), g)
	if err != nil || !earlier {
		return false, err
	}
	g.Effect = nil
	return true, giver.Withdraw(c, g)
}

// withdraw takes back what a rule gave because of something of which it does not say
// so any more. A fact that was undone and has come about again, with what it led to, may
// have other ones before it now.
func (e *Engine) withdraw(c *fact.Command, of Part, h Happening, r *rule.Rule) error {
	to, ok := of.Beneficiary(r.To)
	if !h.again && !of.countsFacts(r) || r.Give == nil || !ok {
		return nil
	}
	return e.giver(of, r.Give.Kind).Withdraw(c, Gift{Of: of, For: h, Rule: r, To: to})
}

package rule

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// effortOfEvaluation bounds what the conditions of one evaluation cost: some tens
// of milliseconds. A document of 200 KiB does not exhaust it with any ordinary set.
const effortOfEvaluation = 2_000_000

// Input is what happened, and what the rules may know of it.
type Input struct {
	Now       time.Time      // when it took effect
	Zone      *time.Location // the program's; nil: UTC
	On        string
	Actor     Role           // who did it; Self or empty: somebody without a part in a referral
	Since     time.Time      // when the relation began that earns commissions; zero: it earns for ever
	Documents map[string]any // by root, as encoding/json reads them with UseNumber
	History   History        // nil: nothing happened before
	Segments  Segments       // nil: the person is in none
	Facts     Facts          // nil: no facts are counted
	// Uncounted is why what happened is not counted itself, in a sentence; empty: it is.
	// Then no rule matches that counts facts.
	Uncounted string
	Thorough  bool // looks also at conditions that decide nothing, as an explanation wants
}

// Result is what came of one rule.
type Result struct {
	Rule    *Rule
	Matched bool
	Reason  Reason
	Detail  string       // the reason in a sentence; empty where it says all
	If      *Explanation // of the rule's condition; nil: it has none, or was not asked
	Effect  *Effect      // where it matched
	// Err is a problem that names the path of a number that can't be reckoned with.
	// The rule did not match, for no fault of its own.
	Err error
}

// Reason is why a rule matched or did not.
type Reason string

// The reasons, in the order in which they are looked for.
const (
	WrongActor   Reason = "wrong_actor"   // another role did it
	NotActive    Reason = "not_active"    // the rule is not in force yet, or any more
	TermOver     Reason = "term_over"     // the relation has earned for as long as it may
	NotCounted   Reason = "not_counted"   // it counts facts, and what happened is not among them
	IfFalse      Reason = "if_false"      // its condition does not hold
	NoAmount     Reason = "no_amount"     // there is no number to give a part of, or nothing comes of it
	BadAmount    Reason = "bad_amount"    // see Err
	AnotherGives Reason = "another_gives" // more, and only one may
	Matches      Reason = "matches"
)

// Effect is what follows. Whether it is left to give, by limits, once and effects
// that were given before, is for the program to know.
type Effect struct {
	To        Role
	Once      bool
	Convert   bool
	Do        map[string]json.RawMessage
	Wait      *Wait // nothing follows before it is over
	Kind      Kind  // empty: nothing is given, and the fields from here to Expires are zero
	Amount    int64 // in minor units; of Percent in basis points
	Unit      string
	Name      string
	Source    string
	Def       string
	DueAt     time.Time // when the reward becomes available; zero: at once
	ExpiresAt time.Time // zero: never
	Limit     *Limit    // may be nil
}

// Wait is a time in which something must not happen.
type Wait struct {
	Event string
	Until time.Time
}

// evaluation is one evaluation under way.
type evaluation struct {
	in      *Input
	effort  *condition.Effort // nil: without bounds
	asked   map[Aggregate]answer
	counted map[FactCount]answer
}

func (e *evaluation) root(name string) (any, bool) {
	document, ok := e.in.Documents[name]
	return document, ok
}

// Evaluate returns what comes of each rule that listens to what happened, in their
// order. It fails where the history or the segments fail, and with a problem where
// the conditions would take too long for the documents.
func (s *Set) Evaluate(in Input) ([]Result, error) {
	e := &evaluation{&in, condition.NewEffort(effortOfEvaluation), map[Aggregate]answer{}, map[FactCount]answer{}}
	var results []Result
	for _, r := range s.on[in.On] {
		result, err := e.result(r)
		if err != nil {
			return nil, err
		}
		if e.effort.Exhausted() {
			return nil, problem.TooLarge.New("The documents are too large for the conditions of the rules.")
		}
		results = append(results, result)
	}
	pickMax(results)
	return results, nil
}

// result is what comes of one rule, seen alone.
func (e *evaluation) result(r *Rule) (Result, error) {
	result := Result{Rule: r}
	switch {
	case r.Actor != Self && r.Actor != e.in.Actor:
		result.Reason = WrongActor
		return result, nil
	case !r.Active.at(e.in.Now):
		result.Reason = NotActive
		return result, nil
	case e.termIsOver(r):
		result.Reason = TermOver
		return result, nil
	case e.in.Uncounted != "" && e.in.countsFacts(r):
		result.Reason, result.Detail = NotCounted, e.in.Uncounted
		return result, nil
	}
	if r.condition != nil {
		x, err := r.condition.explain(e)
		if err != nil {
			return result, err
		}
		if result.If = &x; !x.Holds {
			result.Reason = IfFalse
			return result, nil
		}
	}
	e.effect(r, &result)
	return result, nil
}

func (e *evaluation) termIsOver(r *Rule) bool {
	if r.Give == nil || r.Give.For.IsZero() || e.in.Since.IsZero() {
		return false
	}
	return !e.in.Now.Before(r.Give.For.After(e.in.Since, e.in.Zone))
}

// effect sets the effect of a rule whose condition holds, or why there is none.
func (e *evaluation) effect(r *Rule, result *Result) {
	effect := &Effect{To: r.To, Once: r.Once, Convert: r.Convert, Do: r.Do, Limit: r.Limit}
	given := e.in.Now
	if r.Unless != nil {
		given = r.Unless.Within.After(given, e.in.Zone)
		effect.Wait = &Wait{r.Unless.Event, given}
	}
	if r.Give != nil {
		effect.Amount = e.amount(r.Give, result)
		if result.Reason != "" {
			return
		}
		effect.give(r.Give, given, e.in.Zone)
	}
	result.Matched, result.Reason, result.Effect = true, Matches, effect
}

// pickMax leaves of the rules that give the same to the same, and say so, the one
// that gives most; of two that give as much, the first.
func pickMax(results []Result) {
	type rivals struct {
		to   Role
		kind Kind
		unit string
	}
	best := map[rivals]*Result{}
	for i := range results {
		result := &results[i]
		if !result.Matched || !result.Rule.PickMax {
			continue
		}
		of := rivals{result.Effect.To, result.Effect.Kind, result.Effect.Unit}
		loser := result
		if leader := best[of]; leader == nil || result.Effect.Amount > leader.Effect.Amount {
			best[of], loser = result, leader
		}
		if loser != nil {
			loser.Matched, loser.Effect, loser.Reason = false, nil, AnotherGives
			loser.Detail = fmt.Sprintf("the rule %s gives as much or more", best[of].Rule.Key)
		}
	}
}

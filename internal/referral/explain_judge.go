package referral

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// judge says why a rule gave nothing for something that happened.
func (e *explainer) judge(sc *scene, key string, h effect.Happening) (Outcome, error) {
	o := Outcome{On: triggerOf(h)}
	v, err := e.at(sc.book, h.Received)
	if err != nil {
		return o, err
	}
	o.RulesVersion = v.number
	if h.Activity != nil && !h.Activity.UndoneAt.IsZero() {
		o.Verdict = Undone
		o.Facts, err = e.chainOf(sc.Zone, h.Activity.FactID)
		o.Sentence = sprint("The %s of %s was taken back on %s, and counts no more.", h.On, when(h.At, sc.Zone), when(h.Activity.UndoneAt, sc.Zone))
		return o, err
	}
	if o.Verdict, o.Sentence = sc.outside(h); o.Verdict != "" {
		return o, nil
	}
	r, ok := v.set.Rule(key)
	if !ok || !slices.Contains(r.On, h.On) || !sc.concerns(r, e.person.ID) {
		o.Verdict = NoRule
		o.Sentence = sprint("When the %s of %s came in, version %d of the rules held, in which the rule %s did not give for it to this person.",
			h.On, when(h.At, sc.Zone), v.number, key)
		return o, nil
	}
	result, err := e.ask(sc, v, h, key)
	if problem.TooLarge.Has(err) {
		o.Verdict, o.Sentence = NotGiven, "It takes too long to tell what the rule says of it: its aggregates are of too many activities."
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if result == nil {
		o.Verdict, o.Sentence = NotGiven, "Nothing was given for it, and the rule was not asked why, since the question is about too much: ask about one referral or one rule."
		return o, nil
	}
	o.Reason, o.If = result.Reason, result.If
	if !result.Matched {
		o.Verdict, o.Sentence = unmatched(sc, h, result)
		return o, nil
	}
	return o, e.unfollowed(sc, h, result, &o)
}

func triggerOf(h effect.Happening) *Trigger {
	t := &Trigger{Type: h.On, PersonID: h.Person, At: h.At, ReceivedAt: h.Received}
	if a := h.Activity; a != nil {
		t.ActivityID, t.Key, t.UndoneAt = a.ID, a.Key, a.UndoneAt
	}
	return t
}

// outside says why something is out of what a program, or a referral, looks at; "":
// it is not.
func (sc *scene) outside(h effect.Happening) (Verdict, string) {
	what := "The " + h.On + " of " + when(h.At, sc.Zone)
	switch {
	case h.Received.Before(sc.CreatedAt):
		return ProgramNotOn, what + " came in before there was the program."
	case sc.referral == nil && h.Received.Before(sc.StartsAt):
		return ProgramNotOn, what + " came in before the program began, on " + when(sc.StartsAt, sc.Zone) + "."
	case sc.referral == nil && !sc.EndsAt.IsZero() && !h.Received.Before(sc.EndsAt):
		return ProgramNotOn, what + " came in after the program's time was over, on " + when(sc.EndsAt, sc.Zone) + "."
	case sc.referral == nil || sc.referral.covers(h):
		return "", ""
	case h.On == person.Created || h.Received.Before(sc.referral.StartedAt):
		return BeforeReferral, what + " came in before the referral began, on " + when(sc.referral.StartedAt, sc.Zone) + "."
	case sc.referral.isBackfill(h):
		return BeforeReferral, what + " occurred more than a day before the referral began, on " + when(sc.referral.StartedAt, sc.Zone) + "."
	default:
		return AfterReferral, what + " came in after the referral had ended, on " + when(sc.referral.EndedAt, sc.Zone) + "."
	}
}

// ask asks the rules of then; nil: they were asked too often for this question.
func (e *explainer) ask(sc *scene, v edition, h effect.Happening, key string) (*rule.Result, error) {
	about := asking{h.On, h.Key}
	results, ok := sc.results[about]
	if !ok {
		if e.left.evaluations == 0 || e.isLate() {
			e.note("Rules were not asked of everything, since that takes too long: ask about one referral or one rule.")
			return nil, nil
		}
		e.left.evaluations--
		of := sc.part()
		if r := sc.referral; r != nil {
			then := *r
			if !r.ConvertedAt.Before(h.Received) && h.On != Converted {
				then.State = IsStarted
			}
			of.Documents = then.documentsAt(h)
			r.counts(&of, h)
		}
		of = of.In(host{})
		in := of.Input(e.q, h)
		in.Thorough = true
		var err error
		if results, err = of.Evaluate(v.set, in, h); err != nil {
			return nil, err
		}
		sc.results[about] = results
	}
	i := slices.IndexFunc(results, func(r rule.Result) bool { return r.Rule.Key == key })
	if i < 0 {
		return nil, nil
	}
	return &results[i], nil
}

// unmatched says why a rule did not match.
func unmatched(sc *scene, h effect.Happening, result *rule.Result) (Verdict, string) {
	what := "The " + h.On + " of " + when(h.At, sc.Zone) + " does not count for the rule " + result.Rule.Key + ": "
	switch result.Reason {
	case rule.NotActive:
		return NotActive, what + "the rule is in force " + span(result.Rule.Active, sc.Zone) + "."
	case rule.TermOver:
		return NotMatched, what + "the time for which the referral earns was over."
	case rule.IfFalse:
		return NotMatched, what + unmet(*result.If) + "."
	default:
		return NotMatched, what + result.Detail + "."
	}
}

// unfollowed says why nothing came of a rule that matched.
func (e *explainer) unfollowed(sc *scene, h effect.Happening, result *rule.Result, o *Outcome) error {
	r, what := result.Rule, "The "+h.On+" of "+when(h.At, sc.Zone)
	if w := result.Effect.Wait; w != nil {
		if w.Until.After(e.now) {
			o.Verdict, o.Until = Waiting, w.Until
			o.Sentence = sprint("%s counts for the rule %s unless the activity %s is reported that occurs by %s.", what, r.Key, w.Event, when(w.Until, sc.Zone))
			return nil
		}
		history := activity.History{Queryer: e.q, Tenant: e.tenant, Person: h.Person}
		happened, err := history.Happened(w.Event, h.At, w.Until)
		if err != nil {
			return err
		}
		if happened {
			o.Verdict = Prevented
			o.Sentence = sprint("%s does not count for the rule %s: the activity %s occurred by %s.", what, r.Key, w.Event, when(w.Until, sc.Zone))
			return nil
		}
	}
	if r.Give == nil {
		o.Verdict, o.Sentence = ConvertedBefore, what+" would have converted the referral, which was not to be converted by it any more."
		if sc.referral.convertedBy == h.Key {
			o.Verdict, o.Sentence = ConvertedByThis, what+" has converted the referral."
		}
		return nil
	}
	if r.Once {
		before, err := e.earlier(sc, r, h)
		if err != nil {
			return err
		}
		if before != nil {
			o.Verdict, o.GivenBefore = GivenBefore, before.ID
			o.Sentence = sprint("%s counts, but the rule %s gives once, and did on %s.", what, r.Key, when(before.GivenAt, sc.Zone))
			return nil
		}
	}
	switch begins := sc.part().Begins(r, h); {
	case begins:
	case sc.Runs(h.Received):
		o.Verdict, o.Sentence = NotGiven, sprint("%s would count for the rule %s, but the person takes part in no program.", what, r.Key)
		return nil
	default:
		o.Verdict = ProgramNotOn
		o.Sentence = sprint("%s would count for the rule %s, but the program is %s: while it is, nothing new begins.", what, r.Key, sc.Status)
		return nil
	}
	o.Verdict = NotGiven
	o.Sentence = sprint("By what is known now %s would count for the rule %s, but nothing was given then: "+
		"the program did not run, or what is known of the person has changed since.", lower(what), r.Key)
	return nil
}

// earlier returns what a rule that gives once has given because of something that
// happened before; nil: nothing.
func (e *explainer) earlier(sc *scene, r *rule.Rule, h effect.Happening) (*reward.Reward, error) {
	given := e.rewardsOf(sc, r.Key)
	if sc.referral == nil { // there may be more than were read
		var err error
		if given, err = reward.OfRule(e.q, e.tenant, e.person.ID, sc.ID, r.Key); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(given, func(g *reward.Reward) bool { return g.Counts() && g.Before(h.Key) })
	if i < 0 {
		return nil, nil
	}
	return given[i], nil
}

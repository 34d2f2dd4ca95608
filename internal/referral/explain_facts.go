package referral

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// fact returns a fact; nil: there is no such.
func (e *explainer) fact(of id.ID) (*fact.Fact, error) {
	if f, ok := e.facts[of]; ok || of.IsZero() {
		return f, nil
	}
	f, err := fact.Get(e.q, e.tenant, of)
	if err != nil && !problem.NotFound.Has(err) {
		return nil, err
	}
	if err != nil {
		f = nil
	}
	e.facts[of] = f
	return f, nil
}

// chain returns facts with all that led to them, and what took any of that back,
// the earliest first.
func (e *explainer) chain(zone *time.Location, from ...*fact.Fact) ([]Step, error) {
	seen := make(map[id.ID]bool)
	var all []*fact.Fact
	for next := from; len(next) > 0; next = next[1:] {
		f := next[0]
		if seen[f.ID] {
			continue
		}
		if len(all) == maxChain {
			e.note("Of what led to a reward only %d facts are told of.", maxChain)
			break
		}
		seen[f.ID], e.facts[f.ID] = true, f
		all = append(all, f)
		for _, other := range []id.ID{f.Cause, f.UndoneBy} {
			g, err := e.fact(other)
			if err != nil {
				return nil, err
			}
			if g != nil {
				next = append(next, g)
			}
		}
	}
	slices.SortFunc(all, func(a, b *fact.Fact) int {
		return cmp.Or(a.RecordedAt.Compare(b.RecordedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	steps := make([]Step, len(all))
	for i, f := range all {
		steps[i] = Step{
			ID: f.ID, Type: f.Type, Kind: f.Subject.Kind, About: f.Subject.ID, Actor: f.Actor, At: f.At, Cause: f.Cause, UndoneBy: f.UndoneBy,
			Sentence: factWords(f, zone),
		}
	}
	return steps, nil
}

// chainOf is chain from one fact on.
func (e *explainer) chainOf(zone *time.Location, of id.ID) ([]Step, error) {
	f, err := e.fact(of)
	if err != nil || f == nil {
		return nil, err
	}
	return e.chain(zone, f)
}

// happenings are what facts say, by their types.
var happenings = map[string]string{
	person.Created:      "The person became known",
	person.Updated:      "Something about the person changed",
	person.Blocked:      "The person was blocked",
	person.Unblocked:    "The person was unblocked",
	person.Deleted:      "The person was forgotten",
	Started:             "The referral began",
	Moderated:           "It was decided about the sides of the referral",
	Converted:           "The referral was converted",
	Retracted:           "The referral was not converted any more",
	Ended:               "The referral ended",
	Resumed:             "The referral went on",
	reward.Pending:      "The reward was given and is pending",
	reward.Available:    "The reward became available",
	reward.Redeemed:     "The reward was redeemed, or a part of it",
	reward.Expired:      "The reward expired",
	reward.Cancelled:    "The reward was taken back",
	reward.Reinstated:   "The reward was given again",
	reward.Refused:      "A limit refused the reward",
	reward.LimitReached: "The reward was the last that the limit allows",
}

// factWords says what a fact says, when it was, and who did it.
func factWords(f *fact.Fact, zone *time.Location) string {
	what, ok := happenings[f.Type]
	raw, err := f.Raw()
	switch {
	case f.Type == activity.Tracked:
		var a activity.Activity
		what = "An activity was reported"
		if err == nil && json.Unmarshal(raw, &a) == nil && a.Type != "" {
			what = "The activity " + a.Type + " was reported"
		}
	case f.Type == fact.Undone:
		var u fact.UndoneData
		what = "Something was taken back"
		if err == nil && json.Unmarshal(raw, &u) == nil && u.Type != "" {
			what = "What " + u.Type + " had led to was taken back"
			if u.Type == fact.Undone {
				what = "What was taken back was brought about again"
			}
		}
	case f.Type == Moderated:
		var r Referral
		if err == nil && json.Unmarshal(raw, &r) == nil && r.Referrer != "" {
			what = "The referrer's side is " + string(r.Referrer) + " and the referred person's " + string(r.Referred)
		}
	case f.Type == person.AccountChanged:
		var a person.Account
		what = "The account's state changed"
		if err == nil && json.Unmarshal(raw, &a) == nil && a.State != "" {
			what = "The account is " + string(a.State)
		}
	case !ok:
		what = f.Type
	}
	return what + " on " + when(f.At, zone) + ", by " + actorWords(f.Actor) + "."
}

func actorWords(a fact.Actor) string {
	switch a {
	case fact.ByKey:
		return "a call of the API"
	case fact.ByPerson:
		return "the person"
	case fact.ByRule:
		return "the rules"
	case fact.ByTimer:
		return "the passing of time"
	case fact.ByJob:
		return "a job"
	default:
		return string(a)
	}
}

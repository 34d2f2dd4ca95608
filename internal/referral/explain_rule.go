package referral

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// scene is where rules are asked: in a referral, of what the referred person does;
// or outside of any, of what the person who is asked about does.
type scene struct {
	*book

	referral *Referral // nil: outside of any
	doer     *person.Person
	role     rule.Role // the doer's
	as       rule.Role // as what the person who is asked about gets something

	// Outside of any: in which referral the person is referred, and whether the person
	// has referred somebody.
	referred *Referral
	refers   bool

	happened map[string][]effect.Happening // by type, the latest first
	results  map[asking][]rule.Result
}

// asking is what rules are asked about.
type asking struct {
	on  string
	key id.ID
}

func newScene(b *book, doer *person.Person) *scene {
	return &scene{book: b, doer: doer, happened: make(map[string][]effect.Happening), results: make(map[asking][]rule.Result)}
}

// part is the doer's part here, without the documents, which are those of a moment.
func (sc *scene) part() effect.Part {
	of := effect.Part{Role: sc.role, Program: sc.Program, Person: sc.doer}
	if r := sc.referral; r != nil {
		of.Subject, of.Since, of.Others = subject{r: r}, r.StartedAt, r.others()
	}
	return of
}

// concerns reports whether a rule may give to the person here, or convert the
// referral.
func (sc *scene) concerns(r *rule.Rule, who id.ID) bool {
	switch {
	case r.Actor != rule.Self && r.Actor != sc.role:
		return false
	case r.Give == nil:
		return r.Convert && sc.referral != nil
	}
	to, ok := sc.part().Beneficiary(r.To)
	return ok && to == who
}

// rulesOf tells of the rules in a referral.
func (e *explainer) rulesOf(b *book, r *Referral, doer *person.Person) ([]RuleStory, error) {
	sc := newScene(b, doer)
	sc.referral, sc.role, sc.as = r, rule.Referred, rule.Referrer
	if doer.ID == e.person.ID {
		sc.as = rule.Referred
	}
	led, err := reward.OfReferral(e.q, e.tenant, r.ID)
	if err != nil {
		return nil, err
	}
	e.know(led)
	return e.stories(sc, nil)
}

// ownScene is where the person acts outside of being referred.
func (e *explainer) ownScene(b *book) (*scene, error) {
	sc := newScene(b, e.person)
	sc.role, sc.as = rule.Self, rule.Self
	var err error
	sc.referred, err = byReferred(e.q, e.tenant, b.ID, e.person.ID)
	if err != nil {
		if !problem.NotFound.Has(err) {
			return nil, err
		}
		sc.referred = nil
	}
	if sc.refers, err = hasReferred(e.q, e.tenant, b.ID, effect.Happening{Person: e.person.ID}); sc.refers {
		sc.role, sc.as = rule.Referrer, rule.Referrer
	}
	return sc, err
}

func (e *explainer) rulesOutside(sc *scene) ([]RuleStory, error) {
	return e.stories(sc, func(key string, version int64) (RuleStory, bool, error) {
		r, _ := sc.versions[0].set.Rule(key)
		if r == nil || r.Give == nil {
			return RuleStory{}, false, nil
		}
		forReferred := r.Actor == rule.Referred && r.To != rule.Referrer || r.Actor == rule.Self && r.To == rule.Referred
		forReferrer := r.Actor != rule.Referrer && r.To == rule.Referrer || r.Actor == rule.Referrer && r.To != rule.Referred
		o := Outcome{Verdict: NoReferral, RulesVersion: version}
		story := RuleStory{Rule: key, Version: version, As: rule.Referrer}
		switch {
		case forReferred && sc.referred == nil:
			story.As, o.Sentence = rule.Referred, "The rule "+key+" is for people who were referred; nobody has referred the person in this program."
		case forReferrer && !sc.refers:
			o.Sentence = "The rule " + key + " is for people who have referred somebody; the person has referred nobody in this program."
		case forReferrer && r.Actor == rule.Referred && sc.referred == nil:
			own, err := e.happened(sc, r.On)
			if err != nil || len(own) == 0 {
				return story, false, err
			}
			o.Verdict, o.On = WrongActor, triggerOf(own[0])
			o.Sentence = sprint("The %s of %s was the person's own; the rule %s is for what people do whom the person has referred.",
				own[0].On, when(own[0].At, sc.Zone), key)
		default:
			return story, false, nil
		}
		story.Verdict, story.Sentence, story.Outcomes = o.Verdict, o.Sentence, []Outcome{o}
		return story, true, nil
	})
}

// stories tells of the rules of a scene, and of those that concern nobody here as
// otherwise says.
func (e *explainer) stories(sc *scene, otherwise func(key string, version int64) (RuleStory, bool, error)) ([]RuleStory, error) {
	stories := []RuleStory{}
	for _, key := range e.keys(sc.book) {
		given := e.rewardsOf(sc, key)
		types, version := sc.listens(key, e.person.ID)
		if len(types) == 0 && len(given) == 0 {
			if otherwise == nil {
				continue
			}
			story, ok, err := otherwise(key, version)
			if err != nil {
				return nil, err
			}
			if ok {
				stories = append(stories, story)
			}
			continue
		}
		story := RuleStory{Rule: key, Version: version, As: sc.as}
		var err error
		if story.Outcomes, err = e.outcomes(sc, key, types); err != nil {
			return nil, err
		}
		if len(story.Outcomes) == 0 {
			continue
		}
		story.Verdict, story.Sentence = decisive(story.Outcomes)
		stories = append(stories, story)
	}
	return stories, nil
}

// listens returns what a rule listens to, in all versions in which it concerns the
// person here, and the latest version that has it.
func (sc *scene) listens(key string, who id.ID) ([]string, int64) {
	var types []string
	version := int64(0)
	for _, v := range sc.versions {
		r, ok := v.set.Rule(key)
		if !ok {
			continue
		}
		version = max(version, v.number)
		if sc.concerns(r, who) {
			types = append(types, r.On...)
		}
	}
	slices.Sort(types)
	return slices.Compact(types), version
}

// rewardsOf returns what a rule has given to the person in a scene, the latest first.
func (e *explainer) rewardsOf(sc *scene, key string) []*reward.Reward {
	var of id.ID
	if sc.referral != nil {
		of = sc.referral.ID
	}
	var given []*reward.Reward
	for _, r := range e.rewards {
		if r.ProgramID == sc.ID && r.Rule == key && r.ReferralID == of {
			given = append(given, r)
		}
	}
	slices.SortFunc(given, func(a, b *reward.Reward) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return given
}

// outcomes tells what a rule made of what happened: what it gave, and of the rest
// the latest. It returns none where all of that is told of in another scene.
func (e *explainer) outcomes(sc *scene, key string, types []string) ([]Outcome, error) {
	happened, err := e.happened(sc, types)
	if err != nil {
		return nil, err
	}
	given := e.rewardsOf(sc, key)
	led := make(map[id.ID]effect.Happening)
	elsewhere := sc.referred != nil && sc.asksAnybody(key)
	var rest []effect.Happening
	for _, h := range happened {
		other, err := e.isElsewhere(sc, key, h)
		if err != nil {
			return nil, err
		}
		if other {
			elsewhere = true
			continue
		}
		r := e.rewardFor(sc, key, h)
		if r == nil {
			rest = append(rest, h)
			continue
		}
		led[r.ID] = h
		if !slices.Contains(given, r) {
			given = append(given, r)
		}
	}
	most := maxLooked
	if e.about.Referral.IsZero() && e.about.Rule == "" {
		most = maxShown
	}
	if len(given) > most {
		given = given[:most]
		e.note("Of what the rule %s has given only the latest %d rewards are told of.", key, most)
	}
	var outcomes []Outcome
	for _, r := range given {
		var on *effect.Happening
		if h, ok := led[r.ID]; ok {
			on = &h
		}
		o, err := e.given(sc, r, on)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	for i, h := range rest {
		if i == maxShown {
			e.note("Of what led to nothing by the rule %s only the latest %d are told of.", key, maxShown)
			break
		}
		o, err := e.judge(sc, key, h)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	if len(outcomes) == 0 && !elsewhere {
		outcomes = append(outcomes, Outcome{Verdict: NotTriggered, Sentence: sc.untriggered(key, types)})
	}
	return outcomes, nil
}

// asksAnybody reports whether a rule is, in all versions, one about whoever acts.
func (sc *scene) asksAnybody(key string) bool {
	return !slices.ContainsFunc(sc.versions, func(v edition) bool {
		r, ok := v.set.Rule(key)
		return ok && r.Actor != rule.Self
	})
}

// isElsewhere reports whether a rule about whoever acts is told of in another scene:
// while the person is in a referral it is asked there, and otherwise outside.
func (e *explainer) isElsewhere(sc *scene, key string, h effect.Happening) (bool, error) {
	in := sc.referred
	if sc.as == rule.Referred && e.about.Referral.IsZero() {
		in = sc.referral
	}
	if in == nil {
		return false, nil
	}
	v, err := e.at(sc.book, h.Received)
	if err != nil {
		return false, err
	}
	r, ok := v.set.Rule(key)
	return ok && r.Actor == rule.Self && in.covers(h) == (sc.referral == nil), nil
}

// covers reports whether something came in while the referral was under way, and did
// not occur before.
func (r *Referral) covers(h effect.Happening) bool {
	began := h.On != person.Created && !h.Received.Before(r.StartedAt) && !r.isBackfill(h)
	return began && (r.State != IsEnded || h.Received.Before(r.EndedAt))
}

// rewardFor returns what the person got by a rule because of something; nil: nothing.
func (e *explainer) rewardFor(sc *scene, key string, h effect.Happening) *reward.Reward {
	return e.effects[reward.EffectKey(sc.part().EffectKey(key, e.person.ID, h))]
}

// decisive returns the verdict of the outcome that counts most: what was given and is
// not taken back, what may still come, what a limit refused, what was taken back, and
// else what came of what happened last.
func decisive(outcomes []Outcome) (Verdict, string) {
	for _, counts := range []func(o Outcome) bool{
		func(o Outcome) bool { return o.Verdict == Given && o.Reward.State != string(reward.IsCancelled) },
		func(o Outcome) bool { return o.Verdict == ConvertedByThis || o.Verdict == Waiting },
		func(o Outcome) bool { return o.Verdict == RefusedByLimit },
		func(o Outcome) bool { return o.Verdict == Given },
	} {
		if i := slices.IndexFunc(outcomes, counts); i >= 0 {
			return outcomes[i].Verdict, outcomes[i].Sentence
		}
	}
	return outcomes[0].Verdict, outcomes[0].Sentence
}

// happened returns the latest of what the doer did, or what happened, that is of the
// types, the latest first.
func (e *explainer) happened(sc *scene, types []string) ([]effect.Happening, error) {
	var all []effect.Happening
	for _, t := range types {
		if _, ok := sc.happened[t]; !ok {
			found, err := e.ofType(sc, t)
			if err != nil {
				return nil, err
			}
			sc.happened[t] = found
		}
		all = append(all, sc.happened[t]...)
	}
	slices.SortStableFunc(all, func(a, b effect.Happening) int { return b.Received.Compare(a.Received) })
	if len(all) > maxLooked {
		all = all[:maxLooked]
		e.note("Of what a rule listens to only the latest %d were looked at.", maxLooked)
	}
	return all, nil
}

func (e *explainer) ofType(sc *scene, what string) ([]effect.Happening, error) {
	about := func(key id.ID, at time.Time, document map[string]any) effect.Happening {
		return effect.Happening{On: what, Person: sc.doer.ID, Key: key, At: at, Received: at, Document: document}
	}
	switch {
	case what == person.Created:
		return []effect.Happening{about(sc.doer.ID, sc.doer.CreatedAt, map[string]any{})}, nil
	case what == Started && sc.referral != nil:
		return []effect.Happening{about(sc.referral.ID, sc.referral.StartedAt, map[string]any{})}, nil
	case what == Converted && sc.referral != nil && !sc.referral.ConvertedAt.IsZero():
		return []effect.Happening{about(sc.referral.ID, sc.referral.ConvertedAt, map[string]any{})}, nil
	case isAccountState(what):
		changes, err := e.accountChanges(sc.doer, what)
		var all []effect.Happening
		for _, f := range changes {
			var a person.Account
			if raw, err := f.Raw(); err == nil && json.Unmarshal(raw, &a) == nil {
				all = append(all, about(f.ID, f.At, accountDocument(&a)))
			}
		}
		return all, err
	}
	reported, err := activity.Reported(e.q, e.tenant, sc.doer.ID, what, maxLooked+1)
	var all []effect.Happening
	for _, a := range reported {
		all = append(all, effect.OfActivity(a))
	}
	return all, err
}

const accountPrefix = "account."

func isAccountState(what string) bool {
	return slices.ContainsFunc(person.States, func(s person.State) bool { return what == accountPrefix+string(s) })
}

// accountChanges returns the facts that the doer's account has come to a state, the
// latest first.
func (e *explainer) accountChanges(doer *person.Person, what string) ([]*fact.Fact, error) {
	if doer.Account == "" {
		return nil, nil
	}
	a, err := person.AccountOf(e.q, e.tenant, doer.Account)
	if err != nil {
		if problem.NotFound.Has(err) {
			err = nil
		}
		return nil, err
	}
	facts, err := fact.Of(e.q, e.tenant, a.ID, fact.Page{Limit: maxLooked + 1})
	return slices.DeleteFunc(facts, func(f *fact.Fact) bool {
		var a person.Account
		raw, err := f.Raw()
		return f.Type != person.AccountChanged || err != nil || json.Unmarshal(raw, &a) != nil || accountPrefix+string(a.State) != what
	}), err
}

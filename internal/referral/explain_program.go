package referral

import (
	"context"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// explainer answers one question on one snapshot.
type explainer struct {
	*Service

	q       db.Queryer
	now     time.Time
	tenant  id.ID
	person  *person.Person
	about   Question
	rewards []*reward.Reward          // the person's that were read
	effects map[string]*reward.Reward // the same by their keys
	facts   map[id.ID]*fact.Fact      // that were read; nil: there is no such
	left    struct{ referrals, evaluations, rewards int }
	began   time.Time
	known   bool // a rule of the name that was asked for was found
	cut     []string
}

func (s *Service) explainAt(ctx context.Context, tenant, of id.ID, about Question, now time.Time) (Explanation, error) {
	return read(ctx, s.db, func(q db.Queryer) (Explanation, error) {
		e := &explainer{
			Service: s, q: q, now: now, tenant: tenant, about: about, began: time.Now(), facts: make(map[id.ID]*fact.Fact), effects: make(map[string]*reward.Reward),
		}
		e.left.referrals, e.left.evaluations, e.left.rewards = maxExplained, maxEvaluated, maxTold
		var err error
		if e.person, err = person.Get(q, tenant, of); err != nil {
			return Explanation{}, err
		}
		if e.person.IsDeleted() {
			return Explanation{}, problem.NotFound.New("there is no such person")
		}
		return e.explain()
	})
}

func (e *explainer) explain() (Explanation, error) {
	x := Explanation{PersonID: e.person.ID, Programs: []ProgramStory{}}
	x.Standing, x.Sentence = standing(e.person)
	programs, asked, err := e.programsAsked()
	if err != nil {
		return x, err
	}
	rewards, err := reward.RecentOf(e.q, e.tenant, e.person.ID, maxOfPerson)
	if err != nil {
		return x, err
	}
	e.know(rewards)
	if len(rewards) == maxOfPerson {
		e.note("Of the person's rewards only the latest %d were looked at.", maxOfPerson)
	}
	for _, p := range programs {
		story, err := e.program(p, asked)
		if err != nil {
			return x, err
		}
		x.Programs = append(x.Programs, story)
	}
	if e.about.Rule != "" && !e.known {
		return x, problem.NotFound.New("there is no such rule")
	}
	if e.about == (Question{}) {
		if x.ByHand, err = e.byHand(); err != nil {
			return x, err
		}
	}
	x.Cut = e.cut
	return x, nil
}

// know notes rewards of the person that were read.
func (e *explainer) know(rewards []*reward.Reward) {
	for _, r := range rewards {
		if _, known := e.effects[r.Effect()]; r.PersonID == e.person.ID && !known {
			e.rewards, e.effects[r.Effect()] = append(e.rewards, r), r
		}
	}
}

func standing(p *person.Person) (Standing, string) {
	switch {
	case p.IsBlocked():
		return IsBlocked, "The person is blocked since " + when(p.BlockedAt, nil) + ": what they would get waits."
	case p.Unreferable:
		return IsUnreferable, "The person is marked as one who takes part in no program."
	default:
		return TakesPart, "The person may take part in programs."
	}
}

// note says what was left out, once.
func (e *explainer) note(format string, args ...any) {
	if text := sprint(format, args...); !slices.Contains(e.cut, text) {
		e.cut = append(e.cut, text)
	}
}

// isLate reports whether the answer has taken so long that what costs most is left
// out of the rest: a snapshot must not be held for long.
func (e *explainer) isLate() bool { return time.Since(e.began) > maxTaken }

// programsAsked returns the programs that the question is about, and the referral, if
// it is about one.
func (e *explainer) programsAsked() ([]*program.Program, *Referral, error) {
	var asked *Referral
	only := e.about.Program
	if !e.about.Referral.IsZero() {
		r, err := selectReferral(e.q, e.tenant, e.about.Referral)
		if err != nil {
			return nil, nil, err
		}
		if r.ReferrerID != e.person.ID && r.ReferredID != e.person.ID || !only.IsZero() && only != r.ProgramID {
			return nil, nil, problem.NotFound.New("the person is in no such referral")
		}
		asked, only = r, r.ProgramID
	}
	if !only.IsZero() {
		p, err := e.programs.Get(e.q, e.tenant, only)
		if err == nil && p.Kind != KindName {
			err = problem.NotFound.New("there is no such program")
		}
		return []*program.Program{p}, asked, err
	}
	all, err := e.programs.List(e.q, e.tenant)
	return slices.DeleteFunc(all, func(p *program.Program) bool { return p.Kind != KindName }), nil, err
}

// book is a program with the versions of its rules, the latest first.
type book struct {
	*program.Program

	settings *Settings
	versions []edition
	all      bool // there are no earlier ones
}

// edition is one version of a program's rules.
type edition struct {
	number int64
	since  time.Time
	set    *rule.Set
}

func (e *explainer) book(p *program.Program) (*book, error) {
	settings, err := e.settings.read(p)
	if err != nil {
		return nil, err
	}
	b := &book{Program: p, settings: settings}
	sets, err := e.programs.RuleSets(e.q, e.tenant, p.ID, maxVersions)
	if err != nil {
		return nil, err
	}
	b.all = len(sets) < maxVersions
	for _, of := range sets {
		set, number, err := e.programs.RulesAt(e.q, p, of.CreatedAt)
		if err != nil {
			return nil, err
		}
		b.versions = append(b.versions, edition{number, of.CreatedAt, set})
	}
	if !b.all {
		e.note("Of the rules of the program %s only the latest %d versions were looked at.", p.Key, maxVersions)
	}
	return b, nil
}

// at returns the rules that held at a time.
func (e *explainer) at(b *book, then time.Time) (edition, error) {
	for _, v := range b.versions {
		if !v.since.After(then) {
			return v, nil
		}
	}
	set, number, err := e.programs.RulesAt(e.q, b.Program, then)
	return edition{number: number, set: set}, err
}

// keys returns the keys of the rules that the question is about: those that there
// are now in their order, and then those that there were.
func (e *explainer) keys(b *book) []string {
	var keys []string
	for _, v := range b.versions {
		for _, r := range v.set.Rules() {
			if !slices.Contains(keys, r.Key) && (e.about.Rule == "" || e.about.Rule == r.Key) {
				keys = append(keys, r.Key)
			}
		}
	}
	e.known = e.known || len(keys) > 0
	return keys
}

// program tells of one program; asked is the only referral to tell of, if not nil.
func (e *explainer) program(p *program.Program, asked *Referral) (ProgramStory, error) {
	b, err := e.book(p)
	if err != nil {
		return ProgramStory{}, err
	}
	story := ProgramStory{ID: p.ID, Key: p.Key, Name: p.Name, Referrals: []ReferralStory{}, Rules: []RuleStory{}}
	story.Status = b.status(e.now)
	m, err := program.MembershipOf(e.q, e.tenant, p.ID, e.person.ID)
	if err != nil && !problem.NotFound.Has(err) {
		return story, err
	}
	story.JoinedAt = m.JoinedAt
	if err != nil {
		story.NotJoined = e.notJoined(story.Status)
	}
	story.Sentence = sentenceOfProgram(b, &story)
	referrals, err := e.referrals(b, asked)
	if err != nil {
		return story, err
	}
	for _, r := range referrals {
		told, err := e.referral(b, r, m.ID)
		if err != nil {
			return story, err
		}
		story.Referrals = append(story.Referrals, told)
	}
	if asked != nil {
		return story, nil
	}
	own, err := e.ownScene(b)
	if err != nil {
		return story, err
	}
	if own.referred == nil {
		if story.Attribution, err = e.uncredited(b, m.ID); err != nil {
			return story, err
		}
	}
	story.Rules, err = e.rulesOutside(own)
	return story, err
}

func (b *book) status(now time.Time) ProgramStatus {
	switch {
	case b.Status == program.Draft:
		return ProgramIsDraft
	case b.Status == program.Paused:
		return ProgramPaused
	case b.Status == program.Ended:
		return ProgramEnded
	case now.Before(b.StartsAt):
		return ProgramWaits
	case !b.EndsAt.IsZero() && !now.Before(b.EndsAt):
		return ProgramIsOver
	default:
		return ProgramRuns
	}
}

func (e *explainer) notJoined(status ProgramStatus) NotJoined {
	switch {
	case e.person.Unreferable:
		return ForUnreferable
	case status != ProgramRuns:
		return ForProgram
	default:
		return ForSilence
	}
}

// referrals returns the referrals to tell of: by which the person came, and then
// whom the person has referred, the latest first.
func (e *explainer) referrals(b *book, asked *Referral) ([]*Referral, error) {
	if asked != nil {
		return []*Referral{asked}, nil
	}
	var all []*Referral
	r, err := byReferred(e.q, e.tenant, b.ID, e.person.ID)
	if err == nil {
		all = append(all, r)
	} else if !problem.NotFound.Has(err) {
		return nil, err
	}
	sent, err := sentIn(e.q, e.tenant, b.ID, e.person.ID, e.left.referrals+1)
	if err != nil {
		return nil, err
	}
	all = append(all, sent...)
	if len(all) > e.left.referrals {
		all = all[:e.left.referrals]
		e.note("Only %d referrals were looked at, the latest of each program: ask about one of them to see it.", maxExplained)
	}
	e.left.referrals -= len(all)
	return all, nil
}

func (e *explainer) referral(b *book, r *Referral, own id.ID) (ReferralStory, error) {
	story := ReferralStory{
		ID: r.ID, Side: ReferrerSide, ReferrerID: r.ReferrerID, ReferredID: r.ReferredID, State: r.State, StartedAt: r.StartedAt,
		ConvertedAt: r.ConvertedAt, EndedAt: r.EndedAt, EndReason: r.EndReason, Moderation: moderationOf(b, r), Rules: []RuleStory{},
	}
	doer := e.person
	var err error
	if r.ReferredID == e.person.ID {
		story.Side = ReferredSide
	} else {
		if doer, err = person.Get(e.q, e.tenant, r.ReferredID); err != nil {
			return story, err
		}
		m, err := program.MembershipOf(e.q, e.tenant, b.ID, r.ReferredID)
		if err != nil && !problem.NotFound.Has(err) {
			return story, err
		}
		own = m.ID
	}
	story.Sentence = sentenceOfReferral(b, &story, r)
	if story.Attribution, err = e.credit(b, r, own); err != nil {
		return story, err
	}
	facts, err := fact.Of(e.q, e.tenant, r.ID, fact.Page{Limit: maxOfReferral})
	if err != nil {
		return story, err
	}
	if story.Facts, err = e.chain(b.Zone, facts...); err != nil {
		return story, err
	}
	story.Rules, err = e.rulesOf(b, r, doer)
	return story, err
}

// credit says why a referral is the referrer's: the decision of then, taken again.
func (e *explainer) credit(b *book, r *Referral, own id.ID) (Attributed, error) {
	touches, err := e.touches(b, r.ReferredID)
	if err != nil {
		return Attributed{}, err
	}
	policy := b.settings.policy(r.StartedAt, b.Zone)
	held, err := attribution.Held(e.q, e.tenant, b.ID, r.ReferredID)
	if err != nil {
		return Attributed{}, err
	}
	if held != nil && held.TouchID == r.TouchID {
		policy = held.Policy
	}
	if !slices.ContainsFunc(touches, func(t attribution.Touch) bool { return t.ID == r.TouchID }) {
		t, err := attribution.Get(e.q, e.tenant, r.TouchID)
		if err == nil {
			touches = append(touches, t)
		} else if !problem.NotFound.Has(err) {
			return Attributed{}, err
		}
	}
	d := attribution.Decide(touches, policy, attribution.Case{Own: own, Now: r.StartedAt})
	story, err := e.attributed(b, d, touches)
	if err != nil {
		return Attributed{}, err
	}
	if d.Touch.ID != r.TouchID {
		story = Attributed{
			Credited: true, TouchID: r.TouchID, Method: string(r.Method), Code: r.Code, At: r.StartedAt, Passed: story.Passed,
			Sentence: "It was credited when the referral began; not all of what that was decided by is kept.",
		}
	}
	return story, nil
}

// uncredited says why somebody who came by touches is in no referral; nil: there are
// none.
func (e *explainer) uncredited(b *book, own id.ID) (*Attributed, error) {
	touches, err := e.touches(b, e.person.ID)
	if err != nil || len(touches) == 0 {
		return nil, err
	}
	d := attribution.Decide(touches, b.settings.policy(e.now, b.Zone), attribution.Case{Own: own, Now: e.now})
	story, err := e.attributed(b, d, touches)
	if err != nil {
		return nil, err
	}
	if d.Credited {
		story.Credited = false
		story.Sentence = "There is a touch that would count, and no referral began by it: the person, or who sent them, could not take part then, or nothing was reported of the person since."
	}
	return &story, nil
}

// maxTouches is how many of a person's touches are looked at.
const maxTouches = 100

// touches returns a person's touches in a program, the newest first.
func (e *explainer) touches(b *book, of id.ID) ([]attribution.Touch, error) {
	all, err := attribution.OfPerson(e.q, e.tenant, of, attribution.Page{Limit: maxTouches})
	if len(all) == maxTouches {
		e.note("Only the newest %d touches of a person were looked at.", maxTouches)
	}
	return slices.DeleteFunc(all, func(t attribution.Touch) bool { return t.ProgramID != b.ID }), err
}

func (e *explainer) attributed(b *book, d attribution.Decision, found []attribution.Touch) (Attributed, error) {
	touches, err := withCodes(e.q, e.tenant, found)
	if err != nil {
		return Attributed{}, err
	}
	story := Attributed{
		Credited: d.Credited, TouchID: d.Touch.ID, Method: string(d.Method), At: d.Touch.At,
		Sentence: capital(d.Reason) + ".",
	}
	for _, t := range touches {
		if t.ID == d.Touch.ID {
			story.Code = t.Code
		}
	}
	for _, passed := range d.Passed {
		p := Passed{TouchID: passed.TouchID, Sentence: capital(passed.Reason) + "."}
		for _, t := range touches {
			if t.ID == passed.TouchID {
				p.Code, p.At = t.Code, t.At
				p.Sentence = sprint("The %s of %s does not count: %s.", touchWord(t), when(t.At, b.Zone), passed.Reason)
			}
		}
		story.Passed = append(story.Passed, p)
	}
	return story, nil
}

// byHand tells of the rewards that no rule has given.
func (e *explainer) byHand() ([]Outcome, error) {
	var outcomes []Outcome
	for _, r := range e.rewards {
		if !r.ProgramID.IsZero() {
			continue
		}
		if len(outcomes) == maxLooked {
			e.note("Of the rewards by hand only the latest %d are told of.", maxLooked)
			break
		}
		o, err := e.given(nil, r, nil)
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

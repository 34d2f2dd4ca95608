package referral

import (
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// given tells of a reward: what began it, how it stands, and why. sc is nil for one
// that no rule has given; on, where it is not known yet what it was given for.
func (e *explainer) given(sc *scene, r *reward.Reward, on *effect.Happening) (Outcome, error) {
	o := Outcome{Verdict: Given, RulesVersion: r.RuleVersion}
	o.Reward = &RewardStory{
		ID: r.ID, State: string(r.State), Kind: r.Kind, Amount: r.Amount, Unit: r.Unit, Redeemed: r.Redeemed, GivenAt: r.GivenAt, DueAt: r.DueAt,
		AvailableAt: r.AvailableAt, ExpiresAt: r.ExpiresAt, CancelledAt: r.CancelledAt,
	}
	if r.State == reward.IsRefused {
		o.Verdict = RefusedByLimit
	}
	if on != nil {
		o.On = triggerOf(*on)
	}
	var err error
	if err = e.follow(sc, r, &o); err != nil {
		return o, err
	}
	o.Reward.Sentence, err = e.stands(sc, r, o.Reward, o.Facts)
	o.Sentence = o.Reward.Sentence
	return o, err
}

// follow tells what led to a reward, and of its limit, as long as that is not too
// much for one answer.
func (e *explainer) follow(sc *scene, r *reward.Reward, o *Outcome) error {
	if e.left.rewards == 0 || e.isLate() {
		e.note("Not of all rewards it is told what led to them: ask about one referral or one rule.")
		return nil
	}
	e.left.rewards--
	var err error
	if o.On == nil {
		if o.On, err = e.triggerOf(r); err != nil {
			return err
		}
	}
	facts, err := fact.Of(e.q, e.tenant, r.ID, fact.Page{Limit: maxChain})
	if err != nil {
		return err
	}
	began, err := e.fact(r.Cause())
	if err != nil {
		return err
	}
	if began != nil {
		facts = append(facts, began)
	}
	zone := sc.zone()
	if o.Facts, err = e.chain(zone, facts...); err != nil {
		return err
	}
	o.Reward.Limit, err = e.limit(sc, r)
	return err
}

// triggerOf returns the activity that a reward was given for.
func (e *explainer) triggerOf(r *reward.Reward) (*Trigger, error) {
	a, err := activity.Get(e.q, e.tenant, r.Order())
	if problem.NotFound.Has(err) { // it was given for a fact, or by hand
		return nil, nil //nolint:nilnil // it is not known
	}
	if err != nil {
		return nil, err
	}
	return triggerOf(effect.OfActivity(a)), nil
}

// zone is the program's time zone; UTC, where there is none.
func (sc *scene) zone() *time.Location {
	if sc == nil {
		return time.UTC
	}
	return sc.Zone
}

// stands says how a reward stands, and notes why.
func (e *explainer) stands(sc *scene, r *reward.Reward, story *RewardStory, chain []Step) (string, error) {
	zone := sc.zone()
	what := "The reward of " + amountOf(r) + " was given on " + when(r.GivenAt, zone)
	switch r.State {
	case reward.IsPending:
		waits, err := e.waits(sc, r, story)
		return what + " and is pending: " + strings.Join(waits, "; ") + ".", err
	case reward.IsAvailable:
		text := what + " and is available since " + when(r.AvailableAt, zone)
		if r.Redeemed > 0 {
			text += sprint("; %d of it is redeemed", r.Redeemed)
		}
		if !r.ExpiresAt.IsZero() {
			text += ", until " + when(r.ExpiresAt, zone)
		}
		return text + ".", nil
	case reward.IsRedeemed:
		return what + " and is redeemed.", nil
	case reward.IsExpired:
		story.Why = []Why{ByExpiry}
		return what + " and expired on " + when(r.ExpiresAt, zone) + ".", nil
	case reward.IsRefused:
		story.Why = []Why{ByLimit}
		text := "The reward of " + amountOf(r) + " was refused on " + when(r.GivenAt, zone)
		if story.Limit == nil {
			return text + ".", nil
		}
		return text + ": " + lower(story.Limit.Sentence), nil
	case reward.IsCancelled:
		if wasRefused(r, chain) {
			what = "The reward of " + amountOf(r) + " was refused by a limit"
		}
		why, err := e.cancelled(sc, r, story, chain)
		return what + " and taken back on " + when(r.CancelledAt, zone) + ": " + why + ".", err
	default:
		return what + ".", nil
	}
}

// wasRefused reports whether what was taken back of a reward was what a limit had
// refused.
func wasRefused(r *reward.Reward, chain []Step) bool {
	state := ""
	for _, s := range chain {
		if s.About == r.ID && s.Type != reward.Cancelled {
			state = s.Type
		}
	}
	return state == reward.Refused
}

// waits says what a pending reward waits for.
func (e *explainer) waits(sc *scene, r *reward.Reward, story *RewardStory) ([]string, error) {
	var waits []string
	zone := sc.zone()
	if !r.DueAt.IsZero() && r.AvailableAt.IsZero() {
		story.Why = append(story.Why, ForTime)
		waits = append(waits, "it is to be available on "+when(r.DueAt, zone))
	}
	if r.Held && e.person.IsBlocked() {
		story.Why = append(story.Why, ForPerson)
		waits = append(waits, "the person is blocked")
	}
	of, err := e.referralOf(sc, r)
	if err != nil {
		return nil, err
	}
	side := sideOfReward(r)
	switch {
	case r.Held && of != nil && of.decided(side) == Undecided:
		story.Why = append(story.Why, ForModeration)
		text := "somebody has to decide about the " + string(side) + "'s side of the referral"
		if names := signalNames(of); names != "" {
			text += ", which has signals of fraud (" + names + ")"
		}
		waits = append(waits, text)
	case r.Held && !e.person.IsBlocked():
		story.Why = append(story.Why, ForModeration)
		waits = append(waits, "somebody has to decide about it")
	}
	if r.Kind == rule.CodePool && r.Code == "" {
		story.Why = append(story.Why, ForCode)
		waits = append(waits, "the pool "+r.Def+" has no code left for it")
	}
	return waits, nil
}

// referralOf returns the referral that a reward belongs to; nil: none.
func (e *explainer) referralOf(sc *scene, r *reward.Reward) (*Referral, error) {
	switch {
	case r.ReferralID.IsZero():
		return nil, nil //nolint:nilnil // none
	case sc != nil && sc.referral != nil && sc.referral.ID == r.ReferralID:
		return sc.referral, nil
	default:
		return selectReferral(e.q, e.tenant, r.ReferralID)
	}
}

// cancelled says why a reward was taken back.
func (e *explainer) cancelled(sc *scene, r *reward.Reward, story *RewardStory, chain []Step) (string, error) {
	switch r.CancelReason {
	case reward.ReasonUndone:
		story.Why = []Why{ByUndoing}
		return undoing(chain, story), nil
	case reward.ReasonDenied:
		story.Why = []Why{ByDenial}
		of, err := e.referralOf(sc, r)
		if err != nil || of == nil {
			return "its side of the referral was denied", err
		}
		return "the " + string(sideOfReward(r)) + "'s side of the referral was denied " + decider(of), nil
	case reward.ReasonEnded:
		story.Why = []Why{ByEnd}
		of, err := e.referralOf(sc, r)
		if err != nil || of == nil {
			return "the referral ended before it was available", err
		}
		return "the referral ended before it was available: " + endWords(of.EndReason), nil
	default:
		story.Why = []Why{ByCommand}
		return "somebody cancelled it", nil
	}
}

// undoing says from the chain of a reward what took back its cause.
func undoing(chain []Step, story *RewardStory) string {
	if len(chain) == 0 { // it was not looked for
		return "what caused it was taken back"
	}
	find := func(of id.ID) *Step {
		i := slices.IndexFunc(chain, func(s Step) bool { return s.ID == of })
		if i < 0 {
			return nil
		}
		return &chain[i]
	}
	var at *Step
	for i := range chain {
		if chain[i].Type == reward.Cancelled && chain[i].About == story.ID {
			at = &chain[i]
		}
	}
	for at != nil && at.Type != fact.Undone {
		at = find(at.Cause)
	}
	if at == nil || !slices.ContainsFunc(chain, func(s Step) bool { return s.About == story.ID && !s.UndoneBy.IsZero() }) {
		story.Why = []Why{ByRules}
		return "something earlier was taken back or brought about again, and the rule does not give for it any more"
	}
	story.UndoneBy = at.ID
	if by := find(at.Cause); by != nil {
		return "what caused it was taken back, because " + lower(strings.TrimSuffix(by.Sentence, "."))
	}
	return "what caused it was taken back by " + actorWords(at.Actor)
}

// limit tells of the limit that a reward counts against; nil: there is none.
func (e *explainer) limit(sc *scene, r *reward.Reward) (*LimitStory, error) {
	c, err := r.Claim(e.q, e.now)
	if err != nil || c == nil {
		return nil, err
	}
	l := &LimitStory{
		Window: c.Window, Start: c.Start, Used: c.Used, Cap: c.Cap, Amounts: c.Amount, Ahead: c.Ahead, Reopens: c.Refused && c.Reopens, Others: c.Used,
	}
	for _, other := range e.rewards {
		n := other.Takes(c)
		if n == 0 || len(l.TakenBy) == maxLooked {
			continue
		}
		l.TakenBy = append(l.TakenBy, other.ID)
		l.Others = max(l.Others-n, 0)
	}
	if sc != nil {
		for _, v := range sc.versions {
			if of, ok := v.set.Rule(r.Rule); ok && of.Limit != nil && (l.Per == "" || v.number == r.RuleVersion) {
				l.Per = of.Limit.Per
			}
		}
	}
	l.Sentence = limitWords(l, c.Refused)
	return l, nil
}

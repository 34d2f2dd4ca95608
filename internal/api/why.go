package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// whyJSON says why a person did or did not get rewards.
type whyJSON struct {
	PersonID string           `json:"person_id"`
	Standing string           `json:"standing" doc:"takes_part, blocked or unreferable."`
	Sentence string           `json:"sentence"`
	Programs []whyProgramJSON `json:"programs"`
	ByHand   []whyOutcomeJSON `json:"by_hand,omitempty" doc:"What no rule has given."`
	Cut      []string         `json:"cut,omitempty" doc:"What was left out, in sentences."`
}

type whyProgramJSON struct {
	ID          string              `json:"id" example:"prg_019a9c1d2f3b5e8d7c6a4f10"`
	Key         string              `json:"key" example:"give-and-get"`
	Name        string              `json:"name"`
	Status      string              `json:"status" doc:"running, draft, paused, ended, not_begun or over."`
	JoinedAt    *time.Time          `json:"joined_at,omitempty" doc:"Absent: the person is not in it."`
	NotJoined   string              `json:"not_joined,omitempty" doc:"Why the person is not in it: unreferable, program_not_on, or not_reported since it runs."`
	Sentence    string              `json:"sentence"`
	Attribution *whyAttributionJSON `json:"attribution,omitempty" doc:"Why nobody is credited with a person who came by somebody's link or code."`
	Referrals   []whyReferralJSON   `json:"referrals" doc:"Those that the person is in, the latest first."`
	Rules       []whyRuleJSON       `json:"rules" doc:"Of what the person does outside of referrals."`
}

type whyAttributionJSON struct {
	Credited bool            `json:"credited"`
	TouchID  string          `json:"touch_id,omitempty" example:"tch_019a9c1d2f3b5e8d7c6a4f10"`
	Method   string          `json:"method,omitempty"`
	Code     string          `json:"code,omitempty"`
	At       *time.Time      `json:"at,omitempty"`
	Sentence string          `json:"sentence"`
	Passed   []whyPassedJSON `json:"passed,omitempty" doc:"What got no credit, and why."`
}

type whyPassedJSON struct {
	TouchID  string     `json:"touch_id"`
	Code     string     `json:"code,omitempty"`
	At       *time.Time `json:"at,omitempty"`
	Sentence string     `json:"sentence"`
}

type whyReferralJSON struct {
	ID          string             `json:"id" example:"ref_019a9c1d2f3b5e8d7c6a4f10"`
	Side        string             `json:"side" doc:"The person's: referrer or referred."`
	ReferrerID  string             `json:"referrer_id"`
	ReferredID  string             `json:"referred_id"`
	State       string             `json:"state"`
	StartedAt   time.Time          `json:"started_at"`
	ConvertedAt *time.Time         `json:"converted_at,omitempty"`
	EndedAt     *time.Time         `json:"ended_at,omitempty"`
	EndReason   string             `json:"end_reason,omitempty"`
	Sentence    string             `json:"sentence"`
	Attribution whyAttributionJSON `json:"attribution"`
	Moderation  whyModerationJSON  `json:"moderation"`
	Facts       []whyFactJSON      `json:"facts" doc:"About the referral, the earliest first."`
	Rules       []whyRuleJSON      `json:"rules"`
}

type whyModerationJSON struct {
	Referrer string       `json:"referrer"`
	Referred string       `json:"referred"`
	ByHand   bool         `json:"by_hand,omitempty"`
	At       *time.Time   `json:"at,omitempty"`
	Signals  []signalJSON `json:"signals,omitempty"`
	Sentence string       `json:"sentence"`
}

type whyRuleJSON struct {
	Rule     string           `json:"rule" example:"advocate"`
	Version  int64            `json:"version" doc:"The latest one of the rules that has it."`
	As       string           `json:"as" doc:"As what the person gets it."`
	Verdict  string           `json:"verdict" doc:"Of the outcome that counts most."`
	Sentence string           `json:"sentence"`
	Outcomes []whyOutcomeJSON `json:"outcomes" doc:"What was given, and then the rest, the latest first."`
}

type whyOutcomeJSON struct {
	Verdict      string             `json:"verdict" doc:"given; refused: a limit was reached; waiting, or prevented: of a rule that waits for something not to happen; once: it gives once, and did; undone; not_matched; wrong_actor; not_active; not_triggered; no_referral; before_referral; after_referral; no_rule; program_not_on; converted or already_converted: of a rule that only converts; not_given."`
	Sentence     string             `json:"sentence"`
	On           *whyTriggerJSON    `json:"on,omitempty" doc:"Absent: nothing happened, or it is not known any more."`
	RulesVersion int64              `json:"rules_version,omitempty" doc:"By which rules it was judged."`
	Reason       string             `json:"reason,omitempty" doc:"As a dry run of rules has it." example:"if_false"`
	If           *ruleConditionJSON `json:"if,omitempty" doc:"What came of the rule's condition."`
	Until        *time.Time         `json:"until,omitempty" doc:"Of what waits."`
	Reward       *whyRewardJSON     `json:"reward,omitempty"`
	GivenBefore  string             `json:"given_before,omitempty" doc:"The reward that was given before."`
	Facts        []whyFactJSON      `json:"facts,omitempty" doc:"From what began it to what is now, the earliest first."`
}

type whyTriggerJSON struct {
	Type       string     `json:"type" example:"purchase"`
	ActivityID string     `json:"activity_id,omitempty" doc:"Absent: it is a fact."`
	Key        string     `json:"key,omitempty"`
	PersonID   string     `json:"person_id"`
	At         time.Time  `json:"at"`
	ReceivedAt time.Time  `json:"received_at"`
	UndoneAt   *time.Time `json:"undone_at,omitempty"`
}

type whyRewardJSON struct {
	ID          string        `json:"id" example:"rwd_019a9c1d2f3b5e8d7c6a4f10"`
	State       string        `json:"state"`
	Kind        string        `json:"kind"`
	Amount      int64         `json:"amount"`
	Unit        string        `json:"unit,omitempty"`
	Redeemed    int64         `json:"redeemed,omitempty"`
	GivenAt     time.Time     `json:"given_at"`
	DueAt       *time.Time    `json:"due_at,omitempty"`
	AvailableAt *time.Time    `json:"available_at,omitempty"`
	ExpiresAt   *time.Time    `json:"expires_at,omitempty"`
	CancelledAt *time.Time    `json:"cancelled_at,omitempty"`
	Why         []string      `json:"why,omitempty" doc:"Of its state: waits_for_time, waits_for_moderation, person_is_blocked, waits_for_code, undone, not_any_more, denied, referral_ended, cancelled, expired, limit_reached."`
	UndoneBy    string        `json:"undone_by,omitempty" doc:"The fact that took back its cause."`
	Limit       *whyLimitJSON `json:"limit,omitempty"`
	Sentence    string        `json:"sentence"`
}

type whyLimitJSON struct {
	Per      string     `json:"per,omitempty" doc:"Absent: the rule is not there any more."`
	Window   string     `json:"window"`
	Start    *time.Time `json:"start,omitempty" doc:"Of the window."`
	Used     int64      `json:"used"`
	Cap      int64      `json:"cap"`
	Amounts  bool       `json:"amounts,omitempty" doc:"Whether amounts are counted, not rewards."`
	TakenBy  []string   `json:"taken_by,omitempty" doc:"Rewards of the person, the latest 20."`
	Others   int64      `json:"others,omitempty" doc:"What others have taken, or what is not listed."`
	Ahead    int        `json:"ahead" doc:"How many refused rewards come before this one if one is taken back; -1: more than a hundred."`
	Reopens  bool       `json:"reopens" doc:"Whether this is given if one is taken back and none is ahead."`
	Sentence string     `json:"sentence"`
}

type whyFactJSON struct {
	ID       string      `json:"id" example:"fct_019a9c1d2f3b5e8d7c6a4f10"`
	Type     string      `json:"type"`
	Subject  subjectJSON `json:"subject"`
	Actor    string      `json:"actor"`
	At       time.Time   `json:"at"`
	Cause    string      `json:"cause,omitempty"`
	UndoneBy string      `json:"undone_by,omitempty"`
	Sentence string      `json:"sentence"`
}

type whyQuery struct {
	PersonPath
	Program  string `query:"program" maxLength:"100" doc:"Of this program alone, named by its id or key."`
	Rule     string `query:"rule" maxLength:"100" doc:"Of this rule alone, by its key."`
	Referral string `query:"referral" maxLength:"100" doc:"Of this referral alone."`
}

func (s *server) whyRoutes() {
	register(s, route{
		id: "explain-person", method: http.MethodGet, path: "/v1/people/{id}/explain", tag: tagPeople, access: canRead,
		summary: "Explain why a person did or didn't get rewards",
		description: "Says of each rule what became of it for the person, and why, in words that are stable and in sentences. What happened is judged by the rules of then; " +
			"what is known of the person counts as it is now. What was left out, since there is too much of it, is said in cut: ask about one program, rule or referral then.",
	}, s.explainPerson)
}

func (s *server) explainPerson(ctx context.Context, r request[whyQuery, none]) (whyJSON, error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return whyJSON{}, err
	}
	about := referral.Question{Rule: r.params.Rule}
	if about.Program, err = s.programOf(ctx, r.call, r.params.Program); err != nil {
		return whyJSON{}, err
	}
	if r.params.Referral != "" {
		if about.Referral, err = referral.ReferralID.Parse(r.params.Referral); err != nil || about.Referral.IsZero() {
			return whyJSON{}, problem.InvalidField("query.referral", "is not the id of a referral")
		}
	}
	e, err := s.opts.Referrals.Explain(ctx, r.tenant.ID, p.ID, about)
	if err != nil {
		return whyJSON{}, err
	}
	return whyJSON{
		PersonID: shownPerson(e.PersonID), Standing: string(e.Standing), Sentence: e.Sentence, Cut: e.Cut,
		Programs: pageOf(e.Programs, "", showWhyProgram).Data, ByHand: some(e.ByHand, showWhyOutcome),
	}, nil
}

// some shows a list that is left out where it is empty.
func some[R, T any](rows []R, show func(R) T) []T {
	if len(rows) == 0 {
		return nil
	}
	return pageOf(rows, "", show).Data
}

func showWhyProgram(p referral.ProgramStory) whyProgramJSON {
	shown := whyProgramJSON{
		ID: program.ProgramID.Format(p.ID), Key: p.Key, Name: p.Name, Status: string(p.Status), JoinedAt: optionalTime(p.JoinedAt),
		NotJoined: string(p.NotJoined), Sentence: p.Sentence,
		Referrals: pageOf(p.Referrals, "", showWhyReferral).Data, Rules: pageOf(p.Rules, "", showWhyRule).Data,
	}
	if p.Attribution != nil {
		shown.Attribution = new(showWhyAttribution(*p.Attribution))
	}
	return shown
}

// touchID stands before the ids of touches: that somebody came by a link or a code.
const touchID id.Kind = "tch"

func showWhyAttribution(a referral.Attributed) whyAttributionJSON {
	return whyAttributionJSON{
		Credited: a.Credited, TouchID: shownID(touchID, a.TouchID), Method: a.Method, Code: a.Code, At: optionalTime(a.At), Sentence: a.Sentence,
		Passed: some(a.Passed, func(p referral.Passed) whyPassedJSON {
			return whyPassedJSON{shownID(touchID, p.TouchID), p.Code, optionalTime(p.At), p.Sentence}
		}),
	}
}

func showWhyReferral(r referral.ReferralStory) whyReferralJSON {
	m := r.Moderation
	return whyReferralJSON{
		ID: referral.ReferralID.Format(r.ID), Side: string(r.Side), ReferrerID: shownPerson(r.ReferrerID), ReferredID: shownPerson(r.ReferredID),
		State: string(r.State), StartedAt: r.StartedAt, ConvertedAt: optionalTime(r.ConvertedAt), EndedAt: optionalTime(r.EndedAt),
		EndReason: r.EndReason, Sentence: r.Sentence, Attribution: showWhyAttribution(r.Attribution),
		Moderation: whyModerationJSON{
			string(m.Referrer), string(m.Referred), m.ByHand, optionalTime(m.At), some[fraud.Signal](m.Signals, showSignal), m.Sentence,
		},
		Facts: pageOf(r.Facts, "", showWhyFact).Data, Rules: pageOf(r.Rules, "", showWhyRule).Data,
	}
}

func showWhyRule(r referral.RuleStory) whyRuleJSON {
	return whyRuleJSON{r.Rule, r.Version, string(r.As), string(r.Verdict), r.Sentence, pageOf(r.Outcomes, "", showWhyOutcome).Data}
}

func showWhyOutcome(o referral.Outcome) whyOutcomeJSON {
	shown := whyOutcomeJSON{
		Verdict: string(o.Verdict), Sentence: o.Sentence, RulesVersion: o.RulesVersion, Reason: string(o.Reason), Until: optionalTime(o.Until),
		GivenBefore: shownID(reward.RewardID, o.GivenBefore), Facts: some(o.Facts, showWhyFact),
	}
	if on := o.On; on != nil {
		shown.On = &whyTriggerJSON{
			on.Type, shownID(subjects["activity"], on.ActivityID), on.Key, shownPerson(on.PersonID), on.At, on.ReceivedAt, optionalTime(on.UndoneAt),
		}
	}
	if o.If != nil {
		shown.If = new(showRuleCondition(*o.If))
	}
	if o.Reward != nil {
		shown.Reward = new(showWhyReward(*o.Reward))
	}
	return shown
}

func showWhyReward(r referral.RewardStory) whyRewardJSON {
	shown := whyRewardJSON{
		ID: reward.RewardID.Format(r.ID), State: r.State, Kind: string(r.Kind), Amount: r.Amount, Unit: r.Unit, Redeemed: r.Redeemed,
		GivenAt: r.GivenAt, DueAt: optionalTime(r.DueAt), AvailableAt: optionalTime(r.AvailableAt), ExpiresAt: optionalTime(r.ExpiresAt),
		CancelledAt: optionalTime(r.CancelledAt), Why: some(r.Why, func(w referral.Why) string { return string(w) }),
		UndoneBy: shownID(fact.FactID, r.UndoneBy), Sentence: r.Sentence,
	}
	if l := r.Limit; l != nil {
		shown.Limit = &whyLimitJSON{
			Per: string(l.Per), Window: l.Window, Start: optionalTime(l.Start), Used: l.Used, Cap: l.Cap, Amounts: l.Amounts,
			TakenBy: some(l.TakenBy, func(of id.ID) string { return reward.RewardID.Format(of) }), Others: l.Others, Ahead: l.Ahead, Reopens: l.Reopens, Sentence: l.Sentence,
		}
	}
	return shown
}

func showWhyFact(s referral.Step) whyFactJSON {
	return whyFactJSON{
		fact.FactID.Format(s.ID), s.Type, showSubject(fact.Ref{Kind: s.Kind, ID: s.About}), string(s.Actor), s.At,
		shownID(fact.FactID, s.Cause), shownID(fact.FactID, s.UndoneBy), s.Sentence,
	}
}

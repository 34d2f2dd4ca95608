package referral

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Question asks why a person did or did not get what rules give.
type Question struct {
	Program  id.ID  // zero: all of them
	Rule     string // "": all
	Referral id.ID  // zero: all that the person is in
}

// The bounds of an explanation. What goes beyond is said in Cut.
const (
	maxExplained  = 50   // referrals, the latest first
	maxLooked     = 20   // activities, or rewards, for each rule
	maxShown      = 5    // activities of a rule that led to nothing; and rewards, where the question is wide
	maxTold       = 200  // rewards with their facts and limits
	maxEvaluated  = 1000 // how often rules are asked
	maxVersions   = 10   // of a program's rules
	maxOfPerson   = 1000 // rewards that are looked at
	maxChain      = 100  // facts of one reward
	maxOfReferral = 50   // facts of one referral

	maxTaken = 700 * time.Millisecond // after which rules are not asked any more
)

// Explanation says why a person did or did not get rewards. The words in it are
// stable; each sentence says the same for people to read.
type Explanation struct {
	PersonID id.ID          `json:"person_id"`
	Standing Standing       `json:"standing"`
	Sentence string         `json:"sentence"`
	Programs []ProgramStory `json:"programs"`
	ByHand   []Outcome      `json:"by_hand,omitempty"` // what no rule has given
	Cut      []string       `json:"cut,omitempty"`     // what was left out, in sentences
}

// Standing is whether a person takes part.
type Standing string

// The standings of a person.
const (
	TakesPart     Standing = "takes_part"
	IsBlocked     Standing = "blocked"
	IsUnreferable Standing = "unreferable"
)

// ProgramStory is what a person has to do with a program.
type ProgramStory struct {
	ID       id.ID         `json:"id"`
	Key      string        `json:"key"`
	Name     string        `json:"name"`
	Status   ProgramStatus `json:"status"`
	JoinedAt time.Time     `json:"joined_at,omitzero"`
	// NotJoined is why the person is not in the program.
	NotJoined NotJoined `json:"not_joined,omitempty"`
	Sentence  string    `json:"sentence"`
	// Attribution is why nobody is credited with a person who came by somebody's link
	// or code.
	Attribution *Attributed     `json:"attribution,omitempty"`
	Referrals   []ReferralStory `json:"referrals"`
	Rules       []RuleStory     `json:"rules"` // of what the person does outside of those
}

// ProgramStatus is whether something new may begin in a program now.
type ProgramStatus string

// The states of a program.
const (
	ProgramRuns    ProgramStatus = "running"
	ProgramIsDraft ProgramStatus = "draft"
	ProgramPaused  ProgramStatus = "paused"
	ProgramEnded   ProgramStatus = "ended"
	ProgramWaits   ProgramStatus = "not_begun" // its time comes
	ProgramIsOver  ProgramStatus = "over"      // its time has passed
)

// NotJoined is why a person is not in a program.
type NotJoined string

// The reasons.
const (
	ForUnreferable NotJoined = "unreferable"
	ForProgram     NotJoined = "program_not_on"
	ForSilence     NotJoined = "not_reported" // nothing was said of the person since the program runs
)

// Attributed is who gets the credit for a person, and why.
type Attributed struct {
	Credited bool      `json:"credited"`
	TouchID  id.ID     `json:"touch_id,omitzero"`
	Method   string    `json:"method,omitempty"`
	Code     string    `json:"code,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Sentence string    `json:"sentence"`
	Passed   []Passed  `json:"passed,omitempty"`
}

// Passed is a touch that got no credit, and why.
type Passed struct {
	TouchID  id.ID     `json:"touch_id"`
	Code     string    `json:"code,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Sentence string    `json:"sentence"`
}

// ReferralStory is a referral with what it led to for the person.
type ReferralStory struct {
	ID          id.ID           `json:"id"`
	Side        Side            `json:"side"` // the person's
	ReferrerID  id.ID           `json:"referrer_id"`
	ReferredID  id.ID           `json:"referred_id"`
	State       State           `json:"state"`
	StartedAt   time.Time       `json:"started_at"`
	ConvertedAt time.Time       `json:"converted_at,omitzero"`
	EndedAt     time.Time       `json:"ended_at,omitzero"`
	EndReason   string          `json:"end_reason,omitempty"`
	Sentence    string          `json:"sentence"`
	Attribution Attributed      `json:"attribution"`
	Moderation  ModerationStory `json:"moderation"`
	Facts       []Step          `json:"facts"` // about the referral, the earliest first
	Rules       []RuleStory     `json:"rules"`
}

// RuleStory is what a rule made of what happened.
type RuleStory struct {
	Rule     string    `json:"rule"`
	Version  int64     `json:"version"` // the latest one of the rules that has it
	As       rule.Role `json:"as"`      // the person gets it
	Verdict  Verdict   `json:"verdict"` // of the outcome that counts most
	Sentence string    `json:"sentence"`
	Outcomes []Outcome `json:"outcomes"` // what was given, and then the rest, the latest first
}

// Verdict is what came of a rule.
type Verdict string

// The verdicts.
const (
	Given           Verdict = "given"             // see the reward, which may be over
	RefusedByLimit  Verdict = "refused"           // a limit was reached
	Waiting         Verdict = "waiting"           // until something has not happened for so long
	Prevented       Verdict = "prevented"         // it has happened
	GivenBefore     Verdict = "once"              // the rule gives once, and did
	Undone          Verdict = "undone"            // what happened was taken back
	NotMatched      Verdict = "not_matched"       // see Reason and If
	WrongActor      Verdict = "wrong_actor"       // somebody in another part did it
	NotActive       Verdict = "not_active"        // the rule is not in force then
	NotTriggered    Verdict = "not_triggered"     // nothing that it listens to was reported
	NoReferral      Verdict = "no_referral"       // it is for people who are in one
	BeforeReferral  Verdict = "before_referral"   // it happened before the referral began
	AfterReferral   Verdict = "after_referral"    // it happened after the referral had ended
	NoRule          Verdict = "no_rule"           // the rules of then had no such one
	ProgramNotOn    Verdict = "program_not_on"    // the program does not run
	ConvertedByThis Verdict = "converted"         // of a rule that only converts
	ConvertedBefore Verdict = "already_converted" // the same
	NotGiven        Verdict = "not_given"         // see the sentence
)

// Outcome is what a rule made of one thing that happened.
type Outcome struct {
	Verdict  Verdict  `json:"verdict"`
	Sentence string   `json:"sentence"`
	On       *Trigger `json:"on,omitempty"` // nil: nothing happened, or it is not known any more
	// RulesVersion is by which rules it was judged.
	RulesVersion int64             `json:"rules_version,omitempty"`
	Reason       rule.Reason       `json:"reason,omitempty"`
	If           *rule.Explanation `json:"if,omitempty"`
	Until        time.Time         `json:"until,omitzero"` // of what waits
	Reward       *RewardStory      `json:"reward,omitempty"`
	GivenBefore  id.ID             `json:"given_before,omitzero"` // a reward
	// Facts are the chain from what began it to what is now, the earliest first.
	Facts []Step `json:"facts,omitempty"`
}

// Trigger is what a rule listened to.
type Trigger struct {
	Type       string    `json:"type"`
	ActivityID id.ID     `json:"activity_id,omitzero"` // zero: it is a fact
	Key        string    `json:"key,omitempty"`
	PersonID   id.ID     `json:"person_id"`
	At         time.Time `json:"at"`
	ReceivedAt time.Time `json:"received_at"`
	UndoneAt   time.Time `json:"undone_at,omitzero"`
}

// RewardStory is a reward as it stands, and why.
type RewardStory struct {
	ID          id.ID       `json:"id"`
	State       string      `json:"state"`
	Kind        rule.Kind   `json:"kind"`
	Amount      int64       `json:"amount"`
	Unit        string      `json:"unit,omitempty"`
	Redeemed    int64       `json:"redeemed,omitempty"`
	GivenAt     time.Time   `json:"given_at"`
	DueAt       time.Time   `json:"due_at,omitzero"`
	AvailableAt time.Time   `json:"available_at,omitzero"`
	ExpiresAt   time.Time   `json:"expires_at,omitzero"`
	CancelledAt time.Time   `json:"cancelled_at,omitzero"`
	Why         []Why       `json:"why,omitempty"`
	UndoneBy    id.ID       `json:"undone_by,omitzero"` // the fact that took back its cause
	Limit       *LimitStory `json:"limit,omitempty"`
	Sentence    string      `json:"sentence"`
}

// Why is a reason for the state of a reward.
type Why string

// The reasons. A reward that is pending may have several.
const (
	ForTime       Why = "waits_for_time"
	ForModeration Why = "waits_for_moderation"
	ForPerson     Why = "person_is_blocked"
	ForCode       Why = "waits_for_code"
	ByUndoing     Why = "undone"         // what caused it was taken back
	ByRules       Why = "not_any_more"   // what happened since has the rule say otherwise
	ByDenial      Why = "denied"         // its side of the referral
	ByEnd         Why = "referral_ended" // before it was available
	ByCommand     Why = "cancelled"      // by hand
	ByExpiry      Why = "expired"
	ByLimit       Why = "limit_reached"
)

// LimitStory is how the limit stands that a reward counts against.
type LimitStory struct {
	Per     rule.Scope `json:"per,omitempty"` // "": the rule is not there any more
	Window  string     `json:"window"`
	Start   time.Time  `json:"start,omitzero"` // of the window
	Used    int64      `json:"used"`
	Cap     int64      `json:"cap"`
	Amounts bool       `json:"amounts,omitempty"`  // what is counted is amounts, not rewards
	TakenBy []id.ID    `json:"taken_by,omitempty"` // rewards of the person, the latest 20
	Others  int64      `json:"others,omitempty"`   // what other people have taken, or what is not listed
	// Ahead is how many refused rewards come before this one if one is taken back;
	// -1: more than a hundred.
	Ahead int `json:"ahead"`
	// Reopens says that this is given if one is taken back and none is ahead.
	Reopens  bool   `json:"reopens"`
	Sentence string `json:"sentence"`
}

// ModerationStory is what was decided about a referral.
type ModerationStory struct {
	Referrer Moderation     `json:"referrer"`
	Referred Moderation     `json:"referred"`
	ByHand   bool           `json:"by_hand,omitempty"`
	At       time.Time      `json:"at,omitzero"`
	Signals  []fraud.Signal `json:"signals,omitempty"`
	Sentence string         `json:"sentence"`
}

// Step is a fact in a chain of causes.
type Step struct {
	ID       id.ID      `json:"id"`
	Type     string     `json:"type"`
	Kind     string     `json:"kind"` // of what it is about
	About    id.ID      `json:"about"`
	Actor    fact.Actor `json:"actor"`
	At       time.Time  `json:"at"`
	Cause    id.ID      `json:"cause,omitzero"`
	UndoneBy id.ID      `json:"undone_by,omitzero"`
	Sentence string     `json:"sentence"`
}

// Explain answers why a person did or did not get rewards, from what is stored: one
// snapshot, bounded, whatever the person did. What happened is judged by the rules
// of then; what is known of the person counts as it is now, since nobody keeps what
// it was. It returns problem.NotFound for a person, a program, a rule or a referral
// that there is not, and for a referral that the person is not in.
func (s *Service) Explain(ctx context.Context, tenant, of id.ID, about Question) (Explanation, error) {
	return s.explainAt(ctx, tenant, of, about, time.Now())
}

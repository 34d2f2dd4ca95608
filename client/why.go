package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Why says why a person did or did not get rewards. Its words are stable; each
// sentence says the same for people to read.
type Why struct {
	PersonID string       `json:"person_id"`
	Standing string       `json:"standing"` // takes_part, blocked or unreferable
	Sentence string       `json:"sentence"`
	Programs []WhyProgram `json:"programs"`
	ByHand   []WhyOutcome `json:"by_hand,omitempty"` // what no rule has given
	Cut      []string     `json:"cut,omitempty"`     // what was left out, in sentences
}

// WhyProgram is what a person has to do with a program.
type WhyProgram struct {
	ID          string          `json:"id"`
	Key         string          `json:"key"`
	Name        string          `json:"name"`
	Status      string          `json:"status"` // running, draft, paused, ended, not_begun or over
	JoinedAt    time.Time       `json:"joined_at,omitzero"`
	NotJoined   string          `json:"not_joined,omitempty"` // why the person is not in it
	Sentence    string          `json:"sentence"`
	Attribution *WhyAttribution `json:"attribution,omitempty"` // why nobody is credited with the person
	Referrals   []WhyReferral   `json:"referrals"`
	Rules       []WhyRule       `json:"rules"` // of what the person does outside of those
}

// WhyAttribution is who gets the credit for a person, and why.
type WhyAttribution struct {
	Credited bool        `json:"credited"`
	TouchID  string      `json:"touch_id,omitempty"`
	Method   string      `json:"method,omitempty"`
	Code     string      `json:"code,omitempty"`
	At       time.Time   `json:"at,omitzero"`
	Sentence string      `json:"sentence"`
	Passed   []WhyPassed `json:"passed,omitempty"` // what got no credit
}

// WhyPassed is a touch that got no credit, and why.
type WhyPassed struct {
	TouchID  string    `json:"touch_id"`
	Code     string    `json:"code,omitempty"`
	At       time.Time `json:"at,omitzero"`
	Sentence string    `json:"sentence"`
}

// WhyReferral is a referral with what it led to for the person.
type WhyReferral struct {
	ID          string         `json:"id"`
	Side        string         `json:"side"` // the person's
	ReferrerID  string         `json:"referrer_id"`
	ReferredID  string         `json:"referred_id"`
	State       ReferralState  `json:"state"`
	StartedAt   time.Time      `json:"started_at"`
	ConvertedAt time.Time      `json:"converted_at,omitzero"`
	EndedAt     time.Time      `json:"ended_at,omitzero"`
	EndReason   string         `json:"end_reason,omitempty"`
	Sentence    string         `json:"sentence"`
	Attribution WhyAttribution `json:"attribution"`
	Moderation  WhyModeration  `json:"moderation"`
	Facts       []WhyFact      `json:"facts"` // about the referral, the earliest first
	Rules       []WhyRule      `json:"rules"`
}

// WhyModeration is what was decided about a referral.
type WhyModeration struct {
	Referrer ModerationState `json:"referrer"`
	Referred ModerationState `json:"referred"`
	ByHand   bool            `json:"by_hand,omitempty"`
	At       time.Time       `json:"at,omitzero"`
	Signals  []Signal        `json:"signals,omitempty"`
	Sentence string          `json:"sentence"`
}

// WhyRule is what a rule made of what happened.
type WhyRule struct {
	Rule     string       `json:"rule"`
	Version  int64        `json:"version"` // the latest one of the rules that has it
	As       string       `json:"as"`      // the person gets it
	Verdict  string       `json:"verdict"` // of the outcome that counts most
	Sentence string       `json:"sentence"`
	Outcomes []WhyOutcome `json:"outcomes"` // what was given, and then the rest, the latest first
}

// WhyOutcome is what a rule made of one thing that happened.
type WhyOutcome struct {
	Verdict      string         `json:"verdict"`
	Sentence     string         `json:"sentence"`
	On           *WhyTrigger    `json:"on,omitempty"` // nil: nothing happened, or it is not known any more
	RulesVersion int64          `json:"rules_version,omitempty"`
	Reason       string         `json:"reason,omitempty"`
	If           *RuleCondition `json:"if,omitempty"`
	Until        time.Time      `json:"until,omitzero"` // of what waits
	Reward       *WhyReward     `json:"reward,omitempty"`
	GivenBefore  string         `json:"given_before,omitempty"` // a reward
	Facts        []WhyFact      `json:"facts,omitempty"`        // from what began it to what is now
}

// WhyTrigger is what a rule listened to.
type WhyTrigger struct {
	Type       string    `json:"type"`
	ActivityID string    `json:"activity_id,omitempty"` // "": it is a fact
	Key        string    `json:"key,omitempty"`
	PersonID   string    `json:"person_id"`
	At         time.Time `json:"at"`
	ReceivedAt time.Time `json:"received_at"`
	UndoneAt   time.Time `json:"undone_at,omitzero"`
}

// WhyReward is a reward as it stands, and why.
type WhyReward struct {
	ID          string      `json:"id"`
	State       RewardState `json:"state"`
	Kind        string      `json:"kind"`
	Amount      int64       `json:"amount"`
	Unit        string      `json:"unit,omitempty"`
	Redeemed    int64       `json:"redeemed,omitempty"`
	GivenAt     time.Time   `json:"given_at"`
	DueAt       time.Time   `json:"due_at,omitzero"`
	AvailableAt time.Time   `json:"available_at,omitzero"`
	ExpiresAt   time.Time   `json:"expires_at,omitzero"`
	CancelledAt time.Time   `json:"cancelled_at,omitzero"`
	Why         []string    `json:"why,omitempty"`       // of its state
	UndoneBy    string      `json:"undone_by,omitempty"` // the fact that took back its cause
	Limit       *WhyLimit   `json:"limit,omitempty"`
	Sentence    string      `json:"sentence"`
}

// WhyLimit is how the limit stands that a reward counts against.
type WhyLimit struct {
	Per      string    `json:"per,omitempty"`
	Window   string    `json:"window"`
	Start    time.Time `json:"start,omitzero"` // of the window
	Used     int64     `json:"used"`
	Cap      int64     `json:"cap"`
	Amounts  bool      `json:"amounts,omitempty"`  // amounts are counted, not rewards
	TakenBy  []string  `json:"taken_by,omitempty"` // rewards of the person, the latest 20
	Others   int64     `json:"others,omitempty"`   // what others have taken, or what is not listed
	Ahead    int       `json:"ahead"`              // refused rewards that come first; -1: more than a hundred
	Reopens  bool      `json:"reopens"`            // this is given if one is taken back and none is ahead
	Sentence string    `json:"sentence"`
}

// WhyFact is a fact in a chain of causes.
type WhyFact struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Subject  Subject   `json:"subject"`
	Actor    string    `json:"actor"`
	At       time.Time `json:"at"`
	Cause    string    `json:"cause,omitempty"`
	UndoneBy string    `json:"undone_by,omitempty"`
	Sentence string    `json:"sentence"`
}

// WhyQuestion narrows what is explained. Zero fields leave it wide.
type WhyQuestion struct {
	Program  string // its id or key
	Rule     string // its key
	Referral string // its id
}

// ExplainPerson says why a person did or did not get rewards.
func (c *Client) ExplainPerson(ctx context.Context, person string, q WhyQuestion) (Why, error) {
	query := url.Values{}
	set(query, "program", q.Program)
	set(query, "rule", q.Rule)
	set(query, "referral", q.Referral)
	return one[Why](ctx, c, call{method: http.MethodGet, path: path("/v1/people/", person, "/explain"), query: query})
}

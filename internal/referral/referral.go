// Package referral is the referral program: somebody who has a code sends somebody
// else, and both may be rewarded when that one does what the program's rules ask
// for.
//
// Everybody who is in a program has a code and may refer. A referral is started when
// a person who is new to the program comes by somebody's code, a link or a cookie;
// it is converted when a rule says so, and ended when the referred person leaves.
// Each side of it is moderated apart: what a side is rewarded waits while it is
// pending, and is taken back while it is denied.
//
// The package is a reactor: it turns facts about people, accounts and activities
// into referrals and rewards, inside of the commands that have them.
//
// What an activity led to can be taken back with it, and what then would have happened
// instead happens: package effect asks the rules again of what the same person did
// since, as they were then and as the referral stood then, and says where that ends.
// Here, besides: that an account has paid converts a referral again; a decision that
// changed nothing then, such as to convert by hand what was converted already, leaves
// no trace; a referral that has ended is converted only by what happened before its end;
// what somebody did after that was given apart from it, and is given in it when it goes
// on. Rules that count referrals are asked again of those that stand after one that
// is counted now, or is so no more.
package referral

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// ReferralID stands before the ids of referrals.
const ReferralID id.Kind = "ref"

// KindName is the kind of these programs.
const KindName = "referral"

// Subject is the kind of what facts about referrals are about.
const Subject = "referral"

// The facts about referrals. Their data is a *Referral, as it is after the change.
const (
	Started   = "referral.started"
	Moderated = "referral.moderated" // a side of it, by itself or by somebody
	Converted = "referral.converted"
	Retracted = "referral.retracted" // what had converted it was undone
	Ended     = "referral.ended"
	Resumed   = "referral.resumed" // what had ended it was undone
)

// CodeIssued is the fact that somebody has a new code. Its data is a *Code.
const CodeIssued = "code.created"

// CodeSubject is the kind of what it is about.
const CodeSubject = "code"

// Code is a code with the program that it is for.
type Code struct {
	Text       string    `json:"code"`
	Short      string    `json:"short"`
	ProgramID  id.ID     `json:"program_id"`
	ProgramKey string    `json:"program_key"`
	PersonID   id.ID     `json:"person_id"`
	CreatedAt  time.Time `json:"created_at"`
	// Disabled says that nobody is credited for it any more.
	Disabled bool `json:"disabled,omitempty"`
}

// MessageSent is the fact that there is a message for somebody. Its data is a
// *Message.
const MessageSent = "message.created"

// MessageSubject is the kind of what it is about.
const MessageSubject = "message"

// Message is a message as it was rendered.
type Message struct {
	ID       id.ID  `json:"id"`
	PersonID id.ID  `json:"person_id"`
	Type     string `json:"type"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
	// Limit is, of a message that a limit was reached, how many rewards it allows.
	Limit int64 `json:"limit,omitempty"`
	// Fallback is why it is in the words of the built-in theme, and not in the
	// tenant's; "": it is in those that were meant.
	Fallback string `json:"fallback,omitempty"`

	link string // a secret that is told and not kept; see Told
}

// State is where a referral stands.
type State string

// The states of a referral.
const (
	IsStarted   State = "started"
	IsConverted State = "converted"
	IsEnded     State = "ended"
)

// Moderation is what was decided about one side of a referral.
type Moderation string

// The decisions.
const (
	Undecided Moderation = "pending"
	Approved  Moderation = "approved"
	Denied    Moderation = "denied"
)

// Side is a side of a referral.
type Side string

// The sides.
const (
	ReferrerSide Side = "referrer"
	ReferredSide Side = "referred"
	BothSides    Side = "both"
)

// Referral is a referral as it stands.
type Referral struct {
	ID         id.ID  `json:"id"`
	TenantID   id.ID  `json:"-"`
	Version    int64  `json:"version"`
	ProgramID  id.ID  `json:"program_id"`
	ProgramKey string `json:"program_key"`
	ReferrerID id.ID  `json:"referrer_id"`
	ReferredID id.ID  `json:"referred_id"`

	Code    string             `json:"code,omitempty"` // by which it came to be
	Link    code.Link          `json:"link,omitzero"`  // the share link; zero: none
	Method  attribution.Method `json:"method"`
	TouchID id.ID              `json:"touch_id,omitzero"`

	State       State     `json:"state"`
	StartedAt   time.Time `json:"started_at"`
	ConvertedAt time.Time `json:"converted_at,omitzero"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	EndReason   string    `json:"end_reason,omitempty"`

	Referrer        Moderation     `json:"referrer_moderation"`
	Referred        Moderation     `json:"referred_moderation"`
	ModeratedAt     time.Time      `json:"moderated_at,omitzero"`
	AutoModeratedAt time.Time      `json:"auto_moderated_at,omitzero"`
	ByHand          bool           `json:"moderated_by_hand,omitempty"`
	Signals         []fraud.Signal `json:"signals,omitempty"`

	// First says, in a fact that it was moderated, that this was by itself and for
	// the first time.
	First bool `json:"first,omitempty"`

	// What is remembered of the referred person as it was, to judge later ones by.
	ip, device, email string
	// convertedBy is what converted it, an activity or another fact, by its place among
	// all that happens.
	convertedBy id.ID
	// convertedBefore is, in a fact that it is not converted any more, what had.
	convertedBefore id.ID
}

// isConverted reports whether the referred person did what the program asks for, be it
// that the referral has ended since.
func (r *Referral) isConverted() bool { return !r.ConvertedAt.IsZero() }

// decided reports what was decided about a side.
func (r *Referral) decided(s Side) Moderation {
	if s == ReferrerSide {
		return r.Referrer
	}
	return r.Referred
}

// The reasons for which a referral ends.
const (
	EndedByHand    = "cancelled"
	EndedByAccount = "account_cancelled"
	EndedByBlock   = "person_blocked"
	EndedByDelete  = "person_deleted"
)

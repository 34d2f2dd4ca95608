// Package reward keeps what people were given, from the moment in which a rule or
// somebody gives it to the one in which it is redeemed, expires or is taken back.
//
// Each reward has an effect key, made of the rule, whom it is for and what caused
// it. There is one reward for a key, ever: whatever is processed twice, by a retry
// or by two nodes, gives one. The rule's version is not part of it, so that rules
// that were edited give nothing a second time.
//
// A reward begins as pending where it has a time to wait for, or where somebody has
// still to decide (it is held). It is available when neither is so any more. What
// has an amount in a unit that can be spent, points and credit, is a lot in the
// ledger besides, which is called as the reward. A reward that a limit refused is
// kept as refused: when another one within that limit is taken back, the earliest
// refused one is given in its place, which is what would have happened had the
// other never been.
package reward

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// RewardID stands before the ids of rewards.
const RewardID id.Kind = "rwd"

// Subject is the kind of what facts about rewards are about.
const Subject = "reward"

// The facts about rewards. Their data is a *Reward, as it is after the change.
const (
	Pending    = "reward.pending"
	Available  = "reward.available"
	Redeemed   = "reward.redeemed" // a part of it, or all
	Expired    = "reward.expired"
	Cancelled  = "reward.cancelled"
	Reinstated = "reward.reinstated" // it is pending or available again
	Refused    = "reward.refused"    // a limit was reached
)

// LimitReached is the fact that the last of what a limit allows was given. Its data
// is a *Limit. It happens once in each window of the limit.
const LimitReached = "reward.limit_reached"

// LimitSubject is the kind of what it is about: a limit, known by the last reward that
// it allowed.
const LimitSubject = "limit"

// WalletSubject is the kind of what facts about wallets are about: a person, whose
// wallets they are.
const WalletSubject = "wallet"

// The facts about what can be spent from wallets. Their data is a *WalletChange.
const (
	Credited = "wallet.credited"
	Debited  = "wallet.debited"
)

// WalletChange is how what is available in a wallet has changed.
type WalletChange struct {
	PersonID      id.ID  `json:"person_id"`
	Unit          string `json:"unit"`
	Change        int64  `json:"change"`
	Balance       int64  `json:"balance"`
	TransactionID id.ID  `json:"transaction_id"`
	RewardID      id.ID  `json:"reward_id,omitzero"`
	Reason        string `json:"reason"` // the kind of the transaction
	Version       int64  `json:"version"`
	Stamp         int64  `json:"stamp,omitempty"` // a time that grows with each change; see ledger.Change
}

// State is where a reward stands.
type State string

// The states of a reward.
const (
	IsPending   State = "pending"
	IsAvailable State = "available"
	IsRedeemed  State = "redeemed" // all of it
	IsExpired   State = "expired"
	IsCancelled State = "cancelled"
	IsRefused   State = "refused" // a limit did not allow it
)

// Reward is a reward as it stands.
type Reward struct {
	ID       id.ID `json:"id"`
	TenantID id.ID `json:"-"`
	Version  int64 `json:"version"`

	ProgramID   id.ID     `json:"program_id,omitzero"` // zero: given by hand
	Rule        string    `json:"rule,omitempty"`
	RuleVersion int64     `json:"rule_version,omitempty"`
	PersonID    id.ID     `json:"person_id"`
	ReferralID  id.ID     `json:"referral_id,omitzero"`
	Audience    rule.Role `json:"audience,omitempty"` // as what the person gets it
	Kind        rule.Kind `json:"kind"`
	Amount      int64     `json:"amount"` // of percent: basis points
	Unit        string    `json:"unit,omitempty"`
	Name        string    `json:"name,omitempty"`
	Source      string    `json:"source,omitempty"`
	Def         string    `json:"def,omitempty"`  // which coupon or pool of codes it is from
	Code        string    `json:"code,omitempty"` // of a pool
	// Details are what else the tenant gave with a reward by hand: a JSON object.
	Details json.RawMessage `json:"details,omitempty"`

	State        State     `json:"state"`
	Held         bool      `json:"held,omitempty"` // somebody has still to decide
	GivenAt      time.Time `json:"given_at"`
	DueAt        time.Time `json:"due_at,omitzero"` // not available before
	AvailableAt  time.Time `json:"available_at,omitzero"`
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	CancelledAt  time.Time `json:"cancelled_at,omitzero"`
	CancelReason string    `json:"cancel_reason,omitempty"`
	Fixed        bool      `json:"fixed,omitempty"`    // it can't be cancelled by hand
	Redeemed     int64     `json:"redeemed,omitempty"` // of the amount
	// SetOff is what of the amount paid for another reward that was taken back after it
	// was spent, be it as debt; below zero: what came back to this one of such. Facts
	// do not have it: it is booked after they are told.
	SetOff int64 `json:"-"`

	effect   string // its key
	order    id.ID  // where what caused it stands among what happened
	expires  string // a rule.Duration, from when it becomes available; "": never
	cause    id.ID  // the fact that it was given, the latest where it was given again
	told     id.ID  // the latest fact about it of this command; zero: none
	against  against
	limit    *taken // what it takes of a limit; nil: there is none
	zoneName string
	lot      lotState
	clawback ledger.Policy
	timed    bool // the timer of its expiry is set
	updated  time.Time
}

// Spendable reports whether the reward is a lot in the ledger.
func (r *Reward) Spendable() bool { return r.Kind == rule.Credit || r.Kind == rule.Points }

// IsLike reports whether two rewards are given by the same rule to the same person in
// the same referral, and are the same but for what they are given for.
func (r *Reward) IsLike(other *Reward) bool {
	return r.ID != other.ID && r.ProgramID == other.ProgramID && r.Rule == other.Rule && r.PersonID == other.PersonID &&
		r.ReferralID == other.ReferralID && r.Kind == other.Kind && r.Unit == other.Unit && r.Amount == other.Amount && r.Name == other.Name
}

// Used is what of the amount is gone, redeemed or set off.
func (r *Reward) Used() int64 { return r.Redeemed + r.SetOff }

// Left is what can still be redeemed of a reward that is available. It is what the
// ledger's lot has left.
func (r *Reward) Left() int64 {
	if r.State != IsAvailable {
		return 0
	}
	return r.Amount - r.Used()
}

// Counts reports whether the reward is one that its rule has given: also one that a
// limit refused, or that somebody denied.
func (r *Reward) Counts() bool { return r.against&undone == 0 }

// Before reports whether what caused the reward happened before something else.
func (r *Reward) Before(other id.ID) bool { return bytes.Compare(r.order[:], other[:]) < 0 }

// FirstAvailable reports whether a fact about the reward, whose data it is, says that
// it is available for the first time. One that was taken back while it was pending can
// be so by being reinstated.
func (r *Reward) FirstAvailable(f *fact.Fact) bool {
	return f.Type == Available || f.Type == Reinstated && r.State == IsAvailable && r.AvailableAt.Equal(f.At)
}

// Cause is the fact that the reward was given.
func (r *Reward) Cause() id.ID { return r.cause }

// Limit is what a limit allows, and to whom.
type Limit struct {
	PersonID  id.ID     `json:"person_id"`
	ProgramID id.ID     `json:"program_id"`
	Rule      string    `json:"rule"`
	Count     int64     `json:"count,omitempty"`
	Amount    int64     `json:"amount,omitempty"`
	Window    string    `json:"window"`
	Start     time.Time `json:"start,omitzero"`
	Notify    string    `json:"notify,omitempty"`
	RewardID  id.ID     `json:"reward_id"` // the last one that it allowed
}

// Award is a reward to be given.
type Award struct {
	// Effect is the effect key: the rule's key, whom it is for, the key of what
	// caused it, and a number where that gives several.
	Effect string
	Order  id.ID // of what caused it, among all that happened; zero: now

	ProgramID   id.ID
	Rule        string
	RuleVersion int64
	PersonID    id.ID
	ReferralID  id.ID
	Audience    rule.Role
	Kind        rule.Kind
	Amount      int64
	Unit        string
	Name        string
	Source      string
	Def         string
	Code        string
	Details     json.RawMessage

	DueAt     time.Time     // zero: at once
	Expires   rule.Duration // from when it becomes available; zero: never
	ExpiresAt time.Time     // in place of that, a time
	Zone      *time.Location
	Held      bool
	Fixed     bool
	Clawback  ledger.Policy // what becomes of what was spent of it if it is taken back; "": Negative
	Limit     *Allowance    // nil: none
}

// Allowance is the limit that an award counts against.
type Allowance struct {
	Scope  string // whose and which rule's
	Window rule.Window
	Count  int64 // 0: Amount is the bound
	Amount int64
	Clamp  bool // what is left is given where it is less than the award
	Notify string
	At     time.Time // for which the window is asked; zero: now
}

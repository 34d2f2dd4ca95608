package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ReferralState is where a referral stands.
type ReferralState string

// The states of a referral.
const (
	ReferralStarted   ReferralState = "started"
	ReferralConverted ReferralState = "converted"
	ReferralEnded     ReferralState = "ended"
)

// ModerationState is what was decided about a side of a referral.
type ModerationState string

// The decisions: what a side is rewarded waits, is given, or is taken back.
const (
	ModerationPending  ModerationState = "pending"
	ModerationApproved ModerationState = "approved"
	ModerationDenied   ModerationState = "denied"
)

// Referral is who came by whom.
type Referral struct {
	ID          string        `json:"id"`
	Version     int64         `json:"version"`
	ProgramID   string        `json:"program_id"`
	ProgramKey  string        `json:"program_key"`
	ReferrerID  string        `json:"referrer_id"`
	ReferredID  string        `json:"referred_id"`
	Code        string        `json:"code,omitempty"`
	Engagement  string        `json:"engagement,omitempty"` // where the share link was shown; "": it was none
	Share       string        `json:"share,omitempty"`      // by which way the link was sent
	Method      string        `json:"method"`               // how it is known: "code", "cookie", "link" or "manual"
	State       ReferralState `json:"state"`
	StartedAt   time.Time     `json:"started_at"`
	ConvertedAt time.Time     `json:"converted_at,omitzero"` // zero: it has not converted
	EndedAt     time.Time     `json:"ended_at,omitzero"`     // zero: it has not ended
	EndReason   string        `json:"end_reason,omitempty"`
	Moderation  Moderation    `json:"moderation"`
	Signals     []Signal      `json:"signals"` // what makes one look twice
}

// Moderation is what was decided about both sides of a referral.
type Moderation struct {
	Referrer ModerationState `json:"referrer"`
	Referred ModerationState `json:"referred"`
	ByHand   bool            `json:"by_hand"` // somebody has decided
	At       time.Time       `json:"at,omitzero"`
}

// Signal is a reason to suspect a referral.
type Signal struct {
	Name     string   `json:"name"`
	Action   string   `json:"action"` // what the settings ask for: "flag", "hold" or "block"
	Score    int      `json:"score"`  // from 1 to 100
	Message  string   `json:"message"`
	Evidence Evidence `json:"evidence"`
}

// Evidence is what a signal was found by.
type Evidence struct {
	People     []string `json:"people,omitempty"`
	Referrals  []string `json:"referrals,omitempty"`
	Domain     string   `json:"domain,omitempty"`
	Similarity int      `json:"similarity,omitempty"` // of the names, in percent
	Threshold  int      `json:"threshold,omitempty"`
	Count      int      `json:"count,omitempty"`
	Limit      int      `json:"limit,omitempty"`
	Window     int64    `json:"window,omitempty"` // in seconds
	Entry      string   `json:"entry,omitempty"`  // of the block list
	EntryKind  string   `json:"entry_kind,omitempty"`
	Side       string   `json:"side,omitempty"` // who is on it: "referred" or "referrer"
}

// FullReferral is a referral with both people and what it led to.
type FullReferral struct {
	Referral
	Referrer Person   `json:"referrer"`
	Referred Person   `json:"referred"`
	Rewards  []Reward `json:"rewards"`
}

// ReferralFilter chooses referrals. Zero fields choose all.
type ReferralFilter struct {
	Program    string // its id or key
	Referrer   string // an id or external id
	Referred   string
	State      ReferralState
	Moderation ModerationState // of either side
}

// ModerationAction is a decision about a referral.
type ModerationAction struct {
	ReferralID string          `json:"referral_id"`
	Side       string          `json:"side,omitempty"` // "referrer", "referred" or "both"; "": both
	To         ModerationState `json:"to"`
}

// Referrals returns a page of referrals, the newest first. It may be short, or empty,
// and the list still go on.
func (c *Client) Referrals(ctx context.Context, f ReferralFilter, page Page) (List[Referral], error) {
	query := url.Values{}
	set(query, "program", f.Program)
	set(query, "referrer", f.Referrer)
	set(query, "referred", f.Referred)
	set(query, "state", string(f.State))
	set(query, "moderation", string(f.Moderation))
	return list[Referral](ctx, c, "/v1/referrals", query, page)
}

// AllReferrals goes through all referrals that the filter chooses.
func (c *Client) AllReferrals(ctx context.Context, f ReferralFilter) iter.Seq2[Referral, error] {
	return all(func(p Page) (List[Referral], error) { return c.Referrals(ctx, f, p) })
}

// Referral returns a referral.
func (c *Client) Referral(ctx context.Context, id string) (FullReferral, error) {
	return one[FullReferral](ctx, c, call{method: http.MethodGet, path: path("/v1/referrals/", id)})
}

// ModerateReferrals makes 1 to 1,000 decisions, all of them or none, and returns the
// referrals in their order.
func (c *Client) ModerateReferrals(ctx context.Context, actions []ModerationAction) ([]Referral, error) {
	answer, err := one[struct {
		Referrals []Referral `json:"referrals"`
	}](ctx, c, call{method: http.MethodPost, path: "/v1/referrals/moderate", body: map[string]any{"actions": actions}})
	return answer.Referrals, err
}

// ConvertReferral converts a referral by hand.
func (c *Client) ConvertReferral(ctx context.Context, id string) (Referral, error) {
	return one[Referral](ctx, c, call{method: http.MethodPost, path: path("/v1/referrals/", id, "/convert")})
}

// EndReferral ends a referral: nothing more follows from it.
func (c *Client) EndReferral(ctx context.Context, id string) (Referral, error) {
	return one[Referral](ctx, c, call{method: http.MethodPost, path: path("/v1/referrals/", id, "/end")})
}

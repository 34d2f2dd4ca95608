package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// RewardState is where a reward stands.
type RewardState string

// The states of a reward.
const (
	RewardPending   RewardState = "pending"
	RewardAvailable RewardState = "available"
	RewardRedeemed  RewardState = "redeemed" // all of it
	RewardExpired   RewardState = "expired"
	RewardCancelled RewardState = "cancelled"
)

// Reward is what somebody was given.
type Reward struct {
	ID           string          `json:"id"`
	Version      int64           `json:"version"`
	PersonID     string          `json:"person_id"`
	ProgramID    string          `json:"program_id,omitempty"` // "": it was given by hand
	Rule         string          `json:"rule,omitempty"`
	RuleVersion  int64           `json:"rule_version,omitempty"`
	ReferralID   string          `json:"referral_id,omitempty"`
	Audience     string          `json:"audience,omitempty"` // as what the person gets it
	Kind         string          `json:"kind"`
	Amount       int64           `json:"amount"` // in minor units; of percent in basis points
	Unit         string          `json:"unit,omitempty"`
	Name         string          `json:"name,omitempty"`
	Source       string          `json:"source,omitempty"`
	Def          string          `json:"def,omitempty"`
	Code         string          `json:"code,omitempty"`
	Details      json.RawMessage `json:"details,omitempty"`
	State        RewardState     `json:"state"`
	Held         bool            `json:"held,omitempty"` // somebody has still to decide
	Redeemed     int64           `json:"redeemed,omitempty"`
	Left         int64           `json:"left,omitempty"` // what can still be redeemed
	GivenAt      time.Time       `json:"given_at"`
	DueAt        time.Time       `json:"due_at,omitzero"` // not available before
	AvailableAt  time.Time       `json:"available_at,omitzero"`
	ExpiresAt    time.Time       `json:"expires_at,omitzero"`
	CancelledAt  time.Time       `json:"cancelled_at,omitzero"`
	CancelReason string          `json:"cancel_reason,omitempty"`
}

// RewardFilter chooses rewards. Zero fields choose all.
type RewardFilter struct {
	Person  string // an id or external id
	Program string // its id or key
	State   RewardState
}

// NewReward is a reward to give by hand. Kind is required; Amount for points, credit
// and percent, and Unit for the first two.
type NewReward struct {
	Key       string          `json:"key,omitempty"` // the same key gives the reward that was given first; "": each call gives another one
	Kind      string          `json:"kind"`
	Amount    int64           `json:"amount,omitempty"`
	Unit      string          `json:"unit,omitempty"`
	Def       string          `json:"def,omitempty"` // of code_pool: the pool that the code is from
	Name      string          `json:"name,omitempty"`
	Source    string          `json:"source,omitempty"`
	DueAt     time.Time       `json:"due_at,omitzero"`     // zero: it is available at once
	ExpiresAt time.Time       `json:"expires_at,omitzero"` // zero: never
	Details   json.RawMessage `json:"details,omitempty"`
}

// Redemption is what is redeemed of a reward. One that is neither credit nor points has
// no parts: it is redeemed without an Amount.
type Redemption struct {
	Key    string `json:"key,omitempty"`
	Amount int64  `json:"amount,omitempty"` // 0: all that is left
	Unit   string `json:"unit,omitempty"`   // has to be the reward's, if it is given
}

// Spending is what a person spends. Amount and Unit are required.
type Spending struct {
	Key    string `json:"key,omitempty"`
	Amount int64  `json:"amount"`
	Unit   string `json:"unit"`
}

// Spent is what the person can still spend.
type Spent struct {
	Left int64  `json:"left"`
	Unit string `json:"unit"`
}

// Balance is what a person has in a unit.
type Balance struct {
	Unit      string `json:"unit"`
	Available int64  `json:"available"` // below zero: debt
	Pending   int64  `json:"pending"`
	Debt      int64  `json:"debt"` // what later credits pay first; it is in Available
	Owed      int64  `json:"owed"` // what is kept back from later credits; it is not in Available
	Version   int64  `json:"version"`
}

// Rewards returns a page of rewards, the newest first. It may be short, or empty, and
// the list still go on.
func (c *Client) Rewards(ctx context.Context, f RewardFilter, page Page) (List[Reward], error) {
	query := url.Values{}
	set(query, "person", f.Person)
	set(query, "program", f.Program)
	set(query, "state", string(f.State))
	return list[Reward](ctx, c, "/v1/rewards", query, page)
}

// AllRewards goes through all rewards that the filter chooses.
func (c *Client) AllRewards(ctx context.Context, f RewardFilter) iter.Seq2[Reward, error] {
	return all(func(p Page) (List[Reward], error) { return c.Rewards(ctx, f, p) })
}

// Reward returns a reward.
func (c *Client) Reward(ctx context.Context, id string) (Reward, error) {
	return one[Reward](ctx, c, call{method: http.MethodGet, path: path("/v1/rewards/", id)})
}

// GiveReward gives a person a reward by hand.
func (c *Client) GiveReward(ctx context.Context, person string, n NewReward) (Reward, error) {
	return one[Reward](ctx, c, call{method: http.MethodPost, path: path("/v1/people/", person, "/rewards"), body: n})
}

// RedeemReward redeems a part of a reward, or all of it.
func (c *Client) RedeemReward(ctx context.Context, id string, what Redemption) (Reward, error) {
	return one[Reward](ctx, c, call{method: http.MethodPost, path: path("/v1/rewards/", id, "/redeem"), body: what})
}

// CancelReward takes a reward back.
func (c *Client) CancelReward(ctx context.Context, id string) (Reward, error) {
	return one[Reward](ctx, c, call{method: http.MethodPost, path: path("/v1/rewards/", id, "/cancel")})
}

// Balances returns what a person can spend, for each unit.
func (c *Client) Balances(ctx context.Context, person string) ([]Balance, error) {
	answer, err := one[struct {
		Balances []Balance `json:"balances"`
	}](ctx, c, call{method: http.MethodGet, path: path("/v1/people/", person, "/balances")})
	return answer.Balances, err
}

// Spend takes an amount of what a person has, all of it or nothing.
func (c *Client) Spend(ctx context.Context, person string, what Spending) (Spent, error) {
	return one[Spent](ctx, c, call{method: http.MethodPost, path: path("/v1/people/", person, "/spend"), body: what})
}

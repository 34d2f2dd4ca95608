package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// RewardJSON is how a reward is shown.
type RewardJSON struct {
	ID           string          `json:"id" example:"rwd_019a9c1d2f3b5e8d7c6a4f10"`
	Version      int64           `json:"version" doc:"Counts the changes."`
	PersonID     string          `json:"person_id" doc:"Whose it is."`
	ProgramID    string          `json:"program_id,omitempty" doc:"Absent: it was given by hand."`
	Rule         string          `json:"rule,omitempty" doc:"The key of the rule that gave it."`
	RuleVersion  int64           `json:"rule_version,omitempty" doc:"Of the program's rules."`
	ReferralID   string          `json:"referral_id,omitempty" doc:"Absent: it is for no referral."`
	Audience     string          `json:"audience,omitempty" doc:"As what the person gets it: referrer, referred or self."`
	Kind         string          `json:"kind" doc:"points, credit, percent, code_pool or webhook." example:"credit"`
	Amount       int64           `json:"amount" doc:"In minor units; of percent in basis points." example:"2000"`
	Unit         string          `json:"unit,omitempty" example:"cents"`
	Name         string          `json:"name,omitempty"`
	Source       string          `json:"source,omitempty"`
	Def          string          `json:"def,omitempty" doc:"Which coupon or pool of codes it is from."`
	Code         string          `json:"code,omitempty" doc:"Of a pool."`
	Details      json.RawMessage `json:"details,omitempty" doc:"What else was given with it by hand."`
	State        string          `json:"state" doc:"pending, available, redeemed, expired, cancelled or refused: a limit did not allow it."`
	Held         bool            `json:"held,omitempty" doc:"Whether somebody has still to decide."`
	Redeemed     int64           `json:"redeemed,omitempty" doc:"Of the amount."`
	Left         int64           `json:"left,omitempty" doc:"What can still be redeemed."`
	GivenAt      time.Time       `json:"given_at"`
	DueAt        *time.Time      `json:"due_at,omitempty" doc:"It is not available before; absent: it did not have to wait."`
	AvailableAt  *time.Time      `json:"available_at,omitempty"`
	ExpiresAt    *time.Time      `json:"expires_at,omitempty" doc:"Absent: never, or it is not available yet."`
	CancelledAt  *time.Time      `json:"cancelled_at,omitempty"`
	CancelReason string          `json:"cancel_reason,omitempty" doc:"cancelled, by hand; undone; denied; or referral_ended."`
}

type rewardPath struct {
	ID string `path:"id" doc:"The reward's id."`
}

type rewardList struct {
	Paging
	Person  string `query:"person" maxLength:"512" doc:"Rewards of this person, named by id or external id."`
	Program string `query:"program" maxLength:"100" doc:"Rewards of this program, named by its id or key."`
	State   string `query:"state" enum:"pending,available,redeemed,expired,cancelled"`
}

type giveRewardJSON struct {
	Key       string          `json:"key,omitempty" maxLength:"255" doc:"Yours: the same key gives the reward that was given first. Absent: each call gives another one." example:"goodwill-17"`
	Kind      string          `json:"kind" enum:"points,credit,percent,code_pool,webhook"`
	Amount    int64           `json:"amount,omitempty" doc:"In minor units; of percent in basis points. Required for points, credit and percent." example:"500"`
	Unit      string          `json:"unit,omitempty" maxLength:"64" doc:"Required for points and credit." example:"cents"`
	Def       string          `json:"def,omitempty" maxLength:"64" doc:"Which pool of codes it is from; required for code_pool." example:"gift-cards"`
	Name      string          `json:"name,omitempty" maxLength:"200"`
	Source    string          `json:"source,omitempty" maxLength:"200"`
	DueAt     *time.Time      `json:"due_at,omitempty" doc:"Absent: it is available at once."`
	ExpiresAt *time.Time      `json:"expires_at,omitempty" doc:"Absent: never."`
	Details   json.RawMessage `json:"details,omitempty" doc:"Whatever else is to be kept: an object."`
}

type redeemJSON struct {
	Key    string `json:"key,omitempty" maxLength:"255" doc:"Yours: what was redeemed under it is redeemed once." example:"order-4711"`
	Amount int64  `json:"amount,omitempty" minimum:"1" doc:"Absent: all that is left; required with a key. To be left out for kinds other than credit and points, which have no parts."`
	Unit   string `json:"unit,omitempty" maxLength:"64" doc:"Has to be the reward's, if it is given."`
}

type spendJSON struct {
	Key    string `json:"key,omitempty" maxLength:"255" doc:"Yours: what was spent under it is spent once." example:"order-4711"`
	Amount int64  `json:"amount" minimum:"1" example:"500"`
	Unit   string `json:"unit" minLength:"1" maxLength:"64" example:"cents"`
}

type spentJSON struct {
	Left int64  `json:"left" doc:"What the person can still spend."`
	Unit string `json:"unit" example:"cents"`
}

// BalanceJSON is what a wallet holds.
type BalanceJSON struct {
	Unit      string `json:"unit" example:"cents"`
	Available int64  `json:"available" doc:"What can be spent; below zero: debt."`
	Pending   int64  `json:"pending" doc:"What is not available yet."`
	Debt      int64  `json:"debt" doc:"What later credits pay first; it is in available."`
	Owed      int64  `json:"owed" doc:"What is kept back from later credits; it is not in available."`
	Version   int64  `json:"version" doc:"Counts the transactions."`
}

type balancesJSON struct {
	Balances []BalanceJSON `json:"balances"`
}

func (s *server) rewardRoutes() {
	register(s, route{
		id: "list-rewards", method: http.MethodGet, path: "/v1/rewards", tag: tagRewards, access: canRead,
		summary: "List rewards", description: "The newest first, without those that a limit refused. Where filters choose few of many, a part of the list may be short, or empty, and the list still go on.",
	}, s.listRewards)
	register(s, route{
		id: "get-reward", method: http.MethodGet, path: "/v1/rewards/{id}", tag: tagRewards, access: canRead,
		summary: "Get a reward",
	}, s.getReward)
	register(s, route{
		id: "give-reward", method: http.MethodPost, path: "/v1/people/{id}/rewards", tag: tagRewards, access: canManage,
		summary: "Give a reward by hand", description: "To somebody who is blocked it waits; a code of a pool also while the pool is empty.",
		status: http.StatusCreated, example: `{"key":"goodwill-17","kind":"credit","amount":500,"unit":"cents","name":"For your patience"}`,
	}, s.giveReward)
	register(s, route{
		id: "redeem-reward", method: http.MethodPost, path: "/v1/rewards/{id}/redeem", tag: tagRewards, access: canPublish,
		summary: "Redeem a reward", description: "Of credit and points a part, or all. What is of another kind is redeemed as a whole, which says that it was used or handed over.",
		errors: []*problem.Code{problem.Conflict, problem.IdempotencyConflict}, example: `{"key":"order-4711","amount":500}`,
	}, s.redeemReward)
	register(s, route{
		id: "cancel-reward", method: http.MethodPost, path: "/v1/rewards/{id}/cancel", tag: tagRewards, access: canManage,
		summary: "Take a reward back", description: "What was spent of it stays spent.", errors: []*problem.Code{problem.Conflict},
	}, s.cancelReward)
	register(s, route{
		id: "get-balances", method: http.MethodGet, path: "/v1/people/{id}/balances", tag: tagRewards, access: canRead,
		summary: "Get what a person can spend", description: "Of each unit.",
	}, s.getBalances)
	register(s, route{
		id: "spend", method: http.MethodPost, path: "/v1/people/{id}/spend", tag: tagRewards, access: canPublish,
		summary: "Spend what a person has", description: "All of the amount or nothing; what expires first is spent first.",
		errors: []*problem.Code{problem.Conflict, problem.IdempotencyConflict}, example: `{"key":"order-4711","amount":500,"unit":"cents"}`,
	}, s.spend)
}

func (s *server) listRewards(ctx context.Context, r request[rewardList, none]) (page[RewardJSON], error) {
	of := referral.Choice{Reward: reward.State(r.params.State)}
	var err error
	if of.Page, err = r.params.before(reward.RewardID); err != nil {
		return page[RewardJSON]{}, err
	}
	if of.Program, err = s.programOf(ctx, r.call, r.params.Program); err != nil {
		return page[RewardJSON]{}, err
	}
	if of.Person, err = s.personOf(ctx, r.call, "query.person", r.params.Person); err != nil {
		return page[RewardJSON]{}, err
	}
	rewards, next, err := s.opts.Referrals.RewardPage(ctx, r.tenant.ID, of)
	return pageOf(rewards, cursorOf(next, reward.RewardID), showReward), err
}

func (s *server) getReward(ctx context.Context, r request[rewardPath, none]) (RewardJSON, error) {
	return s.withReward(ctx, r.call, r.params, s.opts.Referrals.Reward)
}

func (s *server) cancelReward(ctx context.Context, r request[rewardPath, none]) (RewardJSON, error) {
	return s.withReward(ctx, r.call, r.params, s.opts.Referrals.CancelReward)
}

// withReward does something with the reward that a path names, and shows how it then
// stands.
func (s *server) withReward(ctx context.Context, c *call, path rewardPath,
	do func(ctx context.Context, tenant, of id.ID) (*reward.Reward, error),
) (RewardJSON, error) {
	of, err := reward.RewardID.Parse(path.ID)
	if err != nil {
		return RewardJSON{}, problem.NotFound.New("there is no such reward")
	}
	found, err := do(ctx, c.tenant.ID, of)
	if err != nil {
		return RewardJSON{}, err
	}
	return showReward(found), nil
}

func (s *server) giveReward(ctx context.Context, r request[PersonPath, giveRewardJSON]) (RewardJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return RewardJSON{}, err
	}
	b := r.body
	if err := checkObject("details", b.Details); err != nil {
		return RewardJSON{}, err
	}
	given, err := s.opts.Referrals.GiveReward(ctx, r.tenant.ID, reward.Award{
		Effect: b.Key, PersonID: p.ID, Kind: rule.Kind(b.Kind), Amount: b.Amount, Unit: b.Unit, Def: b.Def, Name: b.Name, Source: b.Source,
		DueAt: timeOf(b.DueAt), ExpiresAt: timeOf(b.ExpiresAt), Details: b.Details,
	})
	if err != nil {
		return RewardJSON{}, err
	}
	return showReward(given), nil
}

func (s *server) redeemReward(ctx context.Context, r request[rewardPath, redeemJSON]) (RewardJSON, error) {
	return s.withReward(ctx, r.call, r.params, func(ctx context.Context, tenant, of id.ID) (*reward.Reward, error) {
		what := reward.Redemption{Ref: r.body.Key, Amount: r.body.Amount, Unit: r.body.Unit}
		if what.Amount == 0 || what.Unit == "" {
			stands, err := s.opts.Referrals.Reward(ctx, tenant, of)
			if err != nil {
				return nil, err
			}
			if what.Unit == "" {
				what.Unit = stands.Unit
			}
			if what.Amount == 0 && stands.Spendable() {
				if what.Ref != "" {
					return nil, problem.InvalidField("amount", "is required with a key: what is left differs when the call is repeated")
				}
				what.Amount = stands.Left()
			}
		}
		return s.opts.Referrals.RedeemReward(ctx, tenant, of, what)
	})
}

func (s *server) getBalances(ctx context.Context, r request[PersonPath, none]) (balancesJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return balancesJSON{}, err
	}
	balances, err := s.opts.Referrals.Balances(ctx, r.tenant.ID, []id.ID{p.ID})
	return balancesJSON{pageOf(balances, "", func(b ledger.Balance) BalanceJSON {
		return BalanceJSON{b.Wallet.Unit, b.Available, b.Pending, b.Debt, b.Owed, b.Version}
	}).Data}, err
}

func (s *server) spend(ctx context.Context, r request[PersonPath, spendJSON]) (spentJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return spentJSON{}, err
	}
	left, err := s.opts.Referrals.Spend(ctx, r.tenant.ID, []id.ID{p.ID}, reward.Redemption{Ref: r.body.Key, Amount: r.body.Amount, Unit: r.body.Unit})
	return spentJSON{left, r.body.Unit}, err
}

// maxObject is how many bytes an object may have that is kept as it is.
const maxObject = 16 << 10

// checkObject refuses what is given and no object that can be stored.
func checkObject(field string, text json.RawMessage) error {
	switch {
	case text == nil:
		return nil
	case len(text) > maxObject:
		return problem.InvalidField(field, "has more than %d bytes", maxObject)
	case text[0] != '{':
		return problem.InvalidField(field, "must be an object")
	}
	return checkDepth(field, text)
}

// checkDepth refuses what is nested so deep that nobody could read it again.
func checkDepth(field string, text json.RawMessage) error {
	if deeperThan(text, maxDepth) {
		return problem.InvalidField(field, "is nested more than %d levels deep", maxDepth)
	}
	return nil
}

func showReward(r *reward.Reward) RewardJSON {
	return RewardJSON{
		ID: reward.RewardID.Format(r.ID), Version: r.Version, PersonID: shownPerson(r.PersonID),
		ProgramID: shownID(program.ProgramID, r.ProgramID), Rule: r.Rule, RuleVersion: r.RuleVersion,
		ReferralID: shownID(referral.ReferralID, r.ReferralID), Audience: string(r.Audience), Kind: string(r.Kind), Amount: r.Amount, Unit: r.Unit,
		Name: r.Name, Source: r.Source, Def: r.Def, Code: r.Code, Details: r.Details, State: string(r.State), Held: r.Held, Redeemed: r.Redeemed,
		Left: r.Left(), GivenAt: r.GivenAt, DueAt: optionalTime(r.DueAt), AvailableAt: optionalTime(r.AvailableAt),
		ExpiresAt: optionalTime(r.ExpiresAt), CancelledAt: optionalTime(r.CancelledAt), CancelReason: r.CancelReason,
	}
}

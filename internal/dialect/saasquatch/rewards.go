package saasquatch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// rewardRoutes are the calls about rewards, credit and discounts.
func (a *api) rewardRoutes() []dialect.Route {
	const root = "/api/v1/{tenant}"
	if a.Referrals == nil {
		return nil
	}
	return []dialect.Route{
		{Method: http.MethodGet, Pattern: root + "/reward", Scope: tenant.Read, Handle: a.listRewards},
		{Method: http.MethodGet, Pattern: root + "/reward/balance", Scope: tenant.Read, Handle: a.listBalances},
		{Method: http.MethodGet, Pattern: root + "/reward/{id}", Scope: tenant.Read, Handle: a.reward},
		{Method: http.MethodPost, Pattern: root + "/reward/{id}/cancel", Scope: tenant.Manage, Handle: a.cancelReward},
		{Method: http.MethodPost, Pattern: root + "/rewards/account/{account}/user/{user}", Scope: tenant.Manage, Handle: a.createReward},
		{Method: http.MethodPost, Pattern: root + "/credit/bulkredeem", Scope: tenant.Publish, Handle: a.redeemBalance},
		{Method: http.MethodPost, Pattern: root + "/credit/{id}/redeem", Scope: tenant.Publish, Handle: a.redeemReward},
		{Method: http.MethodGet, Pattern: root + "/discount/{code}", Scope: tenant.Read, Handle: a.discountOfCode},
		{Method: http.MethodPost, Pattern: root + "/discount", Scope: tenant.Publish, Handle: a.setDiscount},
		{Method: http.MethodGet, Pattern: root + "/account/{account}/discount", Scope: tenant.Read, Handle: a.discountOfAccount},
	}
}

// codeNotRedeemed is the vendor's, spelling included: clients look for it.
const codeNotRedeemed = "INVALD_REWARD_REDEMPTION"

// The vendor's answers to what can't be done with a reward.
var (
	errNotRedeemed    = dialect.Refusal{Status: http.StatusBadRequest, Code: codeNotRedeemed}
	errNotCancellable = dialect.Refusal{Status: http.StatusBadRequest, Code: "REWARD_NOT_CANCELLABLE"}
)

// maxRewards is how many rewards of a user are looked at. Nobody has as many, and the
// vendor's lists have no pages.
const maxRewards = 10_000

// owned is a reward with whose it is.
type owned struct {
	*reward.Reward

	owner userRef
}

// plain are rewards without whose they are.
func plain(rewards []owned) []*reward.Reward {
	all := make([]*reward.Reward, len(rewards))
	for i, r := range rewards {
		all[i] = r.Reward
	}
	return all
}

// rewardsAsked returns the rewards that a list is of: those of an account, or of one of
// its users, the latest first.
func (a *api) rewardsAsked(ctx context.Context, c *dialect.Call) ([]owned, error) {
	asked := c.Request.URL.Query()
	if asked.Get("accountId") == "" {
		return nil, problem.InvalidField("accountId", "is required")
	}
	wanted := asked.Get("rewardTypeFilter")
	switch wanted {
	case "", discount, credit, fuelTank, integration:
	default:
		return nil, problem.InvalidField("rewardTypeFilter", "must be %s, %s, %s or %s", discount, credit, fuelTank, integration)
	}
	users, err := a.usersOf(ctx, c, userRef{ID: asked.Get("userId"), AccountID: asked.Get("accountId")})
	if problem.NotFound.Has(err) { // as the vendor has it: who is not there has no rewards
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.rewardsOf(ctx, c, users, wanted)
}

// rewardsOf returns the rewards of users that are of a type; "": all.
func (a *api) rewardsOf(ctx context.Context, c *dialect.Call, users []referral.Profile, wanted string) ([]owned, error) {
	owners, people := make(map[id.ID]userRef, len(users)), []id.ID{}
	for _, p := range users {
		owners[p.ID], people = refOf(p.Person), append(people, p.ID)
	}
	found, err := a.Referrals.Rewards(ctx, c.Principal.Tenant.ID, referral.RewardFilter{People: people, Limit: maxRewards})
	if err != nil {
		return nil, err
	}
	if len(found) == maxRewards {
		return nil, problem.QueryTooSlow.New("the account has more than %d rewards: name one of its users with userId", maxRewards)
	}
	var rewards []owned
	for _, r := range found {
		if wanted == "" || typeOf(r.Kind) == wanted {
			rewards = append(rewards, owned{r, owners[r.PersonID]})
		}
	}
	return rewards, nil
}

// listRewards answers with a list without an envelope, as the vendor does and its
// description does not say.
func (a *api) listRewards(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	rewards, err := a.rewardsAsked(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	s, err := a.showing(ctx, c, plain(rewards)...)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := make([]rewardJSON, len(rewards))
	for i, r := range rewards {
		shown[i] = s.reward(r.Reward, r.owner)
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// rewardBalanceJSON is what all rewards of one type and unit come to. Which of its
// members there are depends on the type.
type rewardBalanceJSON struct {
	Type                    string  `json:"type"`
	Unit                    *string `json:"unit,omitempty"`
	Count                   *int64  `json:"count,omitempty"`
	TotalAssignedCredit     *int64  `json:"totalAssignedCredit,omitempty"`
	TotalRedeemedCredit     *int64  `json:"totalRedeemedCredit,omitempty"`
	TotalDiscountPercent    *int64  `json:"totalDiscountPercent,omitempty"`
	ReferredDiscountPercent *int64  `json:"referredDiscountPercent,omitempty"`
	ReferrerDiscountPercent *int64  `json:"referrerDiscountPercent,omitempty"`
	TotalFuelTankCodes      *int64  `json:"totalFuelTankCodes,omitempty"`
}

// listBalances adds rewards up, as far as they count: what is pending, expired or
// cancelled does not, nor what was redeemed, unless it is credit, which says so.
func (a *api) listBalances(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	rewards, err := a.rewardsAsked(ctx, c)
	return dialect.Answer{Status: http.StatusOK, Body: balancesOf(rewards)}, err
}

// balancesOf adds rewards up by type and unit, in the order of the latest reward of
// each.
func balancesOf(rewards []owned) []rewardBalanceJSON {
	type kind struct{ of, unit string }
	balances, places := []rewardBalanceJSON{}, make(map[kind]int)
	for _, r := range rewards {
		key := kind{typeOf(r.Kind), r.Unit}
		if r.State != reward.IsAvailable && (r.State != reward.IsRedeemed || key.of != credit) {
			continue
		}
		if key.of != credit {
			key.unit = ""
		}
		i, ok := places[key]
		if !ok {
			i = len(balances)
			places[key], balances = i, append(balances, emptyBalance(key.of, key.unit))
		}
		balances[i].add(r.Reward)
	}
	return balances
}

func emptyBalance(of, unit string) rewardBalanceJSON {
	b := rewardBalanceJSON{Type: of}
	switch of {
	case credit:
		b.Unit, b.Count, b.TotalAssignedCredit, b.TotalRedeemedCredit = new(unit), new(int64), new(int64), new(int64)
	case discount:
		b.TotalDiscountPercent, b.ReferredDiscountPercent, b.ReferrerDiscountPercent = new(int64), new(int64), new(int64)
	case fuelTank:
		b.TotalFuelTankCodes = new(int64)
	default:
		b.Count = new(int64)
	}
	return b
}

func (b *rewardBalanceJSON) add(r *reward.Reward) {
	switch b.Type {
	case credit:
		*b.Count++
		*b.TotalAssignedCredit += r.Amount
		*b.TotalRedeemedCredit += r.Used()
	case discount:
		percent := wholePercent(r.Amount)
		*b.TotalDiscountPercent += percent
		switch RewardSource(r) {
		case "REFERRED":
			*b.ReferredDiscountPercent += percent
		case "FRIEND_SIGNUP":
			*b.ReferrerDiscountPercent += percent
		}
	case fuelTank:
		*b.TotalFuelTankCodes++
	default:
		*b.Count++
	}
}

// reward shows one reward.
func (a *api) reward(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := pathID(c)
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReward)
	}
	r, err := a.Referrals.Reward(ctx, c.Principal.Tenant.ID, of)
	if err == nil && r.State == reward.IsRefused { // nobody was given it
		err = problem.NotFound.New("there is no such reward")
	}
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReward)
	}
	return a.answerReward(ctx, c, http.StatusOK, r)
}

// answerReward shows a reward with whose it is.
func (a *api) answerReward(ctx context.Context, c *dialect.Call, status int, r *reward.Reward) (dialect.Answer, error) {
	owner, err := a.Referrals.PersonByID(ctx, c.Principal.Tenant.ID, r.PersonID)
	of := userRef{ID: r.PersonID.String(), AccountID: r.PersonID.String()} // of somebody who was forgotten
	if err == nil {
		of = refOf(owner.Person)
	}
	if err != nil && !problem.NotFound.Has(err) {
		return dialect.Answer{}, err
	}
	s, err := a.showing(ctx, c, r)
	return dialect.Answer{Status: status, Body: s.reward(r, of)}, err
}

// cancelReward takes a reward back.
func (a *api) cancelReward(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := pathID(c)
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReward)
	}
	r, err := a.Referrals.CancelReward(ctx, c.Principal.Tenant.ID, of)
	if err != nil {
		return dialect.Answer{}, instead(instead(err, problem.NotFound, errNoReward), problem.Conflict, errNotCancellable)
	}
	return a.answerReward(ctx, c, http.StatusOK, r)
}

// rewardBody is a reward to give.
type rewardBody struct {
	Type             string `json:"type"`
	DateExpires      *int64 `json:"dateExpires"`
	DateScheduledFor *int64 `json:"dateScheduledFor"`
	Cancellable      *bool  `json:"cancellable"`
	Unit             string `json:"unit"`
	DiscountPercent  *int64 `json:"discountPercent"`
	AssignedCredit   *int64 `json:"assignedCredit"`
	Currency         string `json:"currency"`
	FuelTankType     string `json:"fuelTankType"`
	FuelTankCode     string `json:"fuelTankCode"`
	Amount           *int64 `json:"amount"`
}

// The bounds of what is given by hand.
const (
	maxText = 255             // bytes of a code or a currency
	maxTime = 253402300799999 // the end of the year 9999, in milliseconds
)

// award reads what is to be given, and what is wrong with it.
func (b *rewardBody) award(now time.Time) (reward.Award, error) {
	var checks problem.Checks
	a := reward.Award{Source: "manual", Fixed: b.Cancellable != nil && !*b.Cancellable}
	whole := func(field string, given *int64, least, most int64) int64 {
		switch {
		case given == nil && least > 0:
			checks.Add(field, "is required")
		case given != nil && (*given < least || *given > most):
			checks.Add(field, "must be %d to %d", least, most)
		case given != nil:
			return *given
		}
		return 0
	}
	switch b.Type {
	case credit:
		a.Kind, a.Unit, a.Amount = rule.Credit, b.Unit, whole("assignedCredit", b.AssignedCredit, 1, reward.MaxAmount)
		if b.Unit == "" || len(b.Unit) > ledger.MaxName {
			checks.Add("unit", "must have 1 to %d bytes", ledger.MaxName)
		}
	case discount:
		a.Kind, a.Amount = rule.Percent, 100*whole("discountPercent", b.DiscountPercent, 1, 100)
	case fuelTank:
		a.Kind, a.Unit, a.Code, a.Amount = rule.CodePool, b.Unit, b.FuelTankCode, whole("amount", b.Amount, 0, reward.MaxAmount)
		if b.FuelTankCode == "" || len(b.FuelTankCode) > maxText {
			checks.Add("fuelTankCode", "must have 1 to %d bytes", maxText)
		}
		if len(b.Unit) > ledger.MaxName {
			checks.Add("unit", "must have at most %d bytes", ledger.MaxName)
		}
	default:
		checks.Add("type", "must be %s, %s or %s", discount, credit, fuelTank)
	}
	if b.FuelTankType != "" && b.FuelTankType != credit && b.FuelTankType != discount {
		checks.Add("fuelTankType", "must be %s or %s", discount, credit)
	}
	if len(b.Currency) > maxText {
		checks.Add("currency", "must have at most %d bytes", maxText)
	}
	a.DueAt = timeOf(&checks, "dateScheduledFor", b.DateScheduledFor)
	a.ExpiresAt = timeOf(&checks, "dateExpires", b.DateExpires)
	if from := latest(now, a.DueAt); !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(from) {
		checks.Add("dateExpires", "must be later than now and than dateScheduledFor")
	}
	if err := checks.Err(); err != nil {
		return reward.Award{}, err
	}
	if details := (rewardDetails{b.FuelTankType, b.Currency}); details != (rewardDetails{}) {
		var err error
		if a.Details, err = json.Marshal(details); err != nil {
			return reward.Award{}, err
		}
	}
	return a, nil
}

func timeOf(checks *problem.Checks, field string, milli *int64) time.Time {
	if milli == nil {
		return time.Time{}
	}
	if *milli < 0 || *milli > maxTime {
		checks.Add(field, "must be a time in milliseconds since 1970")
	}
	return time.UnixMilli(*milli).UTC()
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// createReward gives a reward by hand.
func (a *api) createReward(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body rewardBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	award, err := body.award(time.Now())
	if err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	award.PersonID = p.ID
	r, err := a.Referrals.GiveReward(ctx, p.TenantID, award)
	if err != nil {
		return dialect.Answer{}, err
	}
	return a.answerReward(ctx, c, http.StatusCreated, r)
}

// redemptionBody is what is to be redeemed.
type redemptionBody struct {
	AccountID string `json:"accountId"`
	Unit      string `json:"unit"`
	Amount    *int64 `json:"amount"`
}

func (b *redemptionBody) check(checks *problem.Checks) error {
	if b.Unit == "" || len(b.Unit) > ledger.MaxName {
		checks.Add("unit", "must have 1 to %d bytes", ledger.MaxName)
	}
	if b.Amount == nil || *b.Amount < 1 || *b.Amount > reward.MaxAmount {
		checks.Add("amount", "must be 1 to %d", reward.MaxAmount)
	}
	return checks.Err()
}

// redeemedJSON is what was redeemed, and what is left.
type redeemedJSON struct {
	CreditRedeemed  int64  `json:"creditRedeemed"`
	CreditAvailable int64  `json:"creditAvailable"`
	Unit            string `json:"unit"`
}

// redeemBalance redeems a part of what the users of an account have.
func (a *api) redeemBalance(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body redemptionBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	var checks problem.Checks
	if body.AccountID == "" {
		checks.Add("accountId", "is required")
	}
	if err := body.check(&checks); err != nil {
		return dialect.Answer{}, err
	}
	users, err := a.usersOf(ctx, c, userRef{AccountID: body.AccountID})
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoAccount)
	}
	left, err := a.Referrals.Spend(ctx, c.Principal.Tenant.ID, idsOf(users), reward.Redemption{Amount: *body.Amount, Unit: body.Unit})
	if err != nil {
		return dialect.Answer{}, refuseRedemption(err)
	}
	return dialect.Answer{Status: http.StatusOK, Body: redeemedJSON{*body.Amount, left, body.Unit}}, nil
}

// refuseRedemption is the vendor's answer to a redemption of more than there is, or of
// what can't be redeemed.
func refuseRedemption(err error) error {
	if errors.Is(err, reward.ErrInsufficient) {
		notEnough := errNotRedeemed
		notEnough.Message = "less credit of the unit is available than that"
		return notEnough
	}
	return instead(instead(err, problem.NotFound, errNoReward), problem.Conflict, errNotRedeemed)
}

func idsOf(users []referral.Profile) []id.ID {
	ids := make([]id.ID, len(users))
	for i, p := range users {
		ids[i] = p.ID
	}
	return ids
}

// redeemReward redeems a part of one reward. What is left is the account's, of the same
// unit.
func (a *api) redeemReward(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body redemptionBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	if err := body.check(new(problem.Checks)); err != nil {
		return dialect.Answer{}, err
	}
	of, err := pathID(c)
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReward)
	}
	r, err := a.Referrals.RedeemReward(ctx, c.Principal.Tenant.ID, of, reward.Redemption{Amount: *body.Amount, Unit: body.Unit})
	if err != nil {
		return dialect.Answer{}, refuseRedemption(err)
	}
	left, err := a.creditOf(ctx, c, r)
	return dialect.Answer{Status: http.StatusOK, Body: redeemedJSON{*body.Amount, left, body.Unit}}, err
}

// creditOf returns what can be redeemed in the account of a reward's owner, of its
// unit.
func (a *api) creditOf(ctx context.Context, c *dialect.Call, r *reward.Reward) (int64, error) {
	people := []id.ID{r.PersonID}
	owner, err := a.Referrals.PersonByID(ctx, c.Principal.Tenant.ID, r.PersonID)
	if err == nil && owner.Account != "" {
		users, err := a.usersOf(ctx, c, userRef{AccountID: owner.Account})
		if err != nil {
			return 0, err
		}
		people = idsOf(users)
	}
	balances, err := a.Referrals.Balances(ctx, c.Principal.Tenant.ID, people)
	left := int64(0)
	for _, b := range balances {
		if b.Wallet.Unit == r.Unit {
			left += max(b.Available, 0)
		}
	}
	return left, err
}

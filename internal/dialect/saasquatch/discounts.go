package saasquatch

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The calls about discounts are those that the vendor keeps for integrations with
// payment providers. What they show is made of codes, rules and rewards; nothing is
// set at a payment provider.

// codeDiscountJSON is what a code gives to whoever comes by it.
type codeDiscountJSON struct {
	CouponCode         string `json:"couponCode"`
	ReferrerName       string `json:"referrerName"`
	DiscountPercentage int64  `json:"discountPercentage"`
	DateCreated        int64  `json:"dateCreated"`

	providerJSON
}

// providerJSON is what a payment provider would call a discount.
type providerJSON struct {
	RatePlanID *string `json:"ratePlanId"`
	DiscountID *string `json:"discountId"`
}

// discountOfCode shows what a code gives to the friend.
func (a *api) discountOfCode(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, found, err := a.findCode(ctx, c, c.Path["code"])
	if err != nil {
		return dialect.Answer{}, err
	}
	basisPoints, err := a.Referrals.FriendPercentOf(ctx, p.TenantID, found.ProgramID)
	shown := codeDiscountJSON{
		CouponCode: found.Text, ReferrerName: p.Name(), DiscountPercentage: wholePercent(basisPoints), DateCreated: found.CreatedAt.UnixMilli(),
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// errNoPayments is the answer to a call that would act at a payment provider.
var errNoPayments = dialect.Refusal{
	Status: http.StatusBadRequest, Code: "API_REQUEST_NOT_SUPPORTED",
	Message: "there is no payment provider: name the referral code with the user, or apply it with POST /open/code/{code}/account/{accountId}/user/{userId}",
}

// setDiscount refuses what the vendor, too, has for some payment providers only.
func (*api) setDiscount(context.Context, *dialect.Call) (dialect.Answer, error) {
	return dialect.Answer{}, errNoPayments
}

// accountDiscountJSON is the discount that an account has.
type accountDiscountJSON struct {
	AccountID               string  `json:"accountId"`
	DiscountPercentage      int64   `json:"discountPercentage"`
	ReferredDiscountPercent int64   `json:"referredDiscountPercent"`
	ReferrerDiscountPercent int64   `json:"referrerDiscountPercent"`
	ReferrerName            *string `json:"referrerName"`

	providerJSON
}

// discountOfAccount adds up the discounts of an account's users. A code that is asked
// about counts if nobody referred the account.
func (a *api) discountOfAccount(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	users, err := a.usersOf(ctx, c, userRef{AccountID: c.Path["account"]})
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoAccount)
	}
	rewards, err := a.rewardsOf(ctx, c, users, discount)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := accountDiscountJSON{AccountID: c.Path["account"]}
	for _, r := range rewards {
		switch {
		case r.State != reward.IsAvailable:
		case RewardSource(r.Reward) == "REFERRED":
			shown.ReferredDiscountPercent += wholePercent(r.Amount)
		default:
			shown.ReferrerDiscountPercent += wholePercent(r.Amount)
		}
	}
	referrer := id.ID{}
	for _, p := range users {
		if len(p.Referrals) > 0 {
			referrer = p.Referrals[0].ReferrerID
			break
		}
	}
	if err := a.addReferrer(ctx, c, &shown, referrer); err != nil {
		return dialect.Answer{}, err
	}
	shown.DiscountPercentage = shown.ReferredDiscountPercent + shown.ReferrerDiscountPercent
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// addReferrer names who referred an account, or adds what a code would give to one that
// nobody has referred.
func (a *api) addReferrer(ctx context.Context, c *dialect.Call, shown *accountDiscountJSON, referrer id.ID) error {
	of, text := c.Principal.Tenant.ID, c.Request.URL.Query().Get("couponCode")
	if !referrer.IsZero() {
		p, err := a.Referrals.PersonByID(ctx, of, referrer)
		if problem.NotFound.Has(err) { // who was forgotten has no name
			return nil
		}
		if err == nil {
			shown.ReferrerName = orNull(p.Name())
		}
		return err
	}
	if text == "" {
		return nil
	}
	p, found, err := a.Referrals.PersonByCode(ctx, of, text)
	if problem.NotFound.Has(err) || err == nil && found.Disabled {
		return errNoCode
	}
	if err != nil {
		return err
	}
	basisPoints, err := a.Referrals.FriendPercentOf(ctx, of, found.ProgramID)
	shown.ReferredDiscountPercent += wholePercent(basisPoints)
	shown.ReferrerName = orNull(p.Name())
	return err
}

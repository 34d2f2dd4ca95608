package saasquatch

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// accountJSON is an account as it is shown and sent.
type accountJSON struct {
	ID           string            `json:"id"`
	Subscription *subscriptionBody `json:"subscription"`
	Referral     *accountReferral  `json:"referral"`
	Currency     string            `json:"currency"`
}

type subscriptionBody struct {
	Status               string   `json:"status"`
	BillingIntervalType  *string  `json:"billingIntervalType"`
	BillingIntervalValue *int64   `json:"billingIntervalValue"`
	Value                *float64 `json:"value"`
}

type accountReferral struct {
	Code *string `json:"code"`
}

// defaultCurrency is the vendor's.
const defaultCurrency = "USD"

var currencyFormat = regexp.MustCompile(`^[A-Z]{3}$`)

// states are the states of accounts by the vendor's words.
var states = map[string]person.State{"PAID": person.Paid, "TRIAL": person.Trial, "FREE": person.Free, "CANCELLED": person.Cancelled}

// intervals are the vendor's types of billing intervals.
const intervals = " DAY WEEK MONTH QUARTER SEMI_ANNUAL YEAR "

func (b *accountJSON) check() error {
	var checks problem.Checks
	if b.ID == "" {
		checks.Add("id", "is required")
	}
	switch {
	case b.Subscription == nil || b.Subscription.Status == "":
		checks.Add("subscription.status", "is required")
	case states[b.Subscription.Status] == "":
		checks.Add("subscription.status", "must be PAID, TRIAL, FREE or CANCELLED")
	}
	if s := b.Subscription; s != nil && s.BillingIntervalType != nil && !strings.Contains(intervals, " "+*s.BillingIntervalType+" ") {
		checks.Add("subscription.billingIntervalType", "must be DAY, WEEK, MONTH, QUARTER, SEMI_ANNUAL or YEAR")
	}
	if !currencyFormat.MatchString(b.Currency) {
		checks.Add("currency", "must be three capital letters, as in ISO 4217")
	}
	return checks.Err()
}

// syncAccount stores where an account stands. Its people are referred by the code, if
// there is one, before what they were referred by is converted or ended.
func (a *api) syncAccount(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	body := accountJSON{Currency: defaultCurrency}
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	if err := body.check(); err != nil {
		return dialect.Answer{}, err
	}
	details, err := json.Marshal(body.Subscription)
	if err != nil {
		return dialect.Answer{}, err
	}
	set := person.AccountPatch{Key: body.ID, State: states[body.Subscription.Status], Currency: body.Currency, Details: details}
	if body.Referral != nil && body.Referral.Code != nil && *body.Referral.Code != "" {
		set.ReferredBy = *body.Referral.Code
	}
	if _, err := a.Referrals.SetAccount(ctx, c.Principal.Tenant.ID, set); err != nil {
		return dialect.Answer{}, told(err, http.StatusBadRequest)
	}
	return a.showAccount(ctx, c, body.ID)
}

// account shows the account of the path.
func (a *api) account(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	return a.showAccount(ctx, c, c.Path["account"])
}

// showAccount shows an account. One of which nothing was said is on trial.
func (a *api) showAccount(ctx context.Context, c *dialect.Call, key string) (dialect.Answer, error) {
	found, err := a.Referrals.Account(ctx, c.Principal.Tenant.ID, key)
	if problem.NotFound.Has(err) {
		return dialect.Answer{}, errNoAccount
	}
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := accountJSON{ID: key, Subscription: &subscriptionBody{Status: "TRIAL"}, Referral: &accountReferral{}, Currency: defaultCurrency}
	if of := found.Account; of != nil {
		if len(of.Details) > 0 {
			if err := json.Unmarshal(of.Details, shown.Subscription); err != nil {
				shown.Subscription = new(subscriptionBody) // the native API may keep something else there
			}
		}
		shown.Subscription.Status, shown.Currency = strings.ToUpper(string(of.State)), of.Currency
	}
	if of := found.Account; of != nil && of.ReferredBy != "" {
		shown.Referral.Code = &of.ReferredBy
	}
	for _, p := range found.People {
		if len(p.Referrals) > 0 && p.Referrals[0].Code != "" { // the referrer may be forgotten
			shown.Referral.Code = &p.Referrals[0].Code
			break
		}
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// deleteAccount forgets an account with all its users.
func (a *api) deleteAccount(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var how person.Deletion
	if err := flag(c, "doNotTrack", &how.Remember); err != nil {
		return dialect.Answer{}, err
	}
	_, err := a.Referrals.ForgetAccount(ctx, c.Principal.Tenant.ID, c.Path["account"], how)
	if problem.NotFound.Has(err) {
		err = errNoAccount
	}
	return dialect.Answer{Status: http.StatusNoContent}, err
}

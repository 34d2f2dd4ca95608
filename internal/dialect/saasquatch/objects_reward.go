package saasquatch

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

// The types of rewards.
const (
	discount    = "PCT_DISCOUNT"
	credit      = "CREDIT"
	fuelTank    = "FUELTANK"
	integration = "INTEGRATION"
)

// typeOf is the product's type of a reward. Points are credit with a unit.
func typeOf(kind rule.Kind) string {
	switch kind {
	case rule.Percent:
		return discount
	case rule.CodePool, rule.Coupon:
		return fuelTank
	case rule.Webhook:
		return integration
	default:
		return credit
	}
}

// sources are what a reward may be for.
var sources = []string{"FRIEND_SIGNUP", "REFERRED", "MANUAL", "ACTIVATION", "ACQUISITION", "RETENTION", "REACTIVATION", "AUTOMATED"}

// sourceOf is what a reward is for: what its rule says, if that is a word of the
// product, else what the person got it as.
func sourceOf(r *reward.Reward) string {
	if own := strings.ToUpper(r.Source); slices.Contains(sources, own) {
		return own
	}
	switch {
	case r.ProgramID.IsZero():
		return "MANUAL"
	case r.Audience == rule.Referrer:
		return "FRIEND_SIGNUP"
	case r.Audience == rule.Referred:
		return "REFERRED"
	default:
		return "AUTOMATED"
	}
}

// rewardJSON is a reward, as List Rewards and reward.created show it. What follows
// rewardSource depends on its type.
type rewardJSON struct {
	ID               string   `json:"id"`
	Type             string   `json:"type"`
	DateCreated      *int64   `json:"dateCreated,omitempty"`
	DateGiven        *int64   `json:"dateGiven"`
	DateExpires      *int64   `json:"dateExpires"`
	DateCancelled    *int64   `json:"dateCancelled"`
	AccountID        string   `json:"accountId"`
	UserID           string   `json:"userId"`
	Cancellable      bool     `json:"cancellable"`
	RewardSource     string   `json:"rewardSource"`
	DateScheduledFor **int64  `json:"dateScheduledFor,omitempty"`
	ProgramID        **string `json:"programId,omitempty"`

	Name            *string         `json:"name,omitempty"`
	DiscountPercent *int64          `json:"discountPercent,omitempty"`
	FuelTankCode    *string         `json:"fuelTankCode,omitempty"`
	Unit            string          `json:"unit"`
	AssignedCredit  *int64          `json:"assignedCredit,omitempty"`
	RedeemedCredit  *int64          `json:"redeemedCredit,omitempty"`
	Amount          *int64          `json:"amount,omitempty"`
	FuelTankType    *string         `json:"fuelTankType,omitempty"`
	ValueInCents    *int64          `json:"valueInCents,omitempty"`
	IntegrationID   *string         `json:"integrationId,omitempty"`
	RewardDetails   json.RawMessage `json:"rewardDetails,omitempty"`
}

// rewardDetails are what is kept of a reward that was given by hand, and that only
// this product knows of.
type rewardDetails struct {
	FuelTankType string `json:"fuelTankType,omitempty"`
	Currency     string `json:"currency,omitempty"`
}

// rewardOf shows a reward in the form of a payload version.
func rewardOf(r *reward.Reward, owner userRef, programKey string, version payloads) rewardJSON {
	shown := rewardJSON{
		ID: r.ID.String(), Type: typeOf(r.Kind), DateGiven: milliOrNull(r.AvailableAt), DateExpires: milliOrNull(r.ExpiresAt),
		DateCancelled: milliOrNull(r.CancelledAt), AccountID: owner.AccountID, UserID: owner.ID, Cancellable: !r.Fixed,
		RewardSource: sourceOf(r), Unit: r.Unit,
	}
	switch shown.Type {
	case discount:
		shown.DiscountPercent, shown.Unit = new(wholePercent(r.Amount)), "%"
	case credit:
		shown.AssignedCredit, shown.RedeemedCredit = new(r.Amount), new(r.Redeemed)
	case fuelTank:
		shown.FuelTankCode, shown.Amount, shown.FuelTankType = new(r.Code), new(r.Amount), new(fuelTankType(r))
	case integration:
		shown.Name, shown.ValueInCents, shown.IntegrationID = new(cmp.Or(r.Name, r.Rule)), new(r.Amount), new(cmp.Or(r.Def, r.Rule))
		shown.RewardDetails = r.Details
	}
	if version == v2016 {
		return shown
	}
	shown.DateCreated, shown.DateScheduledFor = new(r.GivenAt.UnixMilli()), new(milliOrNull(r.DueAt))
	shown.ProgramID = new(orNull(programKey))
	if r.Name != "" && shown.Type != fuelTank {
		shown.Name = new(r.Name)
	}
	return shown
}

// wholePercent rounds basis points, half of a percent up: the product has whole
// percents.
func wholePercent(basisPoints int64) int64 { return (basisPoints + 50) / 100 }

func fuelTankType(r *reward.Reward) string {
	var details rewardDetails
	if len(r.Details) > 0 && json.Unmarshal(r.Details, &details) == nil && details.FuelTankType == discount {
		return discount
	}
	if r.Unit == "%" {
		return discount
	}
	return credit
}

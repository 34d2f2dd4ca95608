package saasquatch

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
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

// RewardSource is what SaaSquatch says that a reward is for: what its rule says, if that is a word of the
// product, else what the person got it as.
func RewardSource(r *reward.Reward) string {
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

	Name            **string        `json:"name,omitempty"`
	DiscountPercent *int64          `json:"discountPercent,omitempty"`
	FuelTankCode    *string         `json:"fuelTankCode,omitempty"`
	Unit            string          `json:"unit"`
	AssignedCredit  *int64          `json:"assignedCredit,omitempty"`
	RedeemedCredit  *int64          `json:"redeemedCredit,omitempty"`
	Amount          *int64          `json:"amount,omitempty"`
	FuelTankType    *string         `json:"fuelTankType,omitempty"` // as the published schemas have it
	FueltankType    *string         `json:"fueltankType,omitempty"` // as answers have it
	Currency        **string        `json:"currency,omitempty"`
	ValueInCents    *int64          `json:"valueInCents,omitempty"`
	IntegrationID   *string         `json:"integrationId,omitempty"`
	RewardDetails   json.RawMessage `json:"rewardDetails,omitempty"`

	Redemptions *[]redemptionJSON `json:"redemptions,omitempty"`
}

// redemptionJSON is a part of a reward that was redeemed. The schemas have the amount
// as a text.
type redemptionJSON struct {
	ID               string `json:"id"`
	DateRedeemed     int64  `json:"dateRedeemed"`
	QuantityRedeemed string `json:"quantityRedeemed"`
}

func redemptionsOf(uses []ledger.Spending) []redemptionJSON {
	shown := make([]redemptionJSON, len(uses))
	for i, u := range uses {
		shown[i] = redemptionJSON{u.Txn.String(), u.At.UnixMilli(), strconv.FormatInt(u.Amount, 10)}
	}
	return shown
}

// rewardDetails are what is kept of a reward that was given by hand, and that only
// this product knows of.
type rewardDetails struct {
	FuelTankType string `json:"fuelTankType,omitempty"`
	Currency     string `json:"currency,omitempty"`
}

// detailsOf reads what is kept of a reward that was given by hand. What is kept there
// natively may be something else.
func detailsOf(r *reward.Reward) rewardDetails {
	var details rewardDetails
	if len(r.Details) == 0 || json.Unmarshal(r.Details, &details) != nil {
		return rewardDetails{}
	}
	return details
}

// rewardOf shows a reward of which nothing was redeemed yet in the form of a payload
// version.
func rewardOf(r *reward.Reward, owner userRef, programKey string, version payloads) rewardJSON {
	shown := rewardJSON{
		ID: r.ID.String(), Type: typeOf(r.Kind), DateGiven: milliOrNull(r.AvailableAt), DateExpires: milliOrNull(r.ExpiresAt),
		DateCancelled: milliOrNull(r.CancelledAt), AccountID: owner.AccountID, UserID: owner.ID, Cancellable: !r.Fixed,
		RewardSource: RewardSource(r), Unit: r.Unit,
	}
	switch shown.Type {
	case discount:
		shown.DiscountPercent, shown.Unit = new(wholePercent(r.Amount)), "%"
	case credit:
		shown.AssignedCredit, shown.RedeemedCredit, shown.Redemptions = new(r.Amount), new(r.Used()), &[]redemptionJSON{}
	case fuelTank:
		shown.FuelTankCode, shown.Amount, shown.FuelTankType = new(r.Code), new(r.Amount), new(fuelTankType(r))
	case integration:
		shown.Name, shown.ValueInCents, shown.IntegrationID = new(new(cmp.Or(r.Name, r.Rule))), new(r.Amount), new(cmp.Or(r.Def, r.Rule))
		shown.RewardDetails = r.Details
	}
	if version == v2016 {
		return shown.older(r)
	}
	shown.DateCreated, shown.DateScheduledFor = new(r.GivenAt.UnixMilli()), new(milliOrNull(r.DueAt))
	shown.ProgramID = new(orNull(programKey))
	if r.Name != "" && shown.Type != fuelTank {
		shown.Name = new(new(r.Name))
	}
	return shown
}

// older is the reward in the form that answers have. A discount has what the page
// shows of one, and no more.
func (j rewardJSON) older(r *reward.Reward) rewardJSON {
	if j.Type != credit && j.Type != fuelTank {
		return j
	}
	j.DateScheduledFor, j.Name, j.Currency = new(milliOrNull(r.DueAt)), new(orNull(r.Name)), new(orNull(detailsOf(r).Currency))
	j.FueltankType, j.FuelTankType = j.FuelTankType, nil
	return j
}

// wholePercent rounds basis points, half of a percent up: the product has whole
// percents.
func wholePercent(basisPoints int64) int64 { return (basisPoints + 50) / 100 }

func fuelTankType(r *reward.Reward) string {
	if detailsOf(r).FuelTankType == discount || r.Unit == "%" {
		return discount
	}
	return credit
}

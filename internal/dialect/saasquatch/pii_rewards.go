package saasquatch

import (
	"context"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// piiReferrals is how many of a user's latest referrals are shown with it.
const piiReferrals = 100

// countedJSON is a list with how many there are in all.
type countedJSON[T any] struct {
	TotalCount int64 `json:"totalCount"`
	Data       []T   `json:"data"`
}

// ledTo are the members of a user that show its rewards, whom it referred, and by whom
// it came.
func (a *api) ledTo(ctx context.Context, c *dialect.Call, p referral.Profile) (object, error) {
	var came []referral.Detail
	if len(p.Referrals) > 0 {
		d, err := a.Referrals.ReferralByID(ctx, p.TenantID, p.Referrals[0].ID)
		if err != nil {
			return nil, err
		}
		came = []referral.Detail{d}
	}
	given, err := a.rewardsOf(ctx, c, []referral.Profile{p}, "")
	if err != nil {
		return nil, err
	}
	found, total, err := a.Referrals.Referrals(ctx, p.TenantID, referral.Filter{ReferrerIDs: []id.ID{p.ID}, Limit: piiReferrals})
	if err != nil {
		return nil, err
	}
	s, err := a.showing(ctx, c, slices.Concat(plain(given), rewardsIn(came), rewardsIn(found))...)
	if err != nil {
		return nil, err
	}
	var by *shownReferralJSON
	for _, d := range came {
		by = new(s.referral(d))
	}
	rewards := countedJSON[rewardJSON]{TotalCount: int64(len(given)), Data: []rewardJSON{}}
	for _, r := range given {
		rewards.Data = append(rewards.Data, s.reward(r.Reward, r.owner))
	}
	referred := countedJSON[shownReferralJSON]{TotalCount: total, Data: []shownReferralJSON{}}
	for _, d := range found {
		referred.Data = append(referred.Data, s.referral(d))
	}
	return object{
		{"referredByReferral", by},
		{"rewards", rewards},
		{"rewardBalances", balancesOf(given)},
		{"referrals", referred},
	}, nil
}

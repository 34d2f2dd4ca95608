package saasquatch

import (
	"context"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// openReferrals lists referrals to a server as listReferrals does, and to a user's own
// browser those in which the user takes part: whom the user has referred, unless the
// query names the user on a side.
func (a *api) openReferrals(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	t, byToken := c.Token.(token)
	if !byToken {
		return a.listReferrals(ctx, c)
	}
	own, err := a.usersOf(ctx, c, userRef{ID: t.user, AccountID: t.account})
	if problem.NotFound.Has(err) {
		err = errNoUser
	}
	if err != nil {
		return dialect.Answer{}, err
	}
	filter, err := a.filterOf(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if filter.ReferrerIDs == nil && filter.ReferredIDs == nil {
		filter.ReferrerIDs = idsOf(own)
	}
	return a.answerReferrals(ctx, c, filter, func(s showing, d referral.Detail) shownReferralJSON { return s.referralTo(own[0].ID, d) })
}

// askedPerson is whose referrals a token may ask for: its own user's, who is meant
// where nobody is named, and has to be one side where somebody is.
func askedPerson(c *dialect.Call) string {
	asked := c.Request.URL.Query()
	var named []string
	for _, side := range []string{"referring", "referred"} {
		if account, user := asked.Get(side+"AccountId"), asked.Get(side+"UserId"); account != "" || user != "" {
			named = append(named, identityOf(account, user).Key)
		}
	}
	if len(named) == 0 || slices.Contains(named, c.Person) {
		return c.Person
	}
	return named[0]
}

// publicSideOf shows one side of a referral to the other one.
func publicSideOf(p referral.Profile) publicUserJSON {
	code := p.Code()
	if p.IsDeleted() {
		code = ""
	}
	return publicUserOf(p, code)
}

// referralTo shows a referral to one of its people: of the other one what everybody
// may know, and neither what that one was given nor why the referral may be fraud.
func (s showing) referralTo(viewer id.ID, d referral.Detail) shownReferralJSON {
	shown := s.referral(d)
	shown.FraudSignals = nil
	if d.ReferrerID != viewer {
		shown.ReferrerUser, shown.ReferrerReward = publicSideOf(d.ReferrerPerson), nil
	}
	if d.ReferredID != viewer {
		shown.ReferredUser, shown.ReferredReward = publicSideOf(d.ReferredPerson), nil
	}
	return shown
}

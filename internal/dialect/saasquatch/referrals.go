package saasquatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// referralRoutes are the calls about referrals.
func (a *api) referralRoutes() []dialect.Route {
	const root = "/api/v1/{tenant}"
	if a.Referrals == nil {
		return nil
	}
	return []dialect.Route{
		{Method: http.MethodGet, Pattern: root + "/referrals", Scope: tenant.Read, Handle: a.listReferrals},
		{Method: http.MethodGet, Pattern: root + "/open/referrals", Scope: tenant.Read, Access: dialect.ByPerson, Person: askedPerson, Handle: a.openReferrals},
		{Method: http.MethodPost, Pattern: root + "/referrals/moderate", Scope: tenant.Manage, Handle: a.moderate},
		{Method: http.MethodGet, Pattern: root + "/referrals/{id}", Scope: tenant.Read, Handle: a.referral},
	}
}

// instead answers a problem of one kind with a status and a code of the vendor's, and
// leaves other errors as they are.
func instead(err error, of *problem.Code, answer dialect.Refusal) error {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Code != of {
		return err
	}
	answer.Message = e.Detail
	return answer
}

// The answers to what is not there, in the manner of the vendor's
// REFERRAL_CODE_NOT_FOUND.
var (
	errNoReferral = dialect.Refusal{Status: http.StatusNotFound, Code: "REFERRAL_NOT_FOUND", Message: "there is no such referral"}
	errNoReward   = dialect.Refusal{Status: http.StatusNotFound, Code: "REWARD_NOT_FOUND", Message: "there is no such reward"}
)

// pathID returns the id that the path names. One that can't be read is nobody's.
func pathID(c *dialect.Call) (id.ID, error) {
	var of id.ID
	if err := of.UnmarshalText([]byte(c.Path["id"])); err != nil {
		return id.ID{}, problem.NotFound.New("there is nothing of that id")
	}
	return of, nil
}

// shownReferralJSON is a referral as the API shows one.
type shownReferralJSON struct {
	referralJSON[any, *rewardJSON]

	ReferralCodeUsed *string               `json:"referralCodeUsed"`
	ShareLinkUsed    *string               `json:"shareLinkUsed"`
	FraudSignals     map[string]signalJSON `json:"fraudSignals"`
}

// referralsJSON is a page of referrals.
type referralsJSON struct {
	Count      int                 `json:"count"`
	TotalCount int64               `json:"totalCount"`
	Referrals  []shownReferralJSON `json:"referrals"`
}

// showing is what it takes to show rewards and referrals.
type showing struct {
	baseURL  string
	version  payloads
	programs map[id.ID]string // their keys
	uses     map[id.ID][]ledger.Spending
}

// showing looks up how the tenant wants to see rewards and referrals, and by what the
// rewards were redeemed.
func (a *api) showing(ctx context.Context, c *dialect.Call, rewards ...*reward.Reward) (showing, error) {
	of := c.Principal.Tenant.ID
	chosen, err := a.tenants.Settings(ctx, of, name)
	if err != nil {
		return showing{}, err
	}
	keys, err := a.Referrals.ProgramKeys(ctx, of)
	if err != nil {
		return showing{}, err
	}
	uses, err := a.Referrals.RewardUses(ctx, of, rewards)
	return showing{a.base(c), payloadsOf(chosen), keys, uses}, err
}

func (s showing) referral(d referral.Detail) shownReferralJSON {
	shown := shownReferralJSON{
		referralJSON: referralOf(d.Referral, sides[any]{userOf(d.ReferrerPerson, s.baseURL), userOf(d.ReferredPerson, s.baseURL)},
			sides[*rewardJSON]{
				s.rewardOrNull(d.RewardOf(referral.ReferrerSide), refOf(d.ReferrerPerson.Person)),
				s.rewardOrNull(d.RewardOf(referral.ReferredSide), refOf(d.ReferredPerson.Person)),
			}),
		ReferralCodeUsed: orNull(d.Code), FraudSignals: signalsOf(d.Signals),
	}
	if d.ReferrerPerson.IsDeleted() { // the code was made of the name
		shown.ReferralCodeUsed = nil
		return shown
	}
	for _, c := range d.ReferrerPerson.Codes {
		if d.Link != (code.Link{}) && c.Text == d.Code {
			shown.ShareLinkUsed = new(s.baseURL + code.Path(c.Short, d.Link))
		}
	}
	return shown
}

func (s showing) rewardOrNull(r *reward.Reward, owner userRef) *rewardJSON {
	if r == nil {
		return nil
	}
	return new(s.reward(r, owner))
}

func (s showing) reward(r *reward.Reward, owner userRef) rewardJSON {
	shown := rewardOf(r, owner, s.programs[r.ProgramID], s.version)
	if shown.Redemptions != nil {
		shown.Redemptions = new(redemptionsOf(s.uses[r.ID]))
	}
	return shown
}

// listReferrals lists referrals, the latest first.
func (a *api) listReferrals(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	filter, err := a.filterOf(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return a.answerReferrals(ctx, c, filter, showing.referral)
}

// answerReferrals shows a page of those referrals that a filter chooses.
func (a *api) answerReferrals(
	ctx context.Context, c *dialect.Call, chosen referral.Filter, show func(showing, referral.Detail) shownReferralJSON,
) (dialect.Answer, error) {
	page, err := pageOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	chosen.Limit, chosen.Offset = page.Limit, page.Offset
	found, total, err := a.Referrals.Referrals(ctx, c.Principal.Tenant.ID, chosen)
	if err != nil {
		return dialect.Answer{}, err
	}
	s, err := a.showing(ctx, c, rewardsIn(found)...)
	if err != nil {
		return dialect.Answer{}, err
	}
	list := referralsJSON{len(found), total, make([]shownReferralJSON, len(found))}
	for i, d := range found {
		list.Referrals[i] = show(s, d)
	}
	return dialect.Answer{Status: http.StatusOK, Body: list}, nil
}

// rewardsIn are all rewards of referrals.
func rewardsIn(found []referral.Detail) []*reward.Reward {
	var all []*reward.Reward
	for _, d := range found {
		all = append(all, d.Rewards...)
	}
	return all
}

// filterOf reads what a list is restricted to.
func (a *api) filterOf(ctx context.Context, c *dialect.Call) (referral.Filter, error) {
	var f referral.Filter
	var checks problem.Checks
	asked := c.Request.URL.Query()
	f.Referrer = moderationOf(&checks, "referrerModerationStatus", asked.Get("referrerModerationStatus"))
	f.Referred = moderationOf(&checks, "referredModerationStatus", asked.Get("referredModerationStatus"))
	f.Started = spanOf(&checks, "dateReferralStarted", asked.Get("dateReferralStarted"))
	f.Converted = spanOf(&checks, "dateReferralPaid", asked.Get("dateReferralPaid"))
	f.Ended = spanOf(&checks, "dateReferralEnded", asked.Get("dateReferralEnded"))
	if err := checks.Err(); err != nil {
		return referral.Filter{}, err
	}
	var err error
	if f.ReferrerIDs, err = a.people(ctx, c, "referring"); err != nil {
		return referral.Filter{}, err
	}
	f.ReferredIDs, err = a.people(ctx, c, "referred")
	return f, err
}

// people returns whom a list is restricted to on a side; nil: everybody is meant. An
// account or a user that is not there is nobody.
func (a *api) people(ctx context.Context, c *dialect.Call, side string) ([]id.ID, error) {
	asked := c.Request.URL.Query()
	account, user := asked.Get(side+"AccountId"), asked.Get(side+"UserId")
	switch {
	case account == "" && user == "":
		return nil, nil
	case account == "":
		return nil, problem.InvalidField(side+"UserId", "needs %sAccountId: users are known by both", side)
	}
	people, err := a.usersOf(ctx, c, userRef{ID: user, AccountID: account})
	if err != nil && !problem.NotFound.Has(err) {
		return nil, err
	}
	return idsOf(people), nil
}

// usersOf returns a user, or all users of an account where none is named, or
// problem.NotFound.
func (a *api) usersOf(ctx context.Context, c *dialect.Call, of userRef) ([]referral.Profile, error) {
	if of.ID != "" {
		p, err := a.calledPerson(ctx, c, of)
		if err != nil {
			return nil, err
		}
		return []referral.Profile{p}, nil
	}
	account, err := a.Referrals.Account(ctx, c.Principal.Tenant.ID, of.AccountID)
	return account.People, err
}

// moderationOf reads a moderation status.
func moderationOf(checks *problem.Checks, field, text string) referral.Moderation {
	if text == "" {
		return ""
	}
	for ours, theirs := range moderations {
		if theirs == text {
			return ours
		}
	}
	checks.Add(field, "must be PENDING, APPROVED or DENIED")
	return ""
}

// spanOf reads a time in milliseconds, or two with a comma between, both included.
func spanOf(checks *problem.Checks, field, text string) *referral.Span {
	if text == "" {
		return nil
	}
	first, last, isRange := strings.Cut(text, ",")
	if !isRange {
		last = first
	}
	from, errFrom := strconv.ParseInt(first, 10, 64)
	to, errTo := strconv.ParseInt(last, 10, 64)
	if errFrom != nil || errTo != nil || from < 0 || from > to || to > maxTime {
		checks.Add(field, "must be a time in milliseconds since 1970, or two with a comma between, the earlier one first")
		return nil
	}
	return &referral.Span{From: time.UnixMilli(from), To: time.UnixMilli(to + 1).Add(-time.Microsecond)}
}

// referral shows one referral.
func (a *api) referral(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := pathID(c)
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReferral)
	}
	d, err := a.Referrals.ReferralByID(ctx, c.Principal.Tenant.ID, of)
	if err != nil {
		return dialect.Answer{}, instead(err, problem.NotFound, errNoReferral)
	}
	s, err := a.showing(ctx, c, d.Rewards...)
	return dialect.Answer{Status: http.StatusOK, Body: s.referral(d)}, err
}

// moderationBody is what is decided about referrals.
type moderationBody struct {
	Actions []struct {
		ReferralID string `json:"referralId"`
		Action     string `json:"action"`
	} `json:"actions"`
}

// maxModerated is how many referrals a request moderates.
const maxModerated = 100

// moderationActions are the vendor's words for decisions.
var moderationActions = map[string]referral.Decision{
	"APPROVED":          {Side: referral.BothSides, To: referral.Approved},
	"DENIED":            {Side: referral.BothSides, To: referral.Denied},
	"REFERRER_APPROVED": {Side: referral.ReferrerSide, To: referral.Approved},
	"REFERRED_APPROVED": {Side: referral.ReferredSide, To: referral.Approved},
	"REFERRER_DENIED":   {Side: referral.ReferrerSide, To: referral.Denied},
	"REFERRED_DENIED":   {Side: referral.ReferredSide, To: referral.Denied},
}

// moderate decides about referrals, all of them or none.
func (a *api) moderate(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body moderationBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	if n := len(body.Actions); n < 1 || n > maxModerated {
		return dialect.Answer{}, problem.InvalidField("actions", "must be 1 to %d", maxModerated)
	}
	decisions := make([]referral.Decision, len(body.Actions))
	var checks problem.Checks
	decided := make(map[judged]referral.Moderation)
	for i, action := range body.Actions {
		d, ok := moderationActions[action.Action]
		if !ok {
			checks.Add(fmt.Sprintf("actions[%d].action", i), "must be one of %s", strings.Join(actionNames(), ", "))
		}
		if err := d.Referral.UnmarshalText([]byte(action.ReferralID)); err != nil {
			checks.Add(fmt.Sprintf("actions[%d].referralId", i), "must be the id of a referral")
		}
		if contradicts(decided, d) {
			checks.Add(fmt.Sprintf("actions[%d].action", i), "says the opposite of an action before it about the same side of the referral")
		}
		decisions[i] = d
	}
	if err := checks.Err(); err != nil {
		return dialect.Answer{}, err
	}
	_, err := a.Referrals.Moderate(ctx, c.Principal.Tenant.ID, decisions)
	return dialect.Answer{Status: http.StatusOK}, instead(err, problem.NotFound, errNoReferral)
}

// judged is a side of a referral.
type judged struct {
	referral id.ID
	side     referral.Side
}

// contradicts notes what a decision is about, and reports whether one before it said
// the opposite: of two such decisions nobody could tell which one is meant.
func contradicts(decided map[judged]referral.Moderation, d referral.Decision) bool {
	found := false
	for _, side := range []referral.Side{referral.ReferrerSide, referral.ReferredSide} {
		if d.Side != side && d.Side != referral.BothSides {
			continue
		}
		key := judged{d.Referral, side}
		before, ok := decided[key]
		found = found || ok && before != d.To
		decided[key] = d.To
	}
	return found
}

// actionNames are the vendor's words, in a fixed order.
func actionNames() []string {
	names := make([]string, 0, len(moderationActions))
	for action := range moderationActions {
		names = append(names, action)
	}
	slices.Sort(names)
	return names
}

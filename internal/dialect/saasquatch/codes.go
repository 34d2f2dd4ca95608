package saasquatch

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// findCode returns whose code it is.
func (a *api) findCode(ctx context.Context, c *dialect.Call, text string) (referral.Profile, referral.Code, error) {
	if text == "" {
		return referral.Profile{}, referral.Code{}, problem.InvalidField("referralCode", "is required")
	}
	p, code, err := a.Referrals.PersonByCode(ctx, c.Principal.Tenant.ID, text)
	if problem.NotFound.Has(err) || err == nil && code.Disabled {
		err = errNoCode
	}
	return p, code, err
}

// findOpenCode is findCode for those who may know of a code no more than where it
// leads: one by which nobody can be referred, since whose it is takes part in no
// program, leads nowhere.
func (a *api) findOpenCode(ctx context.Context, c *dialect.Call, text string) (referral.Profile, referral.Code, error) {
	p, code, err := a.findCode(ctx, c, text)
	if err == nil && !refers(p) {
		err = errNoCode
	}
	return p, code, err
}

// refers reports whether anybody can be referred by a person.
func refers(p referral.Profile) bool { return !p.IsBlocked() && !p.Unreferable }

// codeJSON is a code.
type codeJSON struct {
	Code         string        `json:"code"`
	DateCreated  int64         `json:"dateCreated"`
	ProgramID    string        `json:"programId"`
	ReferrerName string        `json:"referrerName"`
	Reward       *templateJSON `json:"reward"` // what a friend gets; null: nothing is promised
}

// templateJSON is a reward that somebody would get.
type templateJSON struct {
	Type                  string   `json:"type"`
	Unit                  *string  `json:"unit"`
	Credit                *int64   `json:"credit"`
	DiscountPercent       *float64 `json:"discountPercent"`
	MonthsDiscountIsValid *int64   `json:"monthsDiscountIsValid"`
	ValueInCents          *int64   `json:"valueInCents"`
	RewardDetails         *string  `json:"rewardDetails"`
}

// code shows a server a code.
func (a *api) code(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, code, err := a.findCode(ctx, c, c.Path["code"])
	if err != nil {
		return dialect.Answer{}, err
	}
	shown, err := a.codeOf(ctx, p, code)
	shown.ReferrerName = p.Name()
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// openCode shows everybody a code.
func (a *api) openCode(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, code, err := a.findOpenCode(ctx, c, c.Path["code"])
	if err != nil {
		return dialect.Answer{}, err
	}
	shown, err := a.codeOf(ctx, p, code)
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// codeOf is a code as everybody may see it.
func (a *api) codeOf(ctx context.Context, p referral.Profile, code referral.Code) (codeJSON, error) {
	promised, err := a.Referrals.Promise(ctx, p.TenantID, code.ProgramID)
	if err != nil {
		return codeJSON{}, err
	}
	return codeJSON{
		Code: code.Text, DateCreated: code.CreatedAt.UnixMilli(), ProgramID: code.ProgramKey, ReferrerName: publicName(p), Reward: templateOf(promised),
	}, nil
}

// templateOf shows what a rule gives. An amount that depends on what will be bought is
// left open.
func templateOf(g *referral.Give) *templateJSON {
	if g == nil {
		return nil
	}
	t := &templateJSON{Unit: orNull(g.Unit)}
	var amount *int64
	if g.Amount.Fixed != 0 {
		amount = &g.Amount.Fixed
	}
	switch g.Kind {
	case rule.Credit, rule.Points:
		t.Type, t.Credit = "CREDIT", amount
	case rule.Percent:
		t.Type, t.Unit = "PCT_DISCOUNT", new("%")
		t.DiscountPercent = new(float64(g.Amount.Fixed) / 100)
	case rule.CodePool:
		t.Type = "FUELTANK"
	default:
		t.Type, t.ValueInCents = "INTEGRATION", amount
	}
	return t
}

// applyCode has the user of the path be referred by a code.
func (a *api) applyCode(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	owner, code, err := a.findCode(ctx, c, c.Path["code"])
	if err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if _, err := a.Referrals.Refer(ctx, p.TenantID, p.ID, code.Text); err != nil {
		return dialect.Answer{}, told(err, http.StatusNotFound)
	}
	shown, err := a.codeOf(ctx, owner, code)
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// codesJSON are codes by which a browser came.
type codesJSON struct {
	Codes []string `json:"codes"`
}

// cookieCodes tells a page by which codes its visitor came, the latest first: what
// the client's cookie says, and what share links have left in the browser. Codes that
// are not there any more, or refer nobody, are left out.
func (a *api) cookieCodes(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	cookies := c.Request.URL.Query().Get("cookies")
	from := a.originOf(c, &userBody{Cookies: &cookies})
	shown := codesJSON{Codes: []string{}}
	for _, text := range from.codes[:min(len(from.codes), maxCodes)] {
		p, code, err := a.Referrals.PersonByCode(ctx, c.Principal.Tenant.ID, text)
		if problem.NotFound.Has(err) || err == nil && (code.Disabled || !refers(p)) {
			continue
		}
		if err != nil {
			return dialect.Answer{}, err
		}
		shown.Codes = append(shown.Codes, code.Text)
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// seen takes what a widget reports of itself, and keeps nothing of it: everybody may
// report, and no program asks for it. That somebody came is known from their visits.
func (a *api) seen(_ context.Context, c *dialect.Call) (dialect.Answer, error) {
	query := c.Request.URL.Query()
	var checks problem.Checks
	for _, name := range []string{"externalAccountId", "externalUserId"} {
		if query.Get(name) == "" {
			checks.Add(name, "is required")
		}
	}
	checks.AddError("engagementMedium", checkEngagement(query.Get("engagementMedium")))
	return dialect.Answer{Status: http.StatusNoContent}, checks.Err()
}

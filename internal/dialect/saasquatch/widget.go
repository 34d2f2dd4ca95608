package saasquatch

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

//go:embed widget.html
var widgetHTML string

var widgetTemplate = template.Must(template.New("widget").Parse(widgetHTML))

// widgetJSON is what the JavaScript client shows in a frame of the tenant's page.
type widgetJSON struct {
	Template  string         `json:"template"`
	JSOptions map[string]any `json:"jsOptions"`
	User      object         `json:"user"`
}

// widgetPlace says which widget is asked for, and where it is shown.
type widgetPlace struct {
	kind       string
	engagement code.Engagement
	locale     string
}

// defaultWidget is the one with which people refer others.
const defaultWidget = "REFERRER_WIDGET"

// widgetFormat is a widget of the vendor's: two have names, others a program's path.
var widgetFormat = regexp.MustCompile(`^(REFERRER_WIDGET|CONVERSION_WIDGET|[pw]/[A-Za-z0-9_\-]{1,64}(/w/[A-Za-z0-9_\-]{1,64})?)$`)

func (w widgetPlace) check() (widgetPlace, error) {
	var checks problem.Checks
	if w.kind == "" {
		w.kind = defaultWidget
	}
	if !widgetFormat.MatchString(w.kind) {
		checks.Add("widgetType", "must be REFERRER_WIDGET, CONVERSION_WIDGET or a program's, such as p/program/w/referrerWidget")
	}
	checks.AddError("engagementMedium", checkEngagement(string(w.engagement)))
	if w.engagement == "" {
		w.engagement = code.Popup
	}
	if w.locale != "" && !localeFormat.MatchString(w.locale) {
		checks.Add("locale", "must be a language and a country, such as en_US, or a language alone")
	}
	return w, checks.Err()
}

// placeOf reads where a widget is to be shown from the query.
func placeOf(c *dialect.Call) (widgetPlace, error) {
	query := c.Request.URL.Query()
	return widgetPlace{query.Get("widgetType"), code.Engagement(query.Get("engagementMedium")), query.Get("locale")}.check()
}

// program returns the key of the program that the widget is of; "": the first.
func (w widgetPlace) program() string {
	key, ok := strings.CutPrefix(w.kind, "p/")
	if !ok {
		return ""
	}
	key, _, _ = strings.Cut(key, "/")
	return key
}

// knows refuses a widget of a program that there is not.
func (a *api) knows(ctx context.Context, c *dialect.Call, at widgetPlace) error {
	key := at.program()
	if key == "" {
		return nil
	}
	keys, err := a.Referrals.ProgramKeys(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return err
	}
	for _, known := range keys {
		if known == key {
			return nil
		}
	}
	return problem.InvalidField("widgetType", "names a program that there is not")
}

// upsertWidget stores the user of the path, and shows the widget.
func (a *api) upsertWidget(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	at, err := placeOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if err := a.knows(ctx, c, at); err != nil { // before anything is stored
		return dialect.Answer{}, err
	}
	p, err := a.storePath(ctx, c, storing{})
	if err != nil {
		return dialect.Answer{}, err
	}
	shown, err := a.widget(ctx, c, p, at)
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// renderWidget shows the widget of the user of the path.
func (a *api) renderWidget(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	at, err := placeOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown, err := a.widget(ctx, c, p, at)
	return dialect.Answer{Status: http.StatusOK, Body: shown}, err
}

// widgetPage is what the page in the frame says.
type widgetPage struct {
	Title      string
	Code, Link string
	ReferredBy string
	Rewards    []string
	Ident      widgetIdent
}

// widgetIdent is what the client reads in the frame: whose widget it is.
type widgetIdent struct {
	TenantAlias      string          `json:"tenantAlias"`
	AccountID        string          `json:"accountId"`
	UserID           string          `json:"userId"`
	EngagementMedium code.Engagement `json:"engagementMedium"`
	ProgramID        string          `json:"programId"`
}

// shownRewards is how many of somebody's latest rewards a widget shows.
const shownRewards = 20

func (a *api) widget(ctx context.Context, c *dialect.Call, p referral.Profile, at widgetPlace) (widgetJSON, error) {
	if err := a.knows(ctx, c, at); err != nil {
		return widgetJSON{}, err
	}
	given, err := a.Referrals.Rewards(ctx, p.TenantID, referral.RewardFilter{People: []id.ID{p.ID}, Limit: shownRewards})
	if err != nil {
		return widgetJSON{}, err
	}
	ref := refOf(p.Person)
	page := widgetPage{
		Title: "Refer a friend",
		Ident: widgetIdent{TenantAlias: c.Principal.Tenant.Alias, AccountID: ref.AccountID, UserID: ref.ID, EngagementMedium: at.engagement},
	}
	for _, of := range p.Codes {
		if program := at.program(); program == "" || of.ProgramKey == program {
			page.Code, page.Ident.ProgramID = of.Text, of.ProgramKey
			page.Link = a.base(c) + code.Path(of.Short, code.Link{Engagement: at.engagement, Share: code.Direct})
			break
		}
	}
	if len(p.Referrals) > 0 {
		page.ReferredBy = p.Referrals[0].Code
	}
	if at.kind == "CONVERSION_WIDGET" {
		page.Title = "You were referred"
	}
	for _, r := range given {
		if r.State == reward.IsAvailable || r.State == reward.IsPending {
			page.Rewards = append(page.Rewards, rewardText(r))
		}
	}
	var html strings.Builder
	if err := widgetTemplate.Execute(&html, page); err != nil {
		return widgetJSON{}, err
	}
	options := map[string]any{"widget": map[string]any{"defaultWidgetType": at.kind}}
	return widgetJSON{html.String(), options, openUserOf(p, a.base(c))}, nil
}

// rewardText says in a line what somebody was given.
func rewardText(r *reward.Reward) string {
	text := r.Name
	if text == "" {
		text = amountText(r)
	}
	if r.State == reward.IsPending {
		text += " (pending)"
	}
	return text
}

func amountText(r *reward.Reward) string {
	switch {
	case r.Kind == rule.Percent:
		return decimal(r.Amount) + " %"
	case r.Kind == rule.CodePool && r.Code != "":
		return r.Code
	case r.Unit == "cents":
		return decimal(r.Amount)
	default:
		return strings.TrimSpace(strconv.FormatInt(r.Amount, 10) + " " + r.Unit)
	}
}

// decimal writes hundredths, without those that are zero.
func decimal(hundredths int64) string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(hundredths)/100, 'f', 2, 64), ".00")
}

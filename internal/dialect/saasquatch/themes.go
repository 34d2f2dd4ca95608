package saasquatch

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// themeRoutes lists the calls about the theme.
func (a *api) themeRoutes() []dialect.Route {
	if a.Messages == nil {
		return nil
	}
	const theme = "/api/v1/{tenant}/theme"
	const general, local = theme + "/variables/instance", theme + "/{locale}/variables/instance"
	return []dialect.Route{
		{Method: http.MethodGet, Pattern: theme + "/variables/schema", Scope: tenant.Read, Handle: a.showSchema},
		{Method: http.MethodGet, Pattern: general, Scope: tenant.Read, Handle: a.showVariables},
		{Method: http.MethodPut, Pattern: general, Scope: tenant.Manage, Handle: a.putVariables},
		{Method: http.MethodPatch, Pattern: general, Scope: tenant.Manage, Handle: a.patchVariables},
		{Method: http.MethodGet, Pattern: local, Scope: tenant.Read, Handle: a.showVariables},
		{Method: http.MethodPut, Pattern: local, Scope: tenant.Manage, Handle: a.putVariables},
		{Method: http.MethodPatch, Pattern: local, Scope: tenant.Manage, Handle: a.patchVariables},
		{Method: http.MethodDelete, Pattern: local, Scope: tenant.Manage, Handle: a.deleteLocale},
		{Method: http.MethodPost, Pattern: theme + "/email/{type}/preview", Scope: tenant.Read, Handle: a.previewMessage},
		{Method: http.MethodPost, Pattern: theme + "/publish", Scope: tenant.Manage, Handle: a.publishTheme},
		{Method: http.MethodGet, Pattern: theme + "/publish_status", Scope: tenant.Read, Handle: a.showPublication},
	}
}

func (a *api) showSchema(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	schema, err := a.Messages.Schema(ctx, c.Principal.Tenant.ID)
	return dialect.Answer{Status: http.StatusOK, Body: schema}, err
}

// showVariables shows those of the locale in the path, or, without one, those that
// are for everybody.
func (a *api) showVariables(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	variables, err := a.Messages.Variables(ctx, c.Principal.Tenant.ID, c.Path["locale"])
	return dialect.Answer{Status: http.StatusOK, Body: variables}, err
}

func (a *api) putVariables(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var document json.RawMessage
	if err := c.Decode(&document); err != nil {
		return dialect.Answer{}, err
	}
	err := a.Messages.SetVariables(ctx, c.Principal.Tenant.ID, c.Path["locale"], document)
	return dialect.Answer{Status: http.StatusNoContent}, err
}

func (a *api) patchVariables(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var document json.RawMessage
	if err := c.Decode(&document); err != nil {
		return dialect.Answer{}, err
	}
	patched, err := a.Messages.PatchVariables(ctx, c.Principal.Tenant.ID, c.Path["locale"], document)
	return dialect.Answer{Status: http.StatusOK, Body: patched}, err
}

// deleteLocale removes what is for a locale, and shows the variables that count there
// from then on: those for everybody.
func (a *api) deleteLocale(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	if err := a.Messages.DeleteLocale(ctx, c.Principal.Tenant.ID, c.Path["locale"]); err != nil {
		return dialect.Answer{}, err
	}
	left, err := a.Messages.Variables(ctx, c.Principal.Tenant.ID, "")
	return dialect.Answer{Status: http.StatusOK, Body: left}, err
}

// messageTypes are the types of messages by the names of their events, and by those
// that the vendor's themes have for them.
var messageTypes = map[string]message.Type{
	"email.referral.started":            message.ReferralStarted,
	"email.referral.paid":               message.ReferralPaid,
	"email.referred.reward.earned":      message.ReferredRewardEarned,
	"email.referral.rewardLimitReached": message.RewardLimitReached,

	"REFERRAL_STARTED":              message.ReferralStarted,
	"REFERRAL_CONVERTED":            message.ReferralPaid,
	"REFERRER_REWARD_LIMIT_REACHED": message.RewardLimitReached,
}

// previewMessage shows a message of the draft. Types are taken by the names that the
// vendor's themes have for them, by those of the events, and by ours.
func (a *api) previewMessage(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	query := c.Request.URL.Query()
	if query.Get("sendTo") != "" {
		return dialect.Answer{}, problem.InvalidField("sendTo", "must be left out: this server sends no e-mail, and shows the message instead")
	}
	of, known := messageTypes[c.Path["type"]]
	if !known {
		of = message.Type(c.Path["type"])
	}
	made, err := a.Messages.Preview(ctx, c.Principal.Tenant.ID, message.Place{Locale: query.Get("locale"), Type: of})
	if err != nil {
		return dialect.Answer{}, err
	}
	// It is the tenant's own HTML, and shown by the server that has the console.
	c.Header().Set("Content-Security-Policy", "sandbox")
	contentType := "text/html; charset=utf-8"
	if made.Format == message.Text {
		contentType = "text/plain; charset=utf-8"
	}
	return dialect.Answer{Status: http.StatusOK, File: dialect.OnePiece(contentType, made.Message)}, nil
}

func (a *api) publishTheme(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	_, err := a.Messages.Publish(ctx, c.Principal.Tenant.ID)
	return dialect.Answer{Status: http.StatusAccepted}, err
}

// logEntryJSON is one thing that a publication has to say.
type logEntryJSON struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

func (a *api) showPublication(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	said, err := a.Messages.PublishStatus(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := struct {
		Log []logEntryJSON `json:"log"`
	}{[]logEntryJSON{}}
	for _, entry := range said {
		shown.Log = append(shown.Log, logEntryJSON{entry.At.UnixMilli(), entry.Message})
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// validationErrors lists what is wrong with the variables of a theme, which the
// vendor lists there and nowhere else. They are texts; no source says of what form.
func validationErrors(c *dialect.Call, r dialect.Refusal) []string {
	if r.Status != http.StatusBadRequest || !strings.HasSuffix(c.Request.URL.Path, "/variables/instance") {
		return nil
	}
	var all []string
	for _, f := range r.Fields {
		place, what, ok := strings.Cut(f.Message, " ")
		if within, inside := strings.CutPrefix(place, f.Name+"."); ok && inside { // it says itself which variable it is about
			all = append(all, within+": "+what)
			continue
		}
		all = append(all, f.Name+": "+f.Message)
	}
	return all
}

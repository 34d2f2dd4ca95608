package partnerstack

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// hook is how the id of a subscription is shown as the key of a webhook.
const hook id.Kind = "hook"

// answerJSON is the envelope of every success. Status is the HTTP status, which
// is 200 for creation too: clients take any other for a failure.
type answerJSON struct {
	Data    any    `json:"data,omitempty"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

func answer(message string, data any) dialect.Answer {
	return dialect.Answer{Status: http.StatusOK, Body: answerJSON{data, message, http.StatusOK}}
}

// listJSON is the data of a list.
type listJSON struct {
	Items   []webhookJSON `json:"items"`
	HasMore bool          `json:"has_more"`
}

// webhookJSON is how a subscription is shown. Times are in milliseconds since 1970.
type webhookJSON struct {
	Key       string   `json:"key"`
	TargetURL string   `json:"target_url"`
	Events    []string `json:"events"` // or "*" alone
	CreatedAt int64    `json:"created_at"`
	UpdatedAt int64    `json:"updated_at"`
}

func show(sub *webhook.Subscription) webhookJSON {
	return webhookJSON{
		Key: hook.Format(sub.ID), TargetURL: sub.URL, Events: sub.EventTypes,
		CreatedAt: sub.CreatedAt.UnixMilli(), UpdatedAt: sub.UpdatedAt.UnixMilli(),
	}
}

// changeJSON is what a client says of a webhook; nil: nothing was said.
type changeJSON struct {
	TargetURL *string   `json:"target_url"`
	Target    *string   `json:"target"` // what some clients call the target_url
	Events    *[]string `json:"events"`
}

// url returns where the webhook leads.
func (c changeJSON) url() (*string, error) {
	switch {
	case c.TargetURL == nil:
		return c.Target, nil
	case c.Target != nil && *c.Target != *c.TargetURL:
		return nil, problem.InvalidField("target", "says something else than target_url: leave it out")
	}
	return c.TargetURL, nil
}

func (a *api) list(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	l, err := readListing(c.Request.URL.RawQuery)
	if err != nil {
		return dialect.Answer{}, err
	}
	subs, err := a.subs.All(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	page, more := l.page(subs)
	shown := listJSON{Items: make([]webhookJSON, len(page)), HasMore: more}
	for i, sub := range page {
		shown.Items[i] = show(sub)
	}
	return answer("Page returned successfully", shown), nil
}

func (a *api) create(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var said changeJSON
	if err := c.Decode(&said); err != nil {
		return dialect.Answer{}, err
	}
	url, err := said.url()
	if err != nil {
		return dialect.Answer{}, err
	}
	draft := webhook.Draft{Dialect: name, Confirm: c.Confirm}
	if url != nil {
		draft.URL = *url
	}
	if said.Events != nil {
		draft.EventTypes = *said.Events
	}
	sub, err := a.subs.CreateSubscription(ctx, c.Principal.Tenant.ID, draft)
	if err != nil {
		return dialect.Answer{}, err
	}
	return answer("Webhook created successfully", show(sub)), nil
}

func (a *api) get(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return answer("Webhook returned successfully", show(sub)), nil
}

func (a *api) update(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	var said changeJSON
	if err := c.Decode(&said); err != nil {
		return dialect.Answer{}, err
	}
	patch := webhook.Patch{EventTypes: said.Events, Confirm: c.Confirm}
	if patch.URL, err = said.url(); err != nil {
		return dialect.Answer{}, err
	}
	if sub, err = a.subs.UpdateSubscription(ctx, sub.TenantID, sub.ID, patch); err != nil {
		return dialect.Answer{}, err
	}
	return answer("Webhook updated successfully", show(sub)), nil
}

func (a *api) archive(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.named(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if err := a.subs.DeleteSubscription(ctx, sub.TenantID, sub.ID); err != nil {
		return dialect.Answer{}, err
	}
	return answer("Webhook archived successfully", nil), nil
}

// named returns the subscription whose key is in the path.
func (a *api) named(ctx context.Context, c *dialect.Call) (*webhook.Subscription, error) {
	key, err := hook.Parse(c.Path["key"])
	if err != nil {
		return nil, dialect.NoSubscription()
	}
	return a.subs.Own(ctx, c.Principal.Tenant.ID, key)
}

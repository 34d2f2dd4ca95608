package referralloop

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	waitlists "github.com/grapevine-hq/grapevine/internal/wire/referralloop"
)

// subscriptionJSON is how a subscription is shown. One that was made natively may
// have several event types, with commas between, or "*".
type subscriptionJSON struct {
	ID        string    `json:"id"`
	EventType string    `json:"event_type"`
	TargetURL string    `json:"target_url"`
	IsActive  bool      `json:"is_active"`
	CreatedAt time.Time `json:"created_at"` // in whole seconds
}

type oneJSON struct {
	Subscription subscriptionJSON `json:"subscription"`
	Secret       string           `json:"secret,omitempty"` // only when it is made
}

type allJSON struct {
	Subscriptions []subscriptionJSON `json:"subscriptions"`
}

type newSubscriptionJSON struct {
	EventType  string `json:"event_type"`
	TargetURL  string `json:"target_url"`
	WaitlistID string `json:"waitlist_id"` // empty or null: of every waitlist
}

// show shows a subscription.
func show(sub *webhook.Subscription) subscriptionJSON {
	return subscriptionJSON{
		ID:        id.Subscription.Format(sub.ID),
		EventType: strings.Join(sub.EventTypes, ","),
		TargetURL: sub.URL,
		IsActive:  sub.Enabled,
		CreatedAt: sub.CreatedAt.UTC().Truncate(time.Second),
	}
}

func (a *api) create(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body newSubscriptionJSON
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	draft, err := body.draft()
	if err != nil {
		return dialect.Answer{}, err
	}
	draft.Confirm = c.Confirm
	sub, err := a.subs.CreateSubscription(ctx, c.Principal.Tenant.ID, draft)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusCreated, Body: oneJSON{show(sub), sub.CurrentSecret()}}, nil
}

// draft checks what the product says more strictly than package webhook does: a
// subscription has one of the product's event types, and a URL.
func (n newSubscriptionJSON) draft() (webhook.Draft, error) {
	var checks problem.Checks
	if _, err := (waitlists.Dialect{}).Resolve(n.EventType); err != nil {
		message := err.Error()
		if n.EventType == "" {
			message = "is required"
		}
		checks.Add("event_type", "%s", message)
	}
	if n.TargetURL == "" {
		checks.Add("target_url", "is required")
	}
	if err := checks.Err(); err != nil {
		return webhook.Draft{}, err
	}
	d := webhook.Draft{Dialect: name, URL: n.TargetURL, EventTypes: []string{n.EventType}}
	if n.WaitlistID != "" {
		// Ids are matched by their text, and those of events are in lower case.
		d.Filter = webhook.FieldFilter("waitlist_id", strings.ToLower(n.WaitlistID))
	}
	return d, nil
}

func (a *api) list(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	subs, err := a.subs.All(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown := allJSON{make([]subscriptionJSON, len(subs))}
	for i, sub := range subs {
		shown.Subscriptions[i] = show(sub)
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

func (a *api) get(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.find(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: oneJSON{Subscription: show(sub)}}, nil
}

func (a *api) delete(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.find(ctx, c)
	if err == nil {
		err = a.subs.DeleteSubscription(ctx, sub.TenantID, sub.ID)
	}
	return dialect.Answer{Status: http.StatusOK, Body: successJSON{true}}, err
}

type successJSON struct {
	Success bool `json:"success"`
}

// testJSON is what came of a test.
type testJSON struct {
	Success    bool   `json:"success"` // whether the answer would have counted as a delivery
	StatusCode int    `json:"status_code,omitempty"`
	Reason     string `json:"reason"`
	DurationMS int64  `json:"duration_ms"`
}

// test sends the event "webhook.test" and says what came of it.
func (a *api) test(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	sub, err := a.find(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	tried, err := a.subs.TestSubscription(ctx, sub.TenantID, sub.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: testJSON{
		Success:    tried.Verdict == wire.Delivered,
		StatusCode: tried.ResponseStatus,
		Reason:     string(tried.Reason),
		DurationMS: tried.Timing.Total.Milliseconds(),
	}}, nil
}

// find returns the subscription that the path names.
func (a *api) find(ctx context.Context, c *dialect.Call) (*webhook.Subscription, error) {
	named, err := id.Subscription.Parse(c.Path["id"])
	if err != nil {
		return nil, dialect.NoSubscription()
	}
	return a.subs.Own(ctx, c.Principal.Tenant.ID, named)
}

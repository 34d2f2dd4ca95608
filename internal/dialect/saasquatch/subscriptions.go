package saasquatch

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// subscriptionJSON is how a subscription is shown and asked for.
type subscriptionJSON struct {
	EndpointURL string `json:"endpointUrl"`
	Name        string `json:"name"`
}

// list shows each URL once: the native API may have made several subscriptions
// with the same.
func (a *api) list(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	subs, err := a.subs.All(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return dialect.Answer{}, err
	}
	shown, seen := []subscriptionJSON{}, make(map[string]bool)
	for _, sub := range subs {
		if !seen[sub.URL] {
			shown = append(shown, subscriptionJSON{sub.URL, sub.Description})
		}
		seen[sub.URL] = true
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// create subscribes a URL to every event. One that is subscribed already gets the
// new name, and events again if an answer of its endpoint had ended that.
func (a *api) create(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body subscriptionJSON
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	of := c.Principal.Tenant.ID
	sub, err := a.subs.CreateSubscription(ctx, of, webhook.Draft{
		Dialect: name, URL: body.EndpointURL, Description: body.Name, EventTypes: []string{webhook.AllTypes},
		OncePerURL: true, Confirm: c.Confirm,
	})
	if err == nil && !sub.Enabled && sub.Reason != webhook.ReasonManual {
		err = a.enable(ctx, c, sub.ID)
	}
	return dialect.Answer{Status: http.StatusCreated}, err
}

// enable asks the endpoint first for a handshake that is due, which takes time, and
// then whether the key still holds.
func (a *api) enable(ctx context.Context, c *dialect.Call, sub id.ID) error {
	of := c.Principal.Tenant.ID
	if err := a.subs.ConfirmSubscription(ctx, of, sub, c.Confirm); err != nil {
		return err
	}
	_, err := a.subs.EnableSubscription(ctx, of, sub)
	return err
}

func (a *api) delete(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	subs, err := a.find(ctx, c, namedBy(c))
	if err != nil {
		return dialect.Answer{}, err
	}
	for _, sub := range subs {
		err := a.subs.DeleteSubscription(ctx, sub.TenantID, sub.ID)
		if err != nil && !problem.NotFound.Has(err) { // somebody else has just deleted it
			return dialect.Answer{}, err
		}
	}
	return dialect.Answer{Status: http.StatusNoContent}, nil
}

// test sends the event "test" to a subscription.
func (a *api) test(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	tested, ok := namedBy(c).tested()
	if !ok {
		c.Header().Set("Allow", http.MethodDelete)
		return dialect.Answer{}, problem.MethodNotAllowed.New("a POST to a subscription must end with /test; without it this path takes DELETE only")
	}
	subs, err := a.find(ctx, c, tested)
	if err != nil {
		return dialect.Answer{}, err
	}
	_, err = a.subs.TestSubscription(ctx, subs[0].TenantID, subs[0].ID)
	return dialect.Answer{Status: http.StatusNoContent}, err
}

func namedBy(c *dialect.Call) named { return named{c.Path["url"], c.Request.URL.RawQuery} }

// find returns the subscriptions of the URL that the path names, at least one.
func (a *api) find(ctx context.Context, c *dialect.Call, n named) ([]*webhook.Subscription, error) {
	subs, err := a.subs.All(ctx, c.Principal.Tenant.ID)
	if err != nil {
		return nil, err
	}
	found := n.find(subs)
	if len(found) == 0 {
		return nil, dialect.NoSubscription()
	}
	return found, nil
}

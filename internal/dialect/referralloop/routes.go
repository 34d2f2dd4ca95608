// Package referralloop is the API by which ReferralLoop's clients subscribe to
// the events of waitlists: subscribing and unsubscribing below
// /api/v1/webhooks.
//
// A subscription has one event type and a URL, and may be restricted to one
// waitlist; any number may be the same. Clients send a key that begins with
// pk_live_ or pk_test_ as a bearer.
//
// Both calls, the answer to subscribing and the form of errors are those of the
// product's pages. Ours, since no page says them: the statuses 201 and 200 of the
// two calls, the answer to unsubscribing, that its path takes POST too, as older
// clients of REST hooks send it, and the calls that list, get and test
// subscriptions, without which nobody could check one's status, as the page tells
// them to. The answer to subscribing has one key more than the page shows:
// "secret", beside "subscription", which signs what is sent and is not shown
// again.
package referralloop

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

const name = "referralloop"

// api is ReferralLoop's API.
type api struct {
	tenants *tenant.Service
	subs    dialect.Subscriptions
}

var _ dialect.API = (*api)(nil)

// New returns the API over the services.
func New(tenants *tenant.Service, webhooks *webhook.Service) dialect.API {
	return &api{tenants, dialect.Subscriptions{Service: webhooks, Dialect: name}}
}

// Name returns "referralloop".
func (*api) Name() string { return name }

// Routes lists the calls.
func (a *api) Routes() []dialect.Route {
	const all = "/api/v1/webhooks"
	return []dialect.Route{
		{Method: http.MethodPost, Pattern: all + "/subscribe", Scope: tenant.Manage, Handle: a.create},
		{Method: http.MethodDelete, Pattern: all + "/unsubscribe/{id}", Scope: tenant.Manage, Handle: a.delete},
		{Method: http.MethodPost, Pattern: all + "/unsubscribe/{id}", Scope: tenant.Manage, Handle: a.delete},
		{Method: http.MethodGet, Pattern: all, Scope: tenant.Read, Handle: a.list},
		{Method: http.MethodGet, Pattern: all + "/{id}", Scope: tenant.Read, Handle: a.get},
		{Method: http.MethodPost, Pattern: all + "/{id}/test", Scope: tenant.Manage, Handle: a.test},
	}
}

// Authenticate accepts a key as a bearer.
func (a *api) Authenticate(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	key, ok := c.Bearer()
	if !ok {
		return tenant.Principal{}, errNoKey
	}
	return a.tenants.AuthenticateDialect(ctx, tenant.Credential{Dialect: name, Key: key}, time.Now())
}

// Challenge asks for a key as a bearer.
func (*api) Challenge() string { return "Bearer" }

// Package rehook is an API for what Rehook's customers set up in its dashboard:
// the webhooks of an application.
//
// Rehook has no public API for them, so the calls are ours. They have the fields
// of that dialog (URL, events, user and password, header parameters, and a button
// that tries what is not saved yet), and of Rehook's API the credentials, the
// lists by numbered page and the form of errors. Of its error codes
// NOT_FOUND_CODE is the only one that is documented; the others here are formed
// like it, and what stands in details is ours too.
package rehook

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// name is the dialect's, as its wire has it.
const name = "rehook"

// api is Rehook's.
type api struct {
	tenants *tenant.Service
	subs    dialect.Subscriptions
}

var _ dialect.API = (*api)(nil)

// New returns Rehook's API.
func New(tenants *tenant.Service, webhooks *webhook.Service) dialect.API {
	return &api{tenants, dialect.Subscriptions{Service: webhooks, Dialect: name}}
}

// Name returns "rehook".
func (*api) Name() string { return name }

// Routes lists the calls. The test comes first, since its path looks like that of
// a webhook.
func (a *api) Routes() []dialect.Route {
	const all, one = "/webhooks", "/webhooks/{id}"
	return []dialect.Route{
		{Method: http.MethodPost, Pattern: "/webhooks/test", Scope: tenant.Manage, Handle: a.test},
		{Method: http.MethodGet, Pattern: all, Scope: tenant.Read, Handle: a.list},
		{Method: http.MethodPost, Pattern: all, Scope: tenant.Manage, Handle: a.create},
		{Method: http.MethodGet, Pattern: one, Scope: tenant.Read, Handle: a.get},
		{Method: http.MethodPatch, Pattern: one, Scope: tenant.Manage, Handle: a.update},
		{Method: http.MethodDelete, Pattern: one, Scope: tenant.Manage, Handle: a.delete},
	}
}

// Authenticate takes the API key and its secret as user and password.
func (a *api) Authenticate(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	key, secret, ok := c.Basic()
	if !ok {
		return tenant.Principal{}, problem.Unauthenticated.New("the request must have one Authorization header, \"Basic\" with the API key and its secret")
	}
	return a.tenants.AuthenticateDialect(ctx, tenant.Credential{Dialect: name, Key: key + ":" + secret}, time.Now())
}

// Challenge asks for the API key and its secret.
func (*api) Challenge() string { return `Basic realm="Rehook", charset="UTF-8"` }

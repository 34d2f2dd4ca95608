// Package partnerstack is the part of PartnerStack's API v2 by which its clients
// manage webhooks.
//
// The calls, the envelopes, the parameters of lists and the statuses are those
// that PartnerStack's documentation and its clients have. The page that shows a
// webhook in full could not be had, so these are ours:
//   - the fields of a webhook, key, target_url, events, created_at and updated_at,
//     which are named as in other resources, and the words of the messages, but
//     for that of lists
//   - that a target stands for the target_url, since clients send either
//   - that a list takes created_at and -created_at as its order only, and that
//     has_more looks in the direction of reading when a list is read backwards
//   - that an archived webhook can't be read any more
//   - the statuses 405, 408, 409, 413, 415 and 503
package partnerstack

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// name is the dialect's, as its wire has it.
const name = "partnerstack"

// api is PartnerStack's.
type api struct {
	tenants *tenant.Service
	subs    dialect.Subscriptions
}

var _ dialect.API = (*api)(nil)

// New returns PartnerStack's API.
func New(tenants *tenant.Service, webhooks *webhook.Service) dialect.API {
	return &api{tenants, dialect.Subscriptions{Service: webhooks, Dialect: name}}
}

// Name returns "partnerstack".
func (*api) Name() string { return name }

// Routes lists the calls, once below each of the two base URLs: that of the
// documentation, and that of the SDKs, which put /v2 into their paths.
func (a *api) Routes() []dialect.Route {
	return slices.Concat(a.below("/api/v2"), a.below("/v2"))
}

func (a *api) below(base string) []dialect.Route {
	all, one := base+"/webhooks", base+"/webhooks/{key}"
	return []dialect.Route{
		{Method: http.MethodGet, Pattern: all, Scope: tenant.Read, Handle: a.list},
		{Method: http.MethodPost, Pattern: all, Scope: tenant.Manage, Handle: a.create},
		{Method: http.MethodGet, Pattern: one, Scope: tenant.Read, Handle: a.get},
		{Method: http.MethodPatch, Pattern: one, Scope: tenant.Manage, Handle: a.update},
		{Method: http.MethodDelete, Pattern: one, Scope: tenant.Manage, Handle: a.archive},
	}
}

// Authenticate takes the public and the private key as user and password.
func (a *api) Authenticate(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	public, private, ok := c.Basic()
	if !ok {
		return tenant.Principal{}, problem.Unauthenticated.New("the request must have one Authorization header, \"Basic\" with the public and the private key")
	}
	return a.tenants.AuthenticateDialect(ctx, tenant.Credential{Dialect: name, Key: public + ":" + private}, time.Now())
}

// Challenge asks for the pair of keys.
func (*api) Challenge() string { return `Basic realm="PartnerStack", charset="UTF-8"` }

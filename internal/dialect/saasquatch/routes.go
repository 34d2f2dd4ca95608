// Package saasquatch is SaaSquatch's API: webhook subscriptions, and, where there are
// programs, users, accounts, codes, share links and events, the widgets that the
// vendor's JavaScript client shows, and the one GraphQL query that it sends.
//
// A user is a person, known by the account's id and its own (identityOf). Users are
// stored and shown by a server with a key, or by the user's own browser with a token
// that such a key has signed (token.go), which is good for that user alone and for no
// more than the key. A few calls are open to everybody.
//
// A subscription gets every event and is known by its URL, of which a tenant has
// one. Its URL stands in paths in one segment, encoded, or behind a proxy that
// decodes paths as it is (see url.go). Clients send the tenant's API key by Basic
// authentication, as the password or the user or both.
//
// Paths, bodies, statuses and the form of errors are the vendor's published API.
// Ours, since no source says them: the words of errors other than an unknown
// tenant's, and that the test of a subscription answers 204 whatever the endpoint
// answered, as the vendor only says that the message was sent.
package saasquatch

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

const name = "saasquatch"

// Services are what the API asks. Tenants and Webhooks are required; without the
// others only subscriptions are served.
type Services struct {
	Tenants   *tenant.Service
	Webhooks  *webhook.Service
	Programs  *program.Service
	Referrals *referral.Service
	Messages  *message.Service
	Exports   *export.Service

	// BaseURL is what share links begin with, such as https://example.com; "": the
	// address at which a client found the server.
	BaseURL string
	// Visits returns what share links of a tenant have left in the browser that makes
	// a request; nil: they leave nothing.
	Visits func(r *http.Request, of tenant.Tenant) attribution.Cookie
}

// api is SaaSquatch's API.
type api struct {
	Services

	tenants *tenant.Service
	subs    dialect.Subscriptions
}

var _ dialect.API = (*api)(nil)

// New returns the API over the services.
func New(s Services) dialect.API {
	return &api{s, s.Tenants, dialect.Subscriptions{Service: s.Webhooks, Dialect: name}}
}

// Name returns "saasquatch".
func (*api) Name() string { return name }

// Routes lists the calls.
func (a *api) Routes() []dialect.Route {
	const all, one = "/api/v1/{tenant}/subscription", "/api/v1/{tenant}/subscription/{url...}"
	return slices.Concat([]dialect.Route{
		{Method: http.MethodGet, Pattern: all, Scope: tenant.Read, Handle: a.list},
		{Method: http.MethodPost, Pattern: all, Scope: tenant.Manage, Handle: a.create},
		{Method: http.MethodDelete, Pattern: one, Scope: tenant.Manage, Handle: a.delete},
		{Method: http.MethodPost, Pattern: one, Scope: tenant.Manage, Handle: a.test}, // of {url}/test
	}, a.userRoutes(), a.referralRoutes(), a.rewardRoutes(), a.exportRoutes(), a.themeRoutes())
}

// Authenticate accepts the key in either place of the Basic scheme, whatever stands in
// the other one. The tenant is the one in the path. Calls that people may
// make take a user's token as well, and those that everybody may make need neither.
func (a *api) Authenticate(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	c.Person, c.Token = "", nil
	text, hasToken := tokenOf(c)
	_, _, hasKey := c.Basic()
	switch {
	case c.Access() == dialect.ByPerson && hasToken:
		return a.bySomebody(ctx, c, text)
	case c.Access() == dialect.ByAnybody && !hasKey:
		t, err := a.spoken(ctx, c)
		return tenant.Principal{Dialect: name, Tenant: t}, err
	default:
		return a.byKey(ctx, c)
	}
}

func (a *api) byKey(ctx context.Context, c *dialect.Call) (tenant.Principal, error) {
	alias, err := c.Path["tenant"], error(errNoKey)
	for _, key := range keysIn(c) {
		var p tenant.Principal
		p, err = a.tenants.AuthenticateDialect(ctx, tenant.Credential{Dialect: name, Alias: alias, Key: key}, time.Now())
		if !problem.Unauthenticated.Has(err) {
			return p, err
		}
	}
	_, missing := a.tenants.ByAlias(ctx, alias)
	if problem.NotFound.Has(missing) {
		return tenant.Principal{}, errNoTenant
	}
	return tenant.Principal{}, cmp.Or(missing, err)
}

// errNoKey is the answer to a request without a key.
var errNoKey = problem.Unauthenticated.New("the request must have the tenant's API key, as the password of Basic authentication")

// keysIn returns the texts in the request's head that may be the key: the password,
// and the user, which clients fill with whatever they like where the other one is it.
func keysIn(c *dialect.Call) []string {
	user, password, _ := c.Basic()
	var keys []string
	for _, text := range []string{password, user} {
		if text != "" && text != "ApiKey" && !slices.Contains(keys, text) {
			keys = append(keys, text)
		}
	}
	return keys
}

// Challenge asks for a key by the Basic scheme.
func (*api) Challenge() string { return `Basic realm="SaaSquatch API", charset="UTF-8"` }

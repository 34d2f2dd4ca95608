package saasquatch

import (
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// userRoutes are the calls about users, their codes and what they do; without programs
// there are none.
func (a *api) userRoutes() []dialect.Route {
	if a.Referrals == nil {
		return nil
	}
	const (
		root = "/api/v1/{tenant}"
		user = root + "/account/{account}/user/{user}"
		open = root + "/open/account/{account}/user/{user}"
	)
	byKey := func(method, path string, scope tenant.Scope, fn dialect.HandleFunc) dialect.Route {
		return dialect.Route{Method: method, Pattern: path, Scope: scope, Handle: fn}
	}
	// of are calls that a user's own token opens.
	of := func(method, path string, scope tenant.Scope, fn dialect.HandleFunc) dialect.Route {
		return dialect.Route{Method: method, Pattern: path, Scope: scope, Access: dialect.ByPerson, Person: pathPerson, Handle: fn}
	}
	creating := func(rt dialect.Route) dialect.Route { rt.Creates = a.isNew; return rt }
	anybody := func(method, path string, fn dialect.HandleFunc) dialect.Route {
		return dialect.Route{Method: method, Pattern: path, Scope: tenant.Read, Access: dialect.ByAnybody, Handle: fn}
	}
	return []dialect.Route{
		byKey(http.MethodPost, root+"/accountsync", tenant.Publish, a.syncAccount),
		byKey(http.MethodGet, root+"/account/{account}", tenant.Read, a.account),
		byKey(http.MethodPost, root+"/user", tenant.Publish, a.upsertClassic),
		byKey(http.MethodGet, root+"/user", tenant.Read, a.userByCode),
		byKey(http.MethodGet, root+"/users", tenant.Read, a.users),
		byKey(http.MethodGet, user, tenant.Read, a.user),
		byKey(http.MethodGet, user+"/pii", tenant.Read, a.pii),
		byKey(http.MethodPost, user+"/block", tenant.Manage, a.block),
		byKey(http.MethodPost, user+"/unblock", tenant.Manage, a.unblock),
		byKey(http.MethodGet, user+"/sharelinks", tenant.Read, a.shareLinks),
		byKey(http.MethodGet, user+"/shareurls", tenant.Read, a.shareURLs),
		byKey(http.MethodGet, root+"/code/{code}", tenant.Read, a.code),

		creating(of(http.MethodPut, open, tenant.Publish, a.openUpsert)),
		creating(of(http.MethodPost, open, tenant.Publish, a.openCreate)),
		of(http.MethodGet, open, tenant.Read, a.openUser),
		byKey(http.MethodDelete, open, tenant.Manage, a.deleteUser),
		byKey(http.MethodDelete, root+"/open/account/{account}", tenant.Manage, a.deleteAccount),
		of(http.MethodGet, open+"/shareurls", tenant.Read, a.shareURLs),
		of(http.MethodPost, open+"/events", tenant.Publish, a.track),
		of(http.MethodPost, root+"/open/code/{code}/account/{account}/user/{user}", tenant.Publish, a.applyCode),
		anybody(http.MethodGet, root+"/open/user", a.openUserByCode),
		anybody(http.MethodGet, root+"/open/code/{code}", a.openCode),

		creating(of(http.MethodPut, root+"/widget/account/{account}/user/{user}/upsert", tenant.Publish, a.upsertWidget)),
		of(http.MethodPut, root+"/widget/account/{account}/user/{user}/render", tenant.Read, a.renderWidget),
		{Method: http.MethodPost, Pattern: root + "/graphql", Scope: tenant.Read, Access: dialect.ByPerson, Handle: a.graphql},
		anybody(http.MethodGet, "/a/{tenant}/widgets/squatchcookiejson", a.cookieCodes),
		anybody(http.MethodPost, "/a/{tenant}/widgets/analytics/loaded", a.seen),
		anybody(http.MethodPost, "/a/{tenant}/widgets/analytics/shared", a.seen),
	}
}

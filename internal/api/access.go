package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// access is who may use a route.
type access struct {
	operator bool         // the operator only
	scope    tenant.Scope // what else a key has to be good for

	// everywhere lets the operator leave open which tenant is meant: all are then.
	everywhere bool
}

// The kinds of access.
var (
	operatorOnly = access{operator: true}
	canRead      = access{scope: tenant.Read}
	canPublish   = access{scope: tenant.Publish}
	canManage    = access{scope: tenant.Manage}
	canAudit     = access{scope: tenant.Manage, everywhere: true}
)

// tenantHeader says which tenant the operator means.
const tenantHeader = "Grapevine-Tenant"

// authenticate learns whose key the request has.
func (s *server) authenticate(r *http.Request, c *call) error {
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return problem.Unauthenticated.New("the request must have one Authorization header with a key")
	}
	const scheme = "bearer "
	if len(given[0]) <= len(scheme) || !strings.EqualFold(given[0][:len(scheme)], scheme) {
		return problem.Unauthenticated.New("the Authorization header must be \"Bearer\", a space and a key")
	}
	principal, err := s.opts.Tenants.Authenticate(r.Context(), strings.Trim(given[0][len(scheme):], " "), time.Now())
	if err != nil {
		return err
	}
	c.principal = principal
	return nil
}

// authorize checks that the caller may use a route, and learns which tenant is
// meant. Where a path names something, a caller that may see nothing of its kind
// hears the same whether it is there or not.
func (s *server) authorize(r *http.Request, c *call, rt route) error {
	a := rt.access
	switch {
	case a.operator && !c.principal.Admin && rt.namesOne():
		return errOperatorsTenant
	case a.operator && !c.principal.Admin:
		return problem.Forbidden.New("this call takes the operator's key")
	case a.operator:
		return nil
	case !c.principal.Can(a.scope):
		return problem.Forbidden.New("the key does not have the scope %q", a.scope)
	case c.principal.Admin && a.everywhere && len(r.Header[tenantHeader]) == 0:
		return nil
	case c.principal.Admin:
		return s.chooseTenant(r, c)
	}
	c.tenant = c.principal.Tenant
	// A tenant's key is good for that tenant; naming another one is a mistake
	// that must not be acted on.
	for _, named := range r.Header[tenantHeader] {
		if named != c.tenant.Alias && named != id.Tenant.Format(c.tenant.ID) {
			return errNoTenant
		}
	}
	return nil
}

var (
	errNoTenant        = problem.NotFound.New("there is no such tenant")
	errOperatorsTenant = problem.NotFound.New("there is no such tenant; calls about tenants take the operator's key")
)

// chooseTenant finds the tenant that the operator names by its id or alias. No
// alias looks like an id: none has that prefix and length by chance, and where
// one does on purpose the id wins.
func (s *server) chooseTenant(r *http.Request, c *call) error {
	named := r.Header[tenantHeader]
	if len(named) != 1 || named[0] == "" {
		return problem.InvalidField(tenantHeader, "must be given once with the operator's key: the id or the alias of a tenant")
	}
	var err error
	if tenantID, malformed := id.Tenant.Parse(named[0]); malformed == nil {
		c.tenant, err = s.opts.Tenants.Get(r.Context(), tenantID)
	} else {
		c.tenant, err = s.opts.Tenants.ByAlias(r.Context(), named[0])
	}
	return err
}

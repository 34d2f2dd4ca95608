package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// TenantJSON is how a tenant is shown. Like the other types with capitals it is
// embedded in others, which the library sees only then.
type TenantJSON struct {
	ID       string   `json:"id" example:"ten_019a9c1d2f3b5e8d7c6a4f10"`
	Alias    string   `json:"alias" example:"acme"`
	Live     bool     `json:"live" doc:"False: a test tenant."`
	Dialects []string `json:"dialects" doc:"Those that it speaks; empty: all."`

	RetentionDays     int `json:"retention_days,omitempty" doc:"For how many days after publication its events are kept, with their deliveries and attempts; absent: as long as the server keeps them, which is also the most."`
	BodyRetentionDays int `json:"body_retention_days,omitempty" doc:"For how many days the bodies of events are kept, and what receivers answered; absent: as long as the server keeps them."`

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type createdTenantJSON struct {
	TenantJSON
	APIKey string `json:"api_key" doc:"The tenant's first key, which has all scopes. It can't be had again."`
}

type newTenantJSON struct {
	Alias    string   `json:"alias" doc:"1 to 64 of a-z, 0-9, _ and -, first a letter or a digit; unique." example:"acme"`
	Live     bool     `json:"live,omitempty" doc:"Whether it is for real; this can't be changed."`
	Dialects []string `json:"dialects,omitempty" doc:"Those that it may publish and subscribe in; absent or empty: all."`
}

type changeTenantJSON struct {
	Alias    *string   `json:"alias,omitempty" doc:"See creation."`
	Dialects *[]string `json:"dialects,omitempty" doc:"Replaces all dialects; empty: all. Subscriptions in one that it gives up can't be signed any more, and their deliveries fail."`

	RetentionDays     *int `json:"retention_days,omitempty" doc:"For how many days events are kept with all that belongs to them, 1 to 3650, but never longer than the server keeps them; 0: as long as that. What is older goes within the hour, but not before it is delivered or has failed." example:"7"`
	BodyRetentionDays *int `json:"body_retention_days,omitempty" doc:"The same for the bodies of events, and what receivers answered, whose records stay. At most retention_days." example:"1"`
}

// TenantPath names a tenant.
type TenantPath struct {
	ID string `path:"id" doc:"The tenant's id."`
}

func (s *server) tenantRoutes() {
	register(s, route{
		id: "create-tenant", method: http.MethodPost, path: "/v1/tenants", tag: tagTenants, access: operatorOnly,
		summary: "Create a tenant", description: "The answer has the tenant's first key, which is shown this once.",
		status: http.StatusCreated, errors: []*problem.Code{problem.AliasTaken}, example: `{"alias":"acme","live":true}`,
	}, s.createTenant)
	register(s, route{
		id: "list-tenants", method: http.MethodGet, path: "/v1/tenants", tag: tagTenants, access: operatorOnly,
		summary: "List tenants", description: "The oldest first.",
	}, s.listTenants)
	register(s, route{
		id: "get-tenant", method: http.MethodGet, path: "/v1/tenants/{id}", tag: tagTenants, access: operatorOnly,
		summary: "Get a tenant",
	}, s.getTenant)
	register(s, route{
		id: "update-tenant", method: http.MethodPatch, path: "/v1/tenants/{id}", tag: tagTenants, access: operatorOnly,
		summary: "Change a tenant", description: "What is not given stays.",
		errors: []*problem.Code{problem.AliasTaken}, example: `{"alias":"acme-eu"}`,
	}, s.updateTenant)
	register(s, route{
		id: "delete-tenant", method: http.MethodDelete, path: "/v1/tenants/{id}", tag: tagTenants, access: operatorOnly,
		summary: "Delete a tenant", description: "Its keys are refused from now on, its subscriptions end, and its alias is free.",
	}, s.deleteTenant)
}

func (s *server) createTenant(ctx context.Context, r request[none, newTenantJSON]) (createdTenantJSON, error) {
	t, _, plaintext, err := s.opts.Tenants.Create(ctx, tenant.NewTenant{Alias: r.body.Alias, Live: r.body.Live, Dialects: r.body.Dialects})
	return createdTenantJSON{showTenant(t), plaintext}, err
}

func (s *server) listTenants(ctx context.Context, r request[Paging, none]) (page[TenantJSON], error) {
	p, err := pageByID(r.params, id.Tenant)
	if err != nil {
		return page[TenantJSON]{}, err
	}
	tenants, next, err := s.opts.Tenants.List(ctx, p)
	return pageOf(tenants, cursorOf(next, id.Tenant), showTenant), err
}

func (s *server) getTenant(ctx context.Context, r request[TenantPath, none]) (TenantJSON, error) {
	tenantID, err := r.params.parse()
	if err != nil {
		return TenantJSON{}, err
	}
	t, err := s.opts.Tenants.Get(ctx, tenantID)
	return showTenant(t), err
}

func (s *server) updateTenant(ctx context.Context, r request[TenantPath, changeTenantJSON]) (TenantJSON, error) {
	tenantID, err := r.params.parse()
	if err != nil {
		return TenantJSON{}, err
	}
	t, err := s.opts.Tenants.Update(ctx, tenantID, tenant.Patch{
		Alias: r.body.Alias, Dialects: r.body.Dialects, RetentionDays: r.body.RetentionDays, BodyRetentionDays: r.body.BodyRetentionDays,
	})
	return showTenant(t), err
}

func (s *server) deleteTenant(ctx context.Context, r request[TenantPath, none]) (none, error) {
	tenantID, err := r.params.parse()
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Tenants.Delete(ctx, tenantID)
}

func (p TenantPath) parse() (id.ID, error) {
	tenantID, err := id.Tenant.Parse(p.ID)
	if err != nil {
		return id.ID{}, errNoTenant
	}
	return tenantID, nil
}

func showTenant(t tenant.Tenant) TenantJSON {
	return TenantJSON{
		ID: id.Tenant.Format(t.ID), Alias: t.Alias, Live: t.Live, Dialects: append([]string{}, t.Dialects...),
		RetentionDays: t.Retention.Days, BodyRetentionDays: t.Retention.BodyDays,
		CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}

// pageByID reads the cursor of a list that is in the order of its ids.
func pageByID(p Paging, kind id.Kind) (tenant.Page, error) {
	if p.Cursor == "" {
		return tenant.Page{Limit: p.Limit}, nil
	}
	after, err := kind.Parse(p.Cursor)
	if err != nil {
		return tenant.Page{}, problem.InvalidField("query.cursor", "is not a cursor that this list returned")
	}
	return tenant.Page{Limit: p.Limit, After: after}, nil
}

func cursorOf(next id.ID, kind id.Kind) string {
	if next.IsZero() {
		return ""
	}
	return kind.Format(next)
}

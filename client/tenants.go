package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Tenant is an account's environment.
type Tenant struct {
	ID       string   `json:"id"`
	Alias    string   `json:"alias"`
	Live     bool     `json:"live"`     // false: a test tenant
	Dialects []string `json:"dialects"` // that it speaks; empty: all

	RetentionDays     int `json:"retention_days,omitempty"`      // how long its events are kept; 0: as long as the server keeps them
	BodyRetentionDays int `json:"body_retention_days,omitempty"` // and their bodies

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// NewTenant is what a tenant is made of.
type NewTenant struct {
	Alias    string   `json:"alias"` // 1 to 64 of a-z, 0-9, "_" and "-"; unique
	Live     bool     `json:"live,omitempty"`
	Dialects []string `json:"dialects,omitempty"` // that it speaks; empty: all
}

// CreatedTenant is a tenant with its first key, which has all scopes and can't
// be had again.
type CreatedTenant struct {
	Tenant
	APIKey string `json:"api_key"`
}

// TenantChange is what can change about a tenant. What is nil stays.
type TenantChange struct {
	Alias    *string   `json:"alias,omitempty"`
	Dialects *[]string `json:"dialects,omitempty"` // replaces them; empty: all

	RetentionDays     *int `json:"retention_days,omitempty"` // 1 to 3650; 0: as long as the server keeps events
	BodyRetentionDays *int `json:"body_retention_days,omitempty"`
}

// CreateTenant makes a tenant. It takes the operator's key, like all methods
// about tenants and keys.
func (c *Client) CreateTenant(ctx context.Context, n NewTenant) (CreatedTenant, error) {
	var t CreatedTenant
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/tenants", body: n}, &t)
	return t, err
}

// Tenants returns a page of the tenants, the oldest first.
func (c *Client) Tenants(ctx context.Context, page Page) (List[Tenant], error) {
	return list[Tenant](ctx, c, "/v1/tenants", url.Values{}, page)
}

// AllTenants goes through all tenants.
func (c *Client) AllTenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return all(func(p Page) (List[Tenant], error) { return c.Tenants(ctx, p) })
}

// Tenant returns a tenant.
func (c *Client) Tenant(ctx context.Context, id string) (Tenant, error) {
	var t Tenant
	_, err := c.do(ctx, call{method: http.MethodGet, path: path("/v1/tenants/", id)}, &t)
	return t, err
}

// UpdateTenant changes a tenant.
func (c *Client) UpdateTenant(ctx context.Context, id string, change TenantChange) (Tenant, error) {
	var t Tenant
	_, err := c.do(ctx, call{method: http.MethodPatch, path: path("/v1/tenants/", id), body: change}, &t)
	return t, err
}

// DeleteTenant ends a tenant, its keys and its subscriptions.
func (c *Client) DeleteTenant(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/tenants/", id)}, nil)
	return err
}

// Scope is something that a tenant's key can be good for.
type Scope string

// The scopes. None includes another.
const (
	ScopeRead    Scope = "read"
	ScopePublish Scope = "publish"
	ScopeManage  Scope = "manage"
)

// Key is what is known of a tenant's key.
type Key struct {
	ID        string    `json:"id"`
	Dialect   string    `json:"dialect,omitempty"` // whose API it opens; "": the native one
	Name      string    `json:"name"`
	Scopes    []Scope   `json:"scopes"`
	Hint      string    `json:"hint"` // how the key begins
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: it does not expire
	RevokedAt time.Time `json:"revoked_at,omitzero"` // zero: it was not revoked
}

// NewKey is what a key is made of.
type NewKey struct {
	Dialect   string    `json:"dialect,omitempty"` // whose API it opens; "": the native one
	Value     string    `json:"value,omitempty"`   // a key of that dialect; "": one is made
	Name      string    `json:"name,omitempty"`
	Scopes    []Scope   `json:"scopes"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: it does not expire
}

// CreatedKey is a key with its plaintext, which can't be had again.
type CreatedKey struct {
	Key
	APIKey string `json:"api_key"`
}

// CreateKey makes a further key for a tenant.
func (c *Client) CreateKey(ctx context.Context, tenant string, n NewKey) (CreatedKey, error) {
	var k CreatedKey
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/tenants/", tenant, "/keys"), body: n}, &k)
	return k, err
}

// Keys returns a page of a tenant's keys, revoked and expired ones too.
func (c *Client) Keys(ctx context.Context, tenant string, page Page) (List[Key], error) {
	return list[Key](ctx, c, path("/v1/tenants/", tenant, "/keys"), url.Values{}, page)
}

// AllKeys goes through all keys of a tenant.
func (c *Client) AllKeys(ctx context.Context, tenant string) iter.Seq2[Key, error] {
	return all(func(p Page) (List[Key], error) { return c.Keys(ctx, tenant, p) })
}

// RevokeKey ends a key at once.
func (c *Client) RevokeKey(ctx context.Context, tenant, key string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/tenants/", tenant, "/keys/", key)}, nil)
	return err
}

// RollKey replaces a key by a new one of the same dialect, with the same name and scopes. The old one
// goes on for the overlap: whole seconds, at most 7 days. Nil: the server's
// default, a day.
func (c *Client) RollKey(ctx context.Context, tenant, key string, overlap *time.Duration) (CreatedKey, error) {
	seconds, err := overlapSeconds(overlap)
	if err != nil {
		return CreatedKey{}, err
	}
	body := struct {
		Overlap *int64 `json:"overlap,omitempty"`
	}{seconds}
	var k CreatedKey
	_, err = c.do(ctx, call{method: http.MethodPost, path: path("/v1/tenants/", tenant, "/keys/", key, "/roll"), body: body}, &k)
	return k, err
}

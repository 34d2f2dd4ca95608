package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// KeyJSON is how a key is shown.
type KeyJSON struct {
	ID        string     `json:"id" example:"key_019a9c1d2f3b5e8d7c6a4f10"`
	Dialect   string     `json:"dialect,omitempty" doc:"Whose API it opens; absent: this one." example:"saasquatch"`
	Name      string     `json:"name" example:"billing"`
	Scopes    []string   `json:"scopes" doc:"What the key is good for: manage, publish, read."`
	Hint      string     `json:"hint" doc:"How the key begins." example:"gv_live_7fQ2"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"From then on the key is refused; absent: it does not expire."`
	RevokedAt *time.Time `json:"revoked_at,omitempty" doc:"Absent: it was not revoked."`
}

type createdKeyJSON struct {
	KeyJSON
	APIKey string `json:"api_key" doc:"The key. It can't be had again."`
}

type newKeyJSON struct {
	Dialect   string     `json:"dialect,omitempty" minLength:"1" doc:"Whose API it opens: saasquatch, referralloop, rehook or partnerstack; absent: this one. The newest key of saasquatch also signs its webhooks." example:"saasquatch"`
	Value     string     `json:"value,omitempty" minLength:"1" doc:"The key, where a dialect's is brought along; absent: one is made. referralloop: pk_live_… or pk_test_…; rehook and partnerstack: the public and the secret text with a colon between; saasquatch: one text."`
	Name      string     `json:"name,omitempty" doc:"For people; at most 100 characters." example:"billing"`
	Scopes    []string   `json:"scopes" enum:"manage,publish,read" doc:"What the key is good for; none includes another."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When the key ends; absent: never."`
}

type keyRollJSON struct {
	Overlap *int64 `json:"overlap,omitempty" minimum:"0" maximum:"604800" doc:"For how many seconds the old key goes on; absent: a day."`
}

// defaultOverlap is how long what is replaced goes on.
const defaultOverlap = 24 * time.Hour

type keyPath struct {
	TenantPath
	KeyID string `path:"key_id" doc:"The key's id."`
}

func (s *server) keyRoutes() {
	register(s, route{
		id: "create-key", method: http.MethodPost, path: "/v1/tenants/{id}/keys", tag: tagTenants, access: operatorOnly,
		summary: "Create a key", description: "The answer has the key, which is shown this once.",
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict}, example: `{"name":"billing","scopes":["publish"]}`,
	}, s.createKey)
	register(s, route{
		id: "list-keys", method: http.MethodGet, path: "/v1/tenants/{id}/keys", tag: tagTenants, access: operatorOnly,
		summary: "List keys", description: "The oldest first, revoked and expired ones too.",
	}, s.listKeys)
	register(s, route{
		id: "revoke-key", method: http.MethodDelete, path: "/v1/tenants/{id}/keys/{key_id}", tag: tagTenants, access: operatorOnly,
		summary: "Revoke a key", description: "Once this has returned the key is refused.",
	}, s.revokeKey)
	register(s, route{
		id: "roll-key", method: http.MethodPost, path: "/v1/tenants/{id}/keys/{key_id}/roll", tag: tagTenants, access: operatorOnly,
		summary: "Replace a key", description: "Makes a key of the same dialect, with the same name and scopes. The old one goes on for the overlap.",
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict}, example: `{"overlap":3600}`,
	}, s.rollKey)
}

func (s *server) createKey(ctx context.Context, r request[TenantPath, newKeyJSON]) (createdKeyJSON, error) {
	tenantID, err := r.params.parse()
	if err != nil {
		return createdKeyJSON{}, err
	}
	n := tenant.NewKey{Dialect: r.body.Dialect, Value: r.body.Value, Name: r.body.Name, ExpiresAt: r.body.ExpiresAt}
	for _, scope := range r.body.Scopes {
		n.Scopes = append(n.Scopes, tenant.Scope(scope))
	}
	key, plaintext, err := s.opts.Tenants.CreateKey(ctx, tenantID, n)
	return createdKeyJSON{showKey(key), plaintext}, err
}

type keyList struct {
	TenantPath
	Paging
}

func (s *server) listKeys(ctx context.Context, r request[keyList, none]) (page[KeyJSON], error) {
	tenantID, err := r.params.parse()
	if err != nil {
		return page[KeyJSON]{}, err
	}
	p, err := pageByID(r.params.Paging, id.Key)
	if err != nil {
		return page[KeyJSON]{}, err
	}
	keys, next, err := s.opts.Tenants.ListKeys(ctx, tenantID, p)
	return pageOf(keys, cursorOf(next, id.Key), showKey), err
}

func (s *server) revokeKey(ctx context.Context, r request[keyPath, none]) (none, error) {
	tenantID, key, err := r.params.parse()
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Tenants.RevokeKey(ctx, tenantID, key)
}

func (s *server) rollKey(ctx context.Context, r request[keyPath, keyRollJSON]) (createdKeyJSON, error) {
	tenantID, key, err := r.params.parse()
	if err != nil {
		return createdKeyJSON{}, err
	}
	rolled, plaintext, err := s.opts.Tenants.RollKey(ctx, tenantID, key, overlapOf(r.body.Overlap))
	return createdKeyJSON{showKey(rolled), plaintext}, err
}

// overlapOf is how long what is replaced goes on.
func overlapOf(seconds *int64) time.Duration {
	if seconds == nil {
		return defaultOverlap
	}
	return time.Duration(*seconds) * time.Second
}

func (p keyPath) parse() (id.ID, id.ID, error) {
	tenantID, err := p.TenantPath.parse()
	if err != nil {
		return id.ID{}, id.ID{}, err
	}
	key, err := id.Key.Parse(p.KeyID)
	if err != nil {
		return id.ID{}, id.ID{}, problem.NotFound.New("there is no such key")
	}
	return tenantID, key, nil
}

func showKey(k tenant.Key) KeyJSON {
	shown := KeyJSON{
		ID: id.Key.Format(k.ID), Dialect: k.Dialect, Name: k.Name, Scopes: make([]string, len(k.Scopes)), Hint: k.Hint,
		CreatedAt: k.CreatedAt, ExpiresAt: optionalTime(k.ExpiresAt), RevokedAt: optionalTime(k.RevokedAt),
	}
	for i, scope := range k.Scopes {
		shown.Scopes[i] = string(scope)
	}
	return shown
}

// optionalTime is nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

type auditEntryJSON struct {
	ID         string           `json:"id" example:"aud_019a9c1d2f3b5e8d7c6a4f10"`
	At         time.Time        `json:"at"`
	TenantID   string           `json:"tenant_id,omitempty" doc:"Whose thing was changed, also if the tenant was deleted since; absent: the operator's own."`
	Action     string           `json:"action" doc:"What was done; the words are stable, and there may be others one day." example:"subscription.updated"`
	ObjectKind string           `json:"object_kind" doc:"What kind of thing was changed." example:"subscription"`
	ObjectID   string           `json:"object_id" example:"sub_019a9c1d2f3b5e8d7c6a4f10"`
	Fields     []auditFieldJSON `json:"fields" doc:"What changed about it."`
	Actor      auditActorJSON   `json:"actor"`
}

type auditFieldJSON struct {
	Name   string `json:"field" example:"url_host"`
	Before string `json:"before,omitempty" doc:"Absent: there was nothing, or it is not shown."`
	After  string `json:"after,omitempty" doc:"Absent: there is nothing, or it is not shown."`
}

type auditActorJSON struct {
	Kind      string `json:"kind" doc:"operator; key, of a tenant; command, on the server's machine; or system: the server by itself." example:"key"`
	Via       string `json:"via,omitempty" doc:"Where the actor came in: api, console or a dialect; absent: nowhere." example:"api"`
	KeyID     string `json:"key_id,omitempty" example:"key_019a9c1d2f3b5e8d7c6a4f10"`
	KeyHint   string `json:"key_hint,omitempty" doc:"How the key begins." example:"gv_live_7fQ2"`
	KeyName   string `json:"key_name,omitempty" doc:"The key's name." example:"billing"`
	Address   string `json:"address,omitempty" doc:"Of the client. Where it is the operator's, only the operator sees it." example:"192.0.2.7"`
	RequestID string `json:"request_id,omitempty" doc:"The id of the request; absent: there was none."`
}

type auditList struct {
	Paging
	TenantID   string    `query:"tenant_id" maxLength:"100" doc:"Entries about what is this tenant's, also if it was deleted. For the operator; a tenant's key sees its own tenant's anyway."`
	Action     string    `query:"action" maxLength:"100" doc:"Entries with this action."`
	ObjectID   string    `query:"object_id" maxLength:"100" doc:"Entries about the thing with this id."`
	ActorKeyID string    `query:"actor_key_id" maxLength:"100" doc:"Entries of whoever had this key."`
	Since      time.Time `query:"since" doc:"At this time or later."`
	Until      time.Time `query:"until" doc:"Before this time."`
}

func (s *server) auditRoutes() {
	register(s, route{
		id: "list-audit-entries", method: http.MethodGet, path: "/v1/audit", tag: tagAudit, access: canAudit,
		summary: "List audit entries",
		description: "Who changed what, the newest first. An entry is stored together with its change. " +
			"With the operator's key and no tenant named, those of all tenants and the operator's own.",
		errors: []*problem.Code{problem.QueryTooSlow},
	}, s.listAudit)
}

func (s *server) listAudit(ctx context.Context, r request[auditList, none]) (page[auditEntryJSON], error) {
	filter, err := r.params.filter(r.call)
	if err != nil {
		return page[auditEntryJSON]{}, err
	}
	p, err := pageByID(r.params.Paging, audit.EntryID)
	if err != nil {
		return page[auditEntryJSON]{}, err
	}
	entries, next, err := s.opts.Audit.Entries(ctx, filter, audit.Page{Limit: p.Limit, Before: p.After})
	return pageOf(entries, cursorOf(next, audit.EntryID), func(e audit.Entry) auditEntryJSON {
		shown := showAuditEntry(e)
		if !r.principal.Admin && e.Actor.Kind == audit.Operator {
			shown.Actor.Address = "" // no business of a tenant's
		}
		return shown
	}), err
}

// filter reads the parameters. The tenant is the caller's own, or the one that
// the operator names, in one of two ways.
func (p auditList) filter(c *call) (audit.Filter, error) {
	f := audit.Filter{TenantID: c.tenant.ID, Action: audit.Action(p.Action), ObjectID: p.ObjectID, Since: p.Since, Until: p.Until}
	var checks problem.Checks
	if p.TenantID != "" {
		named, err := id.Tenant.Parse(p.TenantID)
		switch {
		case err != nil:
			checks.Add("query.tenant_id", "is not the id of a tenant")
		case !f.TenantID.IsZero() && named != f.TenantID:
			return audit.Filter{}, errNoTenant
		default:
			f.TenantID = named
		}
	}
	if known := audit.Actions(); p.Action != "" && !slices.Contains(known, f.Action) {
		checks.Add("query.action", "is not an action that there is: choose one of %s", listed(known))
	}
	if p.ActorKeyID != "" {
		var err error
		if f.KeyID, err = id.Key.Parse(p.ActorKeyID); err != nil {
			checks.Add("query.actor_key_id", "is not the id of a key")
		}
	}
	return f, checks.Err()
}

// listed writes the actions one after another.
func listed(actions []audit.Action) string {
	words := make([]string, len(actions))
	for i, action := range actions {
		words[i] = string(action)
	}
	return strings.Join(words, ", ")
}

func showAuditEntry(e audit.Entry) auditEntryJSON {
	shown := auditEntryJSON{
		ID: audit.EntryID.Format(e.ID), At: e.At, Action: string(e.Action), ObjectKind: e.ObjectKind(), ObjectID: e.ObjectID,
		Fields: make([]auditFieldJSON, len(e.Fields)),
		Actor: auditActorJSON{
			Kind: string(e.Actor.Kind), Via: e.Actor.Via, KeyHint: e.Actor.KeyHint, KeyName: e.Actor.KeyName, RequestID: e.Actor.RequestID,
		},
	}
	if !e.TenantID.IsZero() {
		shown.TenantID = id.Tenant.Format(e.TenantID)
	}
	for i, f := range e.Fields {
		shown.Fields[i] = auditFieldJSON(f)
	}
	if !e.Actor.KeyID.IsZero() {
		shown.Actor.KeyID = id.Key.Format(e.Actor.KeyID)
	}
	if e.Actor.Address.IsValid() {
		shown.Actor.Address = e.Actor.Address.String()
	}
	return shown
}

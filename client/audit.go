package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// AuditEntry is who changed what, when and from where.
type AuditEntry struct {
	ID         string       `json:"id"`
	At         time.Time    `json:"at"`
	TenantID   string       `json:"tenant_id,omitempty"` // whose thing it was; "": the operator's own
	Action     string       `json:"action"`              // such as "subscription.updated"; there may be others one day
	ObjectKind string       `json:"object_kind"`
	ObjectID   string       `json:"object_id"`
	Fields     []AuditField `json:"fields"`
	Actor      AuditActor   `json:"actor"`
}

// AuditField is something that changed. The values are there where they are
// shown.
type AuditField struct {
	Name   string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// AuditActor is who made a change.
type AuditActor struct {
	Kind      string `json:"kind"`             // operator, key, command or system
	Via       string `json:"via,omitempty"`    // api, console or a dialect
	KeyID     string `json:"key_id,omitempty"` // "": it was no tenant's key
	KeyHint   string `json:"key_hint,omitempty"`
	KeyName   string `json:"key_name,omitempty"`
	Address   string `json:"address,omitempty"` // "": not known, or not shown
	RequestID string `json:"request_id,omitempty"`
}

// AuditFilter chooses entries. Zero fields choose nothing.
type AuditFilter struct {
	TenantID     string // for the operator; also a tenant that was deleted
	Action       string
	ObjectID     string
	ActorKeyID   string
	Since, Until time.Time
}

// Audit returns a page of the audit entries, the newest first. With the
// operator's key and no tenant named, in the filter or by WithTenant, they are
// those of all tenants and the operator's own.
func (c *Client) Audit(ctx context.Context, f AuditFilter, page Page) (List[AuditEntry], error) {
	query := url.Values{}
	set(query, "tenant_id", f.TenantID)
	set(query, "action", f.Action)
	set(query, "object_id", f.ObjectID)
	set(query, "actor_key_id", f.ActorKeyID)
	setTime(query, "since", f.Since)
	setTime(query, "until", f.Until)
	return list[AuditEntry](ctx, c, "/v1/audit", query, page)
}

// AllAudit goes through all audit entries that the filter chooses.
func (c *Client) AllAudit(ctx context.Context, f AuditFilter) iter.Seq2[AuditEntry, error] {
	return all(func(p Page) (List[AuditEntry], error) { return c.Audit(ctx, f, p) })
}

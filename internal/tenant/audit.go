package tenant

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Actor returns the principal as audit entries name it. Who knows the request
// adds where it came from.
func (p Principal) Actor() audit.Actor {
	if p.Admin {
		return audit.Actor{Kind: audit.Operator}
	}
	return audit.Actor{Kind: audit.Key, KeyID: p.KeyID, KeyHint: p.KeyHint, KeyName: p.KeyName}
}

// changes collects the fields that differ.
type changes []audit.Field

func (c *changes) note(name, before, after string) {
	if before != after {
		*c = append(*c, audit.Field{Name: name, Before: before, After: after})
	}
}

// auditTenant writes that was has become now. The zero Tenant stands for one
// that is not there.
func auditTenant(ctx context.Context, tx *db.Tx, was, now Tenant) error {
	action, of := audit.TenantUpdated, now.ID
	switch {
	case was.ID.IsZero():
		action = audit.TenantCreated
	case now.ID.IsZero():
		action, of = audit.TenantDeleted, was.ID
	}
	return audit.Write(ctx, tx, audit.Change{TenantID: of, Action: action, ObjectID: id.Tenant.Format(of), Fields: tenantChanges(was, now)})
}

// tenantChanges lists what differs between two states of a tenant.
func tenantChanges(was, now Tenant) changes {
	var c changes
	c.note("alias", was.Alias, now.Alias)
	c.note("kind", kindIfAny(was), kindIfAny(now))
	c.note("dialects", dialectsIfAny(was), dialectsIfAny(now))
	c.note("retention_days", daysIfAny(was.Retention.Days), daysIfAny(now.Retention.Days))
	c.note("body_retention_days", daysIfAny(was.Retention.BodyDays), daysIfAny(now.Retention.BodyDays))
	return c
}

// daysIfAny writes a period of a tenant's own. Empty: it has none.
func daysIfAny(days int) string {
	if days == 0 {
		return ""
	}
	return strconv.Itoa(days)
}

func kindIfAny(t Tenant) string {
	if t.ID.IsZero() {
		return ""
	}
	return kindOf(t)
}

func dialectsIfAny(t Tenant) string {
	if t.ID.IsZero() {
		return ""
	}
	return cmp.Or(strings.Join(t.Dialects, " "), "all")
}

// auditSettings writes what a tenant chose anew of a dialect's settings, if that
// is anything.
func auditSettings(ctx context.Context, tx *db.Tx, of speaking, was, now wire.Settings) error {
	both := maps.Clone(was)
	maps.Copy(both, now)
	var c changes
	for _, name := range slices.Sorted(maps.Keys(both)) {
		c.note(of.dialect+"."+name, was[name], now[name])
	}
	if len(c) == 0 {
		return nil
	}
	return audit.Write(ctx, tx, audit.Change{TenantID: of.tenant, Action: audit.SettingsChosen, ObjectID: id.Tenant.Format(of.tenant), Fields: c})
}

// auditNewKey writes that a key was made, in the place of another one unless that
// is zero.
func auditNewKey(ctx context.Context, tx *db.Tx, k Key, replaced id.ID) error {
	var c changes
	c.note("dialect", "", k.Dialect)
	c.note("name", "", k.Name)
	c.note("scopes", "", k.Scopes.String())
	c.note("hint", "", k.Hint)
	c.note("expires_at", "", timeText(k.ExpiresAt))
	if !replaced.IsZero() {
		c.note("replaces", "", id.Key.Format(replaced))
	}
	return auditKey(ctx, tx, audit.KeyCreated, k, c)
}

// auditRevokedKey writes that a key was revoked, unless it was already.
func auditRevokedKey(ctx context.Context, tx *db.Tx, was Key) error {
	if !was.RevokedAt.IsZero() {
		return nil
	}
	var c changes
	c.note("revoked_at", "", timeText(tx.Now()))
	return auditKey(ctx, tx, audit.KeyRevoked, was, c)
}

// keyRoll is a key that takes the place of another, which goes on until end.
type keyRoll struct {
	old, fresh Key
	end        time.Time
}

// auditRolledKey writes that one key takes the place of another, for both of
// them.
func auditRolledKey(ctx context.Context, tx *db.Tx, r keyRoll) error {
	var c changes
	c.note("replaced_by", "", id.Key.Format(r.fresh.ID))
	c.note("expires_at", timeText(r.old.ExpiresAt), timeText(r.end))
	if err := auditKey(ctx, tx, audit.KeyRolled, r.old, c); err != nil {
		return err
	}
	return auditNewKey(ctx, tx, r.fresh, r.old.ID)
}

func auditKey(ctx context.Context, tx *db.Tx, action audit.Action, k Key, c changes) error {
	return audit.Write(ctx, tx, audit.Change{TenantID: k.TenantID, Action: action, ObjectID: id.Key.Format(k.ID), Fields: c})
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

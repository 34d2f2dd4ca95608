// Package audit keeps who changed what, when and from where.
//
// Whoever makes a change calls [Write] inside the transaction that makes it. So
// there is no change without its entry, and no entry without its change: what is
// refused, or fails, or changes nothing leaves none. Nobody without a key can
// therefore fill the table.
//
// Who is acting comes with the context. The edge of the program, where a request
// is authenticated, says it once, by [WithActor]; where nobody has said it the
// program acts by itself.
//
// An entry names the fields that changed. It has their values only where whoever
// writes it gives them, which nobody does for what may be a secret. What ends
// together with a tenant (its keys, its subscriptions) has no entries of its own.
//
// Entries are kept for a time that the operator chooses, also those of tenants
// that were deleted since.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// EntryID is the kind of an entry's id.
const EntryID id.Kind = "aud"

// Action is what was done: the kind of thing that it was done to, and how it
// was changed.
type Action string

// The actions. Their words are stable.
const (
	TenantCreated  Action = "tenant.created"
	TenantUpdated  Action = "tenant.updated"
	TenantDeleted  Action = "tenant.deleted"
	SettingsChosen Action = "dialect.settings_changed" // the object is the tenant

	KeyCreated Action = "key.created"
	KeyRevoked Action = "key.revoked"
	KeyRolled  Action = "key.rolled" // another one takes its place

	SubscriptionCreated        Action = "subscription.created"
	SubscriptionUpdated        Action = "subscription.updated"
	SubscriptionEnabled        Action = "subscription.enabled"
	SubscriptionDisabled       Action = "subscription.disabled"
	SubscriptionDeleted        Action = "subscription.deleted"
	SubscriptionSecretRotated  Action = "subscription.secret_rotated"
	SubscriptionSecretRevealed Action = "subscription.secret_revealed" // changes nothing, and is worth knowing

	EventBodyExpunged Action = "event.body_expunged"
	DeliveryRetried   Action = "delivery.retried"

	EventTypeRegistered Action = "event_type.registered" // a version of it
	EventTypeArchived   Action = "event_type.archived"

	ReplayCreated   Action = "replay.created" // recoveries too
	ReplayPaused    Action = "replay.paused"
	ReplayResumed   Action = "replay.resumed"
	ReplayCancelled Action = "replay.cancelled"

	SigningKeyCreated Action = "jwks.created"
	SigningKeyRotated Action = "jwks.rotated"

	ProgramCreated      Action = "program.created"
	ProgramUpdated      Action = "program.updated"
	ProgramRulesChanged Action = "program.rules_changed"

	ExportCreated    Action = "export.created"
	ExportCancelled  Action = "export.cancelled"
	ExportDownloaded Action = "export.downloaded" // changes nothing, and is worth knowing

	ThemeUpdated   Action = "theme.updated"   // its draft; the object is the tenant
	ThemePublished Action = "theme.published" // that was asked for: its log says how it ended

	PoolFilled Action = "pool.filled" // got codes

	BlocklistAdded   Action = "blocklist.added"
	BlocklistRemoved Action = "blocklist.removed"

	TimerResumed Action = "timer.resumed" // one that had failed too often

	PersonBlocked   Action = "person.blocked"
	PersonUnblocked Action = "person.unblocked"
	PersonDeleted   Action = "person.deleted"
	AccountDeleted  Action = "account.deleted" // with its people

	PersonIdentityAdded   Action = "person.identity_added" // is known by a further name
	PersonIdentityRemoved Action = "person.identity_removed"

	CodeDisabled Action = "code.disabled" // the object is whose code it is
	CodeEnabled  Action = "code.enabled"

	ReferralModerated Action = "referral.moderated"
	ReferralConverted Action = "referral.converted"
	ReferralEnded     Action = "referral.ended"
	RewardGiven       Action = "reward.given"
	RewardCancelled   Action = "reward.cancelled"
	FactUndone        Action = "fact.undone" // with what it led to

	BackupMade Action = "backup.made" // the object is the SHA-256 of the copy
)

// Actions lists all actions there are.
func Actions() []Action {
	return []Action{
		TenantCreated, TenantUpdated, TenantDeleted, SettingsChosen,
		KeyCreated, KeyRevoked, KeyRolled,
		SubscriptionCreated, SubscriptionUpdated, SubscriptionEnabled, SubscriptionDisabled, SubscriptionDeleted,
		SubscriptionSecretRotated, SubscriptionSecretRevealed,
		EventBodyExpunged, DeliveryRetried,
		EventTypeRegistered, EventTypeArchived,
		ReplayCreated, ReplayPaused, ReplayResumed, ReplayCancelled,
		SigningKeyCreated, SigningKeyRotated,
		ProgramCreated, ProgramUpdated, ProgramRulesChanged,
		ExportCreated, ExportCancelled, ExportDownloaded,
		ThemeUpdated, ThemePublished,
		PoolFilled,
		BlocklistAdded, BlocklistRemoved,
		TimerResumed,
		PersonBlocked, PersonUnblocked, PersonDeleted, AccountDeleted, PersonIdentityAdded, PersonIdentityRemoved, CodeDisabled, CodeEnabled,
		ReferralModerated, ReferralConverted, ReferralEnded, RewardGiven, RewardCancelled, FactUndone,
		BackupMade,
	}
}

// ActorKind is what kind of actor it was.
type ActorKind string

// The kinds of actors.
const (
	System   ActorKind = "system"   // the program by itself
	Operator ActorKind = "operator" // whoever has the operator's key, or a link to the console
	Key      ActorKind = "key"      // whoever has a tenant's key, native or of a dialect
	Command  ActorKind = "command"  // a command on the server's machine, while no server runs
)

// The ways in, beside the names of the dialects.
const (
	ViaAPI     = "api"
	ViaConsole = "console"
)

// Actor is who acts, and from where. The zero Actor is the program itself.
type Actor struct {
	Kind      ActorKind // "": System
	Via       string    // ViaAPI, ViaConsole or a dialect's name; "": no request
	KeyID     id.ID     // zero unless Kind is Key
	KeyHint   string    // how the key begins
	KeyName   string
	Address   netip.Addr // of the client; the zero Addr: not known
	RequestID string
}

type actorKey struct{}

// WithActor returns a context in which the actor acts.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// actorOf returns who acts.
func actorOf(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	if a.Kind == "" {
		a.Kind = System
	}
	return a
}

// Change is what was done, as the package says it that did it.
type Change struct {
	TenantID id.ID // whose thing it is; zero: the operator's own
	Action   Action
	ObjectID string // of the thing, as it is shown
	Fields   []Field
}

// ObjectKind is the kind of thing that was changed, in a word.
func (c Change) ObjectKind() string {
	if c.Action == SettingsChosen {
		return "tenant"
	}
	kind, _, _ := strings.Cut(string(c.Action), ".")
	return kind
}

// Field is something about a thing that changed. The values are shown to whoever
// may read the entry; both are empty where they are nobody's business.
type Field struct {
	Name   string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Entry is a change with who made it.
type Entry struct {
	ID id.ID
	At time.Time
	Change
	Actor Actor
}

// Write stores a change as that of the context's actor, in the transaction that
// makes it. Values that are too long for an entry, which has at most 4 KiB, are
// cut or left out.
func Write(ctx context.Context, tx *db.Tx, c Change) error {
	fields, err := encode(c.Fields)
	if err != nil {
		return fmt.Errorf("audit: encode what changed: %w", err)
	}
	e := Entry{ID: id.New(tx.Now()), At: tx.Now(), Change: c, Actor: actorOf(ctx)}
	return insert(tx, e, fields)
}

// Bounds of what an entry says of fields. What else is in it is short.
const (
	maxFields     = 32
	maxFieldBytes = 3 << 10
	maxName       = 64
	maxValue      = 256
)

// encode returns the fields as they are stored: all of them with their values,
// or, where that is too much, without.
func encode(fields []Field) (string, error) {
	short := make([]Field, min(len(fields), maxFields))
	for i := range short {
		short[i] = Field{cut(fields[i].Name, maxName), cut(fields[i].Before, maxValue), cut(fields[i].After, maxValue)}
	}
	text, err := json.Marshal(short)
	if err != nil || len(text) <= maxFieldBytes {
		return string(text), err
	}
	for i := range short {
		short[i].Before, short[i].After = "", ""
	}
	text, err = json.Marshal(short)
	return string(text), err
}

// cut returns at most so many bytes of a text, and shows where it was cut.
func cut(text string, most int) string {
	const mark = "…"
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

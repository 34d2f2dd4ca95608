// Package tenant knows who is asking: the tenants, their keys, and the
// operator's key.
//
// A tenant is an account's environment, live or test, under an alias that is
// unique among the living. Everything else that Grapevine stores belongs to
// exactly one tenant. A deleted tenant's row stays, for the records that name
// it; its alias is free again and its keys are revoked in the same transaction,
// in which [Options.OnDelete] tells the other packages to end what is theirs.
//
// A key is shown once, when it is made, and stored as its SHA-256 only: it has
// 238 random bits, so a slow hash would protect nothing more. Its scopes are
// exact and independent of each other; [Manage] includes neither [Read] nor
// [Publish]. A tenant's first key has all of them.
//
// Authenticating is on the path of every request. What a key may do is
// therefore kept in memory, under the key's hash, and forgotten as soon as the
// transaction commits that changes it: when the call that revokes a key has
// returned, the key is refused. The memory is this process's own; what other
// processes change it is told of (see db.Feed), and refuses a moment later.
//
// The operator's key is accepted by the service that [Service.EnsureAdminKey]
// was called on. It belongs to no tenant and may do everything.
//
// Besides the native one a tenant speaks the dialects of package wire, all or
// those that it was made with, and chooses their settings. The clients of a
// dialect's API have keys in the form of that product, which open nothing else;
// such a key can be created with a given value, so that a company that moves here
// keeps its own, and is then as hard to guess as that company made it. A key that
// a dialect signs with is stored encrypted besides, until it is revoked.
// [Service.Identity] is all of that as a sender of webhooks needs it.
package tenant

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Tenant is an account's environment.
type Tenant struct {
	ID        id.ID
	Alias     string   // see NewTenant
	Live      bool     // false: a test tenant; never changes, since its keys show it
	Dialects  []string // that it speaks, in the server's order; empty: all. Not to be changed
	Retention Retention
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Speaks reports whether the tenant speaks the dialect, if the server does.
func (t Tenant) Speaks(dialect string) bool {
	return len(t.Dialects) == 0 || slices.Contains(t.Dialects, dialect)
}

// Key is what is known of a tenant's key; the key itself is not.
type Key struct {
	ID        id.ID
	TenantID  id.ID
	Dialect   string // whose API it opens; "": the native one
	Name      string // for people; need not be unique
	Scopes    Scopes
	Hint      string // how the key begins, to recognise it by
	CreatedAt time.Time
	ExpiresAt time.Time // from then on the key is refused; zero: it does not expire
	RevokedAt time.Time // zero: it was not revoked
}

// Scope is something that a tenant's key can be good for.
type Scope string

// The scopes. None includes another.
const (
	Read    Scope = "read"    // see what the tenant has
	Publish Scope = "publish" // publish events
	Manage  Scope = "manage"  // change what the tenant has, and reveal its secrets
)

// Scopes are sorted, each once.
type Scopes []Scope

// AllScopes returns every scope that there is.
func AllScopes() Scopes { return Scopes{Manage, Publish, Read} }

// String returns the scopes with spaces between.
func (s Scopes) String() string {
	words := make([]string, len(s))
	for i, scope := range s {
		words[i] = string(scope)
	}
	return strings.Join(words, " ")
}

// newScopes sorts the scopes and drops repetitions.
func newScopes(scopes []Scope) Scopes {
	sorted := slices.Clone(Scopes(scopes))
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// parseScopes reads what String wrote.
func parseScopes(text string) Scopes {
	var scopes Scopes
	for word := range strings.FieldsSeq(text) {
		scopes = append(scopes, Scope(word))
	}
	return scopes
}

// Principal is who is asking. The zero Principal may do nothing.
type Principal struct {
	Admin     bool      // the operator
	Dialect   string    // whose API the key opens; "": the native one
	KeyID     id.ID     // zero for the operator
	KeyName   string    // for people; empty for the operator
	KeyHint   string    // how the key begins; empty for the operator
	Tenant    Tenant    // zero for the operator
	Scopes    Scopes    // shared by all who ask with the key: not to be changed; nil for the operator
	ExpiresAt time.Time // when the key will be refused; zero: it does not expire
}

// Can reports whether the key has exactly this scope. The operator can do
// everything.
func (p Principal) Can(scope Scope) bool {
	return p.Admin || slices.Contains(p.Scopes, scope)
}

// NewTenant is what a tenant is made of.
type NewTenant struct {
	Alias    string // 1 to 64 of a-z, 0-9, "_" and "-", first a letter or digit; unique among the living
	Live     bool
	Dialects []string // that it speaks, in any order; empty: all that the server does
}

// Patch is what can change about a tenant; nil keeps what is there.
type Patch struct {
	Alias    *string   // see NewTenant
	Dialects *[]string // see NewTenant

	RetentionDays     *int // see Retention
	BodyRetentionDays *int
}

// NewKey is what a further key is made of.
type NewKey struct {
	Dialect string // whose API it opens; "": the native one. The tenant has to speak it
	// Value is the key; "": one is made. Only a dialect's key can be given. What
	// it may be stands in the table of forms (form.go).
	Value     string
	Name      string     // at most 100 characters, no control characters; may be empty
	Scopes    []Scope    // at least one; repetitions count once
	ExpiresAt *time.Time // later than now and before the year 10000; nil: it does not expire
}

// Page asks for a part of a list, in the order of ids. The zero Page is the
// first one.
type Page struct {
	Limit int   // at most so many; at most 250; zero or less: 50
	After id.ID // only what comes after it, usually the "next" of the page before
}

const (
	defaultLimit = 50
	maxLimit     = 250
	maxAlias     = 64
	maxName      = 100
)

// limit returns how many to return at most.
func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultLimit
	}
	return min(p.Limit, maxLimit)
}

// cut returns the page out of what was read for it, which is one more than the
// page holds if there is a next one, and where that begins: after the returned
// ID, or nowhere if it is zero.
func cut[T any](p Page, read []T, idOf func(T) id.ID) ([]T, id.ID) {
	if len(read) <= p.limit() {
		return read, id.ID{}
	}
	read = read[:p.limit()]
	return read, idOf(read[len(read)-1])
}

func checkAlias(c *problem.Checks, alias string) {
	outside := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	switch {
	case alias == "" || len(alias) > maxAlias:
		c.Add("alias", "must have 1 to %d characters", maxAlias)
	case strings.ContainsFunc(alias, outside):
		c.Add("alias", `may only have lower-case letters a to z, digits, "_" and "-"`)
	case alias[0] == '_' || alias[0] == '-':
		c.Add("alias", "must start with a letter or a digit")
	}
}

// check names everything that is wrong with the key at now, but for its dialect
// and its value.
func (k NewKey) check(c *problem.Checks, now time.Time) {
	switch {
	case !utf8.ValidString(k.Name):
		c.Add("name", "must be valid UTF-8")
	case utf8.RuneCountInString(k.Name) > maxName:
		c.Add("name", "must have at most %d characters", maxName)
	case strings.ContainsFunc(k.Name, unicode.IsControl):
		c.Add("name", "must not have control characters")
	}
	all := AllScopes()
	switch {
	case len(k.Scopes) == 0:
		c.Add("scopes", "must name at least one scope")
	case slices.ContainsFunc(k.Scopes, func(s Scope) bool { return !slices.Contains(all, s) }):
		c.Add("scopes", "may only name read, publish and manage")
	}
	switch {
	case k.ExpiresAt == nil:
	case !k.ExpiresAt.After(now):
		c.Add("expires_at", "must lie in the future")
	case k.ExpiresAt.UTC().Year() > 9999:
		c.Add("expires_at", "must lie before the year 10000")
	}
}

package tenant

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// keyForm is how the keys of a dialect's API look. One that is made here begins
// with the word and the tenant's kind, as in "gvsq_live_".
type keyForm struct {
	word string

	// pair says that a key is two texts with a colon between: a public one, which
	// may be shown, and a secret one. Else it is one secret text.
	pair bool

	// shared says that callers name the tenant beside the key, so that it need
	// be unique within the tenant only. Else the key alone finds the tenant.
	shared bool

	// begins says that a key that is given has to begin like one that is made.
	begins bool
	least  int // how many characters one that is given has, or each half of a pair
}

// native stands for the native API where else a dialect is named.
const native = ""

// keyForms are the dialects whose APIs have keys of their own. The standard
// dialect has none: its API is the native one.
var keyForms = map[string]keyForm{
	native:         {word: "gv"},
	"saasquatch":   {word: "gvsq", shared: true, least: 8},
	"referralloop": {word: "pk", begins: true, least: 16},
	"rehook":       {word: "gvrh", pair: true, least: 4},
	"partnerstack": {word: "gvps", pair: true, least: 4},
}

const (
	maxValue     = 200 // characters of a key that is given, or of each half of a pair
	publicRandom = 16  // random characters of a public half that is made
	maxHint      = 12  // characters that are shown of a key that was given
)

// prefix is how a key begins that is made for a tenant of this kind.
func (f keyForm) prefix(t Tenant) string { return f.word + "_" + kindOf(t) + "_" }

// plaintext returns a fresh key for the tenant.
func (f keyForm) plaintext(t Tenant) string {
	if f.pair {
		return newText(f.prefix(t), publicRandom) + ":" + newText(f.word+"_sk_", randomLength)
	}
	return newText(f.prefix(t), randomLength)
}

// check notes what is wrong with a key that was given to the tenant.
func (f keyForm) check(c *problem.Checks, value string, t Tenant) {
	halves := []string{value}
	if f.pair {
		halves = strings.Split(value, ":")
	}
	fits := len(halves) == 1 || len(halves) == 2
	for _, half := range halves {
		fits = fits && len(half) >= f.least && len(half) <= maxValue && isPrintable(half) && !strings.Contains(half, ":")
	}
	switch {
	case f.pair && (!fits || len(halves) != 2):
		c.Add("value", "must be a public and a secret text with a colon between, each %d to %d printable ASCII characters without spaces and colons", f.least, maxValue)
	case !fits:
		c.Add("value", "must have %d to %d printable ASCII characters, and no spaces or colons", f.least, maxValue)
	case f.begins && !strings.HasPrefix(value, f.prefix(t)):
		c.Add("value", "must begin with %s, since the tenant is a %s one", f.prefix(t), kindOf(t))
	}
}

// kindOf says in a word whether the tenant is for real.
func kindOf(t Tenant) string {
	if t.Live {
		return "live"
	}
	return "test"
}

// hint returns what is shown of a key that was made for the tenant.
func (f keyForm) hint(made string, t Tenant) string { return made[:len(f.prefix(t))+hintLength] }

// hintOfValue returns what is shown of a key that was given: of a secret text a
// quarter at most, since it may be short.
func (f keyForm) hintOfValue(value string) string {
	if public, _, ok := strings.Cut(value, ":"); f.pair && ok {
		return public[:min(len(public), maxHint)]
	}
	return value[:min(len(value)/4, maxHint)]
}

// isPrintable reports whether the text is printable ASCII without spaces.
func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// place is where a key is valid. The same text at another place is another key,
// with another hash.
type place struct {
	dialect string
	tenant  id.ID // zero where the key alone finds the tenant
}

// placeOf returns where the keys of a dialect are valid that the tenant has.
func placeOf(dialect string, tenant id.ID) place {
	if keyForms[dialect].shared {
		return place{dialect, tenant}
	}
	return place{dialect: dialect}
}

// hash returns the SHA-256 of a native key, and of a dialect's key together with
// its place.
func (p place) hash(key string) hash {
	if p.dialect == native {
		return hashOf(key)
	}
	return sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", p.dialect, p.tenant[:], key))
}

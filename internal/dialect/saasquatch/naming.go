package saasquatch

import (
	"net/url"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

// Scheme is that of the identities by which SaaSquatch knows people. A key is the id
// of the account and that of the user, both escaped as in a path, with a slash
// between them.
const Scheme = name

// identityOf is how a user of an account is known.
func identityOf(account, user string) person.Identity {
	return person.Identity{Scheme: Scheme, Key: url.PathEscape(account) + "/" + url.PathEscape(user)}
}

// SplitKey takes a key of the scheme apart, and reports whether it is one.
func SplitKey(key string) (account, user string, ok bool) { //nolint:nonamedreturns // two texts that must not be confused
	before, after, ok := strings.Cut(key, "/")
	if !ok {
		return "", "", false
	}
	account, err := url.PathUnescape(before)
	if err != nil {
		return "", "", false
	}
	user, err = url.PathUnescape(after)
	return account, user, err == nil && account != "" && user != ""
}

// RewardType is what SaaSquatch calls rewards of a kind.
func RewardType(kind rule.Kind) string {
	switch kind {
	case rule.Percent:
		return "PCT_DISCOUNT"
	case rule.Credit, rule.Points:
		return "CREDIT"
	case rule.CodePool:
		return "FUELTANK"
	default:
		return "INTEGRATION"
	}
}

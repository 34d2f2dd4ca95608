package saasquatch

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// Scheme is that of the identities by which SaaSquatch knows people. A key is the id
// of the account and that of the user, both escaped as in a path, with a slash
// between them.
const Scheme = name

// identityOf is how a user of an account is known.
func identityOf(account, user string) person.Identity {
	return person.Identity{Scheme: Scheme, Key: url.PathEscape(account) + "/" + url.PathEscape(user)}
}

// splitKey takes a key of the scheme apart, and reports whether it is one.
func splitKey(key string) (account, user string, ok bool) { //nolint:nonamedreturns // two texts that must not be confused
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

// Names are the names of the scheme, as programs add them to people and take them away.
func Names() referral.Scheme { return referral.Scheme{Canonical: canonicalKey, Instead: otherName} }

// canonicalKey returns a key of the scheme as it is stored, and whether it is one.
func canonicalKey(key string) (string, bool) {
	account, user, ok := splitKey(key)
	return identityOf(account, user).Key, ok
}

// otherName returns by what somebody is to be known who lost a name (referral.Scheme).
// Whom our clients would go on meaning by it, since it is made of the tenant's id, is
// known by our own id from then on. A name that is made of that is lost only where there
// is another one to show.
func otherName(p *person.Person, lost person.Identity) (person.Identity, bool) {
	own := p.ID.String()
	account, user, ok := splitKey(lost.Key)
	if ok && user == own { // which goes on meaning the person
		return lost, identityOf(NameOf(p)) == lost
	}
	if !ok || !aliasOf(account, user).Is(p) {
		return person.Identity{}, false
	}
	return identityOf(cmp.Or(p.Account, own), own), true
}

// NameOf returns by which account and which id a person is shown. Somebody whom
// SaaSquatch's clients did not name is shown by an id in place of theirs (shownID),
// and where there is no account by that as well.
func NameOf(p *person.Person) (account, user string) { //nolint:nonamedreturns // two texts that must not be confused
	if as, ok := p.KnownIn(Scheme); ok {
		if account, user, ok = splitKey(as.Key); ok {
			return account, user
		}
	}
	user = shownID(p)
	return cmp.Or(p.Account, user), user
}

// shownID is the id that the tenant has for somebody by its own API, and of anybody
// else our own: a name of another scheme may be an e-mail address, which is nobody's
// business who has the person's code. Ours is also that of whom the tenant's is not to
// mean any more (otherName).
func shownID(p *person.Person) string {
	if p.Scheme == person.Native && !isKnownByOurs(p) {
		return p.Key
	}
	return p.ID.String()
}

// isKnownByOurs reports whether a user's id that somebody is known by is our own.
func isKnownByOurs(p *person.Person) bool {
	return slices.ContainsFunc(p.Linked, func(as person.Identity) bool {
		_, user, ok := splitKey(as.Key)
		return ok && as.Scheme == Scheme && user == p.ID.String()
	})
}

// calledBy is a user as programs find people. A token has its own user's identity and
// nobody else's name: in many applications people choose the ids that tokens say.
func calledBy(c *dialect.Call, of userRef) referral.Called {
	called := referral.Called{Identity: identityOf(of.AccountID, of.ID)}
	if c.ByKey() {
		called.Else = aliasOf(of.AccountID, of.ID)
	}
	return called
}

// aliasOf is who is meant by an account and a user that nobody has as an identity:
// somebody who is shown by them (NameOf), or was before there was an account.
func aliasOf(account, user string) referral.Alias {
	alias := referral.Alias{Key: user, Is: func(p *person.Person) bool {
		return p.Scheme != Scheme && user == shownID(p) && (account == user || account == p.Account)
	}}
	if alias.ID.UnmarshalText([]byte(user)) != nil {
		alias.ID = id.ID{}
	}
	return alias
}

// RewardType is what SaaSquatch calls rewards of a kind.
func RewardType(kind rule.Kind) string { return typeOf(kind) }

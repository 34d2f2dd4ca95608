package saasquatch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// tokenHeader is where the vendor's JavaScript client puts a user's token; other
// clients send it as a bearer.
const tokenHeader = "X-SaaSquatch-User-Token" //nolint:gosec // a header's name

// maxToken is how long a token may be.
const maxToken = 16 << 10

// token is what a token says whose signature is the tenant's.
type token struct {
	account, user string
	// said is what it says of the user: nil where it only names one.
	said *userBody
}

// claims are the vendor's. Either User or the subject names the user.
type claims struct {
	jwt.Claims

	User json.RawMessage `json:"user"`
}

// tokenOf returns the text of the request's token, if it has one. A request with a
// key has none.
func tokenOf(c *dialect.Call) (string, bool) {
	if _, _, ok := c.Basic(); ok {
		return "", false
	}
	if given := c.Request.Header.Values(tokenHeader); len(given) > 0 {
		return strings.TrimSpace(given[0]), true
	}
	return c.Bearer()
}

// badToken is the one answer to a token that is not good, whatever is wrong with it.
func badToken(message string) error {
	return dialect.Refusal{Status: http.StatusUnauthorized, Code: codeBadToken, Message: message}
}

// bySomebody authenticates a user's token. It is signed with HS256 and a key of the
// tenant's: the one that signs webhooks, or an older one that is still valid. It has
// that key's scopes, since whoever has the key can sign a token for any user.
func (a *api) bySomebody(ctx context.Context, c *dialect.Call, text string) (tenant.Principal, error) {
	t, err := a.spoken(ctx, c)
	if err != nil {
		return tenant.Principal{}, err
	}
	if len(text) > maxToken {
		return tenant.Principal{}, badToken("the token is too long")
	}
	// The algorithm is ours to choose and not the token's.
	parsed, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil || len(parsed.Headers) != 1 {
		return tenant.Principal{}, badToken("the token must be a JWT that is signed with HS256 and the tenant's API key")
	}
	said, scopes, err := a.verify(ctx, t, parsed)
	if err != nil {
		return tenant.Principal{}, err
	}
	if err := said.ValidateWithLeeway(jwt.Expected{Time: time.Now()}, jwt.DefaultLeeway); err != nil {
		return tenant.Principal{}, badToken("the token has expired, or is not valid yet")
	}
	of, err := said.read(t.Alias)
	if err != nil {
		return tenant.Principal{}, err
	}
	c.Person, c.Token = identityOf(of.account, of.user).Key, of
	return tenant.Principal{Dialect: name, Tenant: t, Scopes: scopes}, nil
}

// verify returns the claims of a token that one of the tenant's keys has signed, and
// the scopes of that key.
func (a *api) verify(ctx context.Context, t tenant.Tenant, parsed *jwt.JSONWebToken) (*claims, tenant.Scopes, error) {
	newest, err := a.tenants.NewestKey(ctx, t.ID, name)
	if err != nil {
		return nil, nil, err
	}
	if said := signedWith(newest.Text, parsed); said != nil {
		return said, newest.Scopes, nil
	}
	keys, err := a.tenants.ValidKeys(ctx, t.ID, name, time.Now())
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if said := signedWith(key.Text, parsed); said != nil {
			return said, key.Scopes, nil
		}
	}
	return nil, nil, badToken(fmt.Sprintf(
		"the token is not signed with a key of at least %d characters that this tenant has, or is not a JSON object", leastSigning))
}

// leastSigning is how many characters a key has whose tokens are taken. Everybody who
// uses an application has a token, and so may guess the key, at leisure and as fast as
// machines can. The vendor's keys are a word, "_" and twenty characters, which nobody
// guesses; one that was brought along may be as short as a password, and is good for
// everything else, which each guess has to ask the server for.
const leastSigning = 20

// signedWith returns the claims of a token if the key has signed it; else nil.
func signedWith(key string, parsed *jwt.JSONWebToken) *claims {
	var said claims
	if len(key) < leastSigning || parsed.Claims(hmacKey(key), &said) != nil {
		return nil
	}
	return &said
}

// hmacKey is a key for HS256. The library takes none that is shorter than a hash, which
// a key that was brought along may be; HMAC itself fills keys up with zeros, so these
// change nothing.
func hmacKey(key string) []byte {
	return append([]byte(key), make([]byte, max(0, sha256.Size-len(key)))...)
}

// read returns whom the claims name.
func (c *claims) read(alias string) (token, error) {
	if len(c.User) > 0 && string(c.User) != "null" {
		var said userBody
		if err := json.Unmarshal(c.User, &said); err != nil {
			return token{}, badToken("the token's user has a field of the wrong type")
		}
		if said.ID == nil || said.AccountID == nil || *said.ID == "" || *said.AccountID == "" {
			return token{}, badToken("the token's user must have an id and an accountId")
		}
		return token{account: *said.AccountID, user: *said.ID, said: &said}, nil
	}
	// "{account}:{user}@{tenant}:users", where none of them has a colon.
	who, ok := strings.CutSuffix(c.Subject, "@"+alias+":users")
	account, user, named := strings.Cut(who, ":")
	if !ok || !named || account == "" || user == "" || strings.Contains(user, ":") {
		return token{}, badToken("the token must name a user, as user or in its subject")
	}
	return token{account: account, user: user}, nil
}

// spoken returns the tenant that the path names, if it speaks the dialect.
func (a *api) spoken(ctx context.Context, c *dialect.Call) (tenant.Tenant, error) {
	t, err := a.tenants.ByAlias(ctx, c.Path["tenant"])
	if problem.NotFound.Has(err) {
		return tenant.Tenant{}, errNoTenant
	}
	if err == nil && !t.Speaks(name) {
		err = problem.Forbidden.New("the tenant does not speak this dialect")
	}
	return t, err
}

// errAnotherUser refuses what is not the user's whom a token names.
var errAnotherUser = problem.Forbidden.New("the token names somebody else")

// covers refuses what a request says of a user that the user's token does not say:
// it would be the browser's word alone. Where the user came from is the browser's to
// say.
func (t token) covers(b *userBody) error {
	said := t.said
	if said == nil {
		said = new(userBody)
	}
	var checks problem.Checks
	b.compare(said, func(field string) { checks.Add(field, "is not in the token") })
	if e, ok := errors.AsType[*problem.Error](checks.Err()); ok {
		return dialect.Refusal{
			Status: http.StatusForbidden, Code: codeForbidden, Fields: e.Fields,
			Message: e.Fields[0].Name + ": is not in the token, or is another one there: sign all that is to be stored",
		}
	}
	return nil
}

package saasquatch

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// pathIdentity is who the path names.
func pathIdentity(c *dialect.Call) person.Identity {
	return identityOf(c.Path["account"], c.Path["user"])
}

// pathPerson is that one as tokens name people.
func pathPerson(c *dialect.Call) string { return pathIdentity(c).Key }

// isNew reports whether nobody is known yet by the identity of the path.
func (a *api) isNew(ctx context.Context, c *dialect.Call) (bool, error) {
	_, err := a.Referrals.Person(ctx, c.Principal.Tenant.ID, pathIdentity(c))
	if problem.NotFound.Has(err) {
		return true, nil
	}
	return false, err
}

// findUser returns the user that the path names.
func (a *api) findUser(ctx context.Context, c *dialect.Call) (referral.Profile, error) {
	p, err := a.Referrals.Person(ctx, c.Principal.Tenant.ID, pathIdentity(c))
	if problem.NotFound.Has(err) {
		return referral.Profile{}, errNoUser
	}
	return p, err
}

// base is what links begin with: the server's public address, or else the one that
// the client found it at.
func (a *api) base(c *dialect.Call) string {
	if a.BaseURL != "" {
		return strings.TrimSuffix(a.BaseURL, "/")
	}
	scheme := "http://"
	if c.Request.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.Request.Host
}

// user shows the user of the path.
func (a *api) user(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: userOf(p, a.base(c))}, nil
}

// openUser shows the user of the path, with the fields that are asked for.
func (a *api) openUser(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	shown, err := selectionOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown.of(p, a.base(c))}, nil
}

// userByCode shows whose code it is.
func (a *api) userByCode(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, _, err := a.findCode(ctx, c, c.Request.URL.Query().Get("referralCode"))
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: userOf(p, a.base(c))}, nil
}

// publicUserJSON is what everybody may know of whose code it is.
type publicUserJSON struct {
	userRef

	FirstName    *string `json:"firstName"`
	LastInitial  *string `json:"lastInitial"`
	ReferralCode string  `json:"referralCode"`
	ImageURL     string  `json:"imageUrl"`
}

// openUserByCode shows everybody whose code it is.
func (a *api) openUserByCode(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, code, err := a.findCode(ctx, c, c.Request.URL.Query().Get("referralCode"))
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: publicUserJSON{
		userRef: refOf(p.Person), FirstName: orNull(p.FirstName), LastInitial: initial(p.LastName), ReferralCode: code.Text, ImageURL: p.ImageURL,
	}}, nil
}

// usersJSON is a part of a list of users.
type usersJSON struct {
	Count      int        `json:"count"`
	TotalCount int64      `json:"totalCount"`
	Users      []userJSON `json:"users"`
}

// Bounds of a list.
const (
	defaultLimit = 10
	maxLimit     = 1000
	maxOffset    = 10_000_000
)

// users lists users, the latest first, or those that a query finds.
func (a *api) users(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := pageOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	of.Text = strings.TrimSpace(c.Request.URL.Query().Get("query"))
	found, total, err := a.Referrals.People(ctx, c.Principal.Tenant.ID, of)
	if err != nil {
		return dialect.Answer{}, err
	}
	list := usersJSON{Count: len(found), TotalCount: total, Users: make([]userJSON, len(found))}
	for i, p := range found {
		list.Users[i] = userOf(p, a.base(c))
	}
	return dialect.Answer{Status: http.StatusOK, Body: list}, nil
}

// pageOf reads limit and offset.
func pageOf(c *dialect.Call) (referral.Query, error) {
	of := referral.Query{Limit: defaultLimit}
	var checks problem.Checks
	number := func(name string, into *int, most int) {
		text := c.Request.URL.Query().Get(name)
		if text == "" {
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > most {
			checks.Add(name, "must be a number from 0 to %d", most)
			return
		}
		*into = n
	}
	number("limit", &of.Limit, maxLimit)
	number("offset", &of.Offset, maxOffset)
	return of, checks.Err()
}

// errBlocked and errNotBlocked are the vendor's answers to what would change nothing.
var (
	errBlocked    = dialect.Refusal{Status: http.StatusForbidden, Code: codeForbidden, Message: "the user is blocked already"}
	errNotBlocked = dialect.Refusal{Status: http.StatusForbidden, Code: codeForbidden, Message: "the user is not blocked"}
)

// block has a user take part in nothing.
func (a *api) block(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if p.IsBlocked() {
		return dialect.Answer{}, errBlocked
	}
	_, err = a.Referrals.Block(ctx, p.TenantID, p.ID)
	return dialect.Answer{Status: http.StatusOK, Body: struct{}{}}, told(err, http.StatusNotFound)
}

// unblock takes that back.
func (a *api) unblock(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	if !p.IsBlocked() {
		return dialect.Answer{}, errNotBlocked
	}
	_, err = a.Referrals.Unblock(ctx, p.TenantID, p.ID)
	return dialect.Answer{Status: http.StatusOK, Body: struct{}{}}, told(err, http.StatusNotFound)
}

// deleteUser forgets a user: for good with doNotTrack, and the account too where it is
// the last one of it and preserveEmptyAccount is false.
func (a *api) deleteUser(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	remember, preserve := false, true
	var checks problem.Checks
	checks.AddError("doNotTrack", flag(c, "doNotTrack", &remember))
	checks.AddError("preserveEmptyAccount", flag(c, "preserveEmptyAccount", &preserve))
	if err := checks.Err(); err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	err = a.Referrals.Remove(ctx, p.TenantID, referral.Removal{Person: p.ID, How: person.Deletion{Remember: remember}, EmptyAccount: !preserve})
	return dialect.Answer{Status: http.StatusNoContent}, told(err, http.StatusNotFound)
}

// flag reads a parameter that is true or false, if it is given.
func flag(c *dialect.Call, name string, into *bool) error {
	switch c.Request.URL.Query().Get(name) {
	case "":
	case "true":
		*into = true
	case "false":
		*into = false
	default:
		return problem.InvalidField(name, "must be true or false")
	}
	return nil
}

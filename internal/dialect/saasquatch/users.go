package saasquatch

import (
	"context"
	"net/http"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// pathUser is who the path names.
func pathUser(c *dialect.Call) userRef {
	return userRef{ID: c.Path["user"], AccountID: c.Path["account"]}
}

// pathPerson is that one, as tokens name people.
func pathPerson(c *dialect.Call) string { return identityOf(c.Path["account"], c.Path["user"]).Key }

// isNew reports whether nobody is known yet by the identity of the path.
func (a *api) isNew(ctx context.Context, c *dialect.Call) (bool, error) {
	_, err := a.calledPerson(ctx, c, pathUser(c))
	if problem.NotFound.Has(err) {
		return true, nil
	}
	return false, err
}

// findUser returns the user that the path names.
func (a *api) findUser(ctx context.Context, c *dialect.Call) (referral.Profile, error) {
	p, err := a.calledPerson(ctx, c, pathUser(c))
	if problem.NotFound.Has(err) {
		return referral.Profile{}, errNoUser
	}
	return p, err
}

// calledPerson returns a user, or problem.NotFound.
func (a *api) calledPerson(ctx context.Context, c *dialect.Call, of userRef) (referral.Profile, error) {
	return a.Referrals.PersonCalled(ctx, c.Principal.Tenant.ID, calledBy(c, of))
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
	p, code, err := a.findOpenCode(ctx, c, c.Request.URL.Query().Get("referralCode"))
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: publicUserOf(p, code.Text)}, nil
}

// publicUserOf shows a person, with one of the person's codes, to everybody.
func publicUserOf(p referral.Profile, code string) publicUserJSON {
	return publicUserJSON{
		userRef: refOf(p.Person), FirstName: orNull(p.FirstName), LastInitial: initial(p.LastName), ReferralCode: code, ImageURL: p.ImageURL,
	}
}

// publicName is what everybody may know of a person's name.
func publicName(p referral.Profile) string {
	last := initial(p.LastName)
	if last == nil {
		return p.FirstName
	}
	return strings.TrimSpace(p.FirstName + " " + *last)
}

// usersJSON is a part of a list of users.
type usersJSON struct {
	Count      int        `json:"count"`
	TotalCount int64      `json:"totalCount"`
	Users      []userJSON `json:"users"`
}

// Bounds of a list. The vendor says none. An offset costs what it passes over: a
// million people take a tenth of a second.
const (
	defaultLimit = 10
	maxLimit     = 1000
	maxOffset    = 1_000_000
)

// users lists users, the latest first, or those that a query finds.
func (a *api) users(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	of, err := pageOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	of.Text = strings.TrimSpace(c.Request.URL.Query().Get("query"))
	of.Named = usersNamed(of.Text)
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

// usersNamed are the users that a text may name by ids: one whose account is called as it
// is, and, where there is a slash between, an account and a user.
func usersNamed(text string) []person.Identity {
	if text == "" {
		return nil
	}
	named := []person.Identity{identityOf(text, text)}
	if account, user, ok := strings.Cut(text, "/"); ok {
		named = append(named, identityOf(account, user))
	}
	return named
}

// pageOf reads limit and offset.
func pageOf(c *dialect.Call) (referral.Query, error) {
	var checks problem.Checks
	of := referral.Query{
		Limit:  number(&checks, c, bounds{name: "limit", most: maxLimit, absent: defaultLimit}),
		Offset: number(&checks, c, bounds{name: "offset", most: maxOffset, instead: "an export has all there are"}),
	}
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
// the last one of it, unless preserveEmptyAccount is true. The vendor has it so since
// the 23rd of June 2022.
func (a *api) deleteUser(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	remember, preserve := false, false
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
	err = a.Referrals.Remove(ctx, p.TenantID, referral.Removal{
		Person: p.ID, As: identityOf(c.Path["account"], c.Path["user"]), How: person.Deletion{Remember: remember}, EmptyAccount: !preserve,
	})
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

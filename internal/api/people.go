package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// PersonPath names a person.
type PersonPath struct {
	ID string `path:"id" maxLength:"512" doc:"The person's id (per_…) or your own for them."`
}

type reportPersonJSON struct {
	Account     *string           `json:"account,omitempty" doc:"The key of the account that the person belongs to; \"\": none."`
	Email       *string           `json:"email,omitempty"`
	FirstName   *string           `json:"first_name,omitempty"`
	LastName    *string           `json:"last_name,omitempty"`
	Locale      *string           `json:"locale,omitempty" example:"de_DE"`
	Country     *string           `json:"country,omitempty" doc:"Two letters, as in ISO 3166-1."`
	ImageURL    *string           `json:"image_url,omitempty"`
	Fields      json.RawMessage   `json:"fields,omitempty" doc:"Whatever else you keep of the person: an object, which replaces the one that there is."`
	Unreferable *bool             `json:"unreferable,omitempty" doc:"Whether the person takes part in no program."`
	Codes       map[string]string `json:"codes,omitempty" doc:"The codes that the person is to have, by the program's key."`
	ReferredBy  []string          `json:"referred_by,omitempty" maxItems:"20" doc:"The codes by which the person came. One that there is not, or that is the person's own, is refused."`
	Cookies     []string          `json:"cookies,omitempty" maxItems:"20" doc:"The codes of share links that the person's browser came by, the latest first. What there is not is ignored."`
	Device      string            `json:"device,omitempty" maxLength:"3500" doc:"The browser's cookie, by which visits are found: its whole value, or an id of your own for the device, of 128 bytes at most."`
	IP          string            `json:"ip,omitempty" doc:"Where the person's own request came from." example:"192.0.2.7"`
	Converted   bool              `json:"converted,omitempty" doc:"Whether what the programs ask for was done already."`
}

type reportedPersonJSON struct {
	ProfileJSON
	created bool
}

var _ statused = reportedPersonJSON{}

func (r reportedPersonJSON) status() int {
	if r.created {
		return http.StatusCreated
	}
	return http.StatusOK
}

type peopleList struct {
	Paging
	Search string `query:"search" maxLength:"200" doc:"How an e-mail address, a first name, a last name or a whole name begins, with either name first; or a code, an account, or an id: yours, ours, or that of a dialect's user in whatever account. At most a thousand people are found."`
}

type deletion struct {
	PersonPath
	Remember bool `query:"remember" doc:"Whether the external id is kept, so that nobody is known by it again."`
}

type referByJSON struct {
	Code string `json:"code" minLength:"1" maxLength:"256" example:"ANNAADAMS"`
}

func (s *server) peopleRoutes() {
	report := route{
		id: "report-person", method: http.MethodPut, path: "/v1/people/{id}", tag: tagPeople, access: canPublish,
		summary: "Report a person",
		description: "Creates the person, or changes what is given and differs. Somebody new is in every program that runs, with a code, and is referred by the codes and cookies that are good. " +
			"Repeating it changes nothing. No external id begins with `per_`: that is an id, of somebody who is there.",
		status: http.StatusCreated, errors: []*problem.Code{problem.Conflict},
		example: `{"email":"anna@example.com","first_name":"Anna","last_name":"Adams","country":"DE","fields":{"plan":"gold"}}`,
	}
	register(s, report, s.reportPerson)
	responses := s.documented(report).Responses
	responses["200"] = &huma.Response{Description: "Was there already", Content: responses["201"].Content, Headers: responses["201"].Headers}
	register(s, route{
		id: "list-people", method: http.MethodGet, path: "/v1/people", tag: tagPeople, access: canRead,
		summary: "List people", description: "The newest first, or those that a search finds.",
	}, s.listPeople)
	register(s, route{
		id: "get-person", method: http.MethodGet, path: "/v1/people/{id}", tag: tagPeople, access: canRead,
		summary: "Get a person", description: "With the codes, and by which referrals the person came.",
	}, s.getPerson)
	register(s, route{
		id: "block-person", method: http.MethodPost, path: "/v1/people/{id}/block", tag: tagPeople, access: canManage,
		summary: "Block a person", description: "Ends the referrals by which the person came, and what the person would be given waits.",
	}, s.blockPerson)
	register(s, route{
		id: "unblock-person", method: http.MethodPost, path: "/v1/people/{id}/unblock", tag: tagPeople, access: canManage,
		summary: "Unblock a person", description: "Takes back what blocking has done.",
	}, s.unblockPerson)
	register(s, route{
		id: "delete-person", method: http.MethodDelete, path: "/v1/people/{id}", tag: tagPeople, access: canManage,
		summary: "Forget a person", description: "For good: what is known of the person is removed, from what was written down too. That there was somebody, and what it led to, stays.",
	}, s.deletePerson)
	register(s, route{
		id: "refer-person", method: http.MethodPost, path: "/v1/people/{id}/referral", tag: tagPeople, access: canPublish,
		summary: "Say by whose code a person came", description: "As you decide it, by hand: it goes before what is known of links and cookies. Somebody who was referred by another code already stays so. Repeating it changes nothing.",
		errors: []*problem.Code{problem.Conflict}, example: `{"code":"ANNAADAMS"}`,
	}, s.referPerson)
	s.identityRoutes()
	s.activityRoutes()
	s.accountRoutes()
}

// named returns whom a path means.
func (s *server) named(ctx context.Context, c *call, path PersonPath) (*person.Person, error) {
	return s.opts.Referrals.Named(ctx, c.tenant.ID, path.ID)
}

func (s *server) reportPerson(ctx context.Context, r request[PersonPath, reportPersonJSON]) (reportedPersonJSON, error) {
	as := person.Identity{Scheme: person.Native, Key: r.params.ID}
	known, err := s.named(ctx, r.call, r.params)
	switch {
	case err == nil:
		as = known.Identity
	case !problem.NotFound.Has(err) || referral.IsPersonID(r.params.ID):
		return reportedPersonJSON{}, err
	}
	registration, err := r.body.registration(as)
	if err != nil {
		return reportedPersonJSON{}, err
	}
	done, err := s.opts.Referrals.Register(ctx, r.tenant.ID, registration)
	if err != nil {
		return reportedPersonJSON{}, renamed(err, func(name string) string {
			if name == "key" {
				return "id"
			}
			return name
		})
	}
	return reportedPersonJSON{showProfile(referral.Profile{Person: done.Person, Codes: done.Codes, Referrals: done.Referrals}), done.Created}, nil
}

func (b reportPersonJSON) registration(as person.Identity) (referral.Registration, error) {
	device, cookies := browserOf(b)
	r := referral.Registration{
		Identity: as, Codes: b.Codes, ReferredBy: b.ReferredBy, Cookies: cookies, Device: device, Converted: b.Converted,
		Patch: person.Patch{
			Account: b.Account, Email: b.Email, FirstName: b.FirstName, LastName: b.LastName, Locale: b.Locale, Country: b.Country,
			ImageURL: b.ImageURL, Unreferable: b.Unreferable,
		},
	}
	if b.Fields != nil {
		r.Patch.Fields = &b.Fields
	}
	var checks problem.Checks
	if len(b.ReferredBy) > maxCodes {
		checks.Add("referred_by", "has more than %d codes", maxCodes)
	}
	if len(b.Cookies) > maxCodes {
		checks.Add("cookies", "has more than %d codes", maxCodes)
	}
	if len(device) > maxDevice {
		checks.Add("device", "is neither a cookie of share links nor an id of at most %d bytes", maxDevice)
	}
	checks.AddError("fields", checkDepth("fields", b.Fields))
	if b.IP != "" {
		var err error
		if r.IP, err = netip.ParseAddr(b.IP); err != nil {
			checks.Add("ip", "must be an IP address")
		}
	}
	return r, checks.Err()
}

// browserOf returns the id of the person's browser, and the codes by which it came:
// a whole cookie has both, those that are named apart come first.
func browserOf(b reportPersonJSON) (string, []string) {
	cookie := attribution.ParseCookie(b.Device)
	if cookie.ID == "" {
		return b.Device, b.Cookies
	}
	return cookie.ID, slices.Concat(b.Cookies, cookie.Codes())
}

const (
	// maxCodes is how many codes somebody may come by.
	maxCodes = 20
	// maxDevice is how long the id of a device may be.
	maxDevice = 128
)

func (s *server) listPeople(ctx context.Context, r request[peopleList, none]) (page[ProfileJSON], error) {
	if r.params.Search != "" {
		return s.searchPeople(ctx, r)
	}
	p, err := r.params.before(person.Kind)
	if err != nil {
		return page[ProfileJSON]{}, err
	}
	people, _, err := s.opts.Referrals.People(ctx, r.tenant.ID, referral.Query{Before: p.Before, Limit: p.Limit + 1})
	next := ""
	if len(people) > p.Limit {
		people = people[:p.Limit]
		next = shownPerson(people[p.Limit-1].ID)
	}
	return pageOf(people, next, showProfile), err
}

// searchPeople pages through what was found by counting: its order is not that of
// the ids.
func (s *server) searchPeople(ctx context.Context, r request[peopleList, none]) (page[ProfileJSON], error) {
	from := 0
	if r.params.Cursor != "" {
		var err error
		if from, err = strconv.Atoi(r.params.Cursor); err != nil || from < 1 || from > 1000 {
			return page[ProfileJSON]{}, problem.InvalidField("query.cursor", "is not a cursor that this list returned")
		}
	}
	people, total, err := s.opts.Referrals.People(ctx, r.tenant.ID, referral.Query{Text: r.params.Search, Offset: from, Limit: r.params.Limit})
	next := ""
	if until := from + len(people); int64(until) < total {
		next = strconv.Itoa(until)
	}
	return pageOf(people, next, showProfile), err
}

func (s *server) getPerson(ctx context.Context, r request[PersonPath, none]) (ProfileJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return ProfileJSON{}, err
	}
	profile, err := s.opts.Referrals.PersonByID(ctx, r.tenant.ID, p.ID)
	return showProfile(profile), err
}

func (s *server) blockPerson(ctx context.Context, r request[PersonPath, none]) (PersonJSON, error) {
	return s.withPerson(ctx, r, s.opts.Referrals.Block)
}

func (s *server) unblockPerson(ctx context.Context, r request[PersonPath, none]) (PersonJSON, error) {
	return s.withPerson(ctx, r, s.opts.Referrals.Unblock)
}

// withPerson does something with whom a path names, and shows how that one then
// stands.
func (s *server) withPerson(ctx context.Context, r request[PersonPath, none],
	do func(ctx context.Context, tenant, of id.ID) (*person.Person, error),
) (PersonJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return PersonJSON{}, err
	}
	if p, err = do(ctx, r.tenant.ID, p.ID); err != nil {
		return PersonJSON{}, err
	}
	return showPerson(p), nil
}

func (s *server) deletePerson(ctx context.Context, r request[deletion, none]) (none, error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Referrals.Forget(ctx, r.tenant.ID, p.ID, person.Deletion{Remember: r.params.Remember})
}

func (s *server) referPerson(ctx context.Context, r request[PersonPath, referByJSON]) (ReferralJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return ReferralJSON{}, err
	}
	made, err := s.opts.Referrals.Assign(ctx, r.tenant.ID, p.ID, r.body.Code)
	if err != nil {
		return ReferralJSON{}, renamed(err, func(string) string { return "code" })
	}
	if made == nil {
		return ReferralJSON{}, problem.Conflict.New("by the program's attribution nobody gets the credit for the person")
	}
	return showReferral(made), nil
}

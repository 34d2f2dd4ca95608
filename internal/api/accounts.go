package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

type accountPath struct {
	Key string `path:"key" maxLength:"512" doc:"The account's key."`
}

type setAccountJSON struct {
	State      string          `json:"state" enum:"trial,free,paid,cancelled" doc:"Unless a program's settings say otherwise, paid converts what the people of the account were referred by, and cancelled ends it."`
	Currency   string          `json:"currency,omitempty" maxLength:"16" example:"EUR"`
	Details    json.RawMessage `json:"details,omitempty" doc:"Whatever else is to be kept: an object."`
	ReferredBy string          `json:"referred_by,omitempty" maxLength:"256" doc:"A code by which the people of the account came, also those who are yet to come. Who was referred before, has converted or is blocked stays as they are."`
}

type accountWithPeopleJSON struct {
	AccountJSON
	People []PersonJSON `json:"people" doc:"Who belongs to it, the oldest first; at most a thousand."`
}

type codePath struct {
	Code string `path:"code" maxLength:"256" doc:"The code, as somebody typed it."`
}

type codeWithPersonJSON struct {
	CodeJSON
	Person PersonJSON `json:"person" doc:"Whose it is."`
}

type linksQuery struct {
	PersonPath
	Engagement string `query:"engagement" enum:"UNKNOWN,EMBED,POPUP,HOSTED,MOBILE,EMAIL" doc:"Where the links are shown; absent: HOSTED."`
}

type linksJSON struct {
	Links []codeLinksJSON `json:"links" doc:"For each code that is shown."`
}

type codeLinksJSON struct {
	Code       string            `json:"code"`
	ProgramKey string            `json:"program_key"`
	URL        string            `json:"url" doc:"Says nothing of the way by which it is sent."`
	Shares     map[string]string `json:"shares" doc:"The same, by the way by which it is sent, such as FACEBOOK or EMAIL."`
}

func (s *server) accountRoutes() {
	register(s, route{
		id: "set-account", method: http.MethodPut, path: "/v1/accounts/{key}", tag: tagPeople, access: canPublish,
		summary: "Say where an account stands", description: "Creates the account where it is not known. Repeating it changes nothing that anybody is told of.",
		errors: []*problem.Code{problem.Conflict}, example: `{"state":"paid","currency":"EUR"}`,
	}, s.setAccount)
	register(s, route{
		id: "get-account", method: http.MethodGet, path: "/v1/accounts/{key}", tag: tagPeople, access: canRead,
		summary: "Get an account", description: "With its people.",
	}, s.getAccount)
	register(s, route{
		id: "get-code", method: http.MethodGet, path: "/v1/codes/{code}", tag: tagPeople, access: canRead,
		summary: "Find out whose code it is", description: "However it is written: case and what looks alike are ignored.",
	}, s.getCode)
	register(s, route{
		id: "disable-code", method: http.MethodPost, path: "/v1/codes/{code}/disable", tag: tagPeople, access: canManage,
		summary: "Disable a code", description: "Nobody is credited for it any more, and its links answer 404. It stays taken, and what it led to stays.",
	}, s.disableCode)
	register(s, route{
		id: "enable-code", method: http.MethodPost, path: "/v1/codes/{code}/enable", tag: tagPeople, access: canManage,
		summary: "Enable a code again",
	}, s.enableCode)
	register(s, route{
		id: "get-links", method: http.MethodGet, path: "/v1/people/{id}/links", tag: tagPeople, access: canRead,
		summary: "Get a person's share links",
	}, s.getLinks)
}

func (s *server) setAccount(ctx context.Context, r request[accountPath, setAccountJSON]) (AccountJSON, error) {
	if err := checkObject("details", r.body.Details); err != nil {
		return AccountJSON{}, err
	}
	a, err := s.opts.Referrals.SetAccount(ctx, r.tenant.ID, person.AccountPatch{
		Key: r.params.Key, State: person.State(r.body.State), Currency: r.body.Currency, Details: r.body.Details, ReferredBy: r.body.ReferredBy,
	})
	if err != nil {
		return AccountJSON{}, err
	}
	return showAccount(a), nil
}

func (s *server) getAccount(ctx context.Context, r request[accountPath, none]) (accountWithPeopleJSON, error) {
	profile, err := s.opts.Referrals.Account(ctx, r.tenant.ID, r.params.Key)
	if err != nil {
		return accountWithPeopleJSON{}, err
	}
	shown := accountWithPeopleJSON{AccountJSON{Key: r.params.Key}, pageOf(profile.People, "", func(p referral.Profile) PersonJSON { return showPerson(p.Person) }).Data}
	if profile.Account != nil {
		shown.AccountJSON = showAccount(profile.Account)
	}
	return shown, nil
}

func (s *server) getCode(ctx context.Context, r request[codePath, none]) (codeWithPersonJSON, error) {
	return s.withCode(ctx, r, s.opts.Referrals.PersonByCode)
}

func (s *server) disableCode(ctx context.Context, r request[codePath, none]) (codeWithPersonJSON, error) {
	return s.withCode(ctx, r, s.opts.Referrals.DisableCode)
}

func (s *server) enableCode(ctx context.Context, r request[codePath, none]) (codeWithPersonJSON, error) {
	return s.withCode(ctx, r, s.opts.Referrals.EnableCode)
}

// withCode does something with the code that a path names, and shows how it then
// stands.
func (s *server) withCode(ctx context.Context, r request[codePath, none],
	do func(ctx context.Context, tenant id.ID, text string) (referral.Profile, referral.Code, error),
) (codeWithPersonJSON, error) {
	p, found, err := do(ctx, r.tenant.ID, r.params.Code)
	if err != nil {
		return codeWithPersonJSON{}, err
	}
	return codeWithPersonJSON{showCode(found), showPerson(p.Person)}, nil
}

func (s *server) getLinks(ctx context.Context, r request[linksQuery, none]) (linksJSON, error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return linksJSON{}, err
	}
	profile, err := s.opts.Referrals.PersonByID(ctx, r.tenant.ID, p.ID)
	if err != nil {
		return linksJSON{}, err
	}
	engagement := code.Hosted
	if r.params.Engagement != "" {
		engagement = code.Engagement(r.params.Engagement)
	}
	shown := linksJSON{Links: []codeLinksJSON{}}
	for _, c := range profile.Codes {
		of := codeLinksJSON{Code: c.Text, ProgramKey: c.ProgramKey, URL: s.opts.URL + code.CleanPath(c.Short), Shares: make(map[string]string)}
		for _, share := range code.Shares() {
			of.Shares[string(share)] = s.opts.URL + code.Path(c.Short, code.Link{Engagement: engagement, Share: share})
		}
		shown.Links = append(shown.Links, of)
	}
	return shown, nil
}

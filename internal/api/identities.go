package api

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// IdentityJSON is a name that a person has.
type IdentityJSON struct {
	Scheme string `json:"scheme" doc:"Whose name it is: native, yours; hosted, that of programs' own pages; or a dialect's." example:"saasquatch"`
	Key    string `json:"key" example:"acme/anna"`
}

type addIdentityJSON struct {
	Scheme string `json:"scheme" minLength:"1" maxLength:"64" doc:"Whose name it is: native, hosted, or a dialect's." example:"saasquatch"`
	Key    string `json:"key" minLength:"1" maxLength:"512" doc:"The name. Of hosted: an e-mail address. Of saasquatch: the account's id and the user's, each escaped as in a path, with a slash between them." example:"acme/anna"`
}

type identitiesJSON struct {
	Identities []IdentityJSON `json:"identities" doc:"The one by which the person was first known comes first."`
}

type identityQuery struct {
	PersonPath
	Scheme string `query:"scheme" maxLength:"64" doc:"Required."`
	Key    string `query:"key" maxLength:"512" doc:"Required."`
}

func (s *server) identityRoutes() {
	register(s, route{
		id: "list-identities", method: http.MethodGet, path: "/v1/people/{id}/identities", tag: tagPeople, access: canRead,
		summary: "List by what a person is known",
	}, s.listIdentities)
	register(s, route{
		id: "add-identity", method: http.MethodPost, path: "/v1/people/{id}/identities", tag: tagPeople, access: canManage,
		summary: "Have a person be known by a further name",
		description: "So that whoever uses that name, in this API or in a dialect's, means this person. Nobody is ever merged: a name that somebody else has is refused. " +
			"A person has at most twenty further names. Repeating it changes nothing.",
		errors: []*problem.Code{problem.Conflict}, example: `{"scheme":"saasquatch","key":"acme/anna"}`,
	}, s.addIdentity)
	register(s, route{
		id: "remove-identity", method: http.MethodDelete, path: "/v1/people/{id}/identities", tag: tagPeople, access: canManage,
		summary: "Have a person be known by a name no more", description: "Nobody is, then, in this API or in a dialect's. Where a dialect would go on showing the person by it, because it is made of your id, the person gets a name made of ours, and is shown by the next one that there is. " +
			"The name by which the person was first known stays; so does one made of our own id, as long as a dialect has no other one to show.",
		errors: []*problem.Code{problem.Conflict},
	}, s.removeIdentity)
}

func (s *server) listIdentities(ctx context.Context, r request[PersonPath, none]) (identitiesJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	return showIdentities(p), err
}

func (s *server) addIdentity(ctx context.Context, r request[PersonPath, addIdentityJSON]) (identitiesJSON, error) {
	p, err := s.named(ctx, r.call, r.params)
	if err != nil {
		return identitiesJSON{}, err
	}
	p, err = s.opts.Referrals.AddIdentity(ctx, r.tenant.ID, p.ID, person.Identity{Scheme: r.body.Scheme, Key: r.body.Key})
	return showIdentities(p), err
}

func (s *server) removeIdentity(ctx context.Context, r request[identityQuery, none]) (none, error) {
	p, err := s.named(ctx, r.call, r.params.PersonPath)
	if err != nil {
		return none{}, err
	}
	_, err = s.opts.Referrals.RemoveIdentity(ctx, r.tenant.ID, p.ID, person.Identity{Scheme: r.params.Scheme, Key: r.params.Key})
	return none{}, renamed(err, func(name string) string { return "query." + name })
}

func showIdentities(p *person.Person) identitiesJSON {
	if p == nil {
		return identitiesJSON{}
	}
	return identitiesJSON{pageOf(p.Identities(), "", func(as person.Identity) IdentityJSON { return IdentityJSON{as.Scheme, as.Key} }).Data}
}

package saasquatch

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// upsertClassic stores a user that a server tells of, by the ids in the body.
func (a *api) upsertClassic(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body userBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	var checks problem.Checks
	for field, id := range map[string]*string{"id": body.ID, "accountId": body.AccountID} {
		if id == nil || *id == "" {
			checks.Add(field, "is required")
		}
	}
	if err := checks.Err(); err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.store(ctx, c, storing{account: *body.AccountID, user: *body.ID, body: &body})
	if err != nil {
		return dialect.Answer{}, err
	}
	return dialect.Answer{Status: http.StatusOK, Body: userOf(p, a.base(c))}, nil
}

// openUpsert stores a user, by key or by the user's own token.
func (a *api) openUpsert(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	return a.openStore(ctx, c, storing{})
}

// openCreate stores a user that is new.
func (a *api) openCreate(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	return a.openStore(ctx, c, storing{mustCreate: true})
}

func (a *api) openStore(ctx context.Context, c *dialect.Call, s storing) (dialect.Answer, error) {
	shown, err := selectionOf(c)
	if err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.storePath(ctx, c, s)
	if err != nil {
		return dialect.Answer{}, err
	}
	status := http.StatusOK
	if s.mustCreate {
		status = http.StatusCreated
	}
	return dialect.Answer{Status: status, Body: shown.of(p, a.base(c))}, nil
}

// storePath stores the user of the path as the body says.
func (a *api) storePath(ctx context.Context, c *dialect.Call, s storing) (referral.Profile, error) {
	s.account, s.user, s.body = c.Path["account"], c.Path["user"], new(userBody)
	if err := c.Decode(s.body); err != nil {
		return referral.Profile{}, err
	}
	return a.store(ctx, c, s)
}

// storing is a user to be stored.
type storing struct {
	account, user string
	body          *userBody
	mustCreate    bool
}

// store registers a user. By a token only what it has is stored, and where the
// browser came from.
func (a *api) store(ctx context.Context, c *dialect.Call, s storing) (referral.Profile, error) {
	if err := s.body.check(s.account, s.user); err != nil {
		return referral.Profile{}, err
	}
	body := s.body
	if t, ok := c.Token.(token); ok {
		if err := t.covers(body); err != nil {
			return referral.Profile{}, err
		}
		body = t.overlay(body)
		if err := body.check(s.account, s.user); err != nil {
			return referral.Profile{}, err
		}
	}
	r := body.registration(identityOf(s.account, s.user), s.account, a.originOf(c, body))
	r.Else, r.MustCreate = calledBy(c, userRef{ID: s.user, AccountID: s.account}).Else, s.mustCreate
	done, err := a.Referrals.Register(ctx, c.Principal.Tenant.ID, r)
	if err != nil {
		return referral.Profile{}, told(err, http.StatusBadRequest)
	}
	return referral.Profile{Person: done.Person, Codes: done.Codes, Referrals: done.Referrals}, nil
}

// overlay returns what is to be stored of a user that a token names.
func (t token) overlay(b *userBody) *userBody {
	if t.said == nil {
		return b.overlay(userBody{})
	}
	return b.overlay(*t.said)
}

// originOf is where the user's own request came from. What a server asks with a key
// says nothing of that, but for the cookies that it passes on.
func (a *api) originOf(c *dialect.Call, b *userBody) origin {
	var from origin
	if b.Cookies != nil {
		from.codes = cookieCodes(*b.Cookies, c.Principal.Tenant.Alias, time.Now())
	}
	if c.ByKey() {
		return from
	}
	from.ip = edge.Address(c.Request)
	if a.Visits != nil {
		kept := a.Visits(c.Request, c.Principal.Tenant)
		from.device = kept.ID
		from.codes = append(from.codes, kept.Codes()...)
	}
	return from
}

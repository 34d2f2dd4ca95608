package referral

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Scheme is one of those in which people have names.
type Scheme struct {
	// Canonical returns a key of the scheme as it is stored, and whether it is one.
	Canonical func(key string) (string, bool)
	// Instead returns by what somebody who lost a name is to be known, where a dialect
	// would go on showing or finding the person by the lost one, and whether that is so:
	// the name itself where nothing helps. nil: no dialect does.
	Instead func(p *person.Person, lost person.Identity) (person.Identity, bool)
}

// schemes are those in which people may be given further names, with the ones of
// dialects.
func schemes(ofDialects map[string]Scheme) map[string]Scheme {
	all := map[string]Scheme{
		person.Native: {Canonical: func(key string) (string, bool) { return key, !IsPersonID(key) }},
		Hosted:        {Canonical: email.Normalize},
	}
	maps.Copy(all, ofDialects)
	return all
}

// canonical returns an identity as it is stored.
func (s *Service) canonical(as person.Identity) (person.Identity, error) {
	scheme, ok := s.schemes[as.Scheme]
	if !ok {
		return as, problem.InvalidField("scheme", "must be one of %s", strings.Join(slices.Sorted(maps.Keys(s.schemes)), ", "))
	}
	key, ok := scheme.Canonical(as.Key)
	if !ok {
		return as, problem.InvalidField("key", "is not one of the scheme %s", as.Scheme)
	}
	as.Key = key
	return as, nil
}

// AddIdentity has a person be known by a further name. Repeating it changes nothing.
// It returns problem.Conflict where somebody else has the name.
func (s *Service) AddIdentity(ctx context.Context, tenant, of id.ID, as person.Identity) (*person.Person, error) {
	as, err := s.canonical(as)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, tenant, of, step{audit.PersonIdentityAdded, func(c *fact.Command, of id.ID) (*person.Person, error) {
		p, _, err := person.AddIdentity(c, of, as)
		return p, err
	}})
}

// RemoveIdentity takes AddIdentity back. Nobody is meant by the name any more, also
// where a dialect showed the person by it before it was added.
func (s *Service) RemoveIdentity(ctx context.Context, tenant, of id.ID, as person.Identity) (*person.Person, error) {
	as, err := s.canonical(as)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, tenant, of, step{audit.PersonIdentityRemoved, func(c *fact.Command, of id.ID) (*person.Person, error) {
		return person.RemoveIdentity(c, of, as, func(p *person.Person) (person.Identity, bool) {
			instead := s.schemes[as.Scheme].Instead
			if instead == nil {
				return person.Identity{}, false
			}
			return instead(p, as)
		})
	}})
}

// Alias is who is meant by a name that nobody has as an identity, because a dialect
// shows somebody by it. The zero Alias means nobody.
type Alias struct {
	Key string // whom the tenant knows by it; or else
	ID  id.ID  // whose id it is; zero: nobody's
	Is  func(p *person.Person) bool
}

// find returns who is meant, or problem.NotFound.
func (a Alias) find(q db.Queryer, tenant id.ID) (*person.Person, error) {
	nobody := problem.NotFound.New("there is no such person")
	if a.Is == nil {
		return nil, nobody
	}
	holder, err := person.Holder(q, tenant, person.Identity{Scheme: person.Native, Key: a.Key})
	if err != nil {
		return nil, err
	}
	for _, of := range []id.ID{holder, a.ID} {
		if of.IsZero() {
			continue
		}
		p, err := person.Get(q, tenant, of)
		if err == nil && !p.IsDeleted() && a.Is(p) {
			return p, nil
		}
		if err != nil && !problem.NotFound.Has(err) {
			return nil, err
		}
	}
	return nil, nobody
}

// Called is how a dialect names a person.
type Called struct {
	Identity person.Identity
	Else     Alias // who is meant where nobody has the identity
}

// PersonCalled returns who is named, or problem.NotFound.
func (s *Service) PersonCalled(ctx context.Context, tenant id.ID, by Called) (Profile, error) {
	return read(ctx, s.db, func(q db.Queryer) (Profile, error) {
		p, err := person.Find(q, tenant, by.Identity)
		if problem.NotFound.Has(err) {
			p, err = by.Else.find(q, tenant)
		}
		if err != nil {
			return Profile{}, err
		}
		return s.profile(q, p)
	})
}

// recognise has somebody whom the registration's alias means be known by its identity
// from now on, unless somebody else is: whoever stores what is said under a name that
// was shown says that it is that person's. It returns whose the identity is then; zero:
// nobody's.
func (s *Service) recognise(c *fact.Command, r Registration) (id.ID, error) {
	holder, err := person.Holder(c.Tx(), c.Tenant(), r.Identity)
	if err != nil || !holder.IsZero() {
		return holder, err
	}
	p, err := r.Else.find(c.Tx(), c.Tenant())
	if problem.NotFound.Has(err) {
		return id.ID{}, nil
	}
	if err != nil {
		return id.ID{}, err
	}
	if _, _, err := person.AddIdentity(c, p.ID, r.Identity); err != nil {
		return id.ID{}, err
	}
	return p.ID, c.Tx().Flush()
}

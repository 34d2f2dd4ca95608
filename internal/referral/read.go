package referral

import (
	"context"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Profile is a person with what programs know of them.
type Profile struct {
	*person.Person

	Codes     []Code      // the ones that are shown, the earliest program first
	Referrals []*Referral // by which the person came, the earliest first
}

// Code returns the code that is shown of the tenant's first program; "": none.
func (p Profile) Code() string {
	if len(p.Codes) == 0 {
		return ""
	}
	return p.Codes[0].Text
}

func (s *Service) profile(q db.Queryer, p *person.Person) (Profile, error) {
	codes, err := s.CodesOf(q, p.TenantID, p.ID)
	if err != nil {
		return Profile{}, err
	}
	referrals, err := OfReferred(q, p.TenantID, p.ID)
	return Profile{p, codes, referrals}, err
}

func (s *Service) profiles(q db.Queryer, people []*person.Person) ([]Profile, error) {
	all := make([]Profile, len(people))
	for i, p := range people {
		var err error
		if all[i], err = s.profile(q, p); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ProfileIn is a Profile read in a transaction or a snapshot, as rendering a fact
// needs it.
func (s *Service) ProfileIn(q db.Queryer, tenant, of id.ID) (Profile, error) {
	p, err := person.Get(q, tenant, of)
	if err != nil {
		return Profile{}, err
	}
	return s.profile(q, p)
}

// Person returns who is known by an identity, or problem.NotFound.
func (s *Service) Person(ctx context.Context, tenant id.ID, of person.Identity) (Profile, error) {
	return read(ctx, s.db, func(q db.Queryer) (Profile, error) {
		p, err := person.Find(q, tenant, of)
		if err != nil {
			return Profile{}, err
		}
		return s.profile(q, p)
	})
}

// PersonByID returns one of the tenant's people, or problem.NotFound; one who was
// forgotten is not found.
func (s *Service) PersonByID(ctx context.Context, tenant, of id.ID) (Profile, error) {
	return read(ctx, s.db, func(q db.Queryer) (Profile, error) {
		p, err := s.ProfileIn(q, tenant, of)
		if err == nil && p.IsDeleted() {
			return Profile{}, problem.NotFound.New("there is no such person")
		}
		return p, err
	})
}

// PersonByCode returns whose code it is, with the code, or problem.NotFound.
func (s *Service) PersonByCode(ctx context.Context, tenant id.ID, text string) (Profile, Code, error) {
	var found Code
	p, err := read(ctx, s.db, func(q db.Queryer) (Profile, error) {
		c, err := code.Lookup(q, tenant, text)
		if err != nil {
			return Profile{}, err
		}
		if c.Kind != code.Referral || c.PersonID.IsZero() {
			return Profile{}, problem.NotFound.New("there is no such code")
		}
		of, err := s.programs.Get(q, tenant, c.ProgramID)
		if err != nil {
			return Profile{}, err
		}
		found = Code{c.Text, c.Short, of.ID, of.Key, c.PersonID, c.CreatedAt}
		p, err := s.ProfileIn(q, tenant, c.PersonID)
		if err == nil && p.IsDeleted() {
			return Profile{}, problem.NotFound.New("there is no such code")
		}
		return p, err
	})
	return p, found, err
}

// Query chooses people of a list.
type Query struct {
	Text   string // how an e-mail address or a name begins; "": all
	Offset int
	Before id.ID // the last one of the page before; zero: the first page
	Limit  int
}

// People returns the tenant's people, the latest first, or those that a search
// finds, and how many there are in all.
func (s *Service) People(ctx context.Context, tenant id.ID, of Query) ([]Profile, int64, error) {
	var total int64
	all, err := read(ctx, s.db, func(q db.Queryer) ([]Profile, error) {
		if of.Text != "" {
			found, err := s.search(q, tenant, of.Text)
			if err != nil {
				return nil, err
			}
			total = int64(len(found))
			from := min(of.Offset, len(found))
			return s.profiles(q, found[from:min(from+of.Limit, len(found))])
		}
		var err error
		if total, err = person.Count(q, tenant); err != nil {
			return nil, err
		}
		people, err := person.List(q, tenant, person.Page{Before: of.Before, Offset: of.Offset, Limit: of.Limit})
		if err != nil {
			return nil, err
		}
		return s.profiles(q, people)
	})
	return all, total, err
}

// search finds people by their code, or as person.Search does.
func (s *Service) search(q db.Queryer, tenant id.ID, text string) ([]*person.Person, error) {
	found, err := person.Search(q, tenant, text)
	if err != nil {
		return nil, err
	}
	c, err := code.Lookup(q, tenant, text)
	if err != nil || c.PersonID.IsZero() {
		if problem.NotFound.Has(err) {
			err = nil
		}
		return found, err
	}
	p, err := person.Get(q, tenant, c.PersonID)
	if err != nil || p.IsDeleted() || slices.ContainsFunc(found, func(other *person.Person) bool { return other.ID == p.ID }) {
		return found, err
	}
	return append([]*person.Person{p}, found...), nil
}

// AccountProfile is an account with its people, at most a thousand.
type AccountProfile struct {
	Account *person.Account // nil: nothing was said of it but who belongs to it
	People  []Profile
}

// Account returns an account, or problem.NotFound where it has neither a state nor
// people.
func (s *Service) Account(ctx context.Context, tenant id.ID, key string) (AccountProfile, error) {
	return read(ctx, s.db, func(q db.Queryer) (AccountProfile, error) {
		account, err := person.AccountOf(q, tenant, key)
		if err != nil && !problem.NotFound.Has(err) {
			return AccountProfile{}, err
		}
		people, err := person.OfAccount(q, tenant, key, id.ID{}, maxPeople)
		if err != nil {
			return AccountProfile{}, err
		}
		if account == nil && len(people) == 0 {
			return AccountProfile{}, problem.NotFound.New("there is no such account")
		}
		profiles, err := s.profiles(q, people)
		return AccountProfile{account, profiles}, err
	})
}

// Detail is a referral with both people, and what it led to.
type Detail struct {
	*Referral

	ReferrerPerson Profile
	ReferredPerson Profile
	Rewards        []*reward.Reward // the earliest first; without those that a limit refused
}

// DetailIn is a Detail read in a transaction or a snapshot.
func (s *Service) DetailIn(q db.Queryer, r *Referral) (Detail, error) {
	d := Detail{Referral: r}
	var err error
	if d.ReferrerPerson, err = s.ProfileIn(q, r.TenantID, r.ReferrerID); err != nil {
		return Detail{}, err
	}
	if d.ReferredPerson, err = s.ProfileIn(q, r.TenantID, r.ReferredID); err != nil {
		return Detail{}, err
	}
	rewards, err := reward.OfReferral(q, r.TenantID, r.ID)
	d.Rewards = slices.DeleteFunc(rewards, func(r *reward.Reward) bool { return r.State == reward.IsRefused })
	return d, err
}

// RewardOf returns what the side of the referral was given first; nil: nothing.
func (d Detail) RewardOf(side Side) *reward.Reward {
	for _, r := range d.Rewards {
		if sideOfReward(r) == side {
			return r
		}
	}
	return nil
}

// ReferralByID returns one of the tenant's referrals, or problem.NotFound.
func (s *Service) ReferralByID(ctx context.Context, tenant, of id.ID) (Detail, error) {
	return read(ctx, s.db, func(q db.Queryer) (Detail, error) {
		r, err := selectReferral(q, tenant, of)
		if err != nil {
			return Detail{}, err
		}
		return s.DetailIn(q, r)
	})
}

// Filter chooses referrals. What is zero chooses all.
type Filter struct {
	ReferrerIDs []id.ID // of people; nil: anybody's, empty: nobody's
	ReferredIDs []id.ID
	State       State
	Referrer    Moderation
	Referred    Moderation
	Keep        func(r *Referral) bool // asked last; nil: all
	Offset      int
	Before      id.ID
	Limit       int
}

func (f Filter) isEmpty() bool {
	return f.ReferrerIDs == nil && f.ReferredIDs == nil && f.State == "" && f.Referrer == "" && f.Referred == "" && f.Keep == nil
}

func (f Filter) keeps(r *Referral) bool {
	return (f.ReferrerIDs == nil || slices.Contains(f.ReferrerIDs, r.ReferrerID)) &&
		(f.ReferredIDs == nil || slices.Contains(f.ReferredIDs, r.ReferredID)) &&
		(f.State == "" || f.State == r.State) && (f.Referrer == "" || f.Referrer == r.Referrer) &&
		(f.Referred == "" || f.Referred == r.Referred) && (f.Keep == nil || f.Keep(r))
}

// maxScanned is how many referrals a filter looks at in one read.
const maxScanned = 20_000

// Referrals returns the tenant's referrals that a filter chooses, the latest first,
// and how many it chooses in all. It looks at 20,000 at most: a filter that chooses
// among more than that returns problem.QueryTooSlow.
func (s *Service) Referrals(ctx context.Context, tenant id.ID, f Filter) ([]Detail, int64, error) {
	var total int64
	all, err := read(ctx, s.db, func(q db.Queryer) ([]Detail, error) {
		chosen, n, err := choose(q, tenant, f)
		if err != nil {
			return nil, err
		}
		total = n
		details := make([]Detail, len(chosen))
		for i, r := range chosen {
			if details[i], err = s.DetailIn(q, r); err != nil {
				return nil, err
			}
		}
		return details, nil
	})
	return all, total, err
}

func choose(q db.Queryer, tenant id.ID, f Filter) ([]*Referral, int64, error) {
	if f.isEmpty() {
		n, err := Count(q, tenant)
		if err != nil {
			return nil, 0, err
		}
		page, err := List(q, tenant, Page{Before: f.Before, Offset: f.Offset, Limit: f.Limit})
		return page, n, err
	}
	all, err := candidates(q, tenant, f)
	if err != nil {
		return nil, 0, err
	}
	if len(all) > maxScanned {
		return nil, 0, problem.QueryTooSlow.New("the filter would have to look at more than %d referrals: name a person", maxScanned)
	}
	all = slices.DeleteFunc(all, func(r *Referral) bool { return !f.keeps(r) })
	from := min(f.Offset, len(all))
	return all[from:min(from+f.Limit, len(all))], int64(len(all)), nil
}

// candidates returns the referrals among which a filter chooses, the latest first,
// one more than it may look at if there are too many.
func candidates(q db.Queryer, tenant id.ID, f Filter) ([]*Referral, error) {
	var all []*Referral
	switch {
	case f.ReferredIDs != nil:
		for _, of := range f.ReferredIDs {
			found, err := OfReferred(q, tenant, of)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	case f.ReferrerIDs != nil:
		for _, of := range f.ReferrerIDs {
			found, err := OfReferrer(q, tenant, of, Page{Before: f.Before, Limit: maxScanned + 1 - len(all)})
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
	default:
		return List(q, tenant, Page{Before: f.Before, Limit: maxScanned + 1})
	}
	slices.SortFunc(all, func(a, b *Referral) int { return slices.Compare(b.ID[:], a.ID[:]) })
	return all, nil
}

// RewardFilter chooses rewards of people.
type RewardFilter struct {
	People []id.ID   // nil: of everybody
	Kind   rule.Kind // "": all
	State  reward.State
	Before id.ID
	Limit  int
}

// Rewards returns rewards, the latest first, without those that a limit refused.
func (s *Service) Rewards(ctx context.Context, tenant id.ID, f RewardFilter) ([]*reward.Reward, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]*reward.Reward, error) {
		var all []*reward.Reward
		if f.People == nil {
			var err error
			if all, err = reward.List(q, tenant, reward.Page{Before: f.Before, Limit: f.Limit}); err != nil {
				return nil, err
			}
		}
		for _, of := range f.People {
			found, err := reward.OfPerson(q, tenant, of, reward.Page{Before: f.Before, Limit: f.Limit})
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		all = slices.DeleteFunc(all, func(r *reward.Reward) bool {
			return f.Kind != "" && r.Kind != f.Kind || f.State != "" && r.State != f.State
		})
		slices.SortFunc(all, func(a, b *reward.Reward) int { return slices.Compare(b.ID[:], a.ID[:]) })
		return all[:min(len(all), f.Limit)], nil
	})
}

// Reward returns one of the tenant's rewards, or problem.NotFound.
func (s *Service) Reward(ctx context.Context, tenant, of id.ID) (*reward.Reward, error) {
	return read(ctx, s.db, func(q db.Queryer) (*reward.Reward, error) { return reward.Get(q, tenant, of) })
}

// Balances returns what people can spend, in the order of the people and then of
// their wallets.
func (s *Service) Balances(ctx context.Context, tenant id.ID, people []id.ID) ([]ledger.Balance, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]ledger.Balance, error) {
		var all []ledger.Balance
		for _, of := range people {
			found, err := ledger.Balances(q, tenant, of)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	})
}

// read runs fn on a snapshot.
func read[T any](ctx context.Context, d *db.DB, fn func(q db.Queryer) (T, error)) (T, error) {
	var found T
	err := d.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = fn(q)
		return err
	})
	return found, err
}

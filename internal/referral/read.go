package referral

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

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
		p, err := person.Get(q, tenant, of)
		if err != nil {
			return Profile{}, err
		}
		if p.IsDeleted() {
			return Profile{}, problem.NotFound.New("there is no such person")
		}
		return s.profile(q, p)
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
		p, err := person.Get(q, tenant, c.PersonID)
		if err != nil {
			return Profile{}, err
		}
		programs, err := s.programs.List(q, tenant)
		if err != nil {
			return Profile{}, err
		}
		in := slices.IndexFunc(programs, func(p *program.Program) bool { return p.ID == c.ProgramID })
		if p.IsDeleted() || in < 0 {
			return Profile{}, problem.NotFound.New("there is no such code")
		}
		found = Code{c.Text, c.Short, c.ProgramID, programs[in].Key, c.PersonID, c.CreatedAt, !c.Active}
		all, err := profilesIn(q, programs, []*person.Person{p})
		if err != nil {
			return Profile{}, err
		}
		return all[0], nil
	})
	return p, found, err
}

// Query chooses people of a list.
type Query struct {
	Text   string            // how an e-mail address or a name begins, or a code, an account or an id; "": all
	Named  []person.Identity // who is found by the text as well, if anybody is known so
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
			found, err := s.search(q, tenant, of)
			if err != nil {
				return nil, err
			}
			total = int64(len(found))
			from := min(of.Offset, len(found))
			return s.profiles(q, tenant, found[from:min(from+of.Limit, len(found))])
		}
		var err error
		if total, err = person.Count(q, tenant); err != nil {
			return nil, err
		}
		people, err := person.List(q, tenant, person.Page{Before: of.Before, Offset: of.Offset, Limit: of.Limit})
		if err != nil {
			return nil, err
		}
		return s.profiles(q, tenant, people)
	})
	return all, total, err
}

// search finds people by their code, by names that the text is, by their account, or as
// person.Search does, in this order, each once: a thousand at most.
func (s *Service) search(q db.Queryer, tenant id.ID, of Query) ([]*person.Person, error) {
	found, err := byCode(q, tenant, of.Text)
	if err != nil {
		return nil, err
	}
	named, err := byName(q, tenant, of)
	if err != nil {
		return nil, err
	}
	ofAccount, err := person.OfAccount(q, tenant, of.Text, id.ID{}, maxPeople)
	if err != nil {
		return nil, err
	}
	begin, err := person.Search(q, tenant, of.Text)
	if err != nil {
		return nil, err
	}
	found = person.Once(slices.Concat(found, named, ofAccount, begin))
	return found[:min(len(found), maxFound)], nil
}

// maxFound is how many people a search finds.
const maxFound = 1000

// byName returns who is known by a text: by the names that it stands for in a dialect,
// as the tenant's own id, within an account, or as our own id.
func byName(q db.Queryer, tenant id.ID, of Query) ([]*person.Person, error) {
	var found []*person.Person
	for _, as := range slices.Concat(of.Named, []person.Identity{{Scheme: person.Native, Key: of.Text}}) {
		p, err := person.Find(q, tenant, as)
		if err != nil && !problem.NotFound.Has(err) {
			return nil, err
		}
		if err == nil {
			found = append(found, p)
		}
	}
	for _, called := range slices.Compact([]string{of.Text, url.PathEscape(of.Text)}) {
		some, err := person.InAccounts(q, tenant, called, maxFound)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	own, ok := ownID(of.Text)
	if !ok {
		return found, nil
	}
	p, err := person.Get(q, tenant, own)
	if problem.NotFound.Has(err) || err == nil && p.IsDeleted() {
		return found, nil
	}
	return append(found, p), err
}

// ownID reads an id of ours as the native API shows it, or as dialects do.
func ownID(text string) (id.ID, bool) {
	var own id.ID
	err := own.UnmarshalText([]byte(strings.TrimPrefix(text, string(person.Kind)+"_")))
	return own, err == nil
}

// byCode returns whose code a text is; nobody, if it is none.
func byCode(q db.Queryer, tenant id.ID, text string) ([]*person.Person, error) {
	c, err := code.Lookup(q, tenant, text)
	if problem.NotFound.Has(err) || err == nil && c.PersonID.IsZero() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := person.Get(q, tenant, c.PersonID)
	if err != nil || p.IsDeleted() {
		return nil, err
	}
	return []*person.Person{p}, nil
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
		profiles, err := s.profiles(q, tenant, people)
		return AccountProfile{account, profiles}, err
	})
}

// ReferralByID returns one of the tenant's referrals, or problem.NotFound.
func (s *Service) ReferralByID(ctx context.Context, tenant, of id.ID) (Detail, error) {
	return read(ctx, s.db, func(q db.Queryer) (Detail, error) {
		r, err := selectReferral(q, tenant, of)
		if err != nil {
			return Detail{}, err
		}
		all, err := s.details(q, tenant, []*Referral{r})
		if err != nil {
			return Detail{}, err
		}
		return all[0], nil
	})
}

// Span is from when to when something happened, both included.
type Span struct{ From, To time.Time }

// has reports whether it happened in the span; without one all the same.
func (s *Span) has(at time.Time) bool {
	return s == nil || !at.IsZero() && !at.Before(s.From) && !at.After(s.To)
}

// Filter chooses referrals. What is zero chooses all.
type Filter struct {
	ReferrerIDs []id.ID // of people; nil: anybody's, empty: nobody's
	ReferredIDs []id.ID
	State       State
	Referrer    Moderation
	Referred    Moderation
	Started     *Span
	Converted   *Span
	Ended       *Span
	Offset      int
	Before      id.ID
	Limit       int
}

// namesNobody reports whether referrals are chosen whoever is in them.
func (f Filter) namesNobody() bool { return f.ReferrerIDs == nil && f.ReferredIDs == nil }

// namesReferrer reports whether they are chosen among those of one referrer.
func (f Filter) namesReferrer() bool { return len(f.ReferrerIDs) == 1 && f.ReferredIDs == nil }

func (f Filter) isEmpty() bool {
	return f.namesNobody() && f.State == "" && f.Referrer == "" && f.Referred == "" && f.Started == nil && f.Converted == nil && f.Ended == nil
}

func (f Filter) keeps(r *Referral) bool {
	return (f.ReferrerIDs == nil || slices.Contains(f.ReferrerIDs, r.ReferrerID)) &&
		(f.ReferredIDs == nil || slices.Contains(f.ReferredIDs, r.ReferredID)) &&
		(f.State == "" || f.State == r.State) && (f.Referrer == "" || f.Referrer == r.Referrer) &&
		(f.Referred == "" || f.Referred == r.Referred) && f.Started.has(r.StartedAt) && f.Converted.has(r.ConvertedAt) && f.Ended.has(r.EndedAt)
}

// What lists may cost, so that nobody's can keep the others from reading.
const (
	maxScanned  = 20_000      // how many referrals or rewards are looked at one by one in one read
	maxSearches = 2           // how many lists at once look at all that a tenant has
	maxSearch   = time.Second // how long one may do so
)

// Referrals returns the tenant's referrals that a filter chooses, the latest first,
// and how many it chooses in all. Choosing takes a second at most, and of several
// people it looks at 20,000 referrals at most: it returns problem.QueryTooSlow where
// that does not do.
func (s *Service) Referrals(ctx context.Context, tenant id.ID, f Filter) ([]Detail, int64, error) {
	var all []Detail
	var total int64
	list := func(q db.Queryer) error {
		page, n, err := choose(q, tenant, f)
		if err != nil {
			return err
		}
		total = n
		all, err = s.details(q, tenant, page)
		return err
	}
	var err error
	switch {
	case f.isEmpty():
		err = s.db.Read(ctx, list)
	case f.namesNobody():
		err = s.readAmongAll(ctx, list)
	default:
		err = s.readInTime(ctx, list)
	}
	return all, total, err
}

// readAmongAll is readInTime for what looks at all that a tenant has.
func (s *Service) readAmongAll(ctx context.Context, fn func(q db.Queryer) error) error {
	select {
	case s.searches <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.searches }()
	return s.readInTime(ctx, fn)
}

// readInTime breaks a read off that takes too long, with problem.QueryTooSlow.
func (s *Service) readInTime(ctx context.Context, fn func(q db.Queryer) error) error {
	limited, cancel := context.WithTimeout(ctx, maxSearch)
	defer cancel()
	err := s.db.Read(limited, fn)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return problem.QueryTooSlow.New("the list took longer than %v: name a person, or order an export", maxSearch)
	}
	return err
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
	if f.namesNobody() || f.namesReferrer() {
		return chosen(q, tenant, f)
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

// candidates returns the referrals of people among which a filter chooses, the latest
// first, one more than it may look at if there are too many.
func candidates(q db.Queryer, tenant id.ID, f Filter) ([]*Referral, error) {
	all, err := ofPeople(q, tenant, f)
	slices.SortFunc(all, func(a, b *Referral) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	return all, err
}

func ofPeople(q db.Queryer, tenant id.ID, f Filter) ([]*Referral, error) {
	var all []*Referral
	if f.ReferredIDs == nil {
		for _, of := range f.ReferrerIDs {
			found, err := OfReferrer(q, tenant, of, Page{Before: f.Before, Limit: maxScanned + 1 - len(all)})
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
	found, err := ofReferredPeople(q, tenant, f.ReferredIDs)
	for _, of := range found {
		all = append(all, of...)
	}
	return all, err
}

// RewardFilter chooses rewards of people.
type RewardFilter struct {
	People []id.ID   // nil: of everybody
	Kind   rule.Kind // "": all
	State  reward.State
	Before id.ID // of one person, or of everybody
	Limit  int
}

// Rewards returns rewards, the latest first, without those that a limit refused. Where
// several people have more of them than the limit, which ones they are is not said.
func (s *Service) Rewards(ctx context.Context, tenant id.ID, f RewardFilter) ([]*reward.Reward, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]*reward.Reward, error) {
		all, err := rewardsOf(q, tenant, f)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(all, func(r *reward.Reward) bool {
			return f.Kind != "" && r.Kind != f.Kind || f.State != "" && r.State != f.State
		})
		slices.SortFunc(all, func(a, b *reward.Reward) int { return bytes.Compare(b.ID[:], a.ID[:]) })
		return all, nil
	})
}

func rewardsOf(q db.Queryer, tenant id.ID, f RewardFilter) ([]*reward.Reward, error) {
	page := reward.Page{Before: f.Before, Limit: f.Limit}
	switch {
	case f.People == nil:
		return reward.List(q, tenant, page)
	case len(f.People) == 1:
		return reward.OfPerson(q, tenant, f.People[0], page)
	default:
		return reward.OfPeople(q, tenant, f.People, f.Limit)
	}
}

// Reward returns one of the tenant's rewards, or problem.NotFound.
func (s *Service) Reward(ctx context.Context, tenant, of id.ID) (*reward.Reward, error) {
	return read(ctx, s.db, func(q db.Queryer) (*reward.Reward, error) { return reward.Get(q, tenant, of) })
}

// RewardUses returns by which redemptions rewards were redeemed, by the rewards' ids.
func (s *Service) RewardUses(ctx context.Context, tenant id.ID, of []*reward.Reward) (map[id.ID][]ledger.Spending, error) {
	if !slices.ContainsFunc(of, func(r *reward.Reward) bool { return r.Redeemed > 0 }) {
		return nil, nil //nolint:nilnil // there are none
	}
	return read(ctx, s.db, func(q db.Queryer) (map[id.ID][]ledger.Spending, error) { return reward.Uses(q, tenant, of) })
}

// Balances returns what people can spend, in the order of the people and then of
// their wallets.
func (s *Service) Balances(ctx context.Context, tenant id.ID, people []id.ID) ([]ledger.Balance, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]ledger.Balance, error) { return ledger.BalancesOf(q, tenant, people) })
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

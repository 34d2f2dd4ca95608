package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Reading reads what the events of a command say beside its facts, as it is at the
// end of the command. What was read once is kept.
type Reading struct {
	s        *Service
	c        *fact.Command
	people   map[id.ID]*person.Person
	programs map[id.ID]string // keys
}

// Reading returns a Reading of a command that does nothing any more. It knows whom
// facts of the command are about, and reads nothing by itself.
func (s *Service) Reading(c *fact.Command) *Reading {
	r := &Reading{s, c, make(map[id.ID]*person.Person), make(map[id.ID]string)}
	for _, f := range c.Facts() {
		if p, ok := f.Data.(*person.Person); ok {
			r.people[p.ID] = p
		}
	}
	return r
}

// Person returns a person, also one who was forgotten.
func (r *Reading) Person(of id.ID) (*person.Person, error) {
	if p, ok := r.people[of]; ok {
		return p, nil
	}
	if err := r.c.Tx().Flush(); err != nil {
		return nil, err
	}
	p, err := person.Now(r.c, of)
	if err != nil {
		return nil, err
	}
	r.people[of] = p
	return p, nil
}

// Profile returns a person with codes and with the referrals by which they came.
func (r *Reading) Profile(of id.ID) (Profile, error) {
	p, err := r.Person(of)
	if err != nil {
		return Profile{}, err
	}
	if err := r.c.Tx().Flush(); err != nil {
		return Profile{}, err
	}
	codes, err := r.s.codesNow(r.c, of)
	if err != nil {
		return Profile{}, err
	}
	referrals, err := referralsNow(r.c, of)
	return Profile{p, codes, referrals}, err
}

// ProgramKey returns the key of a program; "": it is none.
func (r *Reading) ProgramKey(of id.ID) (string, error) {
	if key, ok := r.programs[of]; ok || of.IsZero() {
		return key, nil
	}
	p, err := r.s.programs.Get(r.c.Tx(), r.c.Tenant(), of)
	if err != nil && !problem.NotFound.Has(err) {
		return "", err
	}
	key := ""
	if err == nil {
		key = p.Key
	}
	r.programs[of] = key
	return key, nil
}

// FirstRewards returns what the sides of a referral were given first, the referrer's
// before the referred person's; nil: nothing.
func (r *Reading) FirstRewards(of *Referral) (*reward.Reward, *reward.Reward, error) {
	given, err := rewardsNow(r.c, of)
	return given[ReferrerSide], given[ReferredSide], err
}

// LinkPath returns the path of the share link by which a referral came to be; "": it
// was none.
func (r *Reading) LinkPath(of *Referral) (string, error) {
	if of.Link == (code.Link{}) || of.Code == "" {
		return "", nil
	}
	used, err := code.Lookup(r.c.Tx(), r.c.Tenant(), of.Code)
	if problem.NotFound.Has(err) { // it was erased since
		return "", nil
	}
	return code.Path(used.Short, of.Link), err
}

// FriendPercent returns the discount, in basis points, that the rules of a program
// give to the friend; 0: none.
func (r *Reading) FriendPercent(program id.ID) (int64, error) {
	programs, err := r.s.all(r.c)
	if err != nil {
		return 0, err
	}
	for _, p := range programs {
		if p.ID == program {
			return friendPercent(p.Rules), nil
		}
	}
	return 0, nil
}

func (s *Service) friendPercentOf(q db.Queryer, tenant, of id.ID) (int64, error) {
	p, err := s.programs.Get(q, tenant, of)
	if problem.NotFound.Has(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return friendPercent(p.Rules), nil
}

// friendPercent is that of the first rule that gives the referred person a discount.
func friendPercent(rules *rule.Set) int64 {
	for _, r := range rules.Rules() {
		friends := r.To == rule.Referred || r.To == rule.Self && r.Actor == rule.Referred
		if friends && r.Give != nil && r.Give.Kind == rule.Percent {
			return r.Give.Amount.Fixed
		}
	}
	return 0
}

// ProgramKeys returns the keys of the tenant's programs by their ids.
func (s *Service) ProgramKeys(ctx context.Context, tenant id.ID) (map[id.ID]string, error) {
	return read(ctx, s.db, func(q db.Queryer) (map[id.ID]string, error) {
		programs, err := s.programs.List(q, tenant)
		keys := make(map[id.ID]string, len(programs))
		for _, p := range programs {
			keys[p.ID] = p.Key
		}
		return keys, err
	})
}

// FriendPercentOf is FriendPercent outside of a command.
func (s *Service) FriendPercentOf(ctx context.Context, tenant, of id.ID) (int64, error) {
	return read(ctx, s.db, func(q db.Queryer) (int64, error) { return s.friendPercentOf(q, tenant, of) })
}

package referral

import (
	"fmt"
	"maps"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// What lists show is read by one query for each kind of thing, however many people or
// referrals there are on a page.

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
	all, err := s.profiles(q, p.TenantID, []*person.Person{p})
	if err != nil {
		return Profile{}, err
	}
	return all[0], nil
}

// profiles returns the profiles of people, in their order.
func (s *Service) profiles(q db.Queryer, tenant id.ID, people []*person.Person) ([]Profile, error) {
	if len(people) == 0 {
		return nil, nil
	}
	programs, err := s.programs.List(q, tenant)
	if err != nil {
		return nil, err
	}
	return profilesIn(q, programs, people)
}

// profilesIn is profiles where the programs of the people's tenant are known.
func profilesIn(q db.Queryer, programs []*program.Program, people []*person.Person) ([]Profile, error) {
	ids := make([]id.ID, len(people))
	for i, p := range people {
		ids[i] = p.ID
	}
	tenant := people[0].TenantID
	codes, err := code.PrimaryOf(q, tenant, ids)
	if err != nil {
		return nil, err
	}
	referrals, err := ofReferredPeople(q, tenant, ids)
	if err != nil {
		return nil, err
	}
	all := make([]Profile, len(people))
	for i, p := range people {
		all[i] = Profile{p, shownOf(programs, codes[p.ID]), referrals[p.ID]}
	}
	return all, nil
}

// shownOf returns those of somebody's codes that are shown, the earliest program
// first.
func shownOf(programs []*program.Program, codes []code.Code) []Code {
	var shown []Code
	for _, p := range programs {
		for _, c := range codes {
			if c.ProgramID == p.ID && c.Primary && c.Kind == code.Referral {
				shown = append(shown, Code{c.Text, c.Short, p.ID, p.Key, c.PersonID, c.CreatedAt, !c.Active})
			}
		}
	}
	return shown
}

// peopleByID returns people by their ids, all of whom have to be there; also those who
// were forgotten.
func peopleByID(q db.Queryer, tenant id.ID, ids []id.ID) (map[id.ID]*person.Person, error) {
	people, err := person.ByIDs(q, tenant, ids)
	if err != nil {
		return nil, err
	}
	for _, of := range ids {
		if people[of] == nil {
			return nil, fmt.Errorf("referral: the person %s is missing", of)
		}
	}
	return people, nil
}

// Detail is a referral with both people, and what it led to.
type Detail struct {
	*Referral

	ReferrerPerson Profile
	ReferredPerson Profile
	Rewards        []*reward.Reward // the earliest first; without those that a limit refused
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

// details returns referrals with what belongs to them, in their order.
func (s *Service) details(q db.Queryer, tenant id.ID, referrals []*Referral) ([]Detail, error) {
	ids, people := make([]id.ID, 0, len(referrals)), make([]id.ID, 0, 2*len(referrals))
	for _, r := range referrals {
		ids, people = append(ids, r.ID), append(people, r.ReferrerID, r.ReferredID)
	}
	found, err := peopleByID(q, tenant, people)
	if err != nil {
		return nil, err
	}
	all, err := s.profiles(q, tenant, slices.Collect(maps.Values(found)))
	if err != nil {
		return nil, err
	}
	profiles := make(map[id.ID]Profile, len(all))
	for _, p := range all {
		profiles[p.ID] = p
	}
	given, err := reward.OfReferrals(q, tenant, ids)
	if err != nil {
		return nil, err
	}
	details := make([]Detail, len(referrals))
	for i, r := range referrals {
		details[i] = Detail{r, profiles[r.ReferrerID], profiles[r.ReferredID], given[r.ID]}
	}
	return details, nil
}

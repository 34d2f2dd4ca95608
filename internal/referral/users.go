package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/audit"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// hasRoom refuses somebody who is new where the account has as many people as its
// state can concern.
func (s *Service) hasRoom(c *fact.Command, p *person.Person) error {
	if p.Account == "" {
		return nil
	}
	if err := c.Tx().Flush(); err != nil { // the person counts
		return err
	}
	people, err := person.CountOfAccount(c.Tx(), c.Tenant(), p.Account, maxPeople+1)
	if err != nil {
		return err
	}
	if people > maxPeople {
		return refuse(ErrFull, problem.Conflict.New("the account has %d people, which is as many as it may have", maxPeople))
	}
	return nil
}

// Give is what a rule promises.
type Give struct {
	rule.Give

	Unit string // the rule's, or else the program's
}

// Promise returns what a program promises to who is referred, by the first of its
// rules that gives to them; nil: nothing. It returns problem.NotFound where there is
// no such program.
func (s *Service) Promise(ctx context.Context, tenant, of id.ID) (*Give, error) {
	return read(ctx, s.db, func(q db.Queryer) (*Give, error) {
		p, err := s.programs.Get(q, tenant, of)
		if err != nil {
			return nil, err
		}
		for _, r := range p.Rules.Rules() {
			if r.Give == nil || r.To != rule.Referred && (r.To != rule.Self || r.Actor != rule.Referred) {
				continue
			}
			promised := &Give{Give: *r.Give, Unit: r.Give.Unit}
			if promised.Unit == "" {
				promised.Unit = p.Unit
			}
			return promised, nil
		}
		return nil, nil //nolint:nilnil // nothing is promised
	})
}

// TrackOnce is Track for a report that must not be made twice: it returns
// problem.IdempotencyConflict, and stores nothing, where the key of its first
// activity was used before, be it for the same.
func (s *Service) TrackOnce(ctx context.Context, tenant id.ID, r Report) ([]activity.Result, error) {
	if n := len(r.Activities); n < 1 || n > maxActivities {
		return nil, problem.InvalidField("activities", "must be 1 to %d", maxActivities)
	}
	var done []activity.Result
	err := s.do(ctx, tenant, "person/"+r.Person.String(), func(c *fact.Command) error {
		_, err := activity.ByKey(c.Tx(), tenant, r.Activities[0].Key)
		if err == nil {
			return problem.IdempotencyConflict.New("the key was used before: what it was used for is stored")
		}
		if !problem.NotFound.Has(err) {
			return err
		}
		done, err = s.track(c, r)
		return err
	})
	return done, err
}

// Removal is somebody to be forgotten.
type Removal struct {
	Person id.ID
	How    person.Deletion
	// As is by what the person was named, which is remembered with the others.
	As person.Identity
	// EmptyAccount forgets the person's account as well, if nobody else is in it.
	EmptyAccount bool
}

// Remove forgets a person, and the account with the last one of it. It returns
// problem.NotFound for somebody who is not there.
func (s *Service) Remove(ctx context.Context, tenant id.ID, r Removal) error {
	return s.do(ctx, tenant, "person/"+r.Person.String(), func(c *fact.Command) error {
		p, err := person.Get(c.Tx(), tenant, r.Person)
		if err != nil {
			return err
		}
		if r.How.Remember && r.As.Key != "" && !p.IsDeleted() {
			if err := person.Link(c, p, r.As); err != nil {
				return err
			}
		}
		err = onRecord(ctx, c, ofPerson(audit.PersonDeleted, r.Person), func() error { return person.Delete(c, r.Person, r.How) })
		if err != nil {
			return err
		}
		if !r.EmptyAccount || p.Account == "" {
			return nil
		}
		others, err := person.OfAccount(c.Tx(), tenant, p.Account, id.ID{}, 2)
		if err != nil {
			return err
		}
		for _, other := range others {
			if other.ID != p.ID {
				return nil
			}
		}
		had, err := person.DeleteAccount(c, p.Account)
		if err != nil || !had {
			return err
		}
		return audit.Write(ctx, c.Tx(), audit.Change{TenantID: tenant, Action: audit.AccountDeleted, ObjectID: p.Account})
	})
}

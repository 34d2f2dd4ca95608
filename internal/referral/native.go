package referral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Named returns who is named by an id as it is shown or by an external id. What
// begins as an id does is one. It returns problem.NotFound where there is nobody,
// and for somebody who was forgotten.
func (s *Service) Named(ctx context.Context, tenant id.ID, named string) (*person.Person, error) {
	return read(ctx, s.db, func(q db.Queryer) (*person.Person, error) {
		if !IsPersonID(named) {
			return person.Find(q, tenant, person.Identity{Scheme: person.Native, Key: named})
		}
		of, err := person.Kind.Parse(named)
		if err != nil {
			return nil, problem.NotFound.New("there is no such person")
		}
		p, err := person.Get(q, tenant, of)
		if err == nil && p.IsDeleted() {
			return nil, problem.NotFound.New("there is no such person")
		}
		return p, err
	})
}

// IsPersonID reports whether a name is meant as a person's id: no external id begins
// so.
func IsPersonID(named string) bool { return strings.HasPrefix(named, string(person.Kind)+"_") }

// inItem says of a refusal's fields that they are those of one activity of several.
func inItem(i int, err error) error {
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok || len(refusal.Fields) == 0 {
		return err
	}
	var checks problem.Checks
	for _, f := range refusal.Fields {
		checks.Add(fmt.Sprintf("activities[%d].%s", i, f.Name), "%s", f.Message)
	}
	return checks.Err()
}

// Choice chooses among referrals or rewards; what is zero chooses all.
type Choice struct {
	Program    id.ID
	Referrer   id.ID      // of referrals
	Referred   id.ID      // of referrals
	Moderation Moderation // of either side of a referral
	State      State      // of referrals

	Person id.ID        // whose rewards
	Reward reward.State // of rewards
	Page   Page         // without an offset
}

// ReferralPage returns referrals, the latest first, and behind which one the list
// goes on; zero: there are no more. One page looks at 20,000 at most, and for half a
// second, so it may have fewer than were asked for, or none, and the list still go on.
func (s *Service) ReferralPage(ctx context.Context, tenant id.ID, of Choice) ([]*Referral, id.ID, error) {
	return readPage(ctx, s.db, func(q db.Queryer) sifting[*Referral] {
		return sifting[*Referral]{
			part: func(p Page) ([]*Referral, error) {
				switch {
				case !of.Referred.IsZero():
					return referredBefore(q, tenant, of.Referred, p)
				case !of.Referrer.IsZero():
					return OfReferrer(q, tenant, of.Referrer, p)
				}
				return List(q, tenant, p)
			},
			keep: of.keepsReferral,
			at:   func(r *Referral) id.ID { return r.ID },
			page: of.Page,
		}
	})
}

// referredBefore returns by what somebody was referred, the latest first: one for
// each program at most.
func referredBefore(q db.Queryer, tenant, of id.ID, p Page) ([]*Referral, error) {
	all, err := OfReferred(q, tenant, of)
	slices.Reverse(all)
	before := p.before()
	all = slices.DeleteFunc(all, func(r *Referral) bool { return bytes.Compare(r.ID[:], before[:]) >= 0 })
	return all[:min(len(all), p.Limit)], err
}

func (of Choice) keepsReferral(r *Referral) bool {
	return (of.Program.IsZero() || of.Program == r.ProgramID) && (of.State == "" || of.State == r.State) &&
		(of.Referrer.IsZero() || of.Referrer == r.ReferrerID) &&
		(of.Moderation == "" || of.Moderation == r.Referrer || of.Moderation == r.Referred)
}

// RewardPage returns rewards in the same way, without those that a limit refused.
func (s *Service) RewardPage(ctx context.Context, tenant id.ID, of Choice) ([]*reward.Reward, id.ID, error) {
	return readPage(ctx, s.db, func(q db.Queryer) sifting[*reward.Reward] {
		return sifting[*reward.Reward]{
			part: func(p Page) ([]*reward.Reward, error) {
				if !of.Person.IsZero() {
					return reward.BeforeOf(q, tenant, of.Person, reward.Page{Before: p.Before, Limit: p.Limit})
				}
				return reward.Before(q, tenant, reward.Page{Before: p.Before, Limit: p.Limit})
			},
			keep: func(r *reward.Reward) bool {
				return r.State != reward.IsRefused && (of.Program.IsZero() || of.Program == r.ProgramID) && (of.Reward == "" || of.Reward == r.State)
			},
			at:   func(r *reward.Reward) id.ID { return r.ID },
			page: of.Page,
		}
	})
}

// sifting is how a list is gone through of which some are wanted.
type sifting[T any] struct {
	part func(p Page) ([]T, error)
	keep func(T) bool
	at   func(T) id.ID
	page Page
}

const (
	siftPart  = 1000                   // how many are read at a time, once the first part did not do
	maxSifted = 500 * time.Millisecond // how long one page goes on
)

func (s sifting[T]) run() ([]T, id.ID, error) {
	last, size := s.page.Before, s.page.Limit+1
	var kept []T
	began := time.Now()
	for looked := 0; looked < maxScanned && time.Since(began) < maxSifted; size = siftPart {
		found, err := s.part(Page{Before: last, Limit: size})
		if err != nil {
			return nil, id.ID{}, err
		}
		for _, one := range found {
			if s.keep(one) {
				if len(kept) == s.page.Limit {
					return kept, last, nil
				}
				kept = append(kept, one)
			}
			last = s.at(one)
		}
		if len(found) < size {
			return kept, id.ID{}, nil
		}
		looked += len(found)
	}
	return kept, last, nil
}

// readPage goes through a list on one snapshot.
func readPage[T any](ctx context.Context, d *db.DB, of func(q db.Queryer) sifting[T]) ([]T, id.ID, error) {
	var next id.ID
	page, err := read(ctx, d, func(q db.Queryer) ([]T, error) {
		var kept []T
		var err error
		kept, next, err = of(q).run()
		return kept, err
	})
	return page, next, err
}

func all[T any](T) bool { return true }

// Facts returns facts, the latest first, and behind which one the list goes on.
// about is what they are about; zero: anything.
func (s *Service) Facts(ctx context.Context, tenant, about id.ID, p Page) ([]*fact.Fact, id.ID, error) {
	return readPage(ctx, s.db, func(q db.Queryer) sifting[*fact.Fact] {
		return sifting[*fact.Fact]{
			part: func(p Page) ([]*fact.Fact, error) {
				if about.IsZero() {
					return fact.List(q, tenant, fact.Page{Before: p.Before, Limit: p.Limit})
				}
				return fact.Of(q, tenant, about, fact.Page{Before: p.Before, Limit: p.Limit})
			},
			keep: all[*fact.Fact], at: func(f *fact.Fact) id.ID { return f.ID }, page: p,
		}
	})
}

// Trace is a fact with what it led to, each in order.
type Trace struct {
	*fact.Fact

	Effects []*Trace
	More    bool // it led to others that are not here: see maxTraced
}

// maxTraced is how many facts a trace has.
const maxTraced = 500

// Trace returns a fact and what it led to: 500 facts at most, those that are nearest
// to it.
func (s *Service) Trace(ctx context.Context, tenant, of id.ID) (*Trace, error) {
	return read(ctx, s.db, func(q db.Queryer) (*Trace, error) {
		f, err := fact.Get(q, tenant, of)
		if err != nil {
			return nil, err
		}
		root := &Trace{Fact: f}
		traced := 1
		for layer := []*Trace{root}; len(layer) > 0; layer = layer[1:] {
			led, err := fact.CausedBy(q, tenant, layer[0].ID)
			if err != nil {
				return nil, err
			}
			for _, f := range led {
				if traced == maxTraced {
					layer[0].More = true
					break
				}
				traced++
				below := &Trace{Fact: f}
				layer[0].Effects, layer = append(layer[0].Effects, below), append(layer, below)
			}
		}
		return root, nil
	})
}

// Activities returns what a person did, the latest first, what was undone too, and
// behind which one the list goes on.
func (s *Service) Activities(ctx context.Context, tenant, of id.ID, p Page) ([]*activity.Activity, id.ID, error) {
	return readPage(ctx, s.db, func(q db.Queryer) sifting[*activity.Activity] {
		return sifting[*activity.Activity]{
			part: func(p Page) ([]*activity.Activity, error) {
				return activity.Latest(q, tenant, of, p.Before, p.Limit)
			},
			keep: all[*activity.Activity], at: func(a *activity.Activity) id.ID { return a.ID }, page: p,
		}
	})
}

package referral

import (
	"bytes"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The ids of activities and referrals say what came before what: whether somebody had
// been referred when they bought something, and which of two purchases was the first.
// Ids rise by themselves where one process makes them. Where several do, their clocks
// differ, and so the id of what comes next is made to sort after those of what it has
// to follow.

// soFar returns what happened last to somebody, by what activities are placed: an
// activity that is reported now follows it.
func soFar(c *fact.Command, p *person.Person) (activity.Place, error) {
	place := activity.Place{After: p.ID}
	done, err := lastDone(c, p.ID)
	if err != nil {
		return activity.Place{}, err
	}
	place.After = later(place.After, done)
	referred, err := OfReferred(c.Tx(), c.Tenant(), p.ID)
	if err != nil {
		return activity.Place{}, err
	}
	for _, r := range referred {
		place.After = later(later(place.After, r.ID), r.convertedBy)
		if !r.EndedAt.IsZero() {
			place.After = later(place.After, id.First(r.EndedAt))
			if place.At.Before(r.EndedAt) {
				place.At = r.EndedAt
			}
		}
	}
	sent, err := OfReferrer(c.Tx(), c.Tenant(), p.ID, Page{Limit: 1})
	if err != nil {
		return activity.Place{}, err
	}
	for _, r := range sent {
		place.After = later(place.After, r.ID)
	}
	changed, err := lastChange(c, p.Account)
	place.After = later(place.After, changed)
	return place, err
}

// lastDone returns the latest activity of a person; zero: there is none.
func lastDone(c *fact.Command, of id.ID) (id.ID, error) {
	for _, f := range slices.Backward(c.Facts()) {
		if a, ok := f.Data.(*activity.Activity); ok && a.PersonID == of {
			return a.ID, nil
		}
		if f.Type == person.Created && f.Subject.ID == of { // who is new has done nothing
			return id.ID{}, nil
		}
	}
	return activity.Last(c.Tx(), c.Tenant(), of)
}

// lastChange returns a bound of what happened to an account up to now; zero: nothing
// did.
func lastChange(c *fact.Command, account string) (id.ID, error) {
	if account == "" {
		return id.ID{}, nil
	}
	a, err := person.AccountOf(c.Tx(), c.Tenant(), account)
	if problem.NotFound.Has(err) {
		return id.ID{}, nil
	}
	if err != nil {
		return id.ID{}, err
	}
	return id.First(a.UpdatedAt.Add(time.Millisecond)), nil
}

// followAll has the facts of the command follow what happened to an account and what
// its people did so far: so that what its state leads to comes after that.
func followAll(c *fact.Command, account string, people []*person.Person) error {
	changed, err := lastChange(c, account)
	if err != nil {
		return err
	}
	c.Follow(changed)
	for _, p := range people {
		done, err := lastDone(c, p.ID)
		if err != nil {
			return err
		}
		c.Follow(done)
	}
	return nil
}

// newReferral returns the id of a referral that begins now: after all that the two
// people did before.
func newReferral(c *fact.Command, referrer, referred id.ID) (id.ID, error) {
	sent, err := lastDone(c, referrer)
	if err != nil {
		return id.ID{}, err
	}
	came, err := lastDone(c, referred)
	return id.After(c.Tx().Now(), later(sent, came)), err
}

// placeOf returns the place of a conversion that nothing that is reported has led to.
func placeOf(c *fact.Command, r *Referral) (id.ID, error) {
	done, err := lastDone(c, r.ReferredID)
	return id.After(c.Tx().Now(), later(done, r.ID)), err
}

// endOf returns when a referral ends that ends now: after all that the referred person
// did before.
func endOf(c *fact.Command, r *Referral) (time.Time, error) {
	latest, err := activity.Latest(c.Tx(), c.Tenant(), r.ReferredID, id.ID{}, 1)
	if err != nil || len(latest) == 0 || latest[0].ReceivedAt.Before(c.Now()) {
		return c.Now(), err
	}
	return latest[0].ReceivedAt.Add(time.Microsecond), nil
}

// later returns the one of two ids that sorts last.
func later(a, b id.ID) id.ID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

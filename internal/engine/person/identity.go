package person

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Link has a person be found by another identity as well, which is no name that
// anybody is shown: see AddIdentity. It returns problem.Conflict where somebody else
// is, or was and is remembered.
func Link(c *fact.Command, p *Person, as Identity) error {
	if err := checkIdentity(as); err != nil {
		return problem.InvalidField("key", "%s", err)
	}
	known, err := selectByIdentity(c.Tx(), c.Tenant(), as)
	switch {
	case err == nil && known.ID == p.ID:
		return nil
	case err == nil:
		return problem.Conflict.New("somebody else is known by this identity")
	case !problem.NotFound.Has(err):
		return err
	}
	return insertIdentity(c.Tx(), p, as)
}

// AddIdentity has a person be known by a further name, and reports whether that is
// new. It returns problem.Conflict where somebody else has it, or had it and was
// forgotten for good, and where the person has twenty already.
func AddIdentity(c *fact.Command, of id.ID, as Identity) (*Person, bool, error) {
	p, err := living(c, of)
	if err != nil {
		return nil, false, err
	}
	if slices.Contains(p.Identities(), as) {
		return p, false, nil
	}
	if len(p.Linked) >= maxLinked {
		return nil, false, problem.Conflict.New("the person has %d further identities, which is the most: remove one of them", maxLinked)
	}
	if err := Link(c, p, as); err != nil {
		return nil, false, err
	}
	p.Linked = append(p.Linked, as)
	return p, true, renamed(c, p)
}

// Instead returns by what somebody is to be known from now on who is known by a name
// no more, and whether anything: it is asked once the person is without the name.
type Instead func(p *Person) (Identity, bool)

// RemoveIdentity takes AddIdentity back: nobody is known by the name any more, and the
// person by the one instead, if there is one. It returns problem.NotFound where the
// person has no such name, and problem.Conflict for the one by which it was first
// known, which stays, and for one that would have to take its own place.
func RemoveIdentity(c *fact.Command, of id.ID, as Identity, instead Instead) (*Person, error) {
	p, err := living(c, of)
	if err != nil {
		return nil, err
	}
	if as == p.Identity {
		return nil, problem.Conflict.New("the person was first known by this identity, which stays")
	}
	at := slices.Index(p.Linked, as)
	if at < 0 {
		return nil, problem.NotFound.New("the person is not known by this identity")
	}
	p.Linked = slices.Delete(p.Linked, at, at+1)
	if err := removeIdentity(c.Tx(), p, as); err != nil {
		return nil, err
	}
	other, ok := instead(p)
	switch {
	case !ok:
		return p, renamed(c, p)
	case other == as:
		return nil, problem.Conflict.New("the person is shown by this name, which is made of our own id, as long as there is no other: add one first")
	}
	if err := Link(c, p, other); err != nil {
		return nil, err
	}
	p.Linked = append(p.Linked, other)
	return p, renamed(c, p)
}

// living returns one of the tenant's people who was not forgotten, or
// problem.NotFound.
func living(c *fact.Command, of id.ID) (*Person, error) {
	p, err := selectPerson(c.Tx(), c.Tenant(), of)
	if err == nil && p.IsDeleted() {
		return nil, errNoPerson
	}
	return p, err
}

// renamed stores a person with other names than before.
func renamed(c *fact.Command, p *Person) error {
	p.Version++
	p.UpdatedAt = c.Now()
	if err := update(c.Tx(), p); err != nil {
		return err
	}
	return told(c, Updated, p)
}

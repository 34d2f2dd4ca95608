package fact

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Undoing says what is taken back.
type Undoing struct {
	Fact   id.ID
	Reason string
	// Depth is how far down it goes: 1 is the fact alone, 2 also what it led to at
	// once, and so on; zero: everything that it led to.
	Depth int
}

// Undo takes a fact back, and what it led to, the latest first; what was taken back
// before stays as it is. It returns the fact that says so, which is the cause of
// everything that follows from it. A fact of that kind is undone by bringing about
// again what it had taken back, the earliest first.
//
// It returns problem.NotFound for a fact that the tenant does not have, and
// problem.Conflict for one that was taken back already.
func (c *Command) Undo(u Undoing) (*Fact, error) {
	if err := c.tx.Flush(); err != nil { // facts of this command may be among them
		return nil, err
	}
	of, err := Get(c.tx, c.tenant, u.Fact)
	if err != nil {
		return nil, err
	}
	if !of.UndoneBy.IsZero() {
		return nil, problem.Conflict.New("the fact was undone already")
	}
	undoing, err := c.Append(Fact{Type: Undone, Subject: Ref{"fact", of.ID}, Data: UndoneData{of.Type, u.Reason}})
	if err != nil {
		return nil, err
	}
	if of.Type == Undone {
		return undoing, c.Because(undoing.ID, func() error { return c.redo(undoing, of) })
	}
	below, err := c.below(of, u.Depth)
	if err != nil {
		return nil, err
	}
	return undoing, c.Because(undoing.ID, func() error {
		for _, f := range slices.Backward(below) {
			if err := c.takeBack(f, undoing.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// below returns a fact with what it led to, but for what was taken back, each after
// its cause.
func (c *Command) below(of *Fact, depth int) ([]*Fact, error) {
	all, layer := []*Fact{of}, []*Fact{of}
	for level := 1; len(layer) > 0 && (depth == 0 || level < depth); level++ {
		var next []*Fact
		for _, f := range layer {
			led, err := CausedBy(c.tx, c.tenant, f.ID)
			if err != nil {
				return nil, err
			}
			for _, below := range led {
				if below.UndoneBy.IsZero() {
					next = append(next, below)
				}
			}
		}
		all, layer = append(all, next...), next
		if len(all) > maxFacts {
			return nil, problem.Conflict.New("the fact led to more than %d others: undo those one by one", maxFacts)
		}
	}
	return all, nil
}

// takeBack marks a fact and reverses it, unless that was done already. An undoing
// among what is taken back, as a refund leads to one, is undone by itself.
func (c *Command) takeBack(f *Fact, by id.ID) error {
	if f.Type == Undone {
		_, err := c.Undo(Undoing{Fact: f.ID})
		if problem.Conflict.Has(err) {
			return nil
		}
		return err
	}
	marked, err := markUndone(c.tx, f, by)
	if err != nil || !marked {
		return err
	}
	f.UndoneBy = by
	if r := c.log.reversals[f.Type]; r.Undo != nil {
		return r.Undo(c, f)
	}
	return nil
}

// redo brings about again what an undoing took back.
func (c *Command) redo(by, undoing *Fact) error {
	if marked, err := markUndone(c.tx, undoing, by.ID); err != nil || !marked {
		return err
	}
	taken, err := undoneBy(c.tx, c.tenant, undoing.ID)
	if err != nil {
		return err
	}
	within, err := CausedBy(c.tx, c.tenant, undoing.ID)
	if err != nil {
		return err
	}
	for _, f := range taken {
		if err := clearUndone(c.tx, f); err != nil {
			return err
		}
		f.UndoneBy = id.ID{}
		if r := c.log.reversals[f.Type]; r.Redo != nil {
			if err := r.Redo(c, f); err != nil {
				return err
			}
		}
	}
	for _, f := range within { // undoings that it took back
		if f.Type == Undone && f.UndoneBy.IsZero() {
			if _, err := c.Undo(Undoing{Fact: f.ID}); err != nil && !problem.Conflict.Has(err) {
				return err
			}
		}
	}
	return nil
}

// Get returns one of the tenant's facts, or problem.NotFound.
func Get(q db.Queryer, tenant, of id.ID) (*Fact, error) { return selectFact(q, tenant, of) }

// CausedBy returns what a fact led to at once, in order.
func CausedBy(q db.Queryer, tenant, cause id.ID) ([]*Fact, error) {
	return selectCausedBy(q, tenant, cause)
}

// Page is a part of a list, the latest first.
type Page struct {
	Before id.ID // the last one of the page before; zero: the first page
	Limit  int
}

// Of returns the facts about a subject, the latest first.
func Of(q db.Queryer, tenant, subject id.ID, p Page) ([]*Fact, error) {
	return selectOf(q, tenant, subject, p)
}

// List returns the tenant's facts, the latest first.
func List(q db.Queryer, tenant id.ID, p Page) ([]*Fact, error) { return selectFacts(q, tenant, p) }

// Redact removes what the facts about a subject say of it, and leaves that they
// happened: for who is to be forgotten.
func Redact(tx *db.Tx, tenant, subject id.ID) error { return redact(tx, tenant, subject) }

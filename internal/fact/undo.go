package fact

import (
	"encoding/json"
	"errors"
	"fmt"
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

// ErrUndone is what the error matches that refuses to take back what was taken back
// already. It is a problem.Conflict besides.
var ErrUndone = errors.New("fact: it was undone already")

// Undo takes a fact back, and what it led to, the latest first; what was taken back
// before stays as it is. It returns the fact that says so, which is the cause of
// everything that follows from it.
//
// That fact can be undone in turn: then what it has taken back is brought about
// again, the earliest first. And so on: each undoing turns round what the one before
// it did.
//
// It returns problem.NotFound for a fact that the tenant does not have, ErrUndone for
// one that was taken back already, and problem.Conflict for one that can't be taken
// back by itself, since its type has no reversal, or by what the reversal says of it
// (Reversal.May). That error names the fact to undo instead, where there is one.
func (c *Command) Undo(u Undoing) (*Fact, error) {
	if err := c.tx.Flush(); err != nil { // facts of this command may be among them
		return nil, err
	}
	of, err := Get(c.tx, c.tenant, u.Fact)
	if err != nil {
		return nil, err
	}
	if !of.UndoneBy.IsZero() {
		return nil, errors.Join(ErrUndone, problem.Conflict.New("the fact was undone already"))
	}
	chain, err := c.chain(of)
	if err != nil {
		return nil, err
	}
	root := chain[len(chain)-1]
	if err := c.mayUndo(root, len(chain)); err != nil {
		return nil, err
	}
	what := UndoneData{Type: root.Type, Root: root.ID, Restored: len(chain)%2 == 0, Reason: u.Reason, Depth: u.Depth}
	undoing, err := c.Append(Fact{Type: Undone, Subject: Ref{"fact", of.ID}, Data: what})
	if err != nil {
		return nil, err
	}
	return undoing, c.undo(undoing, chain)
}

// mayUndo refuses to take back what can't be by itself. links is how many undoings
// there are with the fact: more than one turns round what was allowed before.
func (c *Command) mayUndo(root *Fact, links int) error {
	r, ok := c.log.reversals[root.Type]
	if !ok {
		return c.irreversible(root)
	}
	if links > 1 || r.May == nil {
		return nil
	}
	return r.May(c, root)
}

// maxCauses is how far back it is looked for a fact that can be undone.
const maxCauses = 100

// irreversible says that a fact has no reversal, and what led to it that has one.
func (c *Command) irreversible(f *Fact) error {
	cause := f.Cause
	for n := 0; n < maxCauses && !cause.IsZero(); n++ {
		led, err := Get(c.tx, c.tenant, cause)
		if err != nil {
			return err
		}
		may, err := c.mayInstead(led)
		if err != nil {
			return err
		}
		if may {
			return problem.Conflict.New("a fact of the type %s can't be undone by itself: undo %s (%s), which led to it", f.Type, FactID.Format(led.ID), led.Type)
		}
		cause = led.Cause
	}
	return problem.Conflict.New("a fact of the type %s can't be undone, and nothing that led to it can", f.Type)
}

// mayInstead reports whether a fact can be undone that led to one that can't.
func (c *Command) mayInstead(f *Fact) (bool, error) {
	r, ok := c.log.reversals[f.Type]
	if !ok || !f.UndoneBy.IsZero() {
		return false, nil
	}
	if r.May == nil {
		return true, nil
	}
	err := r.May(c, f)
	if problem.Conflict.Has(err) {
		return false, nil
	}
	return err == nil, err
}

// chain returns an undoing, what it undid, and so on, to the first one that is no
// undoing. Another fact is alone.
func (c *Command) chain(of *Fact) ([]*Fact, error) {
	chain := []*Fact{of}
	for of.Type == Undone {
		var err error
		if of, err = Get(c.tx, c.tenant, of.Subject.ID); err != nil {
			return nil, err
		}
		chain = append(chain, of)
	}
	return chain, nil
}

// undo does what an undoing says, of the chain that follows on it. To undo an undoing
// is to have what that one undid hold again; and if that is an undoing itself, to do
// what it says.
func (c *Command) undo(by *Fact, chain []*Fact) error {
	return c.Because(by.ID, func() error {
		of := chain[0]
		if len(chain) == 1 {
			return c.takeAllBack(of, by)
		}
		if _, err := markUndone(c.tx, of, by.ID); err != nil {
			return err
		}
		if len(chain) == 2 {
			return c.restore(of)
		}
		if err := clearUndone(c.tx, chain[1]); err != nil {
			return err
		}
		return c.undo(chain[1], chain[2:])
	})
}

// takeAllBack takes back a fact, and what it led to, the latest first.
func (c *Command) takeAllBack(of, by *Fact) error {
	depth, err := depthOf(by)
	if err != nil {
		return err
	}
	below, err := c.below(of, depth)
	if err != nil {
		return err
	}
	for _, f := range slices.Backward(below) {
		if err := c.takeBack(f, by.ID); err != nil {
			return err
		}
	}
	return nil
}

// depthOf returns how far down an undoing goes.
func depthOf(undoing *Fact) (int, error) {
	raw, err := undoing.Raw()
	if err != nil {
		return 0, err
	}
	var data UndoneData
	if err := json.Unmarshal(raw, &data); err != nil {
		return 0, fmt.Errorf("fact: read what the fact %s has undone: %w", undoing.ID, err)
	}
	return data.Depth, nil
}

// below returns a fact with what it led to, but for what was taken back, each after
// its cause. What an undoing led to is not among it: that is taken back by turning
// the undoing round.
func (c *Command) below(of *Fact, depth int) ([]*Fact, error) {
	all, layer := []*Fact{of}, []*Fact{of}
	for level := 1; len(layer) > 0 && (depth == 0 || level < depth); level++ {
		var next []*Fact
		for _, f := range layer {
			if f.Type == Undone {
				continue
			}
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
		return c.undoOnce(f.ID)
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

// undoOnce undoes an undoing, unless that was done already.
func (c *Command) undoOnce(of id.ID) error {
	if _, err := c.Undo(Undoing{Fact: of}); err != nil && !errors.Is(err, ErrUndone) {
		return err
	}
	return nil
}

// restore brings about again what an undoing took back.
func (c *Command) restore(undoing *Fact) error {
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
	for _, f := range within { // the undoings that it turned round
		if f.Type == Undone && f.UndoneBy.IsZero() {
			if err := c.undoOnce(f.ID); err != nil {
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

// Rewrite has fn change what the facts about a subject say of it, each the members of a
// JSON object: for what is about several people of whom one is to be forgotten.
func Rewrite(tx *db.Tx, tenant, subject id.ID, fn func(data map[string]json.RawMessage) error) error {
	page := Page{Limit: 200}
	for {
		facts, err := Of(tx, tenant, subject, page)
		if err != nil || len(facts) == 0 {
			return err
		}
		for _, f := range facts {
			if err := rewrite(tx, f, fn); err != nil {
				return err
			}
		}
		page.Before = facts[len(facts)-1].ID
	}
}

func rewrite(tx *db.Tx, f *Fact, fn func(data map[string]json.RawMessage) error) error {
	raw, err := f.Raw()
	if err != nil {
		return err
	}
	var data map[string]json.RawMessage
	if err := json.Unmarshal(raw, &data); err != nil {
		return fmt.Errorf("fact: read what the fact %s says: %w", f.ID, err)
	}
	if err := fn(data); err != nil {
		return err
	}
	now, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return setData(tx, f, now)
}

// Redact removes what the facts about a subject say of it, and leaves that they
// happened: for who is to be forgotten.
func Redact(tx *db.Tx, tenant, subject id.ID) error { return redact(tx, tenant, subject) }

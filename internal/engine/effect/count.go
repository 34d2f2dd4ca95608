package effect

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Counter counts facts for rules about facts. What it counts has an order
// ([Part.Place]), and each fact is judged with those that stand before it, whenever
// they came about. So who brings one about, takes one back, or changes which of them
// count, has the rules asked again of those that stand after it ([Engine.AskCounting]).
type Counter interface {
	// Counted are the types that it counts.
	Counted() []string

	// Count returns how many facts of a type stand before the one that happened, that
	// included.
	Count(q db.Queryer, n Count) (int64, error)
}

// Count is what is to be counted.
type Count struct {
	rule.FactCount

	Of  Part
	For Happening
}

// In returns the part in a program of a kind, for who asks rules without doing what
// they say.
func (of Part) In(h Host) Part {
	of.host = h
	return of
}

// counter is who counts facts here; nil: nobody does.
func (of Part) counter() Counter {
	if of.host == nil {
		return nil
	}
	return of.host.Counter()
}

// countsFacts reports whether a rule compares counts of facts.
func (of Part) countsFacts(r *rule.Rule) bool {
	c := of.counter()
	return c != nil && slices.ContainsFunc(c.Counted(), func(t string) bool { return len(r.Counting(t)) > 0 })
}

// counts counts for one evaluation.
type counts struct {
	counter Counter
	q       db.Queryer
	of      Part
	h       Happening
}

var _ rule.Facts = counts{}

func (c counts) Counted(factType string) bool { return slices.Contains(c.counter.Counted(), factType) }

func (c counts) Count(of rule.FactCount) (int64, error) {
	return c.counter.Count(c.q, Count{of, c.of, c.h})
}

// place is where a gift stands among what counts against its limit. What a rule gives
// that counts goes to what is first by what it counts.
func (g Gift) place() id.ID {
	if g.Of.Place.IsZero() || !g.Of.countsFacts(g.Rule) {
		return g.For.Key
	}
	return g.Of.Place
}

// AskCounting asks the rules of one program that count facts once more of a fact, since
// others stand before it now: what they say now holds. The happening has the times that
// it had, and its FactID.
func (e *Engine) AskCounting(c *fact.Command, p *program.Program, h Happening) error {
	if p.Status == program.Draft {
		return nil
	}
	h.again, h.counting = true, true
	return e.askIn(c, p, h)
}

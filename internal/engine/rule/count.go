package rule

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// MaxCompared is the largest number that a count of facts is compared with. Facts are
// counted no further than is compared, so it bounds what an evaluation costs, however
// many there are.
const MaxCompared = 1000

// maxCountShown is how far facts are counted for an explanation, which shows how many
// there are.
const maxCountShown = 10_000

// Facts counts what happened to people in a program.
type Facts interface {
	// Counted reports whether facts of a type are counted here; other types are those of
	// activities.
	Counted(factType string) bool

	// Count returns how many there were up to what is evaluated, that included.
	Count(of FactCount) (int64, error)
}

// FactCount is what is to be counted.
type FactCount struct {
	Type string
	From time.Time // included; zero: all time
	// UpTo is how far it has to be counted: of more, any number from UpTo on will do.
	UpTo int64
}

// Counting is a count that a rule compares.
type Counting struct {
	Type string
	In   Window
	// UpTo is one more than the largest number that it is compared with: all counts from
	// there on are the same to the rule.
	UpTo int64
}

// Counting returns the counts of a type that the rule compares.
func (r *Rule) Counting(factType string) []Counting {
	var of []Counting
	for _, c := range r.counts {
		if c.Type == factType {
			of = append(of, c)
		}
	}
	return of
}

// Counts returns all counts that the rule compares.
func (r *Rule) Counts() []Counting { return r.counts }

// counts reports whether facts of a type are counted.
func (in *Input) counts(factType string) bool { return in.Facts != nil && in.Facts.Counted(factType) }

// countsFacts reports whether a rule compares a count of facts.
func (in *Input) countsFacts(r *Rule) bool {
	return slices.ContainsFunc(r.counts, func(c Counting) bool { return in.counts(c.Type) })
}

// count asks for a count of facts, once for each that is compared alike.
func (e *evaluation) count(c *aggregation) (answer, error) {
	of := FactCount{Type: c.of.Type, From: c.of.In.Start(e.in.Now, e.in.Zone), UpTo: c.upTo}
	if e.in.Thorough {
		of.UpTo = max(of.UpTo, maxCountShown)
	}
	if known, ok := e.counted[of]; ok {
		return known, nil
	}
	n, err := e.in.Facts.Count(of)
	if err != nil {
		return answer{}, fmt.Errorf("rule: count facts: %w", err)
	}
	e.counted[of] = answer{json.Number(fmt.Sprint(n)), true}
	return e.counted[of], nil
}

// comparedUpTo returns one more than the largest of the numbers that a count is compared
// with, which are in lists too. Those that are too large count as the largest.
func comparedUpTo(operands []json.RawMessage) int64 {
	largest := new(big.Rat)
	for _, raw := range operands {
		values, isList := value(raw).([]any)
		if !isList {
			values = []any{value(raw)}
		}
		for _, v := range values {
			n, ok := v.(json.Number)
			if !ok {
				continue
			}
			exact, err := readNumber(n.String())
			if err != nil {
				return MaxCompared + 2
			}
			if exact.Cmp(largest) > 0 {
				largest = exact
			}
		}
	}
	if largest.Cmp(big.NewRat(MaxCompared, 1)) > 0 {
		return MaxCompared + 2
	}
	return round(largest).Int64() + 1
}

// countable refuses an aggregate of facts that nobody makes.
func (c *conditionParser) countable(a Aggregate, left string) error {
	if c.options.reported(a.Type) {
		return nil
	}
	place, counted := left+"."+string(a.Function), c.options.World.Counted
	switch {
	case len(counted) == 0:
		return problem.InvalidField(place, "must be made of activities that can be reported: facts are not counted")
	case a.Function != Count && slices.Contains(counted, a.Type):
		return problem.InvalidField(place, "is made of a fact, and these are only counted")
	case !slices.Contains(counted, a.Type):
		return problem.InvalidField(place, "must be made of activities that can be reported, or count one of %s", strings.Join(counted, ", "))
	}
	return nil
}

// countsOf returns the counts that a condition compares.
func countsOf(c clause) []Counting {
	if c == nil {
		return nil
	}
	var n Needs
	c.need(&n)
	return once(n.Counts)
}

// checkCounts refuses a rule that counts facts where they can't be counted for it, or
// where what it does could not be kept right.
func (p *parser) checkCounts(f fields, r *Rule) {
	w := p.options.World
	i := slices.IndexFunc(r.counts, func(c Counting) bool { return !p.options.reported(c.Type) })
	if i < 0 {
		return
	}
	for i, event := range r.On {
		place := "on"
		if f.isList("on") {
			place = fmt.Sprintf("on[%d]", i)
		}
		if !slices.Contains(w.Counted, event) {
			f.refuse(place, "must be one of %s, since the rule counts such facts", strings.Join(w.Counted, ", "))
		}
	}
	if r.To != w.CountedFor {
		f.refuse("to", "must be %s, whose facts the rule counts", w.CountedFor)
	}
	if r.Actor != Self && r.Actor != Referred {
		f.refuse("actor", "must be referred or left out, since the rule counts facts, and those are the referred person's")
	}
	if r.Convert {
		f.refuse("convert", "can't depend on how many facts there are")
	}
	if r.Once {
		f.refuse("once", "would not be once for all that is counted: compare with eq, which holds once, or give the rule a limit")
	}
	for _, c := range r.counts {
		if c.UpTo > MaxCompared+1 && !p.options.reported(c.Type) {
			f.refuse("if", "compares a count of facts with more than %d", MaxCompared)
			return
		}
	}
}

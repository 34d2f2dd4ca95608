package rule

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
)

// Function is how an aggregate makes one value of many.
type Function string

// The functions. Count takes a type alone; all others take a path: the type of
// activity or fact, then where the value stands in it, as order_success.total. A
// full stop in the type is written with a backslash there: reward\.approved.amount.
// That backslash is doubled in JSON.
const (
	Count    Function = "count"
	Sum      Function = "sum"
	Min      Function = "min"
	Max      Function = "max"
	First    Function = "first"
	Last     Function = "last"
	Distinct Function = "distinct" // how many different values
)

// functions are all that there are.
var functions = []Function{Count, Sum, Min, Max, First, Last, Distinct}

// numeric reports whether the value is always a number.
func (f Function) numeric() bool { return f != First && f != Last }

// Aggregate is a value made of what a person did, or what happened to them, within
// a window: {"sum":"order_success.total","in":"30d"}. Without in it is all time. Two
// that are equal have the same value in one evaluation.
type Aggregate struct {
	Function Function
	Type     string
	Path     string // of the value, see [condition.ReadPath]; empty for Count
	In       Window
}

// String returns the aggregate as it is written in a rule.
func (a Aggregate) String() string {
	text := written(a.Type)
	if a.Path != "" {
		text = written(escaped(a.Type) + "." + a.Path)
	}
	if a.In == (Window{}) {
		return fmt.Sprintf(`{%q:%s}`, a.Function, text)
	}
	return fmt.Sprintf(`{%q:%s,"in":%q}`, a.Function, text, a.In)
}

// History is what somebody did before, the activity that is being evaluated
// included.
type History interface {
	// Aggregate returns the value of an aggregate over what happened from one
	// instant to another, both included; from is zero for all time. The value is as
	// encoding/json reads it with [json.Decoder.UseNumber]. It reports whether there
	// is one: of nothing there are a Count, a Sum and a Distinct, which are 0, and no
	// others.
	Aggregate(a Aggregate, from, until time.Time) (any, bool, error)
}

// Segments tells whether the person is in a segment. One that does not exist has no
// members.
type Segments interface {
	Member(segment string) (bool, error)
}

// aggregation compares an aggregate.
type aggregation struct {
	of      Aggregate
	compare *condition.Condition // of what the root aggregateRoot stands for
	upTo    int64                // see [Counting]
}

// aggregateRoot is a path, in a condition that is made of a comparison with an
// aggregate by putting it in the aggregate's place.
const aggregateRoot = "aggregate"

var aggregateWords = condition.Vocabulary{{Name: aggregateRoot, Document: true}}

func (c *aggregation) explain(e *evaluation) (Explanation, error) {
	found, err := e.aggregate(c)
	if err != nil {
		return Explanation{}, err
	}
	x := explanation(c.compare.ExplainWithin(func(string) (any, bool) { return found.value, found.ok }, e.effort))
	x.Left = c.of.String()
	if !found.ok && x.Note != "" {
		x.Note = "there is nothing to make this of"
	}
	return x, nil
}

func (c *aggregation) need(n *Needs) {
	n.Aggregates = append(n.Aggregates, c.of)
	n.Events = append(n.Events, c.of.Type)
	if c.of.Function == Count {
		n.Counts = append(n.Counts, Counting{c.of.Type, c.of.In, c.upTo})
	}
}

// answer is the value of an aggregate, if it has one.
type answer struct {
	value any
	ok    bool
}

// aggregate asks the history for each aggregate once, and for facts who counts them.
func (e *evaluation) aggregate(c *aggregation) (answer, error) {
	a := c.of
	if a.Function == Count && e.in.counts(a.Type) {
		return e.count(c)
	}
	if known, ok := e.asked[a]; ok {
		return known, nil
	}
	found := answer{}
	if a.Function == Count || a.Function == Sum || a.Function == Distinct {
		found = answer{json.Number("0"), true}
	}
	if e.in.History != nil {
		value, ok, err := e.in.History.Aggregate(a, a.In.Start(e.in.Now, e.in.Zone), e.in.Now)
		if err != nil {
			return answer{}, fmt.Errorf("rule: ask the history: %w", err)
		}
		found = answer{value, ok}
	}
	e.asked[a] = found
	return found, nil
}

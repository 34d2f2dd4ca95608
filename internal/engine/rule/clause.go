package rule

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
)

// Explanation says what came of one condition. Where nothing more could change
// what came of it, the rest of its parts are not looked at, unless the evaluation
// is thorough.
type Explanation struct {
	Operator string          `json:"operator"`
	Holds    bool            `json:"holds"`
	Left     string          `json:"left,omitempty"`   // a path, an aggregate or an age as they are written; a segment
	Wanted   json.RawMessage `json:"wanted,omitempty"` // what it is compared with; a list for in and between
	Found    json.RawMessage `json:"found,omitempty"`  // what is there, unless that is a list, an object or long
	Note     string          `json:"note,omitempty"`   // why it can't hold, where that is not plain
	Parts    []Explanation   `json:"parts,omitempty"`  // of all, any and not
}

// clause is a condition of a rule.
type clause interface {
	// explain fails only where the history does.
	explain(e *evaluation) (Explanation, error)
	need(n *Needs)
}

// The operators that are not comparisons.
const (
	opAll      = "all"
	opAny      = "any"
	opNot      = "not"
	opMemberOf = "member_of"
)

// group is all or any.
type group struct {
	operator string
	parts    []clause
}

func (g *group) explain(e *evaluation) (Explanation, error) {
	decisive := g.operator == opAny // what one part says for all of them
	x := Explanation{Operator: g.operator, Holds: !decisive}
	for _, part := range g.parts {
		p, err := part.explain(e)
		if err != nil {
			return x, err
		}
		x.Parts = append(x.Parts, p)
		if p.Holds != decisive {
			continue
		}
		x.Holds = decisive
		if !e.in.Thorough {
			break
		}
	}
	return x, nil
}

func (g *group) need(n *Needs) {
	for _, part := range g.parts {
		part.need(n)
	}
}

type negation struct{ part clause }

func (c *negation) explain(e *evaluation) (Explanation, error) {
	x, err := c.part.explain(e)
	return Explanation{Operator: opNot, Holds: !x.Holds, Parts: []Explanation{x}}, err
}

func (c *negation) need(n *Needs) { c.part.need(n) }

// comparison compares what stands at a path.
type comparison struct{ *condition.Condition }

func (c *comparison) explain(e *evaluation) (Explanation, error) {
	return explanation(c.ExplainWithin(e.root, e.effort)), nil
}

func (c *comparison) need(n *Needs) { n.Paths = append(n.Paths, c.Paths()...) }

func explanation(o condition.Outcome) Explanation {
	return Explanation{Operator: o.Operator, Holds: o.Holds, Left: o.Path, Wanted: o.Wanted, Found: o.Found, Note: o.Note}
}

// membership is member_of.
type membership struct{ segment string }

func (c *membership) explain(e *evaluation) (Explanation, error) {
	x := Explanation{Operator: opMemberOf, Left: c.segment}
	if e.in.Segments == nil {
		x.Note = "there are no segments"
		return x, nil
	}
	holds, err := e.in.Segments.Member(c.segment)
	if err != nil {
		return x, fmt.Errorf("rule: ask for the members of a segment: %w", err)
	}
	x.Holds = holds
	return x, nil
}

func (c *membership) need(n *Needs) { n.Segments = append(n.Segments, c.segment) }

// pair compares what stands at two paths.
type pair struct {
	operator    string
	left, right string
	at, with    condition.Path
}

func (c *pair) explain(e *evaluation) (Explanation, error) {
	x := Explanation{Operator: c.operator, Left: c.left, Wanted: written(c.right)}
	left, ok := c.at.In(e.in.Documents)
	if !ok {
		x.Holds, x.Note = c.operator == "ne", "there is nothing at this path"
		return x, nil
	}
	x.Found = scalar(left)
	right, ok := c.with.In(e.in.Documents)
	if !ok {
		x.Holds, x.Note = c.operator == "ne", "there is nothing at the path that it is compared with"
		return x, nil
	}
	x.Holds, x.Note = condition.Compare(c.operator, left, right)
	return x, nil
}

func (c *pair) need(n *Needs) { n.Paths = append(n.Paths, c.left, c.right) }

// age compares how long ago the time at a path was.
type age struct {
	operator string
	path     string
	at       condition.Path
	wanted   []Duration
}

// ageOperators are the comparisons that an age has.
var ageOperators = []string{"gt", "gte", "lt", "lte", "between"}

func (c *age) explain(e *evaluation) (Explanation, error) {
	x := Explanation{Operator: c.operator, Left: `{"age":` + string(written(c.path)) + `}`}
	texts := make([]string, len(c.wanted))
	for i, d := range c.wanted {
		texts[i] = d.String()
	}
	x.Wanted = written(texts)
	if len(texts) == 1 {
		x.Wanted = written(texts[0])
	}
	found, ok := c.at.In(e.in.Documents)
	if !ok {
		x.Note = "there is nothing at this path"
		return x, nil
	}
	x.Found = scalar(found)
	since, ok := timeOf(found)
	if !ok {
		x.Note = "only a time such as 2026-11-01T00:00:00Z has an age"
		return x, nil
	}
	x.Holds = c.holds(func(d Duration) int { return e.in.Now.Compare(d.After(since, e.in.Zone)) })
	return x, nil
}

// timeOf reads a time from a document.
func timeOf(found any) (time.Time, bool) {
	text, _ := found.(string)
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// holds is told how the age compares with a duration.
func (c *age) holds(order func(Duration) int) bool {
	first := order(c.wanted[0])
	switch c.operator {
	case "gt":
		return first > 0
	case "gte":
		return first >= 0
	case "lt":
		return first < 0
	case "lte":
		return first <= 0
	default: // between
		return first >= 0 && order(c.wanted[1]) <= 0
	}
}

func (c *age) need(n *Needs) {
	n.Paths = append(n.Paths, c.path)
	for _, d := range c.wanted {
		n.Instants = append(n.Instants, Instant{Path: c.path, After: d})
	}
}

// written is a string or a list of strings as JSON.
func written(v any) json.RawMessage {
	text, _ := json.Marshal(v) // these always can be
	return text
}

// scalar is what encoding/json has read, as JSON, unless it is a list, an object or
// long.
func scalar(found any) json.RawMessage {
	switch found.(type) {
	case map[string]any, []any:
		return nil
	}
	text, err := json.Marshal(found)
	if err != nil || len(text) > condition.MaxText {
		return nil
	}
	return text
}

// isComparison reports whether the operator is one of package condition's that
// compare.
func isComparison(operator string) bool { return slices.Contains(condition.Comparisons(), operator) }

package condition

import (
	"encoding/json"
	"slices"
)

// Outcome is what came of one condition for a document.
type Outcome struct {
	Operator string
	Holds    bool
	Path     string          // of a comparison; empty for all, any and not
	Wanted   json.RawMessage // what the path is compared with; a list for in and between; nil: nothing
	Kind     Kind            // of what stands at the path
	Found    json.RawMessage // what stands there; nil: nothing, a list or an object, or more than a KiB
	Note     string          // why a comparison can't hold, where that is not plain; may be empty
	Parts    []Outcome       // of all, any and not
}

// Explain returns what came of each condition, also of those that Holds does not
// look at.
func (c *Condition) Explain(of SourceFunc) Outcome { return c.root.explain(of, nil) }

// ExplainWithin is Explain for no more than an effort. Once that is exhausted, what
// it returns means nothing.
func (c *Condition) ExplainWithin(of SourceFunc, effort *Effort) Outcome {
	return c.root.explain(of, effort)
}

func (n *node) explain(of SourceFunc, effort *Effort) Outcome {
	o := Outcome{Operator: n.operator.name}
	if n.operator.compare == nil {
		for i := range n.parts {
			o.Parts = append(o.Parts, n.parts[i].explain(of, effort))
		}
		o.Holds = n.combined(o.Parts)
		return o
	}
	found := valueOf(n.path.find(of))
	if !effort.spend(n.cost(found)) {
		return o
	}
	o.Holds, o.Note = n.operator.compare(found, n.wanted, effort)
	o.Path, o.Wanted, o.Kind = n.path.text, n.wantedJSON(), found.kind
	if o.Found = found.json(); len(o.Found) > MaxText {
		o.Found = nil
	}
	return o
}

// combined returns whether all, any or not holds by what came of its parts, so that
// no comparison is made again for each condition that it stands in.
func (n *node) combined(parts []Outcome) bool {
	switch n.operator.name {
	case "all":
		return !slices.ContainsFunc(parts, func(o Outcome) bool { return !o.Holds })
	case "any":
		return slices.ContainsFunc(parts, func(o Outcome) bool { return o.Holds })
	default:
		return !parts[0].Holds
	}
}

func (n *node) wantedJSON() json.RawMessage {
	if n.operator.operands == 0 {
		return nil
	}
	if n.operator.operands == 1 {
		return n.wanted[0].json()
	}
	list := []byte{'['}
	for i, v := range n.wanted {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, v.json()...)
	}
	return append(list, ']')
}

// TextOf returns the text of a string that encoding/json has read, and what JSON
// writes for a number, true, false or null. It reports whether it was one of those.
func TextOf(read any, ok bool) (string, bool) {
	v := valueOf(read, ok)
	switch v.kind {
	case Text, Number:
		return v.text, true
	case Null, Boolean:
		return string(v.json()), true
	default:
		return "", false
	}
}

package webhook

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Filter restricts a subscription to the events that a condition holds for: see
// package condition. Its paths begin with type, with data, or with the name of a
// field of the dialect's envelope.
type Filter struct {
	text      string // JSON
	condition *condition.Condition
	byField   bool // made of a field and a value, so that a mistake in it has no path
}

// NewFilter returns the filter that a text in JSON is. What is wrong with it shows
// when a subscription is made of it.
func NewFilter(text []byte) *Filter { return &Filter{text: string(text)} }

// FieldFilter returns the filter that lets events pass in whose envelope a field
// has a value.
func FieldFilter(field, value string) *Filter {
	text, _ := json.Marshal(map[string][]string{"eq": {field, value}}) // can't fail
	return &Filter{text: string(text), byField: true}
}

// String returns the filter as JSON.
func (f *Filter) String() string { return f.text }

// Equal reports whether two filters are written alike.
func (f *Filter) Equal(g *Filter) bool {
	return f == g || f != nil && g != nil && f.text == g.text
}

// Equality reports whether a subscription's filter is one that FieldFilter could
// have made, and which.
func (f *Filter) Equality() (condition.Equality, bool) {
	if f == nil || f.condition == nil {
		return condition.Equality{}, false
	}
	return f.condition.Equality()
}

// The roots of paths that every dialect has.
const (
	rootType = "type"
	rootData = "data"
)

// vocabulary is what filters may be about in a dialect.
func vocabulary(dialect wire.Dialect) condition.Vocabulary {
	words := condition.Vocabulary{{Name: rootType}, {Name: rootData, Document: true}}
	for _, field := range dialect.Fields() {
		words = append(words, condition.Root{Name: field.Name, Check: field.Check})
	}
	return words
}

// checked returns the filter, ready to be asked, after a check for the dialect. A
// nil filter is always right.
func (f *Filter) checked(checks *problem.Checks, dialect wire.Dialect) *Filter {
	if f == nil {
		return nil
	}
	read, err := parseFilter(f.text, vocabulary(dialect))
	if wrong, ok := errors.AsType[*problem.Error](err); ok && f.byField {
		checks.Add("filter", "%s", wrong.Fields[0].Message)
		return nil
	}
	checks.AddError("filter", err)
	return read
}

// stored returns the filter as it stands in the table; empty: there is none.
func (f *Filter) stored() string {
	if f == nil {
		return ""
	}
	return f.text
}

// readFilter reads what stored returned. Of a field that its dialect has no longer it
// finds nothing.
func readFilter(text string) (*Filter, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // a subscription need not have one
	}
	return parseFilter(text, nil)
}

func parseFilter(text string, words condition.Vocabulary) (*Filter, error) {
	read, err := condition.Parse("filter", []byte(text), words)
	if err != nil {
		return nil, err
	}
	return &Filter{text: read.String(), condition: read}, nil
}

// subject is an event as filters see it. Its data is decoded when the first filter
// asks for it.
type subject struct {
	eventType string
	fields    map[string]string
	data      []byte

	decoded  any
	verdicts map[string]bool   // by the filter's text; nil: none are kept
	effort   *condition.Effort // what filters may still cost; nil: without bounds
}

// passes reports whether the filter lets the event pass. A nil filter lets
// everything pass. Once the subject's effort is exhausted, the answer means nothing.
func (s *subject) passes(f *Filter) bool {
	if f == nil {
		return true
	}
	verdict, known := s.verdicts[f.text]
	if known {
		return verdict
	}
	verdict = f.condition.HoldsWithin(s.value, s.effort)
	if s.verdicts != nil {
		s.verdicts[f.text] = verdict
	}
	return verdict
}

// value is the subject's [condition.SourceFunc].
func (s *subject) value(root string) (any, bool) {
	switch root {
	case rootType:
		return s.eventType, true
	case rootData:
		if s.decoded == nil {
			s.decoded = decodeJSON(s.data)
		}
		return s.decoded, s.decoded != nil
	default:
		value, ok := s.fields[root]
		return value, ok
	}
}

// decodeJSON reads JSON with its numbers as they are written; nil: it is none.
func decodeJSON(text []byte) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

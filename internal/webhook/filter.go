package webhook

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Filter restricts a subscription to the events in whose envelope a field has a
// value. Its JSON is {"eq":["waitlist_id","…"]}.
type Filter struct {
	Field string // of the dialect
	Value string
}

// filterJSON is a condition as it is written.
type filterJSON struct {
	Eq []string `json:"eq"`
}

// MarshalJSON writes the condition.
func (f Filter) MarshalJSON() ([]byte, error) {
	return json.Marshal(filterJSON{Eq: []string{f.Field, f.Value}})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Filter) UnmarshalJSON(b []byte) error {
	var condition filterJSON
	if err := json.Unmarshal(b, &condition); err != nil || len(condition.Eq) != 2 {
		return errors.New(`must be {"eq":["field","value"]}`)
	}
	f.Field, f.Value = condition.Eq[0], condition.Eq[1]
	return nil
}

// check names what is wrong with the filter in the dialect. A nil filter is
// always right.
func (f *Filter) check(checks *problem.Checks, dialect wire.Dialect) {
	if f == nil {
		return
	}
	fields := dialect.Fields()
	i := slices.IndexFunc(fields, func(known wire.Field) bool { return known.Name == f.Field })
	if i < 0 {
		checks.Add("filter", "names a field that events of this dialect don't have")
		return
	}
	checks.AddError("filter", fields[i].Check(f.Value))
}

// accepts reports whether an event with these fields passes. A nil filter lets
// everything pass.
func (f *Filter) accepts(fields map[string]string) bool {
	return f == nil || fields[f.Field] == f.Value
}

// stored returns the filter as it stands in the table; empty: there is none.
func (f *Filter) stored() (string, error) {
	if f == nil {
		return "", nil
	}
	text, err := json.Marshal(f)
	return string(text), err
}

func readFilter(text string) (*Filter, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // a subscription need not have one
	}
	f := &Filter{}
	return f, json.Unmarshal([]byte(text), f)
}

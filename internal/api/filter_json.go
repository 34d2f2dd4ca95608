package api

import (
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// filterJSON is a condition, as it is written. What it may be is checked where the
// subscription's dialect is known.
type filterJSON struct{ text json.RawMessage }

var (
	_ json.Unmarshaler    = (*filterJSON)(nil)
	_ json.Marshaler      = filterJSON{}
	_ huma.SchemaProvider = filterJSON{}
)

// UnmarshalJSON keeps the text.
func (f *filterJSON) UnmarshalJSON(text []byte) error { return f.text.UnmarshalJSON(text) }

// MarshalJSON returns the text.
func (f filterJSON) MarshalJSON() ([]byte, error) { return f.text.MarshalJSON() }

// Schema describes the language: a schema of it would say less.
func (filterJSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "A condition on an event: an object with one member. {\"all\":[…]}, {\"any\":[…]} and {\"not\":…} have conditions inside. " +
			"{\"eq\":[path, value]}, ne, gt, gte, lt, lte, {\"in\":[path, [values]]}, {\"between\":[path, low, high]}, contains, starts, ends and {\"exists\":[path]} " +
			"compare what stands at a path: type, data and what is inside, such as data.items.0.sku, or a field of the dialect's envelope. " +
			"Numbers compare exactly, nothing is converted, and where there is nothing at the path only ne holds.",
		Examples: []any{exampleValue(`{"all":[{"eq":["data.currency","USD"]},{"gte":["data.amount",5000]}]}`)},
	}
}

// filter returns no filter for nil.
func (f *filterJSON) filter() *webhook.Filter {
	if f == nil {
		return nil
	}
	return webhook.NewFilter(f.text)
}

func showFilter(f *webhook.Filter) *filterJSON {
	if f == nil {
		return nil
	}
	return &filterJSON{json.RawMessage(f.String())}
}

// conditionOutcomeJSON is what came of a condition for an event.
type conditionOutcomeJSON struct {
	Operator   string                 `json:"operator" example:"gte"`
	Holds      bool                   `json:"holds"`
	Path       string                 `json:"path,omitempty" example:"data.amount" doc:"Of a comparison."`
	Wanted     json.RawMessage        `json:"wanted,omitempty" doc:"What it is compared with."`
	FoundType  string                 `json:"found_type,omitempty" example:"number" doc:"What the event has there: string, number, boolean, null, list or object; missing: nothing."`
	Found      json.RawMessage        `json:"found,omitempty" doc:"The value; absent for lists, objects and what is longer than a KiB."`
	Note       string                 `json:"note,omitempty" doc:"Why it can't hold, where that is not plain."`
	Conditions []conditionOutcomeJSON `json:"conditions,omitempty" doc:"Of all, any and not."`
}

func showConditionOutcome(o condition.Outcome) conditionOutcomeJSON {
	shown := conditionOutcomeJSON{
		Operator: o.Operator, Holds: o.Holds, Path: o.Path, Wanted: o.Wanted, FoundType: string(o.Kind), Found: o.Found, Note: o.Note,
	}
	for _, part := range o.Parts {
		shown.Conditions = append(shown.Conditions, showConditionOutcome(part))
	}
	return shown
}

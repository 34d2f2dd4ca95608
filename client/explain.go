package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
)

// Filter is a condition on an event. One of its fields is set:
//
//	client.Filter{All: []client.Filter{
//		{Eq: client.Operands{"data.currency", "USD"}},
//		{Gte: client.Operands{"data.amount", 5000}},
//	}}
//
// What comes first in Operands is a path: type, data and what is inside, such as
// data.items.0.sku, or a field of the dialect's envelope.
type Filter struct {
	All []Filter `json:"all,omitempty"`
	Any []Filter `json:"any,omitempty"`
	Not *Filter  `json:"not,omitempty"`

	Eq       Operands `json:"eq,omitempty"`
	Ne       Operands `json:"ne,omitempty"`
	Gt       Operands `json:"gt,omitempty"`
	Gte      Operands `json:"gte,omitempty"`
	Lt       Operands `json:"lt,omitempty"`
	Lte      Operands `json:"lte,omitempty"`
	Between  Operands `json:"between,omitempty"`  // a path, and the lowest and the highest value
	In       Operands `json:"in,omitempty"`       // a path and a list
	Contains Operands `json:"contains,omitempty"` // in a string or a list
	Starts   Operands `json:"starts,omitempty"`
	Ends     Operands `json:"ends,omitempty"`
	Exists   Operands `json:"exists,omitempty"` // a path alone
}

// Operands are a path and what it is compared with.
type Operands []any

// UnmarshalJSON keeps numbers as they are written, as [json.Number].
func (o *Operands) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode((*[]any)(o))
}

// Question names an event by EventID, if it was published, or else is one that
// could be.
type Question struct {
	EventID string `json:"event_id,omitempty"`
	Type    string `json:"type,omitempty"`
	Data    any    `json:"data,omitempty"`    // becomes a JSON object
	Dialect string `json:"dialect,omitempty"` // "": standard
	// Fields are what the dialect's envelope has besides, such as "waitlist_id".
	Fields map[string]string `json:"-"`
}

// MarshalJSON writes the question with its fields beside the others.
func (q Question) MarshalJSON() ([]byte, error) {
	type plain Question
	own, err := encode(plain(q))
	if err != nil || len(q.Fields) == 0 {
		return own, err
	}
	var members map[string]any
	dec := json.NewDecoder(bytes.NewReader(own))
	dec.UseNumber()
	if err := dec.Decode(&members); err != nil {
		return nil, err
	}
	for name, value := range q.Fields {
		members[name] = value
	}
	return encode(members)
}

// Explanation is why an event goes to a subscription, or does not.
type Explanation struct {
	Matches   bool              `json:"matches"` // whether the subscription as it is now gets such an event
	Summary   string            `json:"summary"`
	Dialect   DialectOutcome    `json:"dialect"`
	EventType TypeOutcome       `json:"event_type"`
	Filter    *ConditionOutcome `json:"filter,omitempty"`   // nil: there is none, or the dialects differ
	Delivery  *Delivery         `json:"delivery,omitempty"` // of a published event to the subscription; nil: there is none
}

// DialectOutcome compares the dialects.
type DialectOutcome struct {
	Matches bool   `json:"matches"`
	Wanted  string `json:"wanted"` // the subscription's
	Found   string `json:"found"`  // the event's
}

// TypeOutcome compares the event's type with the subscription's.
type TypeOutcome struct {
	Matches  bool             `json:"matches"`
	Type     string           `json:"type"`
	Patterns []PatternOutcome `json:"patterns"`
}

// PatternOutcome is whether an event type of a subscription stands for a type.
type PatternOutcome struct {
	Pattern string `json:"pattern"`
	Matches bool   `json:"matches"`
}

// ConditionOutcome is what came of a condition for an event.
type ConditionOutcome struct {
	Operator   string             `json:"operator"`
	Holds      bool               `json:"holds"`
	Path       string             `json:"path,omitempty"`       // of a comparison
	Wanted     json.RawMessage    `json:"wanted,omitempty"`     // what it is compared with
	FoundType  string             `json:"found_type,omitempty"` // what the event has there; "missing": nothing
	Found      json.RawMessage    `json:"found,omitempty"`      // nil: a list, an object, or more than a KiB
	Note       string             `json:"note,omitempty"`
	Conditions []ConditionOutcome `json:"conditions,omitempty"` // of all, any and not
}

// Explain says whether an event goes to a subscription, and why.
func (c *Client) Explain(ctx context.Context, subscription string, q Question) (Explanation, error) {
	var e Explanation
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", subscription, "/explain"), body: q}, &e)
	return e, err
}

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// explainJSON is a published event, or one that could be.
type explainJSON struct {
	EventID string          `json:"event_id,omitempty" minLength:"1" doc:"An event that was published; nothing else is given then."`
	Type    string          `json:"type,omitempty" minLength:"1" maxLength:"128" doc:"Of an event that could be published." example:"invoice.paid"`
	Data    json.RawMessage `json:"data,omitempty" doc:"Its data."`
	Dialect string          `json:"dialect,omitempty" minLength:"1" doc:"Whose event it is; absent: standard."`

	fields map[string]string // of the dialect's envelope
}

var (
	_ huma.SchemaTransformer = explainJSON{}
	_ json.Unmarshaler       = (*explainJSON)(nil)
)

// TransformSchema adds what the dialects' envelopes have besides.
func (explainJSON) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	addEnvelopeFields(s)
	return s
}

// UnmarshalJSON reads a body that is known to be as the schema has it.
func (e *explainJSON) UnmarshalJSON(text []byte) error {
	type plain explainJSON
	if err := json.Unmarshal(text, (*plain)(e)); err != nil {
		return err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return err
	}
	for name, value := range members {
		if !slices.Contains(envelopeFields, name) {
			continue
		}
		if e.fields == nil {
			e.fields = make(map[string]string)
		}
		e.fields[name] = unquote(value)
	}
	return nil
}

// explanationJSON is why an event goes to a subscription, or does not.
type explanationJSON struct {
	Matches   bool                  `json:"matches" doc:"Whether the subscription, as it is now, gets such an event."`
	Summary   string                `json:"summary" doc:"The same in a sentence." example:"The filter does not hold."`
	Dialect   dialectOutcomeJSON    `json:"dialect"`
	EventType typeOutcomeJSON       `json:"event_type"`
	Filter    *conditionOutcomeJSON `json:"filter,omitempty" doc:"Absent: the subscription has none, or the event is of another dialect."`
	Delivery  *DeliveryJSON         `json:"delivery,omitempty" doc:"Of a published event to the subscription; absent: there is none."`
}

type dialectOutcomeJSON struct {
	Matches bool   `json:"matches"`
	Wanted  string `json:"wanted" doc:"The subscription's." example:"standard"`
	Found   string `json:"found" doc:"The event's." example:"standard"`
}

type typeOutcomeJSON struct {
	Matches  bool                 `json:"matches" doc:"Whether any of the patterns stands for the type."`
	Type     string               `json:"type" doc:"The event's." example:"invoice.paid"`
	Patterns []patternOutcomeJSON `json:"patterns" doc:"The subscription's event types."`
}

type patternOutcomeJSON struct {
	Pattern string `json:"pattern" example:"invoice.*"`
	Matches bool   `json:"matches"`
}

func (s *server) explainRoutes() {
	register(s, route{
		id: "explain-subscription", method: http.MethodPost, path: "/v1/subscriptions/{id}/explain", tag: tagSubscriptions, access: canRead,
		summary: "Explain whether an event reaches a subscription",
		description: "Compares an event with the subscription as it is now: dialect, event types, and each condition of the filter with what the event has there. " +
			"The event is one that was published, by its id, or one that could be. Nothing is published and nothing sent.",
		example: `{"event_id":"evt_019a9c1d2f3b5e8d7c6a4f10"}`,
		answer: `{"matches":false,"summary":"The filter does not hold.","dialect":{"matches":true,"wanted":"standard","found":"standard"},` +
			`"event_type":{"matches":true,"type":"invoice.paid","patterns":[{"pattern":"invoice.*","matches":true}]},` +
			`"filter":{"operator":"gte","holds":false,"path":"data.amount","wanted":5000,"found_type":"number","found":4200}}`,
		errors: []*problem.Code{problem.BodyExpunged},
	}, s.explainSubscription)
}

func (s *server) explainSubscription(ctx context.Context, r request[subscriptionPath, explainJSON]) (explanationJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return explanationJSON{}, err
	}
	if r.body.EventID == "" {
		explained, err := s.opts.Webhooks.ExplainPublication(ctx, r.tenant.ID, sub, webhook.Publication{
			Type: r.body.Type, Data: r.body.Data, Dialect: r.body.Dialect, Fields: r.body.fields,
		})
		return showExplanation(explained), err
	}
	if r.body.Type != "" || r.body.Data != nil || r.body.Dialect != "" || r.body.fields != nil {
		return explanationJSON{}, problem.InvalidField("event_id", "names the event: give nothing else, or leave it out")
	}
	event, err := id.Event.Parse(r.body.EventID)
	if err != nil {
		if _, err := s.opts.Webhooks.Subscription(ctx, r.tenant.ID, sub); err != nil {
			return explanationJSON{}, err
		}
		return explanationJSON{}, problem.InvalidField("event_id", "is not the id of an event")
	}
	explained, err := s.opts.Webhooks.ExplainEvent(ctx, r.tenant.ID, sub, event)
	return showExplanation(explained), err
}

func showExplanation(e webhook.Explanation) explanationJSON {
	if e.Subscription == nil {
		return explanationJSON{}
	}
	shown := explanationJSON{
		Matches: e.Matches(), Summary: e.Summary(),
		Dialect:   dialectOutcomeJSON{e.DialectMatches(), e.Subscription.Dialect.Name(), e.Dialect},
		EventType: typeOutcomeJSON{e.TypeMatches(), e.EventType, make([]patternOutcomeJSON, len(e.Patterns))},
	}
	for i, p := range e.Patterns {
		shown.EventType.Patterns[i] = patternOutcomeJSON(p)
	}
	if e.Filter != nil {
		shown.Filter = new(showConditionOutcome(*e.Filter))
	}
	if e.Delivery != nil {
		shown.Delivery = new(showDelivery(*e.Delivery))
	}
	return shown
}

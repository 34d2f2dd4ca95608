package client

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Publication is an event to publish.
type Publication struct {
	Type      string    `json:"type"`
	Data      any       `json:"data"`               // becomes a JSON object
	Timestamp time.Time `json:"timestamp,omitzero"` // when it happened; zero: now
	Dialect   string    `json:"dialect,omitempty"`  // "": standard
	// Fields are what the dialect's envelope has besides, such as "waitlist_id".
	Fields map[string]string `json:"-"`
	// SubjectVersion counts the changes of what the event is about; zero: none.
	SubjectVersion int64 `json:"subject_version,omitzero"`

	// IdempotencyKey makes it safe to publish again after an error: it publishes
	// once, however often it is sent. "": none. A batch has one for all.
	IdempotencyKey string `json:"-"`
	// Traceparent is passed on to the receivers (W3C Trace Context). A batch has
	// one for all.
	Traceparent string `json:"-"`
}

// MarshalJSON writes the publication with its fields beside the others.
func (p Publication) MarshalJSON() ([]byte, error) {
	type plain Publication
	own, err := encode(plain(p))
	if err != nil || len(p.Fields) == 0 {
		return own, err
	}
	fields, err := encode(p.Fields)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(own, []byte("}\n")), ','), fields[1:]...), nil
}

// Published is what became of a publication.
type Published struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Timestamp  time.Time `json:"timestamp"`
	Deliveries int       `json:"deliveries"` // to how many subscriptions it goes
	// Replayed says that an earlier request with the same idempotency key
	// published it.
	Replayed bool `json:"-"`
}

// Publish publishes an event. When it returns, the event is on the server's
// disk, with a delivery for each subscription that matches it.
func (c *Client) Publish(ctx context.Context, p Publication) (Published, error) {
	var published Published
	h, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/events", body: p, header: p.header()}, &published)
	published.Replayed = h.Get(replayedHeader) == "true"
	return published, err
}

const replayedHeader = "Idempotency-Replayed"

// PublishBatch publishes up to 1,000 events, all or none. The first one's
// IdempotencyKey and Traceparent hold for all of them.
func (c *Client) PublishBatch(ctx context.Context, events []Publication) ([]Published, error) {
	var answer struct {
		Events []Published `json:"events"`
	}
	batch := call{method: http.MethodPost, path: "/v1/events/batch", body: map[string][]Publication{"events": events}}
	if len(events) > 0 {
		batch.header = events[0].header()
	}
	h, err := c.do(ctx, batch, &answer)
	for i := range answer.Events {
		answer.Events[i].Replayed = h.Get(replayedHeader) == "true"
	}
	return answer.Events, err
}

func (p Publication) header() http.Header {
	h := http.Header{}
	if p.IdempotencyKey != "" {
		h.Set("Idempotency-Key", p.IdempotencyKey)
	}
	if p.Traceparent != "" {
		h.Set("Traceparent", p.Traceparent)
	}
	return h
}

// Event is a published event.
type Event struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Dialect   string    `json:"dialect"`
	Timestamp time.Time `json:"timestamp"`  // when it happened
	CreatedAt time.Time `json:"created_at"` // when it was published
}

// FullEvent is an event with its body and its deliveries.
type FullEvent struct {
	Event
	Body       json.RawMessage `json:"body"` // what receivers get; "null" once it was expunged
	Expunged   bool            `json:"expunged"`
	Deliveries []Delivery      `json:"deliveries"` // at most 250
}

// EventFilter chooses events. Zero fields choose nothing.
type EventFilter struct {
	Type         string
	Status       DeliveryStatus // events with a delivery that stands so
	Since, Until time.Time      // when they were published
}

// Events returns a page of the events, the newest first.
func (c *Client) Events(ctx context.Context, f EventFilter, page Page) (List[Event], error) {
	query := url.Values{}
	set(query, "type", f.Type)
	set(query, "status", string(f.Status))
	setTime(query, "since", f.Since)
	setTime(query, "until", f.Until)
	return list[Event](ctx, c, "/v1/events", query, page)
}

// AllEvents goes through all events that the filter chooses.
func (c *Client) AllEvents(ctx context.Context, f EventFilter) iter.Seq2[Event, error] {
	return all(func(p Page) (List[Event], error) { return c.Events(ctx, f, p) })
}

// Event returns an event with its body and its deliveries.
func (c *Client) Event(ctx context.Context, id string) (FullEvent, error) {
	var e FullEvent
	_, err := c.do(ctx, call{method: http.MethodGet, path: path("/v1/events/", id)}, &e)
	return e, err
}

// ExpungeEvent removes an event's body for good, with what receivers answered to
// it, and keeps the records.
func (c *Client) ExpungeEvent(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/events/", id, "/body")}, nil)
	return err
}

// EventType is a type that a dialect defines, or that the tenant registered.
type EventType struct {
	Dialect     string          `json:"dialect"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Source      string          `json:"source"`            // where that is written; "tenant": the tenant registered it
	Version     int             `json:"version,omitempty"` // of a type that the tenant registered
	Schema      json.RawMessage `json:"schema,omitempty"`  // JSON Schema of the event's data; nil: any data fits
	Sample      json.RawMessage `json:"sample,omitempty"`
	Variants    []Variant       `json:"variants,omitempty"` // of the other forms that the data may have
	Remarks     []Remark        `json:"remarks,omitempty"`  // how the type differs from its source
}

// Variant is an example of a form that an event's data may have.
type Variant struct {
	Name   string          `json:"name"`
	Sample json.RawMessage `json:"sample"`
}

// Remark is a difference between an event type and its source.
type Remark struct {
	Kind string `json:"kind"` // "corrected", "added" or "ours"
	Text string `json:"text"`
}

// EventTypes returns the types that a dialect defines, with those that the tenant
// registered; "" stands for all dialects.
func (c *Client) EventTypes(ctx context.Context, dialect string) ([]EventType, error) {
	var types []EventType
	for t, err := range all(func(p Page) (List[EventType], error) {
		query := url.Values{}
		set(query, "dialect", dialect)
		return list[EventType](ctx, c, "/v1/event-types", query, p)
	}) {
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	return types, nil
}

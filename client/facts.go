package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Fact is something that changed in a program.
type Fact struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Subject    Subject         `json:"subject"`
	Version    int64           `json:"version,omitempty"` // of the subject, after the change
	Cause      string          `json:"cause,omitempty"`   // the fact that led to it; "": somebody outside did
	Actor      string          `json:"actor"`
	Data       json.RawMessage `json:"data,omitempty"` // the subject as it was then; nil: it was to be forgotten
	At         time.Time       `json:"at"`
	RecordedAt time.Time       `json:"recorded_at"`
	UndoneBy   string          `json:"undone_by,omitempty"` // the fact that took it back; "": it holds
}

// Subject is what a fact is about.
type Subject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Trace is a fact with what it led to.
type Trace struct {
	Fact
	Effects []Trace `json:"effects"`
	More    bool    `json:"more,omitempty"` // it led to more than is here
}

// Undoing says how a fact is taken back.
type Undoing struct {
	Reason string `json:"reason,omitempty"`
	Depth  int    `json:"depth,omitempty"` // 1: the fact alone; 2: also what it led to at once …; 0: everything
}

// Facts returns a page of what changed, the latest first. subject is the id of a
// person, a referral, a reward or an activity; "": anything.
func (c *Client) Facts(ctx context.Context, subject string, page Page) (List[Fact], error) {
	query := url.Values{}
	set(query, "subject", subject)
	return list[Fact](ctx, c, "/v1/facts", query, page)
}

// AllFacts goes through all facts about a subject; "": all that there are.
func (c *Client) AllFacts(ctx context.Context, subject string) iter.Seq2[Fact, error] {
	return all(func(p Page) (List[Fact], error) { return c.Facts(ctx, subject, p) })
}

// Fact returns a fact with what it led to.
func (c *Client) Fact(ctx context.Context, id string) (Trace, error) {
	return one[Trace](ctx, c, call{method: http.MethodGet, path: path("/v1/facts/", id)})
}

// UndoFact takes a fact back with what it led to, and returns the fact that says so.
// Undoing that brings everything about again.
func (c *Client) UndoFact(ctx context.Context, id string, u Undoing) (Fact, error) {
	return one[Fact](ctx, c, call{method: http.MethodPost, path: path("/v1/facts/", id, "/undo"), body: u})
}

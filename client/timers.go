package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Timer is something that happens later.
type Timer struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	DueAt    time.Time `json:"due_at"`
	TryAt    time.Time `json:"try_at"`             // DueAt, or later after a failure
	Failures int       `json:"failures,omitempty"` // in a row
	Error    string    `json:"error,omitempty"`    // of the last one; only the operator sees it
	ParkedAt time.Time `json:"parked_at,omitzero"` // zero: it is tried by itself
}

// Timers returns a page of what will happen later, in the order in which it will.
func (c *Client) Timers(ctx context.Context, page Page) (List[Timer], error) {
	return list[Timer](ctx, c, "/v1/timers", url.Values{}, page)
}

// AllTimers goes through all of them.
func (c *Client) AllTimers(ctx context.Context) iter.Seq2[Timer, error] {
	return all(func(p Page) (List[Timer], error) { return c.Timers(ctx, p) })
}

// ParkedTimers returns a page of what failed too often, and waits to be resumed.
func (c *Client) ParkedTimers(ctx context.Context, page Page) (List[Timer], error) {
	return list[Timer](ctx, c, "/v1/timers", url.Values{"parked": {"true"}}, page)
}

// ResumeTimer has a parked timer tried at once, as if it had not failed.
func (c *Client) ResumeTimer(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/timers/", id, "/resume")}, nil)
	return err
}

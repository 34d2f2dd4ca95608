package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// ReplayState is where a replay stands.
type ReplayState string

// The states of a replay.
const (
	ReplayRunning   ReplayState = "running"
	ReplayPaused    ReplayState = "paused"
	ReplayCancelled ReplayState = "cancelled"
	ReplayCompleted ReplayState = "completed"
	ReplayFailed    ReplayState = "failed" // it could not go on, and waits to be resumed
)

// Replay is the sending again of many deliveries.
type Replay struct {
	ID             string           `json:"id"`
	Kind           string           `json:"kind"` // "replay", or "recover": what a subscription has missed
	State          ReplayState      `json:"state"`
	SubscriptionID string           `json:"subscription_id,omitempty"` // "": deliveries to all
	EventTypes     []string         `json:"event_types,omitempty"`     // nil: of every type
	Status         []DeliveryStatus `json:"status,omitempty"`          // nil: all that had ended
	Since          time.Time        `json:"since"`
	Until          time.Time        `json:"until,omitzero"`
	Done           int64            `json:"done"`            // deliveries that were made due again
	Skipped        int64            `json:"skipped"`         // deliveries that can't be sent
	Total          *int64           `json:"total,omitempty"` // of both, when it is over; nil: too many to be counted before
	CreatedAt      time.Time        `json:"created_at"`
	UpdatedAt      time.Time        `json:"updated_at"`
	EndedAt        time.Time        `json:"ended_at,omitzero"` // zero: it is not completed and not cancelled
}

// NewReplay chooses deliveries to send again. Since is required; the other zero
// fields choose nothing.
type NewReplay struct {
	SubscriptionID string           `json:"subscription_id,omitempty"`
	EventTypes     []string         `json:"event_types,omitempty"`
	Status         []DeliveryStatus `json:"status,omitempty"` // delivered, failed, held, cancelled
	Since          time.Time        `json:"since"`            // when their events were published
	Until          time.Time        `json:"until,omitzero"`
}

// ReplayCount is how much a replay would send.
type ReplayCount struct {
	Deliveries int64 `json:"deliveries"`
	Skipped    int64 `json:"skipped"` // that can't be sent
	More       bool  `json:"more"`    // there are more than were counted
}

// CreateReplay sends deliveries again.
func (c *Client) CreateReplay(ctx context.Context, n NewReplay) (Replay, error) {
	return c.replay(ctx, call{method: http.MethodPost, path: "/v1/replays", body: n})
}

// PreviewReplay counts what a replay would send, and sends nothing.
func (c *Client) PreviewReplay(ctx context.Context, n NewReplay) (ReplayCount, error) {
	var count ReplayCount
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/replays/preview", body: n}, &count)
	return count, err
}

// Replays returns a page of the replays, the newest first.
func (c *Client) Replays(ctx context.Context, page Page) (List[Replay], error) {
	return list[Replay](ctx, c, "/v1/replays", url.Values{}, page)
}

// AllReplays goes through all replays.
func (c *Client) AllReplays(ctx context.Context) iter.Seq2[Replay, error] {
	return all(func(p Page) (List[Replay], error) { return c.Replays(ctx, p) })
}

// Replay returns a replay.
func (c *Client) Replay(ctx context.Context, id string) (Replay, error) {
	return c.replay(ctx, call{method: http.MethodGet, path: path("/v1/replays/", id)})
}

// PauseReplay stops a replay until it is resumed. What it has made due is sent.
func (c *Client) PauseReplay(ctx context.Context, id string) (Replay, error) {
	return c.replay(ctx, call{method: http.MethodPost, path: path("/v1/replays/", id, "/pause")})
}

// ResumeReplay lets a replay go on.
func (c *Client) ResumeReplay(ctx context.Context, id string) (Replay, error) {
	return c.replay(ctx, call{method: http.MethodPost, path: path("/v1/replays/", id, "/resume")})
}

// CancelReplay ends a replay. What it has made due is sent.
func (c *Client) CancelReplay(ctx context.Context, id string) (Replay, error) {
	return c.replay(ctx, call{method: http.MethodPost, path: path("/v1/replays/", id, "/cancel")})
}

// RecoverSubscription sends again what a subscription has missed of the events
// published since a time and, unless that is zero, before another one.
func (c *Client) RecoverSubscription(ctx context.Context, id string, since, until time.Time) (Replay, error) {
	body := struct {
		Since time.Time `json:"since"`
		Until time.Time `json:"until,omitzero"`
	}{since, until}
	return c.replay(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/recover"), body: body})
}

func (c *Client) replay(ctx context.Context, call call) (Replay, error) {
	var r Replay
	_, err := c.do(ctx, call, &r)
	return r, err
}

// EnabledSubscription is a subscription that was just enabled.
type EnabledSubscription struct {
	Subscription
	Missed Missed  `json:"missed"`
	Replay *Replay `json:"replay,omitempty"` // which recovers it; nil: none was asked for
}

// Missed is what a subscription has not got, and can be sent again.
type Missed struct {
	Failed int64     `json:"failed"`
	Held   int64     `json:"held"`
	Since  time.Time `json:"since,omitzero"` // when the oldest of their events was published; zero: nothing was missed
}

// EnableAndRecover enables a subscription and, unless since is zero, sends again
// what it has missed of the events published since then.
func (c *Client) EnableAndRecover(ctx context.Context, id string, since time.Time) (EnabledSubscription, error) {
	body := struct {
		RecoverSince time.Time `json:"recover_since,omitzero"`
	}{since}
	var sub EnabledSubscription
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/enable"), body: body}, &sub)
	return sub, err
}

package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// DeliveryStatus is where a delivery stands.
type DeliveryStatus string

// The states of a delivery.
const (
	Pending   DeliveryStatus = "pending"
	Delivered DeliveryStatus = "delivered"
	Failed    DeliveryStatus = "failed"    // the schedule is exhausted
	Cancelled DeliveryStatus = "cancelled" // its subscription or its body has gone
	Held      DeliveryStatus = "held"      // its subscription is disabled
)

// Delivery is one event on its way to one subscription.
type Delivery struct {
	ID             string         `json:"id"`
	EventID        string         `json:"event_id"`
	SubscriptionID string         `json:"subscription_id"`
	EventType      string         `json:"event_type"`
	Status         DeliveryStatus `json:"status"`
	AttemptCount   int            `json:"attempt_count"`
	NextAttemptAt  time.Time      `json:"next_attempt_at,omitzero"` // zero: there will be none
	UpdatedAt      time.Time      `json:"updated_at"`
	ResponseStatus int            `json:"response_status,omitempty"` // of the last attempt; 0: there was no answer
	Reason         string         `json:"reason,omitempty"`
}

// FullDelivery is a delivery with all its attempts.
type FullDelivery struct {
	Delivery
	Attempts []Attempt `json:"attempts"`
}

// Verdict is what an attempt means for its delivery.
type Verdict string

// The verdicts. There may be others one day.
const (
	VerdictDelivered Verdict = "delivered"
	VerdictRetry     Verdict = "retry"     // failed; tried again on schedule
	VerdictBusy      Verdict = "busy"      // failed, and several in a row pause the subscription
	VerdictThrottled Verdict = "throttled" // failed, and the whole subscription waits
	VerdictGone      Verdict = "gone"      // the endpoint wants nothing more
	VerdictRefused   Verdict = "refused"   // failed: it was not sent
)

// Attempt is one request and what came of it.
type Attempt struct {
	Number         int       `json:"number"` // from 1
	StartedAt      time.Time `json:"started_at"`
	Timing         Timing    `json:"timing"`
	ResponseStatus int       `json:"response_status,omitempty"` // 0: there was no answer
	Verdict        Verdict   `json:"verdict"`
	Reason         string    `json:"reason"`
	Error          string    `json:"error,omitempty"`
	Response       *Response `json:"response,omitempty"` // nil: there was no answer
}

// Timing is how long the parts of an attempt took, in microseconds. What was not
// needed is zero.
type Timing struct {
	DNS       int64 `json:"dns_us"`
	Connect   int64 `json:"connect_us"`
	TLS       int64 `json:"tls_us"`
	FirstByte int64 `json:"first_byte_us"`
	Total     int64 `json:"total_us"`
}

// Response is what an endpoint answered.
type Response struct {
	Headers []Header `json:"headers"`
	Body    string   `json:"body"` // the first 16 KiB; of the answer to a test, the first KiB
}

// Header is a line of an answer's head.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DeliveryFilter chooses deliveries. Zero fields choose nothing.
type DeliveryFilter struct {
	SubscriptionID string
	EventID        string
	EventType      string
	Status         DeliveryStatus
	ResponseStatus int
	ResponseClass  string    // "5xx": the last attempt was answered with such a status
	Reason         string    // of the last attempt, or why the delivery ended
	Since, Until   time.Time // when their events were published
	// Data is a path in the events' data and the value there, such as "order.id:42".
	Data string
}

// Deliveries returns a page of the deliveries, those of the newest events first. A
// search by Data may return fewer than the page holds, or none, and go on at its
// cursor all the same.
func (c *Client) Deliveries(ctx context.Context, f DeliveryFilter, page Page) (List[Delivery], error) {
	query := url.Values{}
	set(query, "subscription_id", f.SubscriptionID)
	set(query, "event_id", f.EventID)
	set(query, "status", string(f.Status))
	if f.ResponseStatus != 0 {
		query.Set("response_status", strconv.Itoa(f.ResponseStatus))
	}
	set(query, "event_type", f.EventType)
	set(query, "response_status_class", f.ResponseClass)
	set(query, "error_class", f.Reason)
	set(query, "data", f.Data)
	setTime(query, "since", f.Since)
	setTime(query, "until", f.Until)
	return list[Delivery](ctx, c, "/v1/deliveries", query, page)
}

// AllDeliveries goes through all deliveries that the filter chooses.
func (c *Client) AllDeliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[Delivery, error] {
	return all(func(p Page) (List[Delivery], error) { return c.Deliveries(ctx, f, p) })
}

// Delivery returns a delivery with all its attempts.
func (c *Client) Delivery(ctx context.Context, id string) (FullDelivery, error) {
	var d FullDelivery
	_, err := c.do(ctx, call{method: http.MethodGet, path: path("/v1/deliveries/", id)}, &d)
	return d, err
}

// RetryDelivery makes a delivery due now and begins its schedule again.
func (c *Client) RetryDelivery(ctx context.Context, id string) (Delivery, error) {
	var d Delivery
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/deliveries/", id, "/retry")}, &d)
	return d, err
}

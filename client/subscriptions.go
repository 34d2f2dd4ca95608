package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// SubscriptionStatus is whether a subscription sends.
type SubscriptionStatus string

// The states of a subscription.
const (
	Enabled  SubscriptionStatus = "enabled"
	Disabled SubscriptionStatus = "disabled"
)

// Subscription is where events go. Values of headers and secrets of auth are
// masked.
type Subscription struct {
	ID                string             `json:"id"`
	URL               string             `json:"url"`
	Dialect           string             `json:"dialect"`
	EventTypes        []string           `json:"event_types"`
	Filter            *Filter            `json:"filter,omitempty"` // nil: every event of these types
	Description       string             `json:"description"`
	Headers           map[string]string  `json:"headers"`
	Auth              *Auth              `json:"auth,omitempty"`
	ClientCertificate *Certificate       `json:"client_certificate,omitempty"` // what Auth has in Certificate; nil: none
	Authorities       []Certificate      `json:"authorities,omitempty"`        // those that vouch for the endpoint; empty: the system's
	Handshake         bool               `json:"handshake,omitempty"`          // the endpoint has to confirm the subscription before it is enabled
	Policy            Policy             `json:"policy"`
	Status            SubscriptionStatus `json:"status"`
	Reason            string             `json:"reason,omitempty"` // why it is disabled: "manual", "gone", "failing" or "handshake_failed"
	Health            Health             `json:"health"`
	PublicKeys        []string           `json:"public_keys"` // what receivers verify v1a signatures with
	CreatedAt         time.Time          `json:"created_at"`
	UpdatedAt         time.Time          `json:"updated_at"`
}

// Health is how an endpoint has fared since it last took an event.
type Health struct {
	State        HealthState `json:"state"`
	Reason       string      `json:"reason,omitempty"`       // why it is failing: "failed_in_row" or "delivery_failed"
	ErrorClass   string      `json:"error_class,omitempty"`  // how the last attempt failed
	Failures     int         `json:"failures"`               // attempts since the last success
	Since        time.Time   `json:"since,omitzero"`         // when the first of them began
	FailingSince time.Time   `json:"failing_since,omitzero"` // zero: it is not failing
	PausedUntil  time.Time   `json:"paused_until,omitzero"`  // zero: attempts may be made now
}

// HealthState is what an endpoint's attempts say of it.
type HealthState string

// The states of an endpoint.
const (
	Healthy HealthState = "ok"
	Failing HealthState = "failing"
)

// SubscriptionWithSecret is a subscription whose secret has just been made.
type SubscriptionWithSecret struct {
	Subscription
	Secret string `json:"secret"` // "": the dialect signs otherwise
	// HandshakeResult is what came of the handshake; nil: none was asked for.
	HandshakeResult *TestResult `json:"handshake_result,omitempty"`
}

// NewSubscription is what a subscription is made of. URL and EventTypes are
// required.
type NewSubscription struct {
	URL string `json:"url"`
	// EventTypes are names of types that are sent, and patterns such as
	// "invoice.*"; or "*" alone: every type that the tenant publishes, and all that
	// happens in its programs, but not Grapevine's own news ("webhook.*").
	EventTypes  []string          `json:"event_types"`
	Dialect     string            `json:"dialect,omitempty"`
	Filter      *Filter           `json:"filter,omitempty"`
	Description string            `json:"description,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Auth        *Auth             `json:"auth,omitempty"`
	// CA holds the authorities that vouch for the endpoint and the token endpoint,
	// in PEM; "": the system's.
	CA string `json:"ca,omitempty"`
	// Handshake has the endpoint confirm the subscription: until it answers with
	// the secret that it is sent, the subscription is disabled.
	Handshake bool    `json:"handshake,omitempty"`
	Secret    string  `json:"secret,omitempty"`    // "": one is made
	Signature string  `json:"signature,omitempty"` // the kind of secret to make: "v1" (the default) or "v1a"
	Policy    *Policy `json:"policy,omitempty"`
}

// Policy is how a subscription differs from its dialect. The zero value does
// not.
type Policy struct {
	// Schedule holds the waits between attempts, in seconds. Nil: the dialect's;
	// empty: one attempt only.
	Schedule    []float64 `json:"schedule,omitzero"`
	Timeout     float64   `json:"timeout,omitzero"`       // of an attempt in all, in seconds
	MaxInFlight int       `json:"max_in_flight,omitzero"` // zero: as many as the endpoint keeps up with
	Rate        float64   `json:"rate,omitzero"`          // attempts a second; zero: no limit
	// NativeRules lets answers pause or end the subscription as in the standard
	// dialect.
	NativeRules bool `json:"native_rules,omitzero"`
	// Ordered has deliveries made one at a time, in the order of their events. It
	// does not go together with MaxInFlight.
	Ordered bool `json:"ordered,omitzero"`
	// AutoDisable has the subscription disabled after five days and 20 attempts
	// without a success; nil: yes.
	AutoDisable *bool `json:"auto_disable,omitempty"`
	// HealthWarnings has webhook.subscription.failing sent again after 1, 3 and 4
	// days without a success; nil: yes.
	HealthWarnings *bool `json:"health_warnings,omitempty"`
}

// SubscriptionChange is what can change about a subscription. What is nil stays;
// filter, headers, auth and policy are replaced as a whole.
type SubscriptionChange struct {
	URL          *string
	EventTypes   *[]string
	Filter       *Filter
	RemoveFilter bool // instead of Filter
	Description  *string
	Headers      *map[string]string
	Auth         *Auth
	RemoveAuth   bool    // instead of Auth
	CA           *string // to "": the system's authorities
	Policy       *Policy
}

// body is the change as it is sent.
func (ch SubscriptionChange) body() map[string]any {
	fields := map[string]any{}
	add := func(name string, given bool, value any) {
		if given {
			fields[name] = value
		}
	}
	add("url", ch.URL != nil, ch.URL)
	add("event_types", ch.EventTypes != nil, ch.EventTypes)
	add("description", ch.Description != nil, ch.Description)
	add("headers", ch.Headers != nil, ch.Headers)
	add("policy", ch.Policy != nil, ch.Policy)
	add("auth", ch.Auth != nil, ch.Auth)
	add("auth", ch.RemoveAuth, nil)
	if ch.CA != nil && *ch.CA == "" {
		add("ca", true, nil)
	} else {
		add("ca", ch.CA != nil, ch.CA)
	}
	add("filter", ch.Filter != nil, ch.Filter)
	add("filter", ch.RemoveFilter, nil)
	return fields
}

// CreateSubscription makes a subscription. Events that are published after it
// returned reach it.
func (c *Client) CreateSubscription(ctx context.Context, n NewSubscription) (SubscriptionWithSecret, error) {
	var sub SubscriptionWithSecret
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/subscriptions", body: n}, &sub)
	return sub, err
}

// Subscriptions returns a page of the subscriptions, the oldest first.
func (c *Client) Subscriptions(ctx context.Context, page Page) (List[Subscription], error) {
	return list[Subscription](ctx, c, "/v1/subscriptions", url.Values{}, page)
}

// AllSubscriptions goes through all subscriptions.
func (c *Client) AllSubscriptions(ctx context.Context) iter.Seq2[Subscription, error] {
	return all(func(p Page) (List[Subscription], error) { return c.Subscriptions(ctx, p) })
}

// Subscription returns a subscription.
func (c *Client) Subscription(ctx context.Context, id string) (Subscription, error) {
	return c.subscription(ctx, call{method: http.MethodGet, path: path("/v1/subscriptions/", id)})
}

// UpdateSubscription changes a subscription. Attempts that begin after it
// returned follow the change.
func (c *Client) UpdateSubscription(ctx context.Context, id string, change SubscriptionChange) (Subscription, error) {
	return c.subscription(ctx, call{method: http.MethodPatch, path: path("/v1/subscriptions/", id), body: change.body()})
}

// DeleteSubscription ends a subscription and cancels its pending deliveries.
func (c *Client) DeleteSubscription(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/subscriptions/", id)}, nil)
	return err
}

// EnableSubscription sends again, first what was pending when it was disabled. It
// says what the subscription has missed. A handshake that is due is asked for
// first.
func (c *Client) EnableSubscription(ctx context.Context, id string) (EnabledSubscription, error) {
	return c.EnableAndRecover(ctx, id, time.Time{})
}

// DisableSubscription stops sending. What is published from now on is held.
func (c *Client) DisableSubscription(ctx context.Context, id string) (Subscription, error) {
	return c.subscription(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/disable")})
}

func (c *Client) subscription(ctx context.Context, call call) (Subscription, error) {
	var sub Subscription
	_, err := c.do(ctx, call, &sub)
	return sub, err
}

// Rotation is how a secret is replaced.
type Rotation struct {
	Secret string // "": one of the same kind is made
	// Overlap is for how long the old secrets sign as well: whole seconds, at
	// most 7 days. Nil: the server's default, a day.
	Overlap *time.Duration
}

// RotateSecret makes a new secret the current one.
func (c *Client) RotateSecret(ctx context.Context, id string, r Rotation) (SubscriptionWithSecret, error) {
	seconds, err := overlapSeconds(r.Overlap)
	if err != nil {
		return SubscriptionWithSecret{}, err
	}
	body := struct {
		Secret  string `json:"secret,omitempty"`
		Overlap *int64 `json:"overlap,omitempty"`
	}{r.Secret, seconds}
	var sub SubscriptionWithSecret
	_, err = c.do(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/secret/rotate"), body: body}, &sub)
	return sub, err
}

// overlapSeconds returns an overlap as it is sent, and an error if it can't be.
func overlapSeconds(overlap *time.Duration) (*int64, error) {
	if overlap == nil {
		return nil, nil
	}
	if *overlap < 0 || *overlap%time.Second != 0 {
		return nil, errors.New("client: the overlap must be whole seconds and not negative")
	}
	return new(int64(*overlap / time.Second)), nil
}

// Secrets are what requests are signed with.
type Secrets struct {
	Secrets    []Secret `json:"secrets"` // those that sign now, the newest first
	PublicKeys []string `json:"public_keys"`
}

// Secret signs requests.
type Secret struct {
	Secret    string    `json:"secret"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: it is the current one
}

// RevealSecrets returns a subscription's secrets.
func (c *Client) RevealSecrets(ctx context.Context, id string) (Secrets, error) {
	var s Secrets
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/secret")}, &s)
	return s, err
}

// TestResult is what came of a test.
type TestResult struct {
	Verdict        Verdict   `json:"verdict"` // what it would mean for a delivery
	Reason         string    `json:"reason"`
	ResponseStatus int       `json:"response_status,omitempty"` // 0: there was no answer
	Error          string    `json:"error,omitempty"`
	Timing         Timing    `json:"timing"`
	Response       *Response `json:"response,omitempty"` // nil: there was no answer
}

// TestDraft sends a test event to a subscription that is not saved.
func (c *Client) TestDraft(ctx context.Context, n NewSubscription) (TestResult, error) {
	var r TestResult
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/subscriptions/test", body: n}, &r)
	return r, err
}

// TestSubscription sends a test event to a subscription.
func (c *Client) TestSubscription(ctx context.Context, id string) (TestResult, error) {
	var r TestResult
	_, err := c.do(ctx, call{method: http.MethodPost, path: path("/v1/subscriptions/", id, "/test")}, &r)
	return r, err
}

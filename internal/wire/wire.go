// Package wire is the contract of a dialect's wire side: how one product's
// webhooks look, and how its receivers are treated.
//
// A [Dialect] knows its catalogue of event types, encodes an event into the
// exact bytes that are stored, signed and sent, signs each attempt, judges each
// answer, and says when to try again. It decides and does nothing: no network,
// no database, no clock. Every dialect is a package beside this one and a line
// in the registry of package dialects; the suite in package wiretest runs over
// all of them.
package wire

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// Dialect is how one product speaks to its subscribers. Its methods may be
// called concurrently.
type Dialect interface {
	// Name is the dialect's name in the API and in the database.
	Name() string

	// Catalogue lists the event types that the dialect itself defines.
	Catalogue() []EventType

	// CheckType returns an error that a person understands unless events of
	// this type may be published.
	CheckType(eventType string) error

	// TestEvent returns the type and the data of the event that tests a
	// subscription.
	TestEvent() (eventType string, data []byte)

	// Encode returns the body of an event. Data has been checked by [Compact].
	Encode(e Event) []byte

	// NewSecret makes a signing secret of the kind; "" stands for the default.
	NewSecret(kind string) (string, error)

	// NewSecretLike makes a secret of the same kind as the one given.
	NewSecretLike(secret string) (string, error)

	// NewSigner reads the secrets that are valid now, the newest first. The
	// error never repeats a secret.
	NewSigner(secrets []string) (Signer, error)

	// ReservedHeaders lists, in lower case, the header names that the dialect
	// sets itself or reserves.
	ReservedHeaders() []string

	// Judge says what an answer means for its delivery.
	Judge(a Answer) Judgement

	// Schedule is when a failed delivery is tried again, unless the
	// subscription has a schedule of its own.
	Schedule() Schedule

	// Timeout is how long an attempt may take in all, unless the subscription
	// has its own.
	Timeout() time.Duration
}

// EventType is an entry of a catalogue.
type EventType struct {
	Name        string
	Description string
	Schema      []byte // JSON Schema of the event's data
	Sample      []byte // an example of the event's data, JSON
}

// Event is what a publisher said.
type Event struct {
	ID         id.ID
	Type       string
	OccurredAt time.Time
	Data       []byte // compact JSON
}

// Message is one attempt to deliver an event.
type Message struct {
	EventID id.ID
	Type    string
	Body    []byte
	SentAt  time.Time
	Attempt int // from 1
}

// Header is a line of a request's head.
type Header struct{ Name, Value string }

// Signer makes the headers by which a receiver verifies a message.
type Signer interface {
	Sign(m Message) []Header
	// PublicKeys lists what a receiver needs to verify asymmetric signatures;
	// empty where the secret itself is needed.
	PublicKeys() []string
}

// Answer is what a receiver sent back.
type Answer struct {
	Status     int    // HTTP status
	RetryAfter string // the header's value; empty: none
	At         time.Time
}

// Verdict is what becomes of a delivery after an attempt.
type Verdict string

// The verdicts.
const (
	Delivered Verdict = "delivered"
	Retry     Verdict = "retry"     // failed; tried again on schedule
	Busy      Verdict = "busy"      // failed, and several in a row pause the subscription
	Throttled Verdict = "throttled" // failed, and the whole subscription waits
	Gone      Verdict = "gone"      // the receiver wants nothing more
	Refused   Verdict = "refused"   // failed: we did not send
)

// Judgement is a verdict with its grounds.
type Judgement struct {
	Verdict Verdict
	Reason  Reason
	// Wait is how long the receiver asked the whole subscription to wait; zero
	// where it did not say.
	Wait time.Duration
}

// Reason is a stable word for why an attempt ended as it did. The words for
// answers are here; the error classes of package netguard are the others.
type Reason string

// The reasons that an answer gives.
const (
	ReasonOK          Reason = "ok"
	ReasonRedirect    Reason = "redirect"
	ReasonClientError Reason = "client_error"
	ReasonServerError Reason = "server_error"
	ReasonUnavailable Reason = "unavailable"
	ReasonThrottled   Reason = "throttled"
	ReasonGone        Reason = "gone"
)

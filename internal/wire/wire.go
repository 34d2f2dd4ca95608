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
	"crypto/rsa"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// Dialect is how one product speaks to its subscribers. Its methods may be
// called concurrently.
type Dialect interface {
	// Name is the dialect's name in the API and in the database.
	Name() string

	// Settings lists what a tenant may choose about the dialect.
	Settings() []Setting

	// Catalogue lists the event types that the dialect itself defines, in the
	// order of its source page, as they are for a tenant with these settings.
	// Nobody changes what it returns.
	Catalogue(s Settings) []EventType

	// Resolve returns the one name of an event type that may be published or
	// subscribed to, which may be known by several, or an error that a person
	// understands.
	Resolve(eventType string) (string, error)

	// Fields lists what a publisher says of an event beside its type and data.
	Fields() []Field

	// Compact returns an event's data in the spelling of bodies. The error says
	// what is wrong with it and does not repeat it.
	Compact(data []byte) ([]byte, error)

	// TestEvent returns the event that tests an endpoint. Its ID, OccurredAt
	// and Tenant are the caller's to set.
	TestEvent(to Endpoint) Event

	// Encode returns the body of an event whose data Compact returned.
	Encode(e Event) []byte

	// Decode returns what Encode was given of an event's data and fields: data as
	// the body has it, in the spelling of Compact.
	Decode(body []byte) (data []byte, fields map[string]string, err error)

	// Signing says what requests are signed with.
	Signing() Signing

	// NewSecret makes a subscription's secret of the kind; "" stands for the
	// default. It is called only where Signing is BySecret, as NewSecretLike.
	NewSecret(kind string) (string, error)

	// NewSecretLike makes a secret of the same kind as the one given.
	NewSecretLike(secret string) (string, error)

	// NewSigner reads the keys that are valid now. The error never repeats a
	// secret.
	NewSigner(keys Keys) (Signer, error)

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

// Setting is something that a tenant may choose about a dialect.
type Setting struct {
	Name        string
	Description string
	Values      []string // the default first
}

// Settings are what a tenant chose, by the setting's name; what is missing has
// its default.
type Settings map[string]string

// Of returns what was chosen of a setting.
func (s Settings) Of(setting Setting) string {
	if chosen, ok := s[setting.Name]; ok {
		return chosen
	}
	return setting.Values[0]
}

// EventType is an entry of a catalogue.
type EventType struct {
	Name        string
	Description string   // when it is sent
	Source      string   // where that is written, and its sample
	Schema      []byte   // JSON Schema (2020-12) of the event's data
	Sample      []byte   // an example of the event's data, compact JSON
	Variants    []Sample // further examples, of the other forms that the schema accepts
	Remarks     []Remark // how it differs from its source
	Operational bool     // tells of the webhooks themselves; only Grapevine sends it
}

// Sample is an example of an event's data.
type Sample struct {
	Name string // of the form that it has
	Data []byte // compact JSON
}

// Remark is a difference between an event type and its source.
type Remark struct {
	Kind RemarkKind
	Text string
}

// RemarkKind is why there is a difference.
type RemarkKind string

// The kinds of remarks.
const (
	Corrected RemarkKind = "corrected" // the source has a slip
	Added     RemarkKind = "added"     // the source leaves something out
	Ours      RemarkKind = "ours"      // the source shows no sample
)

// Field is a part of the envelope that a publisher gives, and that a
// subscription can be restricted by.
type Field struct {
	Name        string
	Description string
	Required    bool
	Check       func(value string) error // never nil; the error does not repeat the value
}

// Tenant is in whose name an event is sent.
type Tenant struct {
	Alias    string
	Live     bool
	Settings Settings // of the dialect
}

// Identity is how a tenant speaks a dialect now. It does not change; what changes
// is another Identity.
type Identity struct {
	Tenant Tenant
	Key    string  // by which the tenant calls the dialect's API; empty: it has none
	RSA    *RSAKey // the server's own; nil where no setting wants it
}

// Endpoint is what a test event may say of where it goes.
type Endpoint struct {
	URL  string
	Name string
}

// Event is what a publisher said.
type Event struct {
	ID         id.ID
	Type       string // as Resolve returned it
	OccurredAt time.Time
	Data       []byte            // as Compact returned it
	Fields     map[string]string // by the field's name
	Tenant     Tenant
}

// Message is one attempt to deliver an event.
type Message struct {
	EventID id.ID
	Type    string
	Body    []byte
	SentAt  time.Time
	Attempt int   // from 1
	Version int64 // of the event's subject; zero: it has none
}

// Signing is what requests are signed with.
type Signing string

// What requests are signed with.
const (
	BySecret Signing = "secret" // one that each subscription has for itself
	ByKey    Signing = "key"    // the key by which the tenant calls the dialect's API
	Unsigned Signing = "none"
)

// Keys are what a signer may need, as they are at the attempt.
type Keys struct {
	Secrets  []string  // of the subscription, the newest first
	Identity *Identity // of its tenant; nil where the dialect signs by secret
}

// RSAKey is a private key whose public half receivers find under its id.
type RSAKey struct {
	ID      string
	Private *rsa.PrivateKey
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
	ReasonUnexpected  Reason = "unexpected_status" // a success, but not the one that the dialect asks for
	ReasonRedirect    Reason = "redirect"
	ReasonClientError Reason = "client_error"
	ReasonServerError Reason = "server_error"
	ReasonUnavailable Reason = "unavailable"
	ReasonThrottled   Reason = "throttled"
	ReasonGone        Reason = "gone"
)

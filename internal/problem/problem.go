// Package problem is the table of everything that can go wrong for a caller.
//
// Each row has a stable code that programs may switch on, the HTTP status of
// the native API, a title, and a hint for whoever has to act. A function that
// refuses something returns [Code.New]; anything else that reaches the edge is
// an internal error and shows nothing of itself. A detail names what is wrong
// and never repeats a submitted value, since that may be a secret.
package problem

import (
	"errors"
	"fmt"
	"net/http"
)

// Code is a row of the table. Name is stable; Title and Hint may be reworded.
type Code struct {
	Name   string
	Status int
	Title  string
	Hint   string
}

// The table, in the order of its statuses.
var (
	Malformed = &Code{
		"malformed", http.StatusBadRequest, "The request could not be read",
		"Send one JSON document in UTF-8, with a matching Content-Type.",
	}
	Unauthenticated = &Code{
		"unauthenticated", http.StatusUnauthorized, "No valid key",
		"Send 'Authorization: Bearer' with a key that is neither revoked nor expired.",
	}
	Forbidden = &Code{
		"forbidden", http.StatusForbidden, "The key may not do this",
		"Use a key that has the scope which the detail names.",
	}
	NotFound = &Code{
		"not_found", http.StatusNotFound, "There is no such thing",
		"Check the id, and that the key belongs to the tenant that owns it.",
	}
	MethodNotAllowed = &Code{
		"method_not_allowed", http.StatusMethodNotAllowed, "The path does not take this method",
		"See the Allow header for the methods that it takes.",
	}
	Timeout = &Code{
		"timeout", http.StatusRequestTimeout, "The request did not arrive in time",
		"Send the whole body without long pauses.",
	}
	Conflict = &Code{
		"conflict", http.StatusConflict, "The state does not allow this",
		"Read the current state, then decide whether to try again.",
	}
	AliasTaken = &Code{
		"alias_taken", http.StatusConflict, "The alias is in use",
		"Choose another alias.",
	}
	IdempotencyConflict = &Code{
		"idempotency_conflict", http.StatusConflict, "The idempotency key was used for another request",
		"Use a new key for a new request; repeat a request unchanged.",
	}
	SubscriptionDisabled = &Code{
		"subscription_disabled", http.StatusConflict, "The subscription is disabled",
		"Enable the subscription first.",
	}
	HandshakeFailed = &Code{
		"handshake_failed", http.StatusConflict, "The endpoint did not confirm the subscription",
		"Have the endpoint answer the handshake with 2xx and the header X-Hook-Secret as it came, then try again.",
	}
	BodyExpunged = &Code{
		"body_expunged", http.StatusConflict, "The event's body was expunged",
		"The record is kept, but nothing is left that could be sent.",
	}
	TooLarge = &Code{
		"too_large", http.StatusRequestEntityTooLarge, "The request is too large",
		"Stay below the limit that the detail names, or ask the operator to raise it.",
	}
	UnsupportedMediaType = &Code{
		"unsupported_media_type", http.StatusUnsupportedMediaType, "The body is not JSON",
		"Send 'Content-Type: application/json'.",
	}
	Invalid = &Code{
		"invalid", http.StatusUnprocessableEntity, "Some of the input is not valid",
		"Mend the fields that the errors name.",
	}
	QueryTooSlow = &Code{
		"query_too_slow", http.StatusUnprocessableEntity, "The list takes too long to find",
		"Narrow the filters: name a subscription, an event or a status, or a shorter time.",
	}
	RateLimited = &Code{
		"rate_limited", http.StatusTooManyRequests, "Too many requests with this key",
		"Wait as many seconds as Retry-After says.",
	}
	Internal = &Code{
		"internal", http.StatusInternalServerError, "Something went wrong here",
		"It was logged under the request's id; tell the operator.",
	}
	Unavailable = &Code{
		"unavailable", http.StatusServiceUnavailable, "The database can't take this now",
		"Nothing was stored. Try again with the same idempotency key.",
	}
)

// Codes lists the table, for the generated reference.
var Codes = []*Code{
	Malformed, Unauthenticated, Forbidden, NotFound, MethodNotAllowed, Timeout,
	Conflict, AliasTaken, IdempotencyConflict, SubscriptionDisabled, HandshakeFailed, BodyExpunged,
	TooLarge, UnsupportedMediaType, Invalid, QueryTooSlow, RateLimited, Internal, Unavailable,
}

// Field is one mistake in the input. Name is the path of the field as the
// caller wrote it, such as "policy.timeout" or "query.limit".
type Field struct {
	Name    string `json:"field"`
	Message string `json:"message"`
}

// Error is a refusal: a row of the table with what happened this time.
type Error struct {
	Code   *Code
	Detail string
	Fields []Field
}

// Error returns the code and the detail.
func (e *Error) Error() string { return e.Code.Name + ": " + e.Detail }

// New returns a refusal with a sentence for a person.
func (c *Code) New(format string, args ...any) *Error {
	return &Error{Code: c, Detail: fmt.Sprintf(format, args...)}
}

// Is makes errors.Is(err, problem.NotFound.New("")) work by code.
func (e *Error) Is(target error) bool {
	t, ok := errors.AsType[*Error](target)
	return ok && t.Code == e.Code
}

// Has reports whether err is a refusal with this code.
func (c *Code) Has(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == c
}

// InvalidField refuses one field of the input.
func InvalidField(name, format string, args ...any) *Error {
	msg := fmt.Sprintf(format, args...)
	return &Error{Code: Invalid, Detail: name + ": " + msg, Fields: []Field{{name, msg}}}
}

// Checks collects mistakes, so that a caller hears of all of them at once. The
// zero value is ready.
type Checks struct{ fields []Field }

// Add notes a mistake in the named field.
func (c *Checks) Add(name, format string, args ...any) {
	c.fields = append(c.fields, Field{name, fmt.Sprintf(format, args...)})
}

// AddError notes err: the fields of a refusal one by one, anything else under
// the name.
func (c *Checks) AddError(name string, err error) {
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*Error](err); ok && len(e.Fields) > 0 {
		c.fields = append(c.fields, e.Fields...)
		return
	}
	c.fields = append(c.fields, Field{name, err.Error()})
}

// Err returns the refusal that names all mistakes, or nil if there is none.
func (c *Checks) Err() error {
	switch len(c.fields) {
	case 0:
		return nil
	case 1:
		return &Error{Code: Invalid, Detail: c.fields[0].Name + ": " + c.fields[0].Message, Fields: c.fields}
	default:
		return &Error{Code: Invalid, Detail: fmt.Sprintf("%d fields are not valid", len(c.fields)), Fields: c.fields}
	}
}

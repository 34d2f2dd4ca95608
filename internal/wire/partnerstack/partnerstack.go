// Package partnerstack is the wire side of PartnerStack's webhooks.
//
// A body is the resource that the event is about and nothing around it: the
// publisher's data, as it is. There is no envelope, no id, and in most families
// nothing that names the event; receivers tell events apart by the URL that they
// gave for each, or by the headers that the sender sets for every dialect.
// Where a body has a member `event`, it is the type with its first full stop as
// an underscore, such as "customer_created".
//
// Two samples of the source page say something else there, by mistake. Receivers
// that were built on those get them with the setting literal_slips; then Encode
// puts them in whatever the publisher said.
//
// Requests are not signed. The page says nothing of answers, of time and of
// further attempts: these are as in the standard dialect.
package partnerstack

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Dialect is PartnerStack's dialect. The zero value is ready.
type Dialect struct{}

var _ wire.Dialect = Dialect{}

// Name returns "partnerstack".
func (Dialect) Name() string { return "partnerstack" }

const (
	off = "off"
	on  = "on"
)

var literalSlips = wire.Setting{
	Name: "literal_slips",
	Description: "With on, the member event of transaction and training events has the mistaken values of the page's samples, " +
		"transaction_polled and partnership_created, for receivers that were built on those.",
	Values: []string{off, on},
}

// slips are what the page's samples have as `event` where that is a mistake.
var slips = map[string]string{
	"transaction.created":              "transaction_polled",
	"transaction.updated":              "transaction_polled",
	"training.course_completed":        "partnership_created",
	"training.learning_path_completed": "partnership_created",
}

// Settings is literal_slips alone.
func (Dialect) Settings() []wire.Setting { return []wire.Setting{literalSlips} }

// Resolve accepts the types of the page, by the names that the page gives them.
func (Dialect) Resolve(eventType string) (string, error) {
	switch {
	case eventType == "":
		return "", errors.New("is required")
	case eventType == testType:
		return "", errors.New("is the event that tests an endpoint, which only Grapevine sends")
	case !slices.Contains(published, eventType):
		return "", errors.New("is no event type of PartnerStack, which has " + strings.Join(published, ", "))
	}
	return eventType, nil
}

// Fields is empty: the data is all that there is.
func (Dialect) Fields() []wire.Field { return nil }

// Compact returns the data in the spelling of bodies.
func (Dialect) Compact(data []byte) ([]byte, error) { return wire.JavaScript(data) }

// TestEvent returns the event "webhook.test", which is ours.
func (Dialect) TestEvent(wire.Endpoint) wire.Event {
	return wire.Event{Type: testType, Data: bytes.Clone(testData)}
}

// Encode returns the data as it is, but for the slips that the tenant asks for.
func (Dialect) Encode(e wire.Event) []byte {
	slip, ok := slips[e.Type]
	if !ok || e.Tenant.Settings.Of(literalSlips) != on {
		return bytes.Clone(e.Data)
	}
	return withEvent(e.Data, slip)
}

// Decode returns the body, which is the data. Where the tenant wants the slips of
// the page, the data has them too.
func (Dialect) Decode(body []byte) ([]byte, map[string]string, error) { return body, nil, nil }

// withEvent returns a copy of an object in which the member `event` has the
// value. What is no object, and what has no such member, stays as it is. The
// data is compact.
func withEvent(data []byte, value string) []byte {
	from, to, ok := findEvent(data)
	if !ok {
		return bytes.Clone(data)
	}
	return slices.Concat(data[:from], wire.AppendQuoted(nil, value), data[to:])
}

// findEvent returns where the value of an object's own member `event` begins and
// ends. It reads no further, and looks at brackets, commas and the ends of
// strings only, which is enough in JSON that is known to be valid and compact.
func findEvent(data []byte) (int, int, bool) {
	const member = `"event":`
	depth, from := 0, 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 && from > 0 {
				return from, i, true
			}
		case ',':
			if depth == 1 && from > 0 {
				return from, i, true
			}
		case '"':
			if depth == 1 && bytes.HasPrefix(data[i:], []byte(member)) {
				from = i + len(member)
			}
			i = endOfText(data, i)
		}
	}
	return 0, 0, false
}

// endOfText returns where the string that begins at i has its closing quote.
func endOfText(data []byte, i int) int {
	for i++; i < len(data) && data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i
}

// eventOf returns what the member `event` says of a type.
func eventOf(eventType string) string { return strings.Replace(eventType, ".", "_", 1) }

// ReservedHeaders is empty: the dialect sets none.
func (Dialect) ReservedHeaders() []string { return nil }

// Judge is as in the standard dialect.
func (Dialect) Judge(a wire.Answer) wire.Judgement { return standard.Dialect{}.Judge(a) }

// Schedule is that of the standard dialect.
func (Dialect) Schedule() wire.Schedule { return standard.Dialect{}.Schedule() }

// Timeout is that of the standard dialect, 15 seconds.
func (Dialect) Timeout() time.Duration { return standard.Dialect{}.Timeout() }

// Package rehook is the dialect of Rehook, a loyalty engine: its page on
// webhooks, and what the page leaves open.
//
// The body is {"event_name","metadata","source","source_id"}, in this order: the
// event's data is the metadata, the source is always "rehook", and source_id is
// the customer that the event is of, by the name that the publisher gives. It
// has no id and no time of the event. Two types are called otherwise in bodies
// than in subscriptions: "customer.referral.successful.advocate" and "….friend"
// have a second "l" there, as in the page's samples.
//
// Nothing is signed. Credentials and further headers are the subscription's own.
//
// The page shows no body of eleven of its types; those here are ours. Nor does it
// say what success is or when a delivery is tried again: that is as in the
// standard dialect.
package rehook

import (
	"bytes"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Dialect is Rehook's dialect. The zero value is ready.
type Dialect struct{}

var _ wire.Dialect = Dialect{}

// Name returns "rehook".
func (Dialect) Name() string { return "rehook" }

// Settings is empty: the page leaves nothing to choose.
func (Dialect) Settings() []wire.Setting { return nil }

// The beginning of two names, in the page's table and in its samples.
const (
	inTheTable = "customer.referral.successful."
	inBodies   = "customer.referral.successfull."
)

// Resolve accepts the names of the catalogue, besides the test's, and those that
// bodies have instead.
func (Dialect) Resolve(eventType string) (string, error) {
	if eventType == testType {
		return "", errors.New("is the test of a subscription, which only Grapevine sends")
	}
	if side, ok := strings.CutPrefix(eventType, inBodies); ok {
		eventType = inTheTable + side
	}
	for _, name := range published {
		if name == eventType {
			return name, nil
		}
	}
	return "", errUnknownType
}

const sourceID = "source_id"

// Fields is the customer.
func (Dialect) Fields() []wire.Field {
	return []wire.Field{{
		Name:        sourceID,
		Description: "The customer that the event is of, by your own id.",
		Required:    true,
		Check:       checkSourceID,
	}}
}

func checkSourceID(value string) error {
	switch {
	case value == "":
		return errors.New("is required")
	case utf8.RuneCountInString(value) > 255:
		return errors.New("has more than 255 characters")
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isNotPrintable):
		return errors.New("must be printable text, without line breaks and control characters")
	}
	return nil
}

func isNotPrintable(r rune) bool { return !unicode.IsPrint(r) }

// Compact writes what JSON.stringify would, so that a receiver in JavaScript reads
// the numbers that were meant.
func (Dialect) Compact(data []byte) ([]byte, error) { return wire.JavaScript(data) }

// TestEvent returns the event "webhook.test" of the customer "test". It is none
// of the page's events: a receiver would credit the points of those.
func (Dialect) TestEvent(wire.Endpoint) wire.Event {
	return wire.Event{Type: testType, Data: bytes.Clone(testData), Fields: map[string]string{sourceID: "test"}}
}

// Encode writes {"event_name","metadata","source","source_id"}.
func (Dialect) Encode(e wire.Event) []byte {
	name := e.Type
	if side, ok := strings.CutPrefix(name, inTheTable); ok {
		name = inBodies + side
	}
	b := make([]byte, 0, len(e.Data)+len(name)+len(e.Fields[sourceID])+64)
	b = append(b, `{"event_name":`...)
	b = wire.AppendQuoted(b, name)
	b = append(b, `,"metadata":`...)
	b = append(b, e.Data...)
	b = append(b, `,"source":"rehook","source_id":`...)
	b = wire.AppendQuoted(b, e.Fields[sourceID])
	return append(b, '}')
}

// Decode takes the body apart again.
func (Dialect) Decode(body []byte) ([]byte, map[string]string, error) {
	return wire.DecodeMembers(body, "metadata", sourceID)
}

// ReservedHeaders is empty: the dialect sets none.
func (Dialect) ReservedHeaders() []string { return nil }

// Judge is the standard dialect's: the page says nothing of answers, except that
// its own test wants 200.
func (Dialect) Judge(a wire.Answer) wire.Judgement { return standard.Dialect{}.Judge(a) }

// Schedule is the standard dialect's: the page has none.
func (Dialect) Schedule() wire.Schedule { return standard.Dialect{}.Schedule() }

// Timeout is the standard dialect's: the page has none.
func (Dialect) Timeout() time.Duration { return standard.Dialect{}.Timeout() }

// Package referralloop is the dialect of ReferralLoop, a waitlist that moves
// people up when they refer others. Its page on webhooks fixes all that follows.
//
// The body is {"event_type","waitlist_id","data","timestamp"}, in this order;
// the time is in UTC and whole seconds. It has no id of the event. A publisher
// says which waitlist an event is of.
//
// One header, X-Webhook-Signature, holds "sha256=" and the hexadecimal
// HMAC-SHA256 of the body, made with the subscription's secret. Receivers may
// write the parsed body again with JSON.stringify before they verify it, so the
// body is in JavaScript's spelling.
//
// An answer of 2xx within 5 seconds is success. Whatever else happens, there
// are four more attempts, 1, 5, 15 and 60 minutes after the one before.
package referralloop

import (
	"bytes"
	"errors"
	"regexp"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Dialect is ReferralLoop's dialect. The zero value is ready.
type Dialect struct{}

var _ wire.Dialect = Dialect{}

// Name returns "referralloop".
func (Dialect) Name() string { return "referralloop" }

// Settings is empty: the page leaves nothing to choose.
func (Dialect) Settings() []wire.Setting { return nil }

// Resolve accepts the names of the catalogue, besides the test's.
func (Dialect) Resolve(eventType string) (string, error) {
	if eventType == testType {
		return "", errors.New("is the test of a subscription, which only Grapevine sends")
	}
	for _, name := range published {
		if name == eventType {
			return name, nil
		}
	}
	return "", errUnknownType
}

// Fields is the waitlist.
func (Dialect) Fields() []wire.Field {
	return []wire.Field{{
		Name:        waitlistID,
		Description: "The waitlist that the event is of: a UUID.",
		Required:    true,
		Check:       checkWaitlistID,
	}}
}

const (
	waitlistID = "waitlist_id"
	noWaitlist = "00000000-0000-0000-0000-000000000000"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// checkWaitlistID accepts one spelling of each UUID, since subscriptions are
// matched by the text.
func checkWaitlistID(value string) error {
	if !uuid.MatchString(value) {
		return errors.New("must be a UUID in lower case, such as 123e4567-e89b-12d3-a456-426614174000")
	}
	return nil
}

// Compact writes what JSON.stringify would, since the page's receiver verifies
// the body that it parsed and wrote again.
func (Dialect) Compact(data []byte) ([]byte, error) { return wire.JavaScript(data) }

// TestEvent returns the event "webhook.test" of the waitlist whose id is all
// zeros. It is none of the page's events: a receiver would take that for a
// signup and act upon it.
func (Dialect) TestEvent(wire.Endpoint) wire.Event {
	return wire.Event{Type: testType, Data: bytes.Clone(testData), Fields: map[string]string{waitlistID: noWaitlist}}
}

// Encode writes {"event_type","waitlist_id","data","timestamp"}.
func (Dialect) Encode(e wire.Event) []byte {
	b := make([]byte, 0, len(e.Data)+len(e.Type)+128)
	b = append(b, `{"event_type":`...)
	b = wire.AppendQuoted(b, e.Type)
	b = append(b, `,"waitlist_id":`...)
	b = wire.AppendQuoted(b, e.Fields[waitlistID])
	b = append(b, `,"data":`...)
	b = append(b, e.Data...)
	b = append(b, `,"timestamp":"`...)
	b = e.OccurredAt.UTC().AppendFormat(b, "2006-01-02T15:04:05Z")
	return append(b, `"}`...)
}

// Decode takes the body apart again.
func (Dialect) Decode(body []byte) ([]byte, map[string]string, error) {
	return wire.DecodeMembers(body, "data", waitlistID)
}

// ReservedHeaders lists the signature's.
func (Dialect) ReservedHeaders() []string { return []string{"x-webhook-signature"} }

// Judge takes 2xx for success and everything else for a failed attempt, for
// which it gives the standard dialect's reasons. The page knows no answer that
// ends or slows a subscription, so none does.
func (Dialect) Judge(a wire.Answer) wire.Judgement {
	j := standard.Dialect{}.Judge(a)
	if j.Verdict == wire.Delivered {
		return j
	}
	return wire.Judgement{Verdict: wire.Retry, Reason: j.Reason}
}

// Schedule is the page's: five attempts in 81 minutes, each wait counted from
// the attempt before.
func (Dialect) Schedule() wire.Schedule {
	return wire.Schedule{Delays: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}, Fixed: true}
}

// Timeout is the 5 seconds within which the page wants an answer.
func (Dialect) Timeout() time.Duration { return 5 * time.Second }

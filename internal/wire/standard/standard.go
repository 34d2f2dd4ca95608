// Package standard is Grapevine's own dialect: Standard Webhooks 1.0.0.
//
// The body is {"type","timestamp","data"}. Three headers carry the event's id,
// the time of the attempt and the signatures over "id.timestamp.body". A secret
// "whsec_…" signs with HMAC-SHA256 (v1), a key "whsk_…" with ed25519 (v1a);
// while secrets overlap in a rotation each of them signs.
package standard

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Dialect is the standard dialect. The zero value is ready.
type Dialect struct{}

var _ wire.Dialect = Dialect{}

// Name returns "standard".
func (Dialect) Name() string { return "standard" }

// Checking is what publishing asks of an event. It is a setting of this dialect
// since no other has types that a tenant registers.
var Checking = wire.Setting{
	Name: "event_types",
	Description: "What publishing asks of an event. any: nothing; checked: the data of a registered type fits its newest schema; " +
		"registered: that, and every type is registered.",
	Values: []string{"any", Checked, Registered},
}

// The values of Checking besides the default.
const (
	Checked    = "checked"
	Registered = "registered"
)

// Settings is how strictly events are checked; about what is sent the standard
// leaves nothing to choose.
func (Dialect) Settings() []wire.Setting { return []wire.Setting{Checking} }

// Catalogue lists the types that Grapevine itself sends: its tests, news of the
// webhooks, and what happens in programs. Everything else is the publisher's own.
func (Dialect) Catalogue(wire.Settings) []wire.EventType { return catalogue }

var catalogue = slices.Concat([]wire.EventType{{
	Name:        testType,
	Description: "Sent to a subscription, saved or not, that somebody tests.",
	Source:      ours,
	Schema:      []byte(`{"type":"object","properties":{"message":{"type":"string"}},"required":["message"],"additionalProperties":false}`),
	Sample:      []byte(testData),
}}, operational, native)

const (
	testType = "webhook.test"
	testData = `{"message":"This is a test of your webhook. Nothing has happened."}`
	// reserved begins the types that nobody else may publish.
	reserved = "webhook."
	ours     = "Grapevine"
)

var typeName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Resolve accepts words of letters, digits, '_' and '-', joined by full stops,
// 128 characters at most, that don't begin with "webhook.".
func (Dialect) Resolve(eventType string) (string, error) {
	switch {
	case eventType == "":
		return "", errors.New("is required")
	case len(eventType) > 128:
		return "", errors.New("has more than 128 characters")
	case !typeName.MatchString(eventType):
		return "", errors.New("must be words of letters, digits, '_' or '-', joined by full stops, such as invoice.paid")
	case strings.HasPrefix(eventType, reserved):
		return "", errors.New("begins with \"webhook.\", which is kept for Grapevine's own events")
	}
	return eventType, nil
}

// Fields is empty: type, timestamp and data are all that there is.
func (Dialect) Fields() []wire.Field { return nil }

// Compact keeps the order of keys and the spelling of numbers: receivers verify
// the bytes that they were sent.
func (Dialect) Compact(data []byte) ([]byte, error) { return wire.Compact(data) }

// TestEvent returns the event "webhook.test".
func (Dialect) TestEvent(wire.Endpoint) wire.Event {
	return wire.Event{Type: testType, Data: []byte(testData)}
}

// Encode writes {"type","timestamp","data"}, the time in RFC 3339 and UTC.
func (Dialect) Encode(e wire.Event) []byte {
	b := make([]byte, 0, len(e.Data)+len(e.Type)+64)
	b = append(b, `{"type":`...)
	b = wire.AppendQuoted(b, e.Type)
	b = append(b, `,"timestamp":"`...)
	b = e.OccurredAt.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// Decode takes the body apart again.
func (Dialect) Decode(body []byte) ([]byte, map[string]string, error) {
	return wire.DecodeMembers(body, "data")
}

// ReservedHeaders lists the headers of Standard Webhooks, also under their
// older names, which some receivers look for first.
func (Dialect) ReservedHeaders() []string {
	return []string{
		"webhook-id", "webhook-timestamp", "webhook-signature",
		"svix-id", "svix-timestamp", "svix-signature",
	}
}

// maxWait bounds what a receiver may ask for.
const maxWait = 24 * time.Hour

// Judge reads an answer as most receivers mean it: 2xx is success, 410 ends the
// subscription, 429 and 503 with Retry-After make it wait, other 502, 503 and
// 504 count towards a pause, and everything else is a failed attempt.
func (Dialect) Judge(a wire.Answer) wire.Judgement {
	wait, asked := retryAfter(a)
	switch {
	case a.Status >= 200 && a.Status < 300:
		return wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}
	case a.Status == http.StatusGone:
		return wire.Judgement{Verdict: wire.Gone, Reason: wire.ReasonGone}
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusServiceUnavailable && asked:
		return wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: wait}
	case a.Status == http.StatusBadGateway, a.Status == http.StatusServiceUnavailable, a.Status == http.StatusGatewayTimeout:
		return wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}
	case a.Status >= 300 && a.Status < 400:
		return wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonRedirect}
	case a.Status >= 400 && a.Status < 500:
		return wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonClientError}
	default:
		return wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}
	}
}

// retryAfter reads seconds or an HTTP date. It reports whether the receiver
// asked for a wait that can be understood.
func retryAfter(a wire.Answer) (time.Duration, bool) {
	text := strings.TrimSpace(a.RetryAfter)
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range comes back as the largest number
		return time.Duration(min(seconds, uint64(maxWait/time.Second))) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(a.At), 0), maxWait), true
}

// Schedule is ten attempts in about 75.6 hours.
func (Dialect) Schedule() wire.Schedule {
	return wire.Schedule{
		Delays: []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
			10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		},
		Jitter: 0.1,
	}
}

// Timeout is 15 seconds.
func (Dialect) Timeout() time.Duration { return 15 * time.Second }

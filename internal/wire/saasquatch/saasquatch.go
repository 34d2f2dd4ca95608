// Package saasquatch is the dialect of SaaSquatch's webhooks.
//
// The body is {"id","type","tenantAlias","live","created","data"}: the id is the
// event's in 24 hexadecimal digits, the time is in milliseconds. X-Hook-Signature
// carries the HMAC-SHA1 of the body with the tenant's current API key; who wants
// it also gets X-Hook-JWS-RFC-7797, a detached RS256 signature with a key of the
// server, which receivers verify without a secret. Neither covers the time of the
// attempt, so all attempts of an event look alike.
//
// Only 200 is success, and every other answer, also 410 and 429, is tried again
// each hour: 72 attempts in all. The shapes of the events' data are those of the
// vendor's page on API webhooks, of 2016; a tenant may choose those of the
// vendor's later JSON Schemas instead. A body never has "exp" or "nbf" beside
// "data": receivers that read the JWS as a JWT would take them for its validity.
package saasquatch

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Dialect is SaaSquatch's dialect. The zero value is ready.
type Dialect struct{}

var _ wire.Dialect = Dialect{}

// Name returns "saasquatch".
func (Dialect) Name() string { return "saasquatch" }

// What a tenant may choose.
var (
	payloadVersion = wire.Setting{
		Name:        "payload_version",
		Description: "The shapes of the events' data: 2016, those of the page on API webhooks, or 2020, those of the published JSON Schemas.",
		Values:      []string{"2016", "2020"},
	}
	signatureEncoding = wire.Setting{
		Name:        "signature_encoding",
		Description: "How X-Hook-Signature is written, which the page on API webhooks leaves open.",
		Values:      []string{"base64", "hex"},
	}
	jws = wire.Setting{
		Name:        "jws",
		Description: "Whether requests also carry X-Hook-JWS-RFC-7797, a signature that receivers verify with the server's public key.",
		Values:      []string{"off", "on"},
	}
)

// Settings are the version of the payloads and how requests are signed.
func (Dialect) Settings() []wire.Setting {
	return []wire.Setting{payloadVersion, signatureEncoding, jws}
}

// Catalogue lists the events of the page, in its order, and after them the one
// that only the vendor's schemas know.
func (Dialect) Catalogue(s wire.Settings) []wire.EventType {
	if s.Of(payloadVersion) == "2020" {
		return catalogue2020
	}
	return catalogue2016
}

// Resolve accepts the types of the catalogue, except for the one of the test.
func (Dialect) Resolve(eventType string) (string, error) {
	switch {
	case eventType == "":
		return "", errors.New("is required")
	case eventType == testType:
		return "", errors.New("is the event that tests a subscription, which is sent by testing one")
	case !slices.Contains(publishable, eventType):
		return "", errors.New("must be one of " + strings.Join(publishable, ", "))
	}
	return eventType, nil
}

// Fields is empty: the rest of the envelope is the event's and the tenant's.
func (Dialect) Fields() []wire.Field { return nil }

// Compact keeps the order of keys and the spelling of numbers.
func (Dialect) Compact(data []byte) ([]byte, error) { return wire.JavaScript(data) }

const testType = "test"

// TestEvent returns the event "test", which says where it goes.
func (Dialect) TestEvent(to wire.Endpoint) wire.Event {
	data := []byte(`{"endpointUrl":`)
	data = wire.AppendQuoted(data, to.URL)
	data = append(data, `,"name":`...)
	data = wire.AppendQuoted(data, to.Name)
	return wire.Event{Type: testType, Data: append(data, '}')}
}

// Encode writes {"id","type","tenantAlias","live","created","data"}.
func (Dialect) Encode(e wire.Event) []byte {
	b := make([]byte, 0, len(e.Data)+len(e.Type)+len(e.Tenant.Alias)+128)
	b = append(b, `{"id":"`...)
	b = append(b, e.ID.String()...)
	b = append(b, `","type":`...)
	b = wire.AppendQuoted(b, e.Type)
	b = append(b, `,"tenantAlias":`...)
	b = wire.AppendQuoted(b, e.Tenant.Alias)
	b = append(b, `,"live":`...)
	b = strconv.AppendBool(b, e.Tenant.Live)
	b = append(b, `,"created":`...)
	b = strconv.AppendInt(b, e.OccurredAt.UnixMilli(), 10)
	b = append(b, `,"data":`...)
	b = append(b, e.Data...)
	return append(b, '}')
}

// Decode takes the body apart again.
func (Dialect) Decode(body []byte) ([]byte, map[string]string, error) {
	return wire.DecodeMembers(body, "data")
}

// ReservedHeaders lists the headers of both signatures, whether or not the tenant
// wants the second.
func (Dialect) ReservedHeaders() []string {
	return []string{"x-hook-signature", "x-hook-jws-rfc-7797"}
}

// Judge takes 200 alone for success. Whatever else comes is tried again on
// schedule: nothing pauses a subscription or ends it.
func (Dialect) Judge(a wire.Answer) wire.Judgement {
	if a.Status == http.StatusOK {
		return wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}
	}
	return wire.Judgement{Verdict: wire.Retry, Reason: reason(a.Status)}
}

func reason(status int) wire.Reason {
	switch {
	case status == http.StatusGone:
		return wire.ReasonGone
	case status == http.StatusTooManyRequests:
		return wire.ReasonThrottled
	case status == http.StatusBadGateway, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return wire.ReasonUnavailable
	case status >= 300 && status < 400:
		return wire.ReasonRedirect
	case status >= 400 && status < 500:
		return wire.ReasonClientError
	case status >= 200 && status < 300:
		return wire.ReasonUnexpected
	default:
		return wire.ReasonServerError
	}
}

// Schedule is 72 attempts, an hour after each other and without jitter.
func (Dialect) Schedule() wire.Schedule {
	return wire.Schedule{Delays: slices.Repeat([]time.Duration{time.Hour}, 71), Fixed: true}
}

// Timeout is 15 seconds: the page names none.
func (Dialect) Timeout() time.Duration { return 15 * time.Second }

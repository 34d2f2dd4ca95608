package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

const (
	headerWebhookSignature = "X-Webhook-Signature"
	sha256Prefix           = "sha256="
)

// ReferralLoop verifies requests as ReferralLoop's page "Webhooks" says: their
// X-Webhook-Signature is "sha256=" and the HMAC-SHA256 of the body in
// hexadecimal, made with the subscription's secret.
//
// The page's own code makes the HMAC over the body that was parsed and written
// again by JSON.stringify. Grapevine writes bodies such that these are the same
// bytes; here it is those that arrived.
//
// Only the body is signed. The event's type is in it; its id and the time of the
// attempt are not.
//
// Make one with [NewReferralLoop]; the zero value has no key and refuses
// everything. Set the field before the first use. It can then be used
// concurrently.
type ReferralLoop struct {
	// MaxBody is how many bytes of body [ReferralLoop.Request] and
	// [ReferralLoop.Handler] read. Zero or less means 1 MiB.
	MaxBody int64

	macs []func() hash.Hash // hold the secrets, as in Standard
}

// NewReferralLoop returns a verifier for requests signed with any one of the
// secrets. While a secret is rotated the new one signs at once, since the header
// has room for one signature only: so give both before the rotation. White space
// around a secret is ignored, since secrets are often read from files.
//
// It fails where there is no secret, and where one is not of 16 to 256 printable
// ASCII characters without spaces. The error never contains it.
func NewReferralLoop(secrets ...string) (*ReferralLoop, error) {
	macs, err := textMACs(sha256.New, secrets, textKey{name: "secret", least: 16, most: 256})
	if err != nil {
		return nil, err
	}
	return &ReferralLoop{macs: macs}, nil
}

// Verify checks that the body, byte for byte as received, was signed with one of
// the secrets. Its errors are [ErrMissingHeader], [ErrInvalidHeader] and
// [ErrSignature]. The keys of header have to be canonical
// ([http.CanonicalHeaderKey]), as net/http makes them.
func (l *ReferralLoop) Verify(header http.Header, body []byte) (Message, error) {
	signature, err := webhookSignature(header)
	if err != nil {
		return Message{}, err
	}
	if !anyMAC(l.macs, body, signature) {
		return Message{}, ErrSignature
	}
	m, err := newMessage(header, body)
	if err != nil {
		return Message{}, err
	}
	m.Type = cmp.Or(member(body, "event_type"), m.Type)
	return m, nil
}

// Request reads the body of r, up to MaxBody, and verifies it as
// [ReferralLoop.Verify] does. Besides those errors it returns [ErrTooLarge], and
// what went wrong in reading. What the header alone rules out is refused without
// reading. After a success r.Body holds the same bytes again.
func (l *ReferralLoop) Request(r *http.Request) (Message, error) { return request(l, r, l.MaxBody) }

// Handler returns a handler that calls next for verified requests only, and
// answers the others itself as [Standard.Handler] does.
//
// Any 2xx status (200 where next writes nothing) within 5 seconds means received.
// After anything else the event is sent again, 1, 5, 15 and 60 minutes after the
// attempt before.
func (l *ReferralLoop) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(l.Request, next)
}

func (l *ReferralLoop) checkHeader(header http.Header) error {
	_, err := webhookSignature(header)
	return err
}

func (l *ReferralLoop) verify(_ context.Context, header http.Header, body []byte) (Message, error) {
	return l.Verify(header, body)
}

// webhookSignature returns the bytes of X-Webhook-Signature.
func webhookSignature(header http.Header) ([]byte, error) {
	text, err := single(header, headerWebhookSignature)
	if err != nil {
		return nil, err
	}
	digits, ok := strings.CutPrefix(text, sha256Prefix)
	if !ok {
		return nil, fmt.Errorf("%w: %s does not begin with %s", ErrInvalidHeader, headerWebhookSignature, sha256Prefix)
	}
	signature, err := hex.DecodeString(digits)
	if err != nil || len(signature) != sha256.Size {
		return nil, fmt.Errorf("%w: %s is not %d bytes in hexadecimal", ErrInvalidHeader, headerWebhookSignature, sha256.Size)
	}
	return signature, nil
}

package verify

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks, in the form in which [http.Header] has them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	defaultTolerance = 5 * time.Minute
	// maxSignatures bounds the work that a forged request can cause. Twenty keys
	// that overlap are far more than any rotation needs.
	maxSignatures = 20
	// maxTimestamp is the end of the year 9999, in seconds. No calculation with a
	// time up to there overflows.
	maxTimestamp = 253402300799
)

// Standard verifies requests signed as Standard Webhooks 1.0.0 says: with
// HMAC-SHA256 ("v1"), ed25519 ("v1a") or both, over "id.timestamp.body".
//
// Make one with [NewStandard]; the zero value has no key and refuses everything.
// Set the fields before the first use. It can then be used concurrently.
type Standard struct {
	// Tolerance is how far the timestamp may lie from now, in the past and in the
	// future alike. It bounds how long a recorded request can be played back.
	// Zero means 5 minutes; with a negative one everything is refused.
	Tolerance time.Duration
	// MaxBody is how many bytes of body [Standard.Request] and [Standard.Handler]
	// read. Zero or less means 1 MiB.
	MaxBody int64
	// Now is the clock; nil means [time.Now]. To verify a request that was
	// recorded, let it return when it was received.
	Now func() time.Time

	// macs holds the secrets, inside functions: printing a Standard shows none.
	macs       []func() hash.Hash
	publicKeys []ed25519.PublicKey
}

// NewStandard returns a verifier for requests signed with any one of the keys:
// secrets ("whsec_" and 24 to 64 bytes in base64) and public keys ("whpk_" and
// 32 bytes in base64), in any order. Give several where keys are rotated, the
// new one and the old one until the sender no longer uses it; or to receive for
// several subscriptions at one URL. White space around a key is ignored, since
// keys are often read from files.
//
// It fails where there is no key, and where any key has another prefix, is not
// base64 or has the wrong length. The error says which key by its position,
// counted from 1, and never contains it.
func NewStandard(keys ...string) (*Standard, error) {
	if len(keys) == 0 {
		return nil, errors.New("verify: no key given")
	}
	s := &Standard{}
	for i, key := range keys {
		if err := s.add(strings.TrimSpace(key)); err != nil {
			return nil, fmt.Errorf("verify: key %d of %d: %w", i+1, len(keys), err)
		}
	}
	return s, nil
}

func (s *Standard) add(key string) error {
	if key == "" {
		return errors.New("is empty")
	}
	prefix, text, _ := strings.Cut(key, "_")
	switch prefix {
	case "whsec":
		secret, ok := decode(text)
		if !ok {
			return errors.New("is not base64 after whsec_")
		}
		if len(secret) < 24 || len(secret) > 64 {
			return fmt.Errorf("is a secret of %d bytes, not of 24 to 64", len(secret))
		}
		s.macs = append(s.macs, func() hash.Hash { return hmac.New(sha256.New, secret) })
		return nil
	case "whpk":
		public, ok := decode(text)
		if !ok {
			return errors.New("is not base64 after whpk_")
		}
		if len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("is a public key of %d bytes, not of %d", len(public), ed25519.PublicKeySize)
		}
		s.publicKeys = append(s.publicKeys, public)
		return nil
	case "whsk":
		return errors.New("is the sender's private key (whsk_); a receiver needs the public one (whpk_)")
	}
	return errors.New("begins with neither whsec_ nor whpk_")
}

// Verify checks that the request with this header and this body, byte for byte
// as received, was signed with one of the keys, and lately. Its errors are
// [ErrMissingHeader], [ErrInvalidHeader], [ErrTimestamp] and [ErrSignature]; with
// an error there is no message.
//
// One valid signature suffices. Signatures of unknown versions or that are not
// base64 are passed over, so that a sender can add new kinds. Of each header
// there has to be exactly one, the id must not contain a full stop, and the
// timestamp has to be a plain decimal number: otherwise the same signed bytes could be
// split into id, timestamp and body in another way. The keys of header have to
// be canonical ([http.CanonicalHeaderKey]), as net/http makes them.
func (s *Standard) Verify(header http.Header, body []byte) (Message, error) {
	sent, err := s.parse(header)
	if err != nil {
		return Message{}, err
	}
	if !s.signed(sent, body) {
		return Message{}, ErrSignature
	}
	m, err := newMessage(header, body)
	if err != nil {
		return Message{}, err
	}
	m.ID, m.Timestamp, m.Type = sent.id, sent.at, cmp.Or(member(body, "type"), m.Type)
	return m, nil
}

// Request reads the body of r, up to MaxBody, and verifies it as
// [Standard.Verify] does. Besides those errors it returns [ErrTooLarge], and what
// went wrong in reading. What the header alone rules out is refused without
// reading. After a success r.Body holds the same bytes again.
func (s *Standard) Request(r *http.Request) (Message, error) { return request(s, r, s.MaxBody) }

// Handler returns a handler that calls next for verified requests only. It
// answers the others itself, with the reason in plain text: 400 for headers that
// are missing or invalid and for a body that breaks off, 401 for a wrong
// signature or time, 413 for a body that is too large.
//
// What next answers decides what the sender does: any 2xx status (200 where next
// writes nothing) means received; 410 means that nothing more is wanted here, and
// ends the subscription; anything else means send it again later.
func (s *Standard) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(s.Request, next)
}

func (s *Standard) checkHeader(header http.Header) error {
	_, err := s.parse(header)
	return err
}

func (s *Standard) verify(_ context.Context, header http.Header, body []byte) (Message, error) {
	return s.Verify(header, body)
}

// standardHeader is what a request says of itself, with nothing yet proven.
type standardHeader struct {
	id        string
	timestamp string // as sent, since that is what is signed
	at        time.Time
	signature string // the whole list
}

// parse reads the three headers and checks all that needs neither key nor body.
func (s *Standard) parse(header http.Header) (standardHeader, error) {
	id, err := single(header, headerID)
	if err != nil {
		return standardHeader{}, err
	}
	timestamp, err := single(header, headerTimestamp)
	if err != nil {
		return standardHeader{}, err
	}
	signature, err := single(header, headerSignature)
	if err != nil {
		return standardHeader{}, err
	}
	if strings.Contains(id, ".") {
		return standardHeader{}, fmt.Errorf("%w: %s contains a full stop", ErrInvalidHeader, headerID)
	}
	if strings.Count(signature, " ") >= maxSignatures {
		return standardHeader{}, fmt.Errorf("%w: %s has more than %d signatures", ErrInvalidHeader, headerSignature, maxSignatures)
	}
	at, err := parseSeconds(timestamp)
	if err != nil {
		return standardHeader{}, err
	}
	sent := standardHeader{id: id, timestamp: timestamp, at: at, signature: signature}
	return sent, s.checkTime(at)
}

// parseSeconds accepts only the one way to write a number in decimal: no sign, no
// space, no leading zero.
func parseSeconds(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > maxTimestamp || strconv.FormatInt(seconds, 10) != text {
		return time.Time{}, fmt.Errorf("%w: %s is not a number of seconds", ErrInvalidHeader, headerTimestamp)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (s *Standard) checkTime(at time.Time) error {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	tolerance := cmp.Or(s.Tolerance, defaultTolerance)
	t := now()
	if age := t.Sub(at); age > tolerance {
		return fmt.Errorf("%w: too old (%s ago, allowed %s)", ErrTimestamp, age, tolerance)
	}
	if ahead := at.Sub(t); ahead > tolerance {
		return fmt.Errorf("%w: too new (%s ahead, allowed %s)", ErrTimestamp, ahead, tolerance)
	}
	return nil
}

// signed reports whether any signature in the list fits any key of its own kind.
// A v1 signature is never tried as v1a or the other way round.
func (s *Standard) signed(sent standardHeader, body []byte) bool {
	var v1, v1a [][]byte
	for entry := range strings.SplitSeq(sent.signature, " ") {
		version, text, _ := strings.Cut(entry, ",")
		signature, ok := decode(text)
		if !ok {
			continue
		}
		switch version {
		case "v1":
			v1 = append(v1, signature)
		case "v1a":
			v1a = append(v1a, signature)
		}
	}
	prefix := []byte(sent.id + "." + sent.timestamp + ".")
	if len(v1) > 0 {
		for _, newMAC := range s.macs {
			mac := newMAC()
			mac.Write(prefix)
			mac.Write(body)
			want := mac.Sum(nil)
			if slices.ContainsFunc(v1, func(got []byte) bool { return hmac.Equal(got, want) }) {
				return true
			}
		}
	}
	if len(v1a) > 0 && len(s.publicKeys) > 0 {
		content := slices.Concat(prefix, body)
		for _, public := range s.publicKeys {
			if slices.ContainsFunc(v1a, func(got []byte) bool { return ed25519.Verify(public, content, got) }) {
				return true
			}
		}
	}
	return false
}

// decode decodes padded base64 that is exactly one spelling of its bytes: no
// stray bits at the end, and no line breaks, which the decoder would pass over.
func decode(text string) ([]byte, bool) {
	out, err := base64.StdEncoding.Strict().DecodeString(text)
	return out, err == nil && base64.StdEncoding.EncodedLen(len(out)) == len(text)
}

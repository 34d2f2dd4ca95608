package verify

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is what the dialect signs with, and is sound as a MAC
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

const headerHookSignature = "X-Hook-Signature"

// SaaSquatch verifies requests as SaaSquatch's page "API Webhooks" says: their
// X-Hook-Signature is the HMAC-SHA1 of the body, made with the tenant's current
// API key. The page leaves open how it is written; base64 and hexadecimal are
// both accepted.
//
// Only the body is signed. The event's id and type are in it, the time of the
// attempt is not.
//
// Make one with [NewSaaSquatch]; the zero value has no key and refuses
// everything. Set the field before the first use. It can then be used
// concurrently.
type SaaSquatch struct {
	// MaxBody is how many bytes of body [SaaSquatch.Request] and
	// [SaaSquatch.Handler] read. Zero or less means 1 MiB.
	MaxBody int64

	macs []func() hash.Hash // hold the keys, as in Standard
}

// NewSaaSquatch returns a verifier for requests signed with any one of the API
// keys. Give the new and the old one while the tenant's key is replaced. White
// space around a key is ignored, since keys are often read from files.
//
// It fails where there is no key, and where one is not of 8 to 200 printable
// ASCII characters without spaces. The error never contains it.
func NewSaaSquatch(keys ...string) (*SaaSquatch, error) {
	macs, err := textMACs(sha1.New, keys, textKey{name: "API key", least: 8, most: 200})
	if err != nil {
		return nil, err
	}
	return &SaaSquatch{macs: macs}, nil
}

// Verify checks that the body, byte for byte as received, was signed with one of
// the keys. Its errors are [ErrMissingHeader], [ErrInvalidHeader] and
// [ErrSignature]. The keys of header have to be canonical
// ([http.CanonicalHeaderKey]), as net/http makes them.
func (s *SaaSquatch) Verify(header http.Header, body []byte) (Message, error) {
	signature, err := hookSignature(header)
	if err != nil {
		return Message{}, err
	}
	if !anyMAC(s.macs, body, signature) {
		return Message{}, ErrSignature
	}
	return saasquatchMessage(header, body)
}

// Request reads the body of r, up to MaxBody, and verifies it as
// [SaaSquatch.Verify] does. Besides those errors it returns [ErrTooLarge], and
// what went wrong in reading. What the header alone rules out is refused without
// reading. After a success r.Body holds the same bytes again.
func (s *SaaSquatch) Request(r *http.Request) (Message, error) { return request(s, r, s.MaxBody) }

// Handler returns a handler that calls next for verified requests only, and
// answers the others itself as [Standard.Handler] does.
//
// Only the status 200 (also where next writes nothing) means received. After any
// other, 201, 204 and 410 included, the event is sent again: each hour, 72 times
// in all.
func (s *SaaSquatch) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(s.Request, next)
}

func (s *SaaSquatch) checkHeader(header http.Header) error {
	_, err := hookSignature(header)
	return err
}

func (s *SaaSquatch) verify(_ context.Context, header http.Header, body []byte) (Message, error) {
	return s.Verify(header, body)
}

// hookSignature returns the bytes of X-Hook-Signature. The two ways to write it
// differ in length.
func hookSignature(header http.Header) ([]byte, error) {
	text, err := single(header, headerHookSignature)
	if err != nil {
		return nil, err
	}
	if signature, ok := decode(text); ok && len(signature) == sha1.Size {
		return signature, nil
	}
	if signature, err := hex.DecodeString(text); err == nil && len(signature) == sha1.Size {
		return signature, nil
	}
	return nil, fmt.Errorf("%w: %s is not %d bytes in base64 or hexadecimal", ErrInvalidHeader, headerHookSignature, sha1.Size)
}

// saasquatchMessage reads what a body that was verified says of itself.
func saasquatchMessage(header http.Header, body []byte) (Message, error) {
	m, err := newMessage(header, body)
	if err != nil {
		return Message{}, err
	}
	m.ID, m.Type = cmp.Or(member(body, "id"), m.ID), cmp.Or(member(body, "type"), m.Type)
	return m, nil
}

// textKey is what a secret has to be like whose text is the key.
type textKey struct {
	name        string
	least, most int // characters
}

// textMACs returns a MAC for each key. Its error does not repeat any.
func textMACs(newHash func() hash.Hash, keys []string, like textKey) ([]func() hash.Hash, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("verify: no %s given", like.name)
	}
	var macs []func() hash.Hash
	for i, key := range keys {
		key = strings.TrimSpace(key)
		if err := like.check(key); err != nil {
			return nil, fmt.Errorf("verify: %s %d of %d: %w", like.name, i+1, len(keys), err)
		}
		macs = append(macs, func() hash.Hash { return hmac.New(newHash, []byte(key)) })
	}
	return macs, nil
}

func (k textKey) check(key string) error {
	switch {
	case key == "":
		return errors.New("is empty")
	case len(key) < k.least, len(key) > k.most:
		return fmt.Errorf("has %d characters, not %d to %d", len(key), k.least, k.most)
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("has a space or a character that is not printable ASCII")
	}
	return nil
}

// anyMAC reports whether the signature over the body was made with any of the
// keys.
func anyMAC(macs []func() hash.Hash, body, signature []byte) bool {
	for _, newMAC := range macs {
		mac := newMAC()
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}

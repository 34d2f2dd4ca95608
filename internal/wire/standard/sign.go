package standard

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// The kinds of signature, as the standard calls them.
const (
	HMAC    = "v1"  // HMAC-SHA256 with a shared secret
	Ed25519 = "v1a" // ed25519; the receiver needs the public key only
)

const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// Signing is by a secret of the subscription's own.
func (Dialect) Signing() wire.Signing { return wire.BySecret }

// NewSecret makes a secret "whsec_…" of 32 bytes, or a key "whsk_…".
func (Dialect) NewSecret(kind string) (string, error) {
	switch kind {
	case "", HMAC:
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // never fails
		return secretPrefix + base64.StdEncoding.EncodeToString(secret), nil
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return "", fmt.Errorf("standard: make a key: %w", err)
		}
		return privatePrefix + base64.StdEncoding.EncodeToString(key), nil
	default:
		return "", fmt.Errorf("must be %q or %q", HMAC, Ed25519)
	}
}

// NewSecretLike makes a secret or a key, as the one given is.
func (d Dialect) NewSecretLike(secret string) (string, error) {
	if strings.HasPrefix(secret, privatePrefix) {
		return d.NewSecret(Ed25519)
	}
	return d.NewSecret(HMAC)
}

// NewSigner accepts "whsec_" with 24 to 64 bytes, and "whsk_" with a seed of 32
// or a private key of 64, in base64.
func (Dialect) NewSigner(keys wire.Keys) (wire.Signer, error) {
	if len(keys.Secrets) == 0 {
		return nil, errors.New("standard: a signer needs a secret")
	}
	s := &signer{}
	for _, secret := range keys.Secrets {
		key, err := parseKey(secret)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// key is one secret, ready to sign.
type key interface {
	appendSignature(dst []byte, signed ...[]byte) []byte
	public() string // empty for a shared secret
}

func parseKey(secret string) (key, error) {
	if encoded, ok := strings.CutPrefix(secret, secretPrefix); ok {
		raw, ok := decode(encoded)
		if !ok || len(raw) < 24 || len(raw) > 64 {
			return nil, errors.New("must be \"whsec_\" and the base64 of 24 to 64 bytes")
		}
		return &hmacKey{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, raw) }}}, nil
	}
	encoded, ok := strings.CutPrefix(secret, privatePrefix)
	if !ok {
		return nil, errors.New("must begin with \"whsec_\" or \"whsk_\"")
	}
	raw, ok := decode(encoded)
	switch {
	case ok && len(raw) == ed25519.SeedSize:
		return ed25519Key(ed25519.NewKeyFromSeed(raw)), nil
	case ok && len(raw) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]).Equal(ed25519.PrivateKey(raw)):
		return ed25519Key(raw), nil
	default:
		return nil, errors.New("must be \"whsk_\" and the base64 of an ed25519 seed or private key")
	}
}

// decode reads base64 in its one spelling. Go's decoder passes over line breaks,
// at which the receivers' libraries stumble.
func decode(encoded string) ([]byte, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	return raw, err == nil && !strings.ContainsAny(encoded, "\r\n")
}

// hmacKey keeps prepared hashes, since preparing one costs as much as a short
// message.
type hmacKey struct{ pool sync.Pool }

func (k *hmacKey) appendSignature(dst []byte, signed ...[]byte) []byte {
	h, _ := k.pool.Get().(hash.Hash)
	h.Reset()
	for _, part := range signed {
		h.Write(part)
	}
	var sum [sha256.Size]byte
	dst = append(dst, HMAC+","...)
	dst = base64.StdEncoding.AppendEncode(dst, h.Sum(sum[:0]))
	k.pool.Put(h)
	return dst
}

func (k *hmacKey) public() string { return "" }

type ed25519Key ed25519.PrivateKey

func (k ed25519Key) appendSignature(dst []byte, signed ...[]byte) []byte {
	var message []byte
	for _, part := range signed {
		message = append(message, part...)
	}
	dst = append(dst, Ed25519+","...)
	return base64.StdEncoding.AppendEncode(dst, ed25519.Sign(ed25519.PrivateKey(k), message))
}

func (k ed25519Key) public() string {
	return publicPrefix + base64.StdEncoding.EncodeToString(ed25519.PrivateKey(k)[ed25519.SeedSize:])
}

type signer struct{ keys []key }

// Sign returns webhook-id, webhook-timestamp and webhook-signature.
func (s *signer) Sign(m wire.Message) []wire.Header {
	eventID := id.Event.Format(m.EventID)
	timestamp := strconv.FormatInt(m.SentAt.Unix(), 10)
	head := []byte(eventID + "." + timestamp + ".")
	var signatures []byte
	for i, k := range s.keys {
		if i > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = k.appendSignature(signatures, head, m.Body)
	}
	return []wire.Header{
		{Name: "Webhook-Id", Value: eventID},
		{Name: "Webhook-Timestamp", Value: timestamp},
		{Name: "Webhook-Signature", Value: string(signatures)},
	}
}

// PublicKeys returns the "whpk_…" of each key that has one.
func (s *signer) PublicKeys() []string {
	var keys []string
	for _, k := range s.keys {
		if p := k.public(); p != "" {
			keys = append(keys, p)
		}
	}
	return keys
}

package verify

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	headerHookJWS = "X-Hook-Jws-Rfc-7797" // as http.Header has it
	algRS256      = "RS256"

	maxJWSHeader = 4 << 10 // characters of the JWS's own header
	maxRSA       = maxModulus / 8
)

// SaaSquatchJWS verifies requests by their X-Hook-JWS-RFC-7797 header, which
// SaaSquatch's page "Webhook Security" describes: a detached JWS
// ("header..signature", RFC 7515, appendix F), made with RS256 over the body. A
// receiver needs public keys only.
//
// In spite of the header's name the signature is over the body in base64url, as
// in any other JWS, and not over the plain one as in RFC 7797. Another algorithm
// than RS256 is refused, whatever the JWS or the key set says. Only the body is
// signed. The event's id and type are in it, the time of the attempt is not.
//
// Grapevine sends the header where the tenant has set jws to on.
//
// The key is the server's own and signs for all of its tenants, each of whom can
// have what it publishes sent anywhere. So a signature says only that the server
// has sent the body, and the tenantAlias in the body for whom.
//
// Make one with [NewSaaSquatchJWS]; the zero value has no key and refuses
// everything. Set the field before the first use. It can then be used
// concurrently.
type SaaSquatchJWS struct {
	// MaxBody is how many bytes of body [SaaSquatchJWS.Request] and
	// [SaaSquatchJWS.Handler] read. Zero or less means 1 MiB.
	MaxBody int64

	keys        *JWKS
	tenantAlias string
}

// NewSaaSquatchJWS returns a verifier for requests signed with any of the keys,
// which come from [ParseJWKS] or [FetchJWKS], in the name of the tenant with the
// alias: events of others are refused with [ErrTenant]. An empty alias accepts
// every tenant's, for who verifies in another way as well whose they are.
func NewSaaSquatchJWS(keys *JWKS, tenantAlias string) (*SaaSquatchJWS, error) {
	if keys == nil {
		return nil, errors.New("verify: no keys given")
	}
	return &SaaSquatchJWS{keys: keys, tenantAlias: tenantAlias}, nil
}

// Verify checks that the body, byte for byte as received, was signed with the key
// that the JWS names. A JWS may name none where the set has one key only. The
// context bounds how long it waits for keys to be fetched.
//
// Its errors are [ErrMissingHeader], [ErrInvalidHeader], [ErrSignature], also for
// a key that the set does not have, [ErrTenant] and [ErrKeys]. The keys of header
// have to be canonical ([http.CanonicalHeaderKey]), as net/http makes them.
func (s *SaaSquatchJWS) Verify(ctx context.Context, header http.Header, body []byte) (Message, error) {
	sent, err := detachedJWS(header)
	if err != nil {
		return Message{}, err
	}
	if s.keys == nil {
		return Message{}, ErrSignature
	}
	key, err := s.keys.key(ctx, sent.kid)
	if err != nil {
		return Message{}, err
	}
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sent.digest(body), sent.signature) != nil {
		return Message{}, ErrSignature
	}
	if s.tenantAlias != "" && member(body, "tenantAlias") != s.tenantAlias {
		return Message{}, ErrTenant
	}
	return saasquatchMessage(header, body)
}

// Request reads the body of r, up to MaxBody, and verifies it as
// [SaaSquatchJWS.Verify] does. Besides those errors it returns [ErrTooLarge], and
// what went wrong in reading. What the header alone rules out is refused without
// reading. After a success r.Body holds the same bytes again.
func (s *SaaSquatchJWS) Request(r *http.Request) (Message, error) { return request(s, r, s.MaxBody) }

// Handler returns a handler that calls next for verified requests only, and
// answers the others itself as [Standard.Handler] does; with 503 where the keys
// could not be fetched. What next answers means what it does for
// [SaaSquatch.Handler].
func (s *SaaSquatchJWS) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(s.Request, next)
}

func (s *SaaSquatchJWS) checkHeader(header http.Header) error {
	_, err := detachedJWS(header)
	return err
}

func (s *SaaSquatchJWS) verify(ctx context.Context, header http.Header, body []byte) (Message, error) {
	return s.Verify(ctx, header, body)
}

// jws is a detached signature, with nothing yet proven.
type jws struct {
	header    string // as sent, since that is what is signed
	kid       string
	signature []byte
}

// detachedJWS reads the header and checks all that needs neither key nor body.
func detachedJWS(header http.Header) (jws, error) {
	text, err := single(header, headerHookJWS)
	if err != nil {
		return jws{}, err
	}
	head, tail, found := strings.Cut(text, "..")
	if !found || len(head) > maxJWSHeader {
		return jws{}, invalidJWS("is not a detached JWS, header..signature")
	}
	signature, ok := decodeURL(tail)
	if !ok || len(signature) < minModulus/8 || len(signature) > maxRSA {
		return jws{}, invalidJWS("has a signature that is not RSA's in base64url")
	}
	kid, err := checkJWSHeader(head)
	if err != nil {
		return jws{}, err
	}
	return jws{header: head, kid: kid, signature: signature}, nil
}

// checkJWSHeader returns the id of the key that the JWS's own header names. It
// demands RS256 and refuses what would make the signature mean something else.
func checkJWSHeader(text string) (string, error) {
	plain, ok := decodeURL(text)
	var members map[string]json.RawMessage
	if !ok || json.Unmarshal(plain, &members) != nil {
		return "", invalidJWS("has a header that is not a JSON object in base64url")
	}
	if string(members["alg"]) != `"`+algRS256+`"` {
		return "", invalidJWS("was not made with " + algRS256)
	}
	for _, name := range []string{"crit", "b64"} {
		if _, there := members[name]; there {
			return "", invalidJWS("has the member " + name + ", which is not understood here")
		}
	}
	kid := ""
	if raw, there := members["kid"]; there && (json.Unmarshal(raw, &kid) != nil || kid == "") {
		return "", invalidJWS("names its key by something that is not text")
	}
	return kid, nil
}

func invalidJWS(why string) error {
	return fmt.Errorf("%w: %s %s", ErrInvalidHeader, headerHookJWS, why)
}

// digest returns the SHA-256 of what is signed: header, full stop, and the body
// in base64url.
func (j jws) digest(body []byte) []byte {
	h := sha256.New()
	_, _ = io.WriteString(h, j.header+".")
	encoder := base64.NewEncoder(base64.RawURLEncoding, h)
	_, _ = encoder.Write(body)
	_ = encoder.Close()
	return h.Sum(nil)
}

// decodeURL decodes base64url without padding that is exactly one spelling of its
// bytes, as decode does.
func decodeURL(text string) ([]byte, bool) {
	out, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return out, err == nil && base64.RawURLEncoding.EncodedLen(len(out)) == len(text)
}

package saasquatch

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // receivers verify HMAC-SHA1, which is sound as a MAC
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math/big"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Signing is with the key by which the tenant calls the API.
func (Dialect) Signing() wire.Signing { return wire.ByKey }

var errNoSecret = errors.New("saasquatch signs with the tenant's API key: a subscription has no secret")

// NewSecret returns an error: a subscription has no secret.
func (Dialect) NewSecret(string) (string, error) { return "", errNoSecret }

// NewSecretLike returns an error: a subscription has no secret.
func (Dialect) NewSecretLike(string) (string, error) { return "", errNoSecret }

// NewSigner needs the tenant's API key, and the server's RSA key where the tenant
// turned the JWS on. It returns an error rather than a signer that signs less
// than the tenant chose.
func (Dialect) NewSigner(keys wire.Keys) (wire.Signer, error) {
	if keys.Identity == nil || keys.Identity.Key == "" {
		return nil, errors.New("saasquatch: there is no API key of the tenant to sign with: create one")
	}
	settings := keys.Identity.Tenant.Settings
	s := &signer{hashes: sync.Pool{New: func() any { return hmac.New(sha1.New, []byte(keys.Identity.Key)) }}}
	switch settings.Of(signatureEncoding) {
	case "base64":
		s.encode = base64.StdEncoding.EncodeToString
	case "hex":
		s.encode = hex.EncodeToString
	default:
		return nil, errors.New("saasquatch: the setting signature_encoding must be base64 or hex")
	}
	switch settings.Of(jws) {
	case "off":
		return s, nil
	case "on":
		var err error
		s.rsa, err = newRSASigner(keys.Identity.RSA)
		if err != nil {
			return nil, err
		}
		return s, nil
	default:
		return nil, errors.New("saasquatch: the setting jws must be off or on")
	}
}

// signer keeps prepared hashes, since preparing one costs as much as a short
// message.
type signer struct {
	hashes sync.Pool
	encode func([]byte) string
	rsa    *rsaSigner // nil where the tenant wants no JWS
}

// Sign returns X-Hook-Signature and, where the tenant wants it,
// X-Hook-JWS-RFC-7797 in the spelling of Go's headers.
func (s *signer) Sign(m wire.Message) []wire.Header {
	h, _ := s.hashes.Get().(hash.Hash)
	h.Reset()
	h.Write(m.Body)
	var sum [sha1.Size]byte
	headers := []wire.Header{{Name: "X-Hook-Signature", Value: s.encode(h.Sum(sum[:0]))}}
	s.hashes.Put(h)
	if s.rsa != nil {
		headers = append(headers, wire.Header{Name: "X-Hook-Jws-Rfc-7797", Value: s.rsa.sign(m.Body)})
	}
	return headers
}

// PublicKeys returns the key of the JWS as a JWK. X-Hook-Signature needs the API
// key itself.
func (s *signer) PublicKeys() []string {
	if s.rsa == nil {
		return nil
	}
	return []string{s.rsa.jwk}
}

// rsaSigner makes detached signatures (JWS, RFC 7515, appendix F). In spite of
// the header's name the body is signed in base64url, as receivers expect, and not
// as it is (RFC 7797).
type rsaSigner struct {
	key     *rsa.PrivateKey
	modulus [sha256.Size]byte // its hash
	header  string            // base64url
	jwk     string
}

func newRSASigner(key *wire.RSAKey) (*rsaSigner, error) {
	if key == nil || key.Private == nil || key.ID == "" {
		return nil, errors.New("saasquatch: the setting jws is on, and the server has no RSA key to sign with")
	}
	if err := key.Private.Validate(); err != nil {
		return nil, errors.New("saasquatch: the server's RSA key is broken") // the cause might tell of the key
	}
	if key.Private.N.BitLen() < 2048 {
		return nil, errors.New("saasquatch: an RSA key needs 2,048 bits or more to sign with RS256")
	}
	header := wire.AppendQuoted([]byte(`{"alg":"RS256","typ":"JWT","kid":`), key.ID)
	return &rsaSigner{
		key:     key.Private,
		modulus: sha256.Sum256(key.Private.N.Bytes()),
		header:  base64.RawURLEncoding.EncodeToString(append(header, '}')),
		jwk:     jwk(key),
	}, nil
}

// jwk returns the public half (RFC 7517).
func jwk(key *wire.RSAKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	text, _ := json.Marshal(struct { // strings can always be written
		Type     string `json:"kty"`
		Modulus  string `json:"n"`
		Exponent string `json:"e"`
		ID       string `json:"kid"`
		Use      string `json:"use"`
		Alg      string `json:"alg"`
	}{"RSA", encode(key.Private.N.Bytes()), encode(big.NewInt(int64(key.Private.E)).Bytes()), key.ID, "sig", "RS256"})
	return string(text)
}

// sign returns "header..signature".
func (s *rsaSigner) sign(body []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, s.header+".")
	encoder := base64.NewEncoder(base64.RawURLEncoding, h)
	_, _ = encoder.Write(body)
	_ = encoder.Close()
	digest := h.Sum(nil)
	signature := signatures.of(signed{s.modulus, [sha256.Size]byte(digest)}, func() []byte {
		// A valid key signs. Should it fail all the same, then the signature is
		// empty, which no receiver accepts.
		signature, _ := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest)
		return signature
	})
	return s.header + ".." + base64.RawURLEncoding.EncodeToString(signature)
}

package referralloop

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// HMAC is the one kind of signature: HMAC-SHA256, as the header calls it.
const HMAC = "sha256"

const secretPrefix = "rlsec_"

// Signing is by a secret of the subscription's own.
func (Dialect) Signing() wire.Signing { return wire.BySecret }

// NewSecret makes a secret "rlsec_…" of 32 bytes.
func (Dialect) NewSecret(kind string) (string, error) {
	if kind != "" && kind != HMAC {
		return "", fmt.Errorf("must be %q", HMAC)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secretPrefix + base64.RawURLEncoding.EncodeToString(secret), nil
}

// NewSecretLike makes a secret: there is one kind.
func (d Dialect) NewSecretLike(string) (string, error) { return d.NewSecret(HMAC) }

// NewSigner accepts any secret of 16 to 256 printable ASCII characters without
// spaces; its text is the key. The newest secret alone signs, also while a
// rotation overlaps, since the header holds one value: receivers have to know
// the new secret before the rotation.
func (Dialect) NewSigner(keys wire.Keys) (wire.Signer, error) {
	if len(keys.Secrets) == 0 {
		return nil, errors.New("referralloop: a signer needs a secret")
	}
	for _, secret := range keys.Secrets {
		if len(secret) < 16 || len(secret) > 256 || strings.ContainsFunc(secret, isNotGraphic) {
			return nil, errors.New("must be 16 to 256 printable ASCII characters without spaces")
		}
	}
	return signer{key: []byte(keys.Secrets[0])}, nil
}

func isNotGraphic(r rune) bool { return r <= ' ' || r > '~' }

type signer struct{ key []byte }

// Sign returns X-Webhook-Signature.
func (s signer) Sign(m wire.Message) []wire.Header {
	h := hmac.New(sha256.New, s.key)
	h.Write(m.Body)
	return []wire.Header{{Name: "X-Webhook-Signature", Value: HMAC + "=" + hex.EncodeToString(h.Sum(nil))}}
}

// PublicKeys is empty: the receiver needs the secret.
func (signer) PublicKeys() []string { return nil }

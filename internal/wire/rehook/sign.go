package rehook

import (
	"errors"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Signing is Unsigned: the page knows no signature.
func (Dialect) Signing() wire.Signing { return wire.Unsigned }

var errNoSecret = errors.New("rehook: nothing is signed, so there is no secret")

// NewSecret makes none.
func (Dialect) NewSecret(string) (string, error) { return "", errNoSecret }

// NewSecretLike makes none.
func (Dialect) NewSecretLike(string) (string, error) { return "", errNoSecret }

// NewSigner needs no keys.
func (Dialect) NewSigner(wire.Keys) (wire.Signer, error) { return unsigned{}, nil }

type unsigned struct{}

// Sign sets no headers.
func (unsigned) Sign(wire.Message) []wire.Header { return nil }

// PublicKeys is empty: there is nothing to verify.
func (unsigned) PublicKeys() []string { return nil }

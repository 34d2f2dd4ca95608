package partnerstack

import (
	"errors"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

var errUnsigned = errors.New("is not possible: PartnerStack's webhooks are not signed")

// Signing says that requests are not signed: the page describes no signature.
func (Dialect) Signing() wire.Signing { return wire.Unsigned }

// NewSecret makes none.
func (Dialect) NewSecret(string) (string, error) { return "", errUnsigned }

// NewSecretLike makes none.
func (Dialect) NewSecretLike(string) (string, error) { return "", errUnsigned }

// NewSigner returns a signer that needs no keys.
func (Dialect) NewSigner(wire.Keys) (wire.Signer, error) { return unsigned{}, nil }

type unsigned struct{}

// Sign sets no header.
func (unsigned) Sign(wire.Message) []wire.Header { return nil }

// PublicKeys is empty: there is nothing to verify.
func (unsigned) PublicKeys() []string { return nil }

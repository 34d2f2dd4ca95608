package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/verify"
)

// verifier tells an authentic request from any other.
type verifier interface {
	Request(r *http.Request) (verify.Message, error)
}

// reception is how events of a dialect are received.
type reception struct {
	auth   *client.Auth // that the subscription gets; nil: what arrives is signed
	test   string       // the type of the event that tests a subscription
	data   string       // the member of bodies that is the event's data; "": the body is
	proof  string       // what a verified event has, in a word
	taken  int          // the status that means received
	only   bool         // no other status does
	ends   bool         // 410 ends the subscription
	advice string       // what to do where the test event can't be verified

	// verifier returns the verifier, given the secret of the subscription.
	verifier func(secret string) (verifier, error)
}

// accepts reports whether an answer means that the event was received.
func (how *reception) accepts(status int) bool {
	return status == how.taken || !how.only && status >= 200 && status <= 299
}

// column heads what shows the proof.
func (how *reception) column() string {
	if how.auth != nil {
		return "SENDER"
	}
	return "SIGNATURE"
}

// receptions are how 'listen' receives each dialect.
var receptions = map[string]func(*listenCommand, *env) (reception, error){
	standardDialect: receiveStandard,
	"saasquatch":    receiveSaaSquatch,
	"referralloop":  receiveReferralLoop,
	"rehook":        receiveRehook,
	"partnerstack":  receivePartnerStack,
}

func receiveStandard(*listenCommand, *env) (reception, error) {
	return reception{
		test: testType, data: "data", proof: "valid", taken: http.StatusNoContent, ends: true,
		verifier: func(secret string) (verifier, error) {
			v, err := verify.NewStandard(secret)
			if err != nil {
				return nil, err
			}
			v.MaxBody = maxReceived
			return v, nil
		},
	}, nil
}

func receiveReferralLoop(*listenCommand, *env) (reception, error) {
	return reception{
		test: testType, data: "data", proof: "valid", taken: http.StatusOK,
		verifier: func(secret string) (verifier, error) {
			v, err := verify.NewReferralLoop(secret)
			if err != nil {
				return nil, err
			}
			v.MaxBody = maxReceived
			return v, nil
		},
	}, nil
}

// saasquatchTest is the type of SaaSquatch's own test event.
const saasquatchTest = "test"

func receiveSaaSquatch(c *listenCommand, e *env) (reception, error) {
	key, err := c.readDialectKey(e)
	if err != nil {
		return reception{}, err
	}
	v, err := newSaaSquatchVerifier(key, c.URL)
	if err != nil {
		return reception{}, usagef("the tenant's key of saasquatch: %s", strings.TrimPrefix(err.Error(), "verify: "))
	}
	if v.jws == nil {
		e.note("Signatures with the server's public key are not verified, only those with the tenant's: the server at %s is asked without TLS.", c.URL)
	}
	return reception{
		test: saasquatchTest, data: "data", proof: "valid", taken: http.StatusOK, only: true,
		advice: "The tenant signs with its newest key of saasquatch that is neither revoked nor expired: give that one. " +
			"If it has none: grapevine key create --tenant TENANT --dialect saasquatch --scope read",
		verifier: func(string) (verifier, error) { return v, nil },
	}, nil
}

// saasquatchVerifier demands the signature with the tenant's key, and that with
// the server's to be right if it is there.
type saasquatchVerifier struct {
	mac *verify.SaaSquatch
	jws *verify.SaaSquatchJWS // nil: its keys can't be fetched safely
}

// newSaaSquatchVerifier verifies by the tenant's key, and by the public keys of
// the server at the URL.
func newSaaSquatchVerifier(key, server string) (*saasquatchVerifier, error) {
	mac, err := verify.NewSaaSquatch(key)
	if err != nil {
		return nil, err
	}
	mac.MaxBody = maxReceived
	keys, err := verify.FetchJWKS(strings.TrimRight(server, "/")+"/.well-known/jwks.json", nil)
	if err != nil {
		return &saasquatchVerifier{mac: mac}, nil //nolint:nilerr // the other signature is verified
	}
	jws, err := verify.NewSaaSquatchJWS(keys, "") // the other signature says whose it is
	if err != nil {
		return nil, err
	}
	jws.MaxBody = maxReceived
	return &saasquatchVerifier{mac: mac, jws: jws}, nil
}

// Request verifies a request and names the event as the API does.
func (v *saasquatchVerifier) Request(r *http.Request) (verify.Message, error) {
	m, err := v.mac.Request(r)
	if err != nil {
		return verify.Message{}, err
	}
	if v.jws != nil && len(r.Header.Values("X-Hook-JWS-RFC-7797")) > 0 {
		if m, err = v.jws.Request(r); err != nil {
			return verify.Message{}, err
		}
	}
	m.ID = "evt_" + m.ID
	return m, nil
}

func receiveRehook(*listenCommand, *env) (reception, error) {
	auth, credential := newCredential()
	v, err := verify.NewRehook(credential)
	if err != nil {
		return reception{}, err
	}
	v.MaxBody = maxReceived
	return reception{
		auth: auth, test: testType, data: "metadata", proof: "password", taken: http.StatusOK, ends: true,
		verifier: func(string) (verifier, error) { return v, nil },
	}, nil
}

func receivePartnerStack(*listenCommand, *env) (reception, error) {
	auth, credential := newCredential()
	v, err := verify.NewPartnerStack(credential)
	if err != nil {
		return reception{}, err
	}
	v.MaxBody = maxReceived
	return reception{
		auth: auth, test: testType, proof: "password", taken: http.StatusOK, ends: true,
		verifier: func(string) (verifier, error) { return v, nil },
	}, nil
}

// newCredential makes a password, for the subscription and for the verifier.
func newCredential() (*client.Auth, verify.Credential) {
	const name = "grapevine"
	password := rand.Text()
	return &client.Auth{Type: "basic", Username: name, Password: password}, verify.Basic(name, password)
}

// dialectKeyVariable holds the tenant's key of a dialect that signs with it.
const dialectKeyVariable = "GRAPEVINE_DIALECT_KEY"

// validateDialectKey refuses a key on the command line, without repeating it.
func (c *listenCommand) validateDialectKey() error {
	switch {
	case c.DialectKey == "":
		return nil
	case c.DialectKey != "-" && !strings.HasPrefix(c.DialectKey, "@"):
		return usagef("--dialect-key takes - for the standard input or @FILE, not the key itself, which everybody on the machine could read")
	case c.Dialect != "saasquatch":
		return usagef("--dialect-key goes with --dialect saasquatch: the other dialects do not sign with a tenant's key")
	}
	return nil
}

// readDialectKey returns the tenant's key of the dialect.
func (c *listenCommand) readDialectKey(e *env) (string, error) {
	if c.DialectKey == "" {
		if key := os.Getenv(dialectKeyVariable); key != "" {
			return key, nil
		}
		return "", usagef("%[1]s signs with the tenant's key of that dialect, so verifying takes it as well: put it into %[2]s, or have it read with --dialect-key - or @FILE\n"+
			"If the tenant has none: grapevine key create --tenant TENANT --dialect %[1]s --scope read", c.Dialect, dialectKeyVariable)
	}
	text, err := e.read(c.DialectKey)
	if errors.Is(err, context.Canceled) {
		return "", err
	}
	if err != nil {
		return "", usagef("--dialect-key: %v", err)
	}
	return strings.TrimSpace(string(text)), nil
}

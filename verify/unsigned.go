package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Credential is what requests of a dialect that signs nothing can prove who
// sends with: a secret in a header, which the subscription adds to each of them.
// [Basic], [Bearer] and [Header] make one.
//
// It protects less than a signature: whoever sees one request can make others,
// with any body. Receive over https.
type Credential struct {
	header string
	sum    func() [sha256.Size]byte // of the header's value; a function, so that printing shows nothing
	err    error
}

// Basic is a name and a password (RFC 7617), which a subscription has as its
// auth of type "basic".
func Basic(username, password string) Credential {
	c := newCredential("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(username+":"+password)))
	switch {
	case strings.Contains(username, ":"):
		c.err = errors.New("has a user name with a colon, where the password would begin")
	case password == "":
		c.err = errors.New("has no password")
	}
	return c
}

// Bearer is a token (RFC 6750), which a subscription has as its auth of type
// "bearer".
func Bearer(token string) Credential {
	c := newCredential("Authorization", "Bearer "+token)
	if token == "" {
		c.err = errors.New("has no token")
	}
	return c
}

// Header is a header with its value, which a subscription has among its headers.
func Header(name, value string) Credential {
	c := newCredential(http.CanonicalHeaderKey(name), value)
	switch {
	case name == "":
		c.err = errors.New("has no header")
	case value == "":
		c.err = errors.New("has a header without a value")
	}
	return c
}

func newCredential(header, value string) Credential {
	sum := sha256.Sum256([]byte(value))
	return Credential{header: header, sum: func() [sha256.Size]byte { return sum }}
}

// credentials are what requests have to carry.
type credentials []Credential

func newCredentials(all []Credential) (credentials, error) {
	for i, c := range all {
		if c.sum == nil {
			c.err = errors.New("is empty; Basic, Bearer and Header make one")
		}
		if c.err != nil {
			return nil, fmt.Errorf("verify: credential %d of %d: %w", i+1, len(all), c.err)
		}
	}
	return append(credentials(nil), all...), nil
}

// check demands, for each header that a credential is for, one that fits.
func (cs credentials) check(header http.Header) error {
	fits := make(map[string]int, len(cs)) // by header
	for _, c := range cs {
		value, err := single(header, c.header)
		if err != nil {
			return err
		}
		got, want := sha256.Sum256([]byte(canonicalScheme(c.header, value))), c.sum()
		fits[c.header] |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	for _, fit := range fits {
		if fit == 0 {
			return ErrCredentials
		}
	}
	return nil
}

// canonicalScheme writes the scheme of an Authorization header as it is written
// here: "basic" in any case means the same.
func canonicalScheme(header, value string) string {
	scheme, rest, found := strings.Cut(value, " ")
	if header != "Authorization" || !found {
		return value
	}
	for _, ours := range []string{"Basic", "Bearer"} {
		if strings.EqualFold(scheme, ours) {
			return ours + " " + rest
		}
	}
	return value
}

// Rehook takes requests as Rehook's page on webhooks describes them: nothing is
// signed, and a webhook can be set up with basic authentication and with headers
// of its own, which is what is checked.
//
// The event's type is in the body; nothing of the request is signed.
//
// Make one with [NewRehook]; the zero value refuses everything. Set the field
// before the first use. It can then be used concurrently.
type Rehook struct {
	// MaxBody is how many bytes of body [Rehook.Request] and [Rehook.Handler] read.
	// Zero or less means 1 MiB.
	MaxBody int64

	credentials credentials
}

// NewRehook returns a verifier for requests that carry the credentials. Of
// several for the same header one suffices, so that they can be changed without
// a gap; of several headers each has to be right.
//
// It fails where there is none, since then nothing would tell a genuine request
// from any other, and where one is incomplete. The error never contains it.
func NewRehook(all ...Credential) (*Rehook, error) {
	if len(all) == 0 {
		return nil, errors.New("verify: no credential given: nothing is signed, so give the subscription one and check that")
	}
	cs, err := newCredentials(all)
	if err != nil {
		return nil, err
	}
	return &Rehook{credentials: cs}, nil
}

// Verify checks the credentials of the request with this header. Its errors are
// [ErrMissingHeader], [ErrInvalidHeader] and [ErrCredentials]. The keys of header
// have to be canonical ([http.CanonicalHeaderKey]), as net/http makes them.
func (h *Rehook) Verify(header http.Header, body []byte) (Message, error) {
	if err := h.checkHeader(header); err != nil {
		return Message{}, err
	}
	m, err := newMessage(header, body)
	if err != nil {
		return Message{}, err
	}
	m.Type = cmp.Or(member(body, "event_name"), m.Type)
	return m, nil
}

// Request checks the credentials of r as [Rehook.Verify] does and then reads its
// body, up to MaxBody. Besides those errors it returns [ErrTooLarge], and what
// went wrong in reading. After a success r.Body holds the same bytes again.
func (h *Rehook) Request(r *http.Request) (Message, error) { return request(h, r, h.MaxBody) }

// Handler returns a handler that calls next for requests with the right
// credentials only, and answers the others itself as [Standard.Handler] does.
// What next answers means the same as there.
func (h *Rehook) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(h.Request, next)
}

func (h *Rehook) checkHeader(header http.Header) error {
	if len(h.credentials) == 0 {
		return ErrCredentials
	}
	return h.credentials.check(header)
}

func (h *Rehook) verify(_ context.Context, header http.Header, body []byte) (Message, error) {
	return h.Verify(header, body)
}

// PartnerStack takes requests as PartnerStack's page "Webhooks" describes them:
// the body is the bare resource, and nothing proves who sends. Where Grapevine
// sends, the subscription can have credentials, which are then checked; without
// any, everybody who knows the URL is believed.
//
// Neither id nor type are in the body. Nothing of the request is signed.
//
// Make one with [NewPartnerStack], or use the zero value, which checks nothing
// but the body's length. Set the field before the first use. It can then be used
// concurrently.
type PartnerStack struct {
	// MaxBody is how many bytes of body [PartnerStack.Request] and
	// [PartnerStack.Handler] read. Zero or less means 1 MiB.
	MaxBody int64

	credentials credentials
}

// NewPartnerStack returns a verifier for requests that carry the credentials, as
// [NewRehook] does. There may be none. It fails where one is incomplete.
func NewPartnerStack(all ...Credential) (*PartnerStack, error) {
	cs, err := newCredentials(all)
	if err != nil {
		return nil, err
	}
	return &PartnerStack{credentials: cs}, nil
}

// Verify checks the credentials of the request with this header. Its errors are
// [ErrMissingHeader], [ErrInvalidHeader] and [ErrCredentials]. The keys of header
// have to be canonical ([http.CanonicalHeaderKey]), as net/http makes them.
func (p *PartnerStack) Verify(header http.Header, body []byte) (Message, error) {
	if err := p.checkHeader(header); err != nil {
		return Message{}, err
	}
	return newMessage(header, body)
}

// Request checks the credentials of r as [PartnerStack.Verify] does and then
// reads its body, up to MaxBody. Besides those errors it returns [ErrTooLarge],
// and what went wrong in reading. After a success r.Body holds the same bytes
// again.
func (p *PartnerStack) Request(r *http.Request) (Message, error) { return request(p, r, p.MaxBody) }

// Handler returns a handler that calls next for requests with the right
// credentials only, and answers the others itself as [Standard.Handler] does.
// What next answers means the same as there.
func (p *PartnerStack) Handler(next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return handler(p.Request, next)
}

func (p *PartnerStack) checkHeader(header http.Header) error { return p.credentials.check(header) }

func (p *PartnerStack) verify(_ context.Context, header http.Header, body []byte) (Message, error) {
	return p.Verify(header, body)
}

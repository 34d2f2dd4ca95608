package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Auth is how requests prove to the endpoint who sends them. The zero value
// adds nothing. Two are the same if they are equal.
type Auth struct {
	Type     AuthType `json:"type,omitempty"`
	Username string   `json:"username,omitempty"`
	Password string   `json:"password,omitempty"`
	Token    string   `json:"token,omitempty"`

	TokenURL     string     `json:"token_url,omitempty"` // where access tokens come from
	ClientID     string     `json:"client_id,omitempty"`
	ClientSecret string     `json:"client_secret,omitempty"`
	Scope        string     `json:"scope,omitempty"` // names with spaces between
	Audience     string     `json:"audience,omitempty"`
	ClientAuth   ClientAuth `json:"client_auth,omitempty"`

	// Certificate is presented where the connection is made, whatever the type; in
	// PEM, the client's own first and then what leads to its authority.
	Certificate string `json:"certificate,omitempty"`
	PrivateKey  string `json:"private_key,omitempty"` // in PEM
}

// AuthType is a kind of Auth.
type AuthType string

// The kinds of Auth.
const (
	NoAuth     AuthType = ""
	BasicAuth  AuthType = "basic"
	BearerAuth AuthType = "bearer"
	OAuth2Auth AuthType = "oauth2" // an access token, got with client credentials
	MTLSAuth   AuthType = "mtls"   // the certificate alone
)

// ClientAuth is how the client's credentials reach the token endpoint.
type ClientAuth string

// The kinds of ClientAuth.
const (
	ByBasic ClientAuth = "" // as basic authentication, which every token endpoint has to know
	ByBody  ClientAuth = "body"
)

// Limits of credentials, in bytes unless it is said otherwise.
const (
	maxCertificate  = 32 << 10
	maxPrivateKey   = 16 << 10
	maxAuthorities  = 32 << 10
	maxCertificates = 10 // in a chain
	maxScopes       = 1000
)

// LeastHidden is how many bytes a secret has to have to be masked in what
// receivers answer: a shorter one would hide ordinary words, and its mask, which
// is as long as this, would make them longer.
const LeastHidden = len(Masked)

// Credentials lists the secrets that are sent with every request, as they stand
// in it, and those that others are got with, each once. Those that are shorter
// than LeastHidden are not among them, nor is an access token.
func (s *Subscription) Credentials() []string {
	var secrets []string
	for _, h := range s.Headers {
		secrets = append(secrets, h.Value)
	}
	switch s.Auth.Type {
	case NoAuth, MTLSAuth:
	case BasicAuth:
		pair := s.Auth.Username + ":" + s.Auth.Password
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(pair)), s.Auth.Password)
	case BearerAuth:
		secrets = append(secrets, s.Auth.Token)
	case OAuth2Auth:
		pair := base64.StdEncoding.EncodeToString([]byte(s.Auth.ClientPair()))
		secrets = append(secrets, pair, s.Auth.ClientSecret, url.QueryEscape(s.Auth.ClientSecret))
	}
	if s.Auth.PrivateKey != "" {
		secrets = append(secrets, s.Auth.PrivateKey)
	}
	slices.Sort(secrets)
	return slices.DeleteFunc(slices.Compact(secrets), func(s string) bool { return len(s) < LeastHidden })
}

// ClientPair returns the client's credentials as basic authentication takes
// them, before base64 (RFC 6749 §2.3.1).
func (a Auth) ClientPair() string {
	return url.QueryEscape(a.ClientID) + ":" + url.QueryEscape(a.ClientSecret)
}

// connection is what a subscription's connections are made with.
type connection struct {
	credentials *netguard.Credentials
	expires     time.Time // zero: never
}

// ErrCertificateExpired says that a subscription's certificate proves nothing
// any more.
var ErrCertificateExpired = errors.New("the subscription's client certificate has expired")

// Connection returns what the subscription's connections are made with; nil
// where it asks for nothing of its own. It fails where something that it asks
// for can't be applied at now.
func (s *Subscription) Connection(now time.Time) (*netguard.Credentials, error) {
	if s.Auth.Certificate == "" && s.Auth.PrivateKey == "" && s.CA == "" {
		if s.Auth.Type == MTLSAuth {
			return nil, errors.New("the subscription has no client certificate")
		}
		return nil, nil
	}
	c := s.connection.Load()
	if c == nil {
		var err error
		if c, err = s.newConnection(); err != nil {
			return nil, err
		}
		s.connection.Store(c)
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return nil, ErrCertificateExpired
	}
	return c.credentials, nil
}

func (s *Subscription) newConnection() (*connection, error) {
	c := &connection{}
	var certificate *tls.Certificate
	if s.Auth.Certificate != "" || s.Auth.PrivateKey != "" {
		chain, err := parseCertificates(s.Auth.Certificate)
		if err != nil {
			return nil, fmt.Errorf("the subscription's client certificate %w", err)
		}
		if certificate, err = withKey(chain, s.Auth.PrivateKey); err != nil {
			return nil, fmt.Errorf("the subscription's private key %w", err)
		}
		c.expires = chain[0].NotAfter
	}
	var authorities []*x509.Certificate
	if s.CA != "" {
		var err error
		if authorities, err = parseCertificates(s.CA); err != nil {
			return nil, fmt.Errorf("the subscription's own authority %w", err)
		}
	}
	c.credentials = netguard.NewCredentials(s.TenantID.String()+s.ID.String(), certificate, authorities)
	return c, nil
}

// Certificates returns the client's own certificate, or nil, and the
// authorities that vouch for the endpoint, or none if they are the system's.
func (s *Subscription) Certificates() (*x509.Certificate, []*x509.Certificate, error) {
	var own *x509.Certificate
	if s.Auth.Certificate != "" {
		chain, err := parseCertificates(s.Auth.Certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("webhook: the certificate of subscription %s %w", s.ID, err)
		}
		own = chain[0]
	}
	if s.CA == "" {
		return own, nil, nil
	}
	authorities, err := parseCertificates(s.CA)
	if err != nil {
		return nil, nil, fmt.Errorf("webhook: the authority of subscription %s %w", s.ID, err)
	}
	return own, authorities, nil
}

// belongs says to which types a field of Auth belongs, and where it is required.
type belongs struct{ to, required []AuthType }

var anyAuth = []AuthType{BasicAuth, BearerAuth, OAuth2Auth, MTLSAuth}

// authFields are the fields of Auth besides its type.
var authFields = []struct {
	name  string
	value func(Auth) string
	belongs
	most int // bytes
}{
	{"username", func(a Auth) string { return a.Username }, only(BasicAuth), maxHeaderBytes},
	{"password", func(a Auth) string { return a.Password }, only(BasicAuth), maxHeaderBytes},
	{"token", func(a Auth) string { return a.Token }, only(BearerAuth), maxHeaderBytes},
	{"token_url", func(a Auth) string { return a.TokenURL }, only(OAuth2Auth), netguard.MaxURLLength},
	{"client_id", func(a Auth) string { return a.ClientID }, only(OAuth2Auth), maxHeaderBytes},
	{"client_secret", func(a Auth) string { return a.ClientSecret }, only(OAuth2Auth), maxHeaderBytes},
	{"scopes", func(a Auth) string { return a.Scope }, belongs{to: []AuthType{OAuth2Auth}}, maxScopes},
	{"audience", func(a Auth) string { return a.Audience }, belongs{to: []AuthType{OAuth2Auth}}, netguard.MaxURLLength},
	{"client_auth", func(a Auth) string { return string(a.ClientAuth) }, belongs{to: []AuthType{OAuth2Auth}}, maxHeaderBytes},
	{"certificate", func(a Auth) string { return a.Certificate }, belongs{anyAuth, []AuthType{MTLSAuth}}, maxCertificate},
	{"private_key", func(a Auth) string { return a.PrivateKey }, belongs{anyAuth, []AuthType{MTLSAuth}}, maxPrivateKey},
}

func only(t AuthType) belongs { return belongs{[]AuthType{t}, []AuthType{t}} }

// check returns what is wrong with a field of a type, or "".
func (b belongs) check(of AuthType, value string, most int) string {
	switch {
	case value == "" && slices.Contains(b.required, of):
		return "is required for this type"
	case value == "":
		return ""
	case !slices.Contains(b.to, of):
		return "does not belong to this type"
	case value == Masked:
		return "is the mask that stands for a value, not a value"
	case len(value) > most:
		return fmt.Sprintf("has more than %d bytes", most)
	case !utf8.ValidString(value):
		return "is not valid UTF-8"
	default:
		return ""
	}
}

func checkAuth(checks *problem.Checks, a Auth) {
	if a.Type == NoAuth {
		if a != (Auth{}) {
			checks.Add("auth.type", "is required")
		}
		return
	}
	if !slices.Contains(anyAuth, a.Type) {
		checks.Add("auth.type", "must be \"basic\", \"bearer\", \"oauth2\" or \"mtls\"")
		return
	}
	wrong := make(map[string]bool)
	refuse := func(name, message string) {
		if message != "" && !wrong[name] {
			wrong[name] = true
			checks.Add("auth."+name, "%s", message)
		}
	}
	for _, field := range authFields {
		value := field.value(a)
		refuse(field.name, field.check(a.Type, value, field.most))
		if field.name != "certificate" && field.name != "private_key" && strings.ContainsFunc(value, unicode.IsControl) {
			refuse(field.name, "has characters that can't be sent")
		}
	}
	if strings.Contains(a.Username, ":") {
		refuse("username", "can't have a colon")
	}
	if !isHeaderValue(a.Token) {
		refuse("token", "has characters that a header can't hold")
	}
	if len(a.ClientSecret) < LeastHidden && a.Type == OAuth2Auth {
		refuse("client_secret", fmt.Sprintf("must have at least %d characters", LeastHidden))
	}
	if a.ClientAuth != ByBasic && a.ClientAuth != ByBody {
		refuse("client_auth", "must be \"basic\" or \"body\"")
	}
	if !areScopes(a.Scope) {
		refuse("scopes", "must be names without spaces, quotes and backslashes, in ASCII")
	}
	if !wrong["certificate"] && !wrong["private_key"] && (a.Certificate == "") != (a.PrivateKey == "") {
		refuse("certificate", "and private_key belong together: give both")
	}
	if a.Certificate == "" || len(wrong) > 0 {
		return
	}
	chain, err := parseCertificates(a.Certificate)
	if err != nil {
		refuse("certificate", err.Error())
		return
	}
	if len(chain) > maxCertificates {
		refuse("certificate", fmt.Sprintf("has more than %d certificates", maxCertificates))
	}
	if _, err := withKey(chain, a.PrivateKey); err != nil {
		refuse("private_key", err.Error())
	}
}

// areScopes accepts what RFC 6749 §3.3 takes for scopes, and none.
func areScopes(scope string) bool {
	if scope == "" {
		return true
	}
	for name := range strings.SplitSeq(scope, " ") {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return false
		}
	}
	return true
}

// checkConnection checks what connections are made with, and that it can be
// used: without encryption neither a certificate nor an authority means anything.
func checkConnection(checks *problem.Checks, d Draft) {
	if len(d.CA) > maxAuthorities {
		checks.Add("ca", "has more than %d bytes", maxAuthorities)
		return
	}
	if d.CA != "" {
		if _, err := parseCertificates(d.CA); err != nil {
			checks.Add("ca", "%s", err)
		}
	}
	if d.CA == "" && d.Auth.Certificate == "" {
		return
	}
	field := "ca"
	if d.CA == "" {
		field = "auth.certificate"
	}
	if !isHTTPS(d.URL) {
		checks.Add(field, "needs a url that begins with https://")
	}
	if d.Auth.TokenURL != "" && !isHTTPS(d.Auth.TokenURL) {
		checks.Add(field, "needs a token_url that begins with https://")
	}
}

func isHTTPS(raw string) bool {
	const scheme = "https://"
	return len(raw) > len(scheme) && strings.EqualFold(raw[:len(scheme)], scheme)
}

// checkValidity refuses a certificate that has expired. It is asked when one is
// given: what expires later must not stand in the way of other changes.
func checkValidity(checks *problem.Checks, a Auth, now time.Time) {
	chain, err := parseCertificates(a.Certificate)
	if err == nil && !now.Before(chain[0].NotAfter) {
		checks.Add("auth.certificate", "has expired")
	}
}

package api

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"time"
	"unicode"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

type authJSON struct {
	Type     string `json:"type" enum:"basic,bearer,oauth2,mtls" doc:"oauth2: an access token, got with client credentials; mtls: the certificate alone."`
	Username string `json:"username,omitempty" doc:"With basic."`
	Password string `json:"password,omitempty" doc:"With basic."`
	Token    string `json:"token,omitempty" doc:"With bearer."`

	TokenURL     string   `json:"token_url,omitempty" doc:"With oauth2: where access tokens come from; https, and at a public address."`
	ClientID     string   `json:"client_id,omitempty" doc:"With oauth2."`
	ClientSecret string   `json:"client_secret,omitempty" doc:"With oauth2: 8 characters at least."`
	Scopes       []string `json:"scopes,omitempty" doc:"With oauth2: what the token is asked for; absent: what the token endpoint gives by itself."`
	Audience     string   `json:"audience,omitempty" doc:"With oauth2: whom the token is for, where the token endpoint wants to know."`
	ClientAuth   string   `json:"client_auth,omitempty" enum:"basic,body" doc:"With oauth2: how client_id and client_secret reach the token endpoint: as basic authentication (absent: so) or in the body."`

	Certificate string `json:"certificate,omitempty" doc:"With mtls, and with any other type besides: what is presented where the connection is made; in PEM, the client's own first, then what leads to its authority. An endpoint that does not ask for it gets nothing."`
	PrivateKey  string `json:"private_key,omitempty" doc:"The certificate's, in PEM, without a passphrase."`
}

type shownAuthJSON struct {
	Type     string `json:"type" example:"basic" doc:"The kind: basic, bearer, oauth2 or mtls."`
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty" doc:"Masked."`
	Token    string `json:"token,omitempty" doc:"Masked."`

	TokenURL     string   `json:"token_url,omitempty"`
	ClientID     string   `json:"client_id,omitempty"`
	ClientSecret string   `json:"client_secret,omitempty" doc:"Masked."`
	Scopes       []string `json:"scopes,omitempty"`
	Audience     string   `json:"audience,omitempty"`
	ClientAuth   string   `json:"client_auth,omitempty"`

	Certificate string `json:"certificate,omitempty" doc:"In PEM; see client_certificate."`
	PrivateKey  string `json:"private_key,omitempty" doc:"Masked."`
}

type certificateJSON struct {
	Subject  string    `json:"subject" example:"CN=grapevine,O=Example"`
	Issuer   string    `json:"issuer" example:"CN=Example CA"`
	NotAfter time.Time `json:"not_after" doc:"When it expires. Nothing is sent with a certificate that has."`
	SHA256   string    `json:"sha256" doc:"Its fingerprint, in hexadecimal."`
}

// auth returns no auth for nil.
func (a *authJSON) auth() webhook.Auth {
	if a == nil {
		return webhook.Auth{}
	}
	auth := webhook.Auth{
		Type: webhook.AuthType(a.Type), Username: a.Username, Password: a.Password, Token: a.Token,
		TokenURL: a.TokenURL, ClientID: a.ClientID, ClientSecret: a.ClientSecret, Scope: strings.Join(a.Scopes, " "), Audience: a.Audience,
		ClientAuth: webhook.ClientAuth(a.ClientAuth), Certificate: a.Certificate, PrivateKey: a.PrivateKey,
	}
	if auth.Type == webhook.OAuth2Auth && auth.ClientAuth == byBasic {
		auth.ClientAuth = webhook.ByBasic
	}
	return auth
}

// byBasic is how webhook.ByBasic is shown.
const byBasic = "basic"

func showAuth(a webhook.Auth) *shownAuthJSON {
	shown := &shownAuthJSON{Type: string(a.Type), Certificate: a.Certificate}
	switch a.Type {
	case webhook.BasicAuth:
		shown.Username, shown.Password = a.Username, webhook.Masked
	case webhook.BearerAuth:
		shown.Token = webhook.Masked
	case webhook.OAuth2Auth:
		shown.TokenURL, shown.ClientID, shown.ClientSecret = a.TokenURL, a.ClientID, webhook.Masked
		shown.Scopes, shown.Audience, shown.ClientAuth = strings.Fields(a.Scope), a.Audience, byBasic
		if a.ClientAuth != webhook.ByBasic {
			shown.ClientAuth = string(a.ClientAuth)
		}
	case webhook.MTLSAuth:
	default:
		return nil
	}
	if a.PrivateKey != "" {
		shown.PrivateKey = webhook.Masked
	}
	return shown
}

func showCertificates(certificates []*x509.Certificate) []certificateJSON {
	var shown []certificateJSON
	for _, c := range certificates {
		shown = append(shown, showCertificate(c))
	}
	return shown
}

func showCertificate(c *x509.Certificate) certificateJSON {
	sum := sha256.Sum256(c.Raw)
	return certificateJSON{
		Subject: printable(c.Subject.String()), Issuer: printable(c.Issuer.String()),
		NotAfter: c.NotAfter.UTC(), SHA256: hex.EncodeToString(sum[:]),
	}
}

// printable replaces what a terminal might obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

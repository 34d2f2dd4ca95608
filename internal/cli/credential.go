package cli

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// credentialFlags are how requests prove who sends them. What is secret is read
// from files: a command line can be seen by others on the machine.
type credentialFlags struct {
	Username         string   `placeholder:"NAME" help:"Basic authentication; with --password-file."`
	PasswordFile     string   `placeholder:"FILE" help:"Read the password from a file, or from the standard input (-)."`
	TokenFile        string   `placeholder:"FILE" help:"Read a bearer token from a file, or from the standard input (-)."`
	TokenURL         string   `name:"token-url" placeholder:"URL" help:"OAuth 2 client credentials: where access tokens come from; with --client-id and --client-secret-file."`
	ClientID         string   `name:"client-id" placeholder:"ID" help:"The client's id at the token endpoint."`
	ClientSecretFile string   `placeholder:"FILE" help:"Read the client's secret from a file, or from the standard input (-)."`
	Scope            []string `placeholder:"NAME" help:"A scope to ask the token endpoint for; repeatable."`
	Audience         string   `placeholder:"NAME" help:"Whom the access token is for, where the token endpoint wants to know."`
	ClientAuth       string   `enum:",basic,body" default:"" placeholder:"KIND" help:"How the client's id and secret reach the token endpoint: basic (unless said otherwise) or body."`
	Certificate      string   `placeholder:"FILE" help:"A client certificate to present (mTLS), in PEM, with what leads to its authority; with --private-key. Alone, or besides other credentials."`
	PrivateKey       string   `placeholder:"FILE" help:"The certificate's private key, in PEM, from a file or the standard input (-)."`
}

// kind is which authentication the flags ask for; "": none.
func (f credentialFlags) kind() (string, error) {
	var kinds []string
	if f.Username != "" || f.PasswordFile != "" {
		kinds = append(kinds, "basic")
	}
	if f.TokenFile != "" {
		kinds = append(kinds, "bearer")
	}
	if f.TokenURL != "" || f.ClientID != "" || f.ClientSecretFile != "" || len(f.Scope) > 0 || f.Audience != "" || f.ClientAuth != "" {
		kinds = append(kinds, "oauth2")
	}
	switch {
	case len(kinds) > 1:
		return "", usagef("flags of %s can't be combined: an endpoint has one kind of authentication, and a certificate besides", strings.Join(kinds, " and "))
	case len(kinds) == 1:
		return kinds[0], nil
	default:
		return "", nil
	}
}

// onTop returns what a file says with what the flags say on top; nil where
// neither says anything.
func (f credentialFlags) onTop(e *env, file *client.Auth) (*client.Auth, error) {
	if reflect.ValueOf(f).IsZero() {
		return file, nil
	}
	kind, err := f.kind()
	if err != nil {
		return nil, err
	}
	auth := client.Auth{Type: cmp.Or(kind, "mtls")}
	if file != nil && (kind == "" || kind == file.Type) {
		auth = *file
	}
	auth.Username, auth.Audience = cmp.Or(f.Username, auth.Username), cmp.Or(f.Audience, auth.Audience)
	auth.TokenURL, auth.ClientID = cmp.Or(f.TokenURL, auth.TokenURL), cmp.Or(f.ClientID, auth.ClientID)
	auth.ClientAuth = cmp.Or(f.ClientAuth, auth.ClientAuth)
	if len(f.Scope) > 0 {
		auth.Scopes = f.Scope
	}
	fromInput := ""
	for _, secret := range []struct {
		flag, file string
		into       *string
	}{
		{"--password-file", f.PasswordFile, &auth.Password},
		{"--token-file", f.TokenFile, &auth.Token},
		{"--client-secret-file", f.ClientSecretFile, &auth.ClientSecret},
		{"--certificate", f.Certificate, &auth.Certificate},
		{"--private-key", f.PrivateKey, &auth.PrivateKey},
	} {
		if secret.file == "" {
			continue
		}
		if secret.file == "-" && fromInput != "" {
			return nil, usagef("%s and %s can't both be the standard input", fromInput, secret.flag)
		}
		if secret.file == "-" {
			fromInput = secret.flag
		}
		if *secret.into, err = e.readSecret(secret.flag, secret.file); err != nil {
			return nil, err
		}
	}
	return &auth, nil
}

// readSecret reads a file, or the standard input, without the space around it.
func (e *env) readSecret(flag, file string) (string, error) {
	argument := "-"
	if file != "-" {
		argument = "@" + file
	}
	text, err := e.read(argument)
	if errors.Is(err, context.Canceled) {
		return "", err
	}
	if err != nil {
		return "", usagef("%s: %v", flag, err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", usagef("%s: %s is empty", flag, file)
	}
	return secret, nil
}

// showCredentials shows what there is of credentials, but no secret.
func showCredentials(s sheet, sub client.Subscription) {
	if a := sub.Auth; a != nil {
		s.field("auth", strings.TrimSpace(a.Type+" "+cmp.Or(a.Username, a.ClientID)))
		s.field("tokens from", a.TokenURL)
		s.field("scopes", strings.Join(a.Scopes, " "))
		s.field("audience", a.Audience)
	}
	if sub.ClientCertificate != nil {
		s.field("certificate", describeCertificate(*sub.ClientCertificate))
	}
	for _, authority := range sub.Authorities {
		s.field("authority", describeCertificate(authority))
	}
	if sub.Handshake {
		s.field("handshake", "asked for")
	}
}

func describeCertificate(c client.Certificate) string {
	return c.Subject + ", until " + when(c.NotAfter) + ", SHA-256 " + c.SHA256
}

package client

import "time"

// Auth is how requests prove to the endpoint who sends them. In answers its
// secrets are masked.
type Auth struct {
	Type     string `json:"type"` // "basic", "bearer", "oauth2" or "mtls"
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`

	// With "oauth2" an access token is got from TokenURL.
	TokenURL     string   `json:"token_url,omitempty"`
	ClientID     string   `json:"client_id,omitempty"`
	ClientSecret string   `json:"client_secret,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	Audience     string   `json:"audience,omitempty"`
	ClientAuth   string   `json:"client_auth,omitempty"` // "basic" or "body"; "": basic

	// Certificate and PrivateKey, both in PEM, are presented where the connection
	// is made: with "mtls" alone, with any other type besides.
	Certificate string `json:"certificate,omitempty"`
	PrivateKey  string `json:"private_key,omitempty"`
}

// Certificate describes a certificate.
type Certificate struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"` // its fingerprint, in hexadecimal
}

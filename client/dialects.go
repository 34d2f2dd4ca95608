package client

import (
	"context"
	"net/http"
)

// Dialect is a product whose webhooks the server speaks.
type Dialect struct {
	Name     string         `json:"name"`
	Spoken   bool           `json:"spoken"`  // by the tenant
	Signing  string         `json:"signing"` // what requests are signed with: secret, key or none
	Settings []Setting      `json:"settings"`
	Fields   []DialectField `json:"fields"`
}

// Setting is something that a tenant may choose about a dialect.
type Setting struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Values      []string `json:"values"` // the default first
}

// DialectField is something that a publication says besides its type and data.
type DialectField struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

// DialectSettings are a dialect's settings as they are for a tenant.
type DialectSettings struct {
	Dialect  string          `json:"dialect"`
	Settings []ChosenSetting `json:"settings"`
}

// ChosenSetting is a setting with what it is.
type ChosenSetting struct {
	Setting
	Value string `json:"value"`
}

// SigningKey is the server's own key that signs now.
type SigningKey struct {
	ID string `json:"kid"`
}

// Dialects returns all that the server speaks, the default first.
func (c *Client) Dialects(ctx context.Context) ([]Dialect, error) {
	var l List[Dialect]
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/v1/dialects"}, &l)
	return l.Data, err
}

// DialectSettings returns a dialect's settings.
func (c *Client) DialectSettings(ctx context.Context, dialect string) (DialectSettings, error) {
	var s DialectSettings
	_, err := c.do(ctx, call{method: http.MethodGet, path: path("/v1/dialects/", dialect, "/settings")}, &s)
	return s, err
}

// SetDialectSettings replaces all that the tenant chose of a dialect's settings.
// What is missing has its default.
func (c *Client) SetDialectSettings(ctx context.Context, dialect string, chosen map[string]string) (DialectSettings, error) {
	if chosen == nil {
		chosen = map[string]string{}
	}
	body := struct {
		Settings map[string]string `json:"settings"`
	}{chosen}
	var s DialectSettings
	_, err := c.do(ctx, call{method: http.MethodPut, path: path("/v1/dialects/", dialect, "/settings"), body: body}, &s)
	return s, err
}

// RotateSigningKey makes another key of the server's own, which signs from now
// on. It takes the operator's key.
func (c *Client) RotateSigningKey(ctx context.Context) (SigningKey, error) {
	var k SigningKey
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/jwks/rotate"}, &k)
	return k, err
}

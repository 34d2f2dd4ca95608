package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Template is how messages of one type are made.
type Template struct {
	Subject string `json:"subject"`
	Message string `json:"message"`
	Format  string `json:"format,omitempty"` // html or text; "": html
}

// Preview is a message that was made with sample values.
type Preview struct {
	Subject string `json:"subject"`
	Message string `json:"message"`
	Format  string `json:"format"`
}

// ThemeStatus is which theme is in use, and how its latest publication went.
type ThemeStatus struct {
	Version string     `json:"version,omitempty"` // "": the built-in theme
	Locales []string   `json:"locales"`           // of the draft; "" is for everybody
	Log     []ThemeLog `json:"log"`
}

// ThemeLog is one thing that a publication has to say.
type ThemeLog struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
}

// Message is a message that somebody was written.
type Message struct {
	ID        string    `json:"id"`
	PersonID  string    `json:"person_id"`
	Type      string    `json:"type"`
	Subject   string    `json:"subject"`
	Message   string    `json:"message"`
	CreatedAt time.Time `json:"created_at"`
	Cause     string    `json:"cause,omitempty"` // the fact that led to it; "": none
}

// variablesBody is variables as they are sent.
type variablesBody struct {
	Variables json.RawMessage `json:"variables"`
}

// schemaBody is a schema as it is sent.
type schemaBody struct {
	Schema json.RawMessage `json:"schema"`
}

const variablesPath = "/v1/theme/variables"

// inLocale is the query that names a locale; "": what is for everybody.
func inLocale(locale string) url.Values {
	query := url.Values{}
	set(query, "locale", locale)
	return query
}

// ThemeVariables returns the variables that the draft of the theme has set for a
// locale; "": for everybody.
func (c *Client) ThemeVariables(ctx context.Context, locale string) (json.RawMessage, error) {
	answer, err := one[variablesBody](ctx, c, call{method: http.MethodGet, path: variablesPath, query: inLocale(locale)})
	return answer.Variables, err
}

// SetThemeVariables replaces the draft's variables for a locale, and returns them.
func (c *Client) SetThemeVariables(ctx context.Context, locale string, variables json.RawMessage) (json.RawMessage, error) {
	set := call{method: http.MethodPut, path: variablesPath, query: inLocale(locale), body: variablesBody{variables}}
	answer, err := one[variablesBody](ctx, c, set)
	return answer.Variables, err
}

// ChangeThemeVariables changes those of the draft's variables that are given, removes
// those for which it has null, and returns all of them.
func (c *Client) ChangeThemeVariables(ctx context.Context, locale string, variables json.RawMessage) (json.RawMessage, error) {
	change := call{method: http.MethodPatch, path: variablesPath, query: inLocale(locale), body: variablesBody{variables}}
	answer, err := one[variablesBody](ctx, c, change)
	return answer.Variables, err
}

// DeleteThemeLocale removes a locale's variables and templates from the draft.
func (c *Client) DeleteThemeLocale(ctx context.Context, locale string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: variablesPath, query: inLocale(locale)}, nil)
	return err
}

// ThemeSchema returns the schema of the theme's variables.
func (c *Client) ThemeSchema(ctx context.Context) (json.RawMessage, error) {
	answer, err := one[schemaBody](ctx, c, call{method: http.MethodGet, path: "/v1/theme/schema"})
	return answer.Schema, err
}

// SetThemeSchema replaces the schema of the theme's variables.
func (c *Client) SetThemeSchema(ctx context.Context, schema json.RawMessage) (json.RawMessage, error) {
	answer, err := one[schemaBody](ctx, c, call{method: http.MethodPut, path: "/v1/theme/schema", body: schemaBody{schema}})
	return answer.Schema, err
}

// Template returns the draft's template for a type of messages in a locale. It may be
// that for everybody, or the built-in one.
func (c *Client) Template(ctx context.Context, of, locale string) (Template, error) {
	return one[Template](ctx, c, call{method: http.MethodGet, path: path("/v1/theme/templates/", of), query: inLocale(locale)})
}

// SetTemplate replaces the draft's template for a type of messages in a locale.
func (c *Client) SetTemplate(ctx context.Context, of, locale string, t Template) (Template, error) {
	return one[Template](ctx, c, call{method: http.MethodPut, path: path("/v1/theme/templates/", of), query: inLocale(locale), body: t})
}

// ResetTemplate removes a template from the draft.
func (c *Client) ResetTemplate(ctx context.Context, of, locale string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/theme/templates/", of), query: inLocale(locale)}, nil)
	return err
}

// PreviewTemplate makes a message of the draft with sample values.
func (c *Client) PreviewTemplate(ctx context.Context, of, locale string) (Preview, error) {
	return one[Preview](ctx, c, call{method: http.MethodPost, path: path("/v1/theme/templates/", of, "/preview"), query: inLocale(locale)})
}

// PublishTheme begins to publish the draft, and returns the version that it will be.
// The status says how it ends.
func (c *Client) PublishTheme(ctx context.Context) (string, error) {
	answer, err := one[struct {
		Version string `json:"version"`
	}](ctx, c, call{method: http.MethodPost, path: "/v1/theme/publish"})
	return answer.Version, err
}

// ThemeStatus returns which theme is in use, and how its latest publication went.
func (c *Client) ThemeStatus(ctx context.Context) (ThemeStatus, error) {
	return one[ThemeStatus](ctx, c, call{method: http.MethodGet, path: "/v1/theme/status"})
}

// Messages returns a page of what a person was written, the newest first.
func (c *Client) Messages(ctx context.Context, person string, page Page) (List[Message], error) {
	return list[Message](ctx, c, path("/v1/people/", person, "/messages"), url.Values{}, page)
}

// AllMessages goes through everything that a person was written.
func (c *Client) AllMessages(ctx context.Context, person string) iter.Seq2[Message, error] {
	return all(func(p Page) (List[Message], error) { return c.Messages(ctx, person, p) })
}

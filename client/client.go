// Package client calls Grapevine's native API.
//
// A [Client] has one key. With a tenant's key it does what the key's scopes
// allow; with the operator's key it manages tenants, and whatever belongs to one
// of them after [WithTenant] has said which.
//
// Every method makes one request and returns what came of it. A refusal is an
// [*Error] with a stable code. Nothing is tried again behind the caller's back:
// requests that change nothing, and [Client.Publish] with an idempotency key,
// can be repeated as they are.
//
// Lists come in two ways: a method such as [Client.Events] returns one page, and
// one such as [Client.AllEvents] goes through all of them.
//
// The types here are the API as it is seen from outside. They share nothing with
// the server's.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client calls the API with one key. Create it with New; its methods may be
// called concurrently.
type Client struct {
	base   string
	key    string
	tenant string
	http   *http.Client
}

// Option changes a setting of New.
type Option func(*Client)

// WithHTTPClient makes requests with c instead of a client with a timeout of
// 100 seconds, which is longer than any test of a subscription.
func WithHTTPClient(c *http.Client) Option { return func(to *Client) { to.http = c } }

// WithTenant says, by id or alias, which tenant is meant where the key is the
// operator's.
func WithTenant(tenant string) Option { return func(to *Client) { to.tenant = tenant } }

// New returns a client of the server at baseURL, such as
// "https://hooks.example.com". It makes no request.
func New(baseURL, key string, opts ...Option) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("client: the base URL must be http:// or https:// with a host, such as https://hooks.example.com")
	}
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("client: the key must be printable ASCII without spaces, and not empty")
	}
	c := &Client{base: strings.TrimRight(baseURL, "/"), key: key, http: &http.Client{Timeout: 100 * time.Second}}
	for _, opt := range opts {
		opt(c)
	}
	return c, nil
}

// Error is a refusal.
type Error struct {
	Status    int           // of HTTP
	Code      string        // stable; "" where the answer was not one of Grapevine's
	Detail    string        // a sentence for a person
	Fields    []Field       // what is not valid about the request
	RequestID string        // under which the server logs errors
	RetryIn   time.Duration // how long to wait before trying again; zero: it was not said
}

// Field is one mistake in a request.
type Field struct {
	Name    string `json:"field"`
	Message string `json:"message"`
}

// Error returns the code, the detail and the fields.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "grapevine: %d %s: %s", e.Status, e.Code, e.Detail)
	if len(e.Fields) > 1 {
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "; %s: %s", f.Name, f.Message)
		}
	}
	return b.String()
}

// call is one request.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any // nil: none
}

// do makes a request and reads the answer into out, unless that is nil. It
// returns the answer's header.
func (c *Client) do(ctx context.Context, call call, out any) (http.Header, error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("client: %s %s: %w", call.method, call.path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(resp)
	}
	if out == nil {
		return resp.Header, nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return nil, fmt.Errorf("client: read the answer to %s %s: %w", call.method, call.path, err)
	}
	return resp.Header, nil
}

// encode writes a line of JSON without escapes that only HTML needs.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	if call.body != nil {
		encoded, err := encode(call.body)
		if err != nil {
			return nil, fmt.Errorf("client: encode the body of %s %s: %w", call.method, call.path, err)
		}
		body = bytes.NewReader(encoded)
	}
	target := c.base + call.path
	if len(call.query) > 0 {
		target += "?" + call.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, call.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	maps.Copy(req.Header, call.header)
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Accept", "application/json")
	if call.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.tenant != "" {
		req.Header.Set("Grapevine-Tenant", c.tenant)
	}
	return req, nil
}

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 1 << 20

// refusal reads a problem document.
func refusal(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id")}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryIn = time.Duration(seconds) * time.Second
	}
	var doc struct {
		Code   string  `json:"code"`
		Detail string  `json:"detail"`
		Errors []Field `json:"errors"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil || json.Unmarshal(text, &doc) != nil || doc.Code == "" {
		e.Detail = "the answer is not one of Grapevine's: " + http.StatusText(resp.StatusCode)
		return e
	}
	e.Code, e.Detail, e.Fields = doc.Code, doc.Detail, doc.Errors
	return e
}

// Page is which part of a list is asked for. The zero Page is the first one.
type Page struct {
	Limit  int    // 1 to 250; zero: 50
	Cursor string // the NextCursor of the part before
}

// List is a part of a list.
type List[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor,omitempty"` // "": there is no more
}

// list asks for a part of a list.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, page Page) (List[T], error) {
	if page.Limit != 0 {
		query.Set("limit", strconv.Itoa(page.Limit))
	}
	if page.Cursor != "" {
		query.Set("cursor", page.Cursor)
	}
	var l List[T]
	_, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &l)
	return l, err
}

// all goes through the parts of a list. It ends after the first error.
func all[T any](get func(Page) (List[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		page := Page{Limit: 250}
		for {
			l, err := get(page)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range l.Data {
				if !yield(item, nil) {
					return
				}
			}
			if l.NextCursor == "" {
				return
			}
			page.Cursor = l.NextCursor
		}
	}
}

// path joins the parts of a path, of which every second one is escaped.
func path(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 {
			part = url.PathEscape(part)
		}
		b.WriteString(part)
	}
	return b.String()
}

// set adds a parameter unless it is empty.
func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

// setTime adds a parameter unless it is the zero time.
func setTime(query url.Values, name string, t time.Time) {
	if !t.IsZero() {
		query.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

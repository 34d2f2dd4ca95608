package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Call is a request on its way through the gates.
type Call struct {
	Request   *http.Request
	RequestID string
	Path      map[string]string // what stands in the place of the pattern's names
	Principal tenant.Principal  // after authentication
	Standing  edge.Standing     // of the key, after its rate was counted

	// Person is whom the request's token names, in the words of the product; "":
	// it has none. Token is what the product's Authenticate read of it besides.
	Person string
	Token  any

	// Confirm authenticates the caller once more, after something that took time.
	Confirm webhook.ConfirmFunc

	writer http.ResponseWriter
	route  *Route // nil: none was found
	read   bool   // the body was asked for
}

// Header returns the head of the answer, to which a call may add.
func (c *Call) Header() http.Header { return c.writer.Header() }

// Access says who may make the call.
func (c *Call) Access() Access {
	if c.route == nil {
		return ByKey
	}
	return c.route.Access
}

// ByKey reports whether a key was shown, and not a token, or nothing.
func (c *Call) ByKey() bool { return !c.Principal.KeyID.IsZero() }

// Bearer returns the key of the request's one Authorization header, if that is
// "Bearer" and a key.
func (c *Call) Bearer() (string, bool) {
	given := c.Request.Header["Authorization"]
	const scheme = "bearer "
	if len(given) != 1 || len(given[0]) <= len(scheme) || !strings.EqualFold(given[0][:len(scheme)], scheme) {
		return "", false
	}
	key := strings.Trim(given[0][len(scheme):], " ")
	return key, key != ""
}

// Basic returns the user and the password of the request's one Authorization
// header, if that is "Basic" and such a pair. Either may be empty.
func (c *Call) Basic() (string, string, bool) {
	if len(c.Request.Header["Authorization"]) != 1 {
		return "", "", false
	}
	return c.Request.BasicAuth()
}

// Decode reads the body into a pointer to a struct. Fields that the struct does
// not have are ignored, and so is the Content-Type: clients send what they like.
// An error is a problem that repeats nothing of the body.
func (c *Call) Decode(into any) error {
	if coding := c.Request.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return problem.UnsupportedMediaType.New("the body must not be compressed")
	}
	c.read = true
	body, err := edge.ReadBody(c.writer, c.Request, edge.SizeLimit{Bytes: edge.MaxBody})
	if err != nil {
		return err
	}
	// A body may have taken its time, and the key been revoked meanwhile.
	if err := c.Confirm(c.Request.Context()); err != nil {
		return err
	}
	return decode(body, into)
}

func decode(body []byte, into any) error {
	start := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(start) == 0:
		return problem.Malformed.New("the request must have a body")
	case !utf8.Valid(body):
		return problem.Malformed.New("the body is not valid UTF-8")
	case !json.Valid(body):
		return edge.MalformedJSON(body)
	case start[0] != '{':
		return problem.Malformed.New("the body must be a JSON object")
	}
	err := json.Unmarshal(body, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return problem.InvalidField(wrong.Field, "must hold %s", kindOf(wrong.Type))
	}
	if err != nil {
		return problem.Malformed.New("the body could not be read")
	}
	return nil
}

// kindOf says what JSON a field takes.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
	}
}

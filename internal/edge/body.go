package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// MaxBody bounds the bodies of everything but events.
const MaxBody = 256 << 10

// SizeLimit is how long a body may be.
type SizeLimit struct {
	Bytes  int
	Refuse error // a longer one; nil: with the number of bytes
}

func (l SizeLimit) err() error {
	if l.Refuse != nil {
		return l.Refuse
	}
	return problem.TooLarge.New("the body must have at most %d bytes", l.Bytes)
}

// ReadBody reads the body of a request within the limit. It returns
// problem.TooLarge, problem.Timeout, or problem.Malformed for one that broke off.
func ReadBody(w http.ResponseWriter, r *http.Request, limit SizeLimit) ([]byte, error) {
	if r.ContentLength > int64(limit.Bytes) {
		return nil, limit.err()
	}
	if a, ok := w.(*Writer); ok {
		w = a.ResponseWriter // the server's own closes the connection if there is too much
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, 64<<10)))
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, int64(limit.Bytes))); err != nil {
		return nil, bodyError(err, limit)
	}
	return buf.Bytes(), nil
}

func bodyError(err error, limit SizeLimit) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return limit.err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem.Timeout.New("the body did not arrive in time")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.Malformed.New("the body ended too early")
	}
	return problem.Malformed.New("the body could not be read")
}

// MalformedJSON says where a body stops to be JSON, and not what stands there.
func MalformedJSON(body []byte) error {
	var raw json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &raw)); ok {
		return problem.Malformed.New("the body is not one valid JSON document: see its byte %d", syntax.Offset)
	}
	return problem.Malformed.New("the body is not one valid JSON document")
}

package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// The limits of bodies.
const (
	maxBody     = 256 << 10 // of everything but events
	maxBatch    = 5 << 20
	maxEnvelope = 4 << 10 // what stands around an event's data
)

// sizeLimit is how long a body may be.
type sizeLimit struct {
	bytes  int
	refuse error // a longer one; nil: with the number of bytes
}

func (l sizeLimit) err() error {
	if l.refuse != nil {
		return l.refuse
	}
	return problem.TooLarge.New("the body must have at most %d bytes", l.bytes)
}

// readBody reads the body of a request, which must be JSON and within the limit.
// What it returns is valid JSON in UTF-8, as wire.Compact leaves it, or empty.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, limit sizeLimit) ([]byte, error) {
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	if r.ContentLength > int64(limit.bytes) {
		return nil, limit.err()
	}
	if a, ok := w.(*answerWriter); ok {
		w = a.ResponseWriter // the server's own closes the connection if there is too much
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0)+bytes.MinRead, 64<<10)))
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, int64(limit.bytes))); err != nil {
		return nil, bodyError(err, limit)
	}
	// A body may have taken its time, and the key been revoked meanwhile.
	if err := s.authenticate(r, callOf(r.Context())); err != nil {
		return nil, err
	}
	body := buf.Bytes()
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, problem.Malformed.New("the body is not valid UTF-8")
	}
	compact, err := wire.Compact(body)
	if err != nil {
		return nil, malformedJSON(body)
	}
	return compact, nil
}

var errNoBody = problem.Malformed.New("the request must have a body")

func bodyError(err error, limit sizeLimit) error {
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

// malformedJSON says where the body stops to be JSON, and not what stands there.
func malformedJSON(body []byte) error {
	var raw json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &raw)); ok {
		return problem.Malformed.New("the body is not one valid JSON document: see its byte %d", syntax.Offset)
	}
	return problem.Malformed.New("the body is not one valid JSON document")
}

// checkContentType accepts JSON in UTF-8, also where nothing says so.
func checkContentType(h http.Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return problem.UnsupportedMediaType.New("the body must not be compressed")
	}
	given := h["Content-Type"]
	if len(given) == 0 || len(given) == 1 && given[0] == "application/json" {
		return nil
	}
	if len(given) > 1 {
		return problem.UnsupportedMediaType.New("there must be one Content-Type")
	}
	media, params, err := mime.ParseMediaType(given[0])
	if err != nil || media != "application/json" {
		return problem.UnsupportedMediaType.New("the Content-Type must be application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return problem.UnsupportedMediaType.New("the charset must be utf-8")
	}
	return nil
}

// marshal writes JSON as all answers have it.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

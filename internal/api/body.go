package api

import (
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// The limits of bodies.
const (
	maxBatch    = 5 << 20
	maxEnvelope = 4 << 10 // what stands around an event's data
)

// readBody reads the body of a request, which must be JSON and within the limit.
// What it returns is valid JSON in UTF-8, as wire.Compact leaves it, or empty.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, limit edge.SizeLimit) ([]byte, error) {
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	body, err := edge.ReadBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	// A body may have taken its time, and the key been revoked meanwhile.
	if err := s.authenticate(r, callOf(r.Context())); err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, problem.Malformed.New("the body is not valid UTF-8")
	}
	compact, err := wire.Compact(body)
	if err != nil {
		return nil, edge.MalformedJSON(body)
	}
	return compact, nil
}

var errNoBody = problem.Malformed.New("the request must have a body")

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

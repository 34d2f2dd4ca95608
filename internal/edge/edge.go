// Package edge is what the APIs have in common, the native one and those of the
// dialects: a request's id, where it comes from, how often a key may ask, how a
// body is read, what became of an answer, and what is measured and logged of it.
package edge

import (
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// RequestIDHeader holds a request's id, in requests and in answers.
const RequestIDHeader = "X-Request-Id"

// RequestID returns the caller's id of the request if it is a sane one, else a
// new one.
func RequestID(r *http.Request) string {
	given := r.Header.Get(RequestIDHeader)
	if given == "" || len(given) > 64 || strings.ContainsFunc(given, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-'
	}) {
		return id.New(time.Now()).String()
	}
	return given
}

// MethodLabel bounds what a caller can put into the log.
func MethodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

// Milliseconds is how the log shows durations.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

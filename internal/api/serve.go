package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// call is what is known of a request. The gates fill it in.
type call struct {
	requestID string
	principal tenant.Principal // after authentication
	tenant    tenant.Tenant    // whose things are meant; zero on the operator's routes
	body      []byte           // zero where the route takes none

	// confirm authenticates the caller once more, after something that took time.
	confirm webhook.ConfirmFunc
}

type callKey struct{}

// callOf returns the call that the context belongs to.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// ServeHTTP answers one request, whatever happens meanwhile.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := &call{requestID: requestID(r)}
	a := &answerWriter{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	defer s.finish(a, r, c, started)

	h := w.Header()
	h.Set(requestIDHeader, c.requestID)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if err := s.admit(a, r, c); err != nil {
		if r.ContentLength != 0 { // nobody waits for a body that is not wanted
			h.Set("Connection", "close")
			_ = http.NewResponseController(w).SetReadDeadline(started) // not every writer has one
		}
		s.refuse(a, r, err)
		return
	}
	s.mux.ServeHTTP(a, r)
}

// admit lets a request through to its route if its path is well-formed and,
// where it needs one, it has a valid key that has not asked too often.
func (s *server) admit(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.URL.Path == "" || r.URL.Path[0] != '/' || path.Clean(r.URL.Path) != r.URL.Path {
		return errNoPath
	}
	if r.URL.Path != "/v1" && !strings.HasPrefix(r.URL.Path, "/v1/") {
		return nil
	}
	if err := s.authenticate(r, c); err != nil {
		return err
	}
	c.confirm = func(context.Context) error { return s.authenticate(r, c) }
	return s.limit(w, c)
}

var errNoPath = problem.NotFound.New("there is no such path")

// noRoute answers what no route does.
func (s *server) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := s.mux.Handler(&other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.refuse(w, r, errNoPath)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.refuse(w, r, problem.MethodNotAllowed.New("this path takes %s only", strings.Join(allowed, ", ")))
}

const requestIDHeader = "X-Request-Id"

// requestID returns the caller's id of the request if it is a sane one, else a
// new one.
func requestID(r *http.Request) string {
	given := r.Header.Get(requestIDHeader)
	if given == "" || len(given) > 64 || strings.ContainsFunc(given, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-'
	}) {
		return id.New(time.Now()).String()
	}
	return given
}

// finish ends every request: it answers for a handler that panicked, then
// measures and logs.
func (s *server) finish(w *answerWriter, r *http.Request, c *call, started time.Time) {
	if v := recover(); v != nil {
		s.recovered(w, r, v)
	}
	took := time.Since(started)
	route := r.Pattern
	if route == "" || route == "/" {
		route = "none"
	}
	s.metrics.observe(route, w.status, took)
	if !s.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	key, owner := "", ""
	switch {
	case c.principal.Admin:
		key = "admin"
	case !c.principal.KeyID.IsZero():
		key = id.Key.Format(c.principal.KeyID)
	}
	if !c.tenant.ID.IsZero() {
		owner = id.Tenant.Format(c.tenant.ID)
	}
	s.log.DebugContext(r.Context(), "request", "method", methodLabel(r.Method), "route", route, "status", w.status,
		"took_ms", milliseconds(took), "request_id", c.requestID, "key_id", key, "tenant_id", owner)
}

// milliseconds is how the log shows durations.
func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// recovered answers for a handler that panicked with v. An answer that has
// begun can only be broken off, so that nobody takes it for a whole one.
func (s *server) recovered(w *answerWriter, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	if w.failed { // the caller has hung up, and what wrote to it gave up
		return
	}
	s.log.ErrorContext(r.Context(), "request_panicked", "route", r.Pattern, "request_id", callOf(r.Context()).requestID,
		"panic", v, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.write(w, s.show(r.Context(), errInternal))
}

// methodLabel bounds what a caller can put into the log.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

// answerWriter remembers what became of an answer.
type answerWriter struct {
	http.ResponseWriter
	status int  // zero: not begun
	failed bool // a write failed: the caller has gone
}

// WriteHeader begins the answer.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the answer.
func (w *answerWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.failed = w.failed || err != nil && !errors.Is(err, http.ErrBodyNotAllowed)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only if the caller has gone
}

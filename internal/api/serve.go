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

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// call is what is known of a request. The gates fill it in.
type call struct {
	requestID string
	request   *http.Request    // as it came
	principal tenant.Principal // after authentication
	tenant    tenant.Tenant    // whose things are meant; zero on the operator's routes
	body      []byte           // zero where the route takes none

	// confirm authenticates the caller once more, after something that took time.
	confirm webhook.ConfirmFunc
}

type callKey struct{}

// actor is who asks, as audit entries name it.
func (c *call) actor() audit.Actor {
	actor := c.principal.Actor()
	actor.Via, actor.Address, actor.RequestID = audit.ViaAPI, edge.Address(c.request), c.requestID
	return actor
}

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
	c := &call{requestID: edge.RequestID(r), request: r}
	a := &edge.Writer{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	defer s.finish(a, r, c, started)

	h := w.Header()
	h.Set(edge.RequestIDHeader, c.requestID)
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

// finish ends every request: it answers for a handler that panicked, then
// measures and logs.
func (s *server) finish(w *edge.Writer, r *http.Request, c *call, started time.Time) {
	if v := recover(); v != nil {
		s.recovered(w, r, v)
	}
	took := time.Since(started)
	route := r.Pattern
	if route == "" || route == "/" {
		route = "none"
	}
	s.metrics.Observe(route, w.Status, took)
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
	s.log.DebugContext(r.Context(), "request", "method", edge.MethodLabel(r.Method), "route", route, "status", w.Status,
		"took_ms", edge.Milliseconds(took), "request_id", c.requestID, "address", edge.Address(r).String(), "key_id", key, "tenant_id", owner)
}

// recovered answers for a handler that panicked with v. An answer that has
// begun can only be broken off, so that nobody takes it for a whole one.
func (s *server) recovered(w *edge.Writer, r *http.Request, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	if w.Failed { // the caller has hung up, and what wrote to it gave up
		return
	}
	s.log.ErrorContext(r.Context(), "request_panicked", "route", r.Pattern, "request_id", callOf(r.Context()).requestID,
		"panic", v, "stack", string(debug.Stack()))
	if w.Status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.write(w, s.show(r.Context(), errInternal))
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // fails only if the caller has gone
}

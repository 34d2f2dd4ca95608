package dialect

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Options are what the handlers of dialects have in common. The zero value works.
type Options struct {
	// Limiter counts the requests of each key; nil: there is no limit.
	Limiter *edge.Limiter
	// Visits counts those without a key, of each address; nil: there is no limit.
	Visits *VisitLimiter
	// Unavailable reports whether an error says that the database can't be used
	// now and nothing was stored; nil: no error does.
	Unavailable func(err error) bool
	Metrics     *edge.Metrics // nil: requests are not measured
	Logger      *slog.Logger  // nil: nothing is logged
}

// handler serves one API.
type handler struct {
	api      API
	opts     Options
	log      *slog.Logger
	routes   []Route
	patterns map[string]pattern
	refusals Refusals
}

// New returns the handler of an API, as it is at the root of a host. It reads
// bodies with no deadline of its own: the server that it is mounted on has to set
// them.
func New(api API, opts Options) http.Handler {
	if opts.Unavailable == nil {
		opts.Unavailable = func(error) bool { return false }
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = edge.NewMetrics(nil)
	}
	h := &handler{
		api: api, opts: opts, log: opts.Logger.With("dialect", api.Name()),
		routes: api.Routes(), patterns: make(map[string]pattern), refusals: api.Refusals(),
	}
	for _, rt := range h.routes {
		h.patterns[rt.Pattern] = parsePattern(rt.Pattern)
	}
	return h
}

// ServeHTTP answers one request, whatever happens meanwhile.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	a := &edge.Writer{ResponseWriter: w}
	c := &Call{Request: r, RequestID: edge.RequestID(r), writer: a}
	defer h.finish(a, c, started)

	head := w.Header()
	head.Set(edge.RequestIDHeader, c.RequestID)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	answer, err := h.serve(a, r, c)
	if err == nil {
		h.write(a, c, answer)
		return
	}
	if !c.read && r.ContentLength != 0 { // nobody waits for a body that is not wanted
		head.Set("Connection", "close")
		_ = http.NewResponseController(w).SetReadDeadline(started) // not every writer has one
	}
	h.refuse(a, c, h.show(r.Context(), c, err))
}

// serve leads a request through the gates.
func (h *handler) serve(w http.ResponseWriter, r *http.Request, c *Call) (Answer, error) {
	found, err := h.find(r, c)
	if err != nil {
		return Answer{}, err
	}
	if r.Method == http.MethodOptions && found.browsers() {
		return found.preflight(w, r), nil
	}
	if err := found.choose(w, r, c); err != nil {
		return Answer{}, err
	}
	if c.route.Access != ByKey {
		allowOrigin(w, r)
	}
	c.Confirm = func(ctx context.Context) error {
		var err error
		c.Principal, err = h.api.Authenticate(ctx, c)
		return err
	}
	if err := c.Confirm(r.Context()); err != nil {
		if c.route.Access != ByKey {
			err = h.turnedAway(w, c, err)
		}
		return Answer{}, err
	}
	if c.ByKey() {
		forbidOrigin(w) // a key belongs on a server
	}
	if err := h.limit(r.Context(), w, c); err != nil {
		return Answer{}, err
	}
	if err := c.allowed(); err != nil {
		return Answer{}, err
	}
	actor := c.Principal.Actor()
	actor.Via, actor.Address, actor.RequestID = h.api.Name(), edge.Address(r), c.RequestID
	ctx := audit.WithActor(r.Context(), actor)
	if c.Person != "" {
		ctx = fact.WithActor(ctx, fact.ByPerson)
	}
	return c.route.Handle(ctx, c)
}

// allowed refuses a call that is not for the key, or for the person. A token is worth
// no more than the key that signed it.
func (c *Call) allowed() error {
	switch {
	case c.route.Access == ByAnybody:
		return nil
	case !c.Principal.Can(c.route.Scope):
		return problem.Forbidden.New("the key does not have the scope %q", c.route.Scope)
	case c.Person != "" && c.route.Person != nil && c.route.Person(c) != c.Person:
		return problem.Forbidden.New("the token names somebody else")
	}
	return nil
}

// limit counts the request against the rate of its key, or of where it comes from,
// and says in headers how that stands.
func (h *handler) limit(ctx context.Context, w http.ResponseWriter, c *Call) error {
	if !c.ByKey() {
		return h.visit(ctx, w, c)
	}
	now := time.Now()
	var err error
	c.Standing, err = h.opts.Limiter.Take(c.Principal.KeyID, now)
	if c.Standing.Limit == 0 {
		return err
	}
	head := w.Header()
	head.Set("X-RateLimit-Limit", strconv.Itoa(c.Standing.Limit))
	head.Set("X-RateLimit-Remaining", strconv.Itoa(c.Standing.Remaining))
	head.Set("X-RateLimit-Reset", strconv.FormatInt(c.ResetAt(now).Unix(), 10))
	if err != nil {
		head.Set("Retry-After", strconv.Itoa(c.Standing.Wait))
	}
	return err
}

// ResetAt is when the key may make all of its requests again, in whole seconds.
func (c *Call) ResetAt(now time.Time) time.Time {
	return now.UTC().Truncate(time.Second).Add(time.Duration(c.Standing.Reset) * time.Second)
}

// refuse answers with a refusal.
func (h *handler) refuse(w http.ResponseWriter, c *Call, r Refusal) {
	switch r.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", h.challenge(c))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	h.write(w, c, Answer{Status: r.Status, Body: h.api.Body(c, r)})
}

// challenge is the API's, but for calls that browsers make: they would ask their
// user for a password.
func (h *handler) challenge(c *Call) string {
	if c.Access() != ByKey {
		return "Bearer"
	}
	return h.api.Challenge()
}

func (h *handler) write(w http.ResponseWriter, c *Call, a Answer) {
	if a.File != nil {
		h.send(w, c, a)
		return
	}
	if a.Body == nil {
		w.WriteHeader(a.Status)
		return
	}
	body, err := edge.Marshal(a.Body)
	if err != nil { // strings, numbers and times can always be written
		h.log.ErrorContext(c.Request.Context(), "request_failed", "request_id", c.RequestID, "error", err.Error())
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(body) // fails only if the caller has gone
}

// finish ends every request: it answers for a call that panicked, then measures
// and logs.
func (h *handler) finish(w *edge.Writer, c *Call, started time.Time) {
	if v := recover(); v != nil {
		h.recovered(w, c, v)
	}
	took := time.Since(started)
	route := "none"
	if c.route != nil {
		route = c.route.Method + " /" + h.api.Name() + c.route.Pattern
	}
	h.opts.Metrics.Observe(route, w.Status, took)
	ctx := c.Request.Context()
	if !h.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	key, owner := "", ""
	if !c.Principal.KeyID.IsZero() {
		key, owner = id.Key.Format(c.Principal.KeyID), id.Tenant.Format(c.Principal.Tenant.ID)
	}
	h.log.DebugContext(ctx, "request", "method", edge.MethodLabel(c.Request.Method), "route", route, "status", w.Status,
		"took_ms", edge.Milliseconds(took), "request_id", c.RequestID, "address", edge.Address(c.Request).String(), "key_id", key, "tenant_id", owner)
}

// recovered answers for a call that panicked with v. An answer that has begun can
// only be broken off, so that nobody takes it for a whole one.
func (h *handler) recovered(w *edge.Writer, c *Call, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	if w.Failed { // the caller has hung up, and what wrote to it gave up
		return
	}
	h.log.ErrorContext(c.Request.Context(), "request_panicked", "request_id", c.RequestID, "panic", v, "stack", string(debug.Stack()))
	if w.Status != 0 {
		panic(http.ErrAbortHandler)
	}
	h.refuse(w, c, h.refusals.tell(errInternal))
}

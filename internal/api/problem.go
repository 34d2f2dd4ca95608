package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The library's settings are its package's variables, so they are set once, and
// before any handler is made.
func init() {
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, _ string, errs ...error) huma.StatusError {
		return fromLibrary(status, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
		p := fromLibrary(status, errs)
		p.RequestID = callOf(ctx.Context()).requestID
		return p
	}
}

// problemJSON is how a refusal is shown (RFC 9457).
type problemJSON struct {
	Type      string             `json:"type" doc:"Where the code is explained." example:"/docs#invalid"`
	Title     string             `json:"title" doc:"What the code means."`
	Status    int                `json:"status" doc:"The HTTP status."`
	Code      string             `json:"code" doc:"The stable code that programs may switch on." example:"invalid"`
	Detail    string             `json:"detail" doc:"What happened this time."`
	Errors    []invalidFieldJSON `json:"errors,omitempty" doc:"The fields that are not valid."`
	RequestID string             `json:"request_id" doc:"The id of the request, under which errors are logged."`
}

type invalidFieldJSON struct {
	Name    string `json:"field" doc:"The path of the field as the caller wrote it." example:"policy.timeout"`
	Message string `json:"message" doc:"What is wrong with it."`
}

var (
	_ huma.StatusError       = (*problemJSON)(nil)
	_ huma.HeadersError      = (*problemJSON)(nil)
	_ huma.ContentTypeFilter = (*problemJSON)(nil)
)

// Error returns the code and the detail.
func (p *problemJSON) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the HTTP status.
func (p *problemJSON) GetStatus() int { return p.Status }

// ContentType returns that of a problem document.
func (p *problemJSON) ContentType(string) string { return "application/problem+json" }

// GetHeaders returns what the status demands besides the body.
func (p *problemJSON) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	return h
}

func newProblem(e *problem.Error) *problemJSON {
	p := &problemJSON{
		Type:   "/docs#" + e.Code.Name,
		Title:  e.Code.Title,
		Status: e.Code.Status,
		Code:   e.Code.Name,
		Detail: e.Detail,
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, invalidFieldJSON(f))
	}
	return p
}

var (
	errInternal    = problem.Internal.New("the error was logged under the request's id")
	errUnavailable = problem.Unavailable.New("nothing was stored: try again")
)

// show turns any error into what may be shown of it. What is not a refusal is
// logged.
func (s *server) show(ctx context.Context, err error) *problemJSON {
	c := callOf(ctx)
	refusal, ok := errors.AsType[*problem.Error](err)
	switch {
	case ok:
	case ctx.Err() != nil: // the caller did not wait
		refusal = errUnavailable
	case s.opts.Unavailable(err):
		s.log.WarnContext(ctx, "database_unavailable", "request_id", c.requestID, "error", err.Error())
		refusal = errUnavailable
	default:
		s.log.ErrorContext(ctx, "request_failed", "request_id", c.requestID, "error", err.Error())
		refusal = errInternal
	}
	p := newProblem(refusal)
	p.RequestID = c.requestID
	return p
}

// refuse answers with what may be shown of err.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.write(w, s.show(r.Context(), err))
}

func (s *server) write(w http.ResponseWriter, p *problemJSON) {
	h := w.Header()
	maps.Copy(h, p.GetHeaders())
	h.Set("Content-Type", p.ContentType(""))
	body, err := edge.Marshal(p)
	if err != nil { // strings and numbers can always be written
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) //nolint:gosec // JSON, and typed so; fails only if the caller has gone
}

// fromLibrary turns what the library finds wrong with parameters into a
// problem. The values that it reports are left out.
func fromLibrary(status int, errs []error) *problemJSON {
	var checks problem.Checks
	for _, err := range errs {
		if d, ok := err.(huma.ErrorDetailer); ok {
			checks.Add(fieldName(d.ErrorDetail().Location), "%s", d.ErrorDetail().Message)
		}
	}
	if refusal, ok := errors.AsType[*problem.Error](checks.Err()); ok && status == problem.Invalid.Status {
		return newProblem(refusal)
	}
	for _, code := range problem.Codes {
		if code.Status == status {
			return newProblem(code.New("%s", code.Title))
		}
	}
	return newProblem(errInternal)
}

// fieldName names a parameter as problems do: those of the query with "query."
// before them. A parameter that is not known here has a name that the caller
// chose, which is repeated only if it is a plain one.
func fieldName(location string) string {
	place, name, _ := strings.Cut(location, ".")
	switch {
	case place == "header" || place == "path":
		return name
	case isPlain(name):
		return location
	default:
		return place
	}
}

// isPlain reports whether a name is so short and simple that it can be repeated
// to the caller who sent it.
func isPlain(name string) bool {
	return name != "" && len(name) <= 40 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	})
}

// inQuery says of a refusal's fields that they are in the query.
func inQuery(err error) error {
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok || len(refusal.Fields) == 0 {
		return err
	}
	var checks problem.Checks
	for _, f := range refusal.Fields {
		checks.Add("query."+f.Name, "%s", f.Message)
	}
	return checks.Err()
}

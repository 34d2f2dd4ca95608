package dialect

import (
	"context"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// name returns what the product calls a field, or a part of one.
func (t Refusals) name(ours string) string {
	if theirs, ok := t.Names[ours]; ok {
		return theirs
	}
	if i := strings.IndexAny(ours, ".["); i > 0 {
		if theirs, ok := t.Names[ours[:i]]; ok {
			return theirs + ours[i:]
		}
	}
	return ours
}

// sentences says what is wrong with each field, one after the other.
func sentences(fields []problem.Field) string {
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = f.Name + ": " + f.Message
	}
	return strings.Join(lines, "; ")
}

var (
	errInternal    = problem.Internal.New("the error was logged under the request's id")
	errUnavailable = problem.Unavailable.New("nothing was stored: try again")
	errNoPath      = problem.NotFound.New("there is no such path")
)

// show turns any error into what may be shown of it. What is not a refusal is
// logged.
func (h *handler) show(ctx context.Context, c *Call, err error) Refusal {
	if r, ok := h.refusals.Tell(err); ok {
		return r
	}
	switch {
	case ctx.Err() != nil: // the caller did not wait
		return h.refusals.tell(errUnavailable)
	case h.opts.Unavailable(err):
		h.log.WarnContext(ctx, "database_unavailable", "request_id", c.RequestID, "error", err.Error())
		return h.refusals.tell(errUnavailable)
	default:
		h.log.ErrorContext(ctx, "request_failed", "request_id", c.RequestID, "error", err.Error())
		return h.refusals.tell(errInternal)
	}
}

// NoSubscription is what a call returns for a subscription that is not there, is
// another tenant's or is of another dialect.
func NoSubscription() error { return problem.NotFound.New("there is no such subscription") }

package referralloop

import (
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// errorJSON is how errors are shown. The last two belong to status 429.
type errorJSON struct {
	Error   string     `json:"error"`
	Limit   int        `json:"limit,omitempty"`
	ResetAt *time.Time `json:"reset_at,omitempty"`
}

// errNoKey is the answer to a request without a key. One with a key that is not
// accepted hears something else.
var errNoKey = dialect.Refusal{Status: http.StatusUnauthorized, Message: "Missing or invalid authorization header"}

// Refusals answers what is not valid with 400, as all of the product's API does.
func (*api) Refusals() dialect.Refusals {
	conflict := dialect.Refusal{Status: http.StatusConflict}
	return dialect.Refusals{
		Names: map[string]string{"url": "target_url", "event_types[0]": "event_type", "event_types": "event_type", "filter": "waitlist_id"},
		Codes: map[*problem.Code]dialect.Refusal{
			problem.Malformed:            {Status: http.StatusBadRequest},
			problem.Unauthenticated:      {Status: http.StatusUnauthorized, Message: "Invalid API key"},
			problem.Forbidden:            {Status: http.StatusForbidden},
			problem.NotFound:             {Status: http.StatusNotFound},
			problem.MethodNotAllowed:     {Status: http.StatusMethodNotAllowed, Message: "Method not allowed"},
			problem.Timeout:              {Status: http.StatusRequestTimeout},
			problem.Conflict:             conflict,
			problem.AliasTaken:           conflict,
			problem.IdempotencyConflict:  conflict,
			problem.SubscriptionDisabled: conflict,
			problem.HandshakeFailed:      conflict,
			problem.BodyExpunged:         conflict,
			problem.TooLarge:             {Status: http.StatusRequestEntityTooLarge},
			problem.UnsupportedMediaType: {Status: http.StatusUnsupportedMediaType},
			problem.Invalid:              {Status: http.StatusBadRequest},
			problem.QueryTooSlow:         {Status: http.StatusBadRequest},
			problem.RateLimited:          {Status: http.StatusTooManyRequests, Message: "Rate limit exceeded"},
			problem.Internal:             {Status: http.StatusInternalServerError, Message: "Internal server error"},
			problem.Unavailable:          {Status: http.StatusServiceUnavailable, Message: "Service unavailable: try again"},
		},
	}
}

// Body shows a refusal. Too many requests are told when there may be more.
func (*api) Body(c *dialect.Call, r dialect.Refusal) any {
	shown := errorJSON{Error: r.Message}
	if r.Status == http.StatusTooManyRequests && c.Standing.Limit > 0 {
		shown.Limit, shown.ResetAt = c.Standing.Limit, new(c.ResetAt(time.Now()))
	}
	return shown
}

package partnerstack

import (
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// refusals has PartnerStack's statuses, of which 400 is for whatever is wrong with
// the input.
var refusals = dialect.Refusals{
	Codes: map[*problem.Code]dialect.Refusal{
		problem.Malformed:            {Status: http.StatusBadRequest},
		problem.Unauthenticated:      {Status: http.StatusUnauthorized},
		problem.Forbidden:            {Status: http.StatusForbidden},
		problem.NotFound:             {Status: http.StatusNotFound},
		problem.MethodNotAllowed:     {Status: http.StatusMethodNotAllowed},
		problem.Timeout:              {Status: http.StatusRequestTimeout},
		problem.Conflict:             {Status: http.StatusConflict},
		problem.AliasTaken:           {Status: http.StatusConflict},
		problem.IdempotencyConflict:  {Status: http.StatusConflict},
		problem.SubscriptionDisabled: {Status: http.StatusConflict},
		problem.HandshakeFailed:      {Status: http.StatusConflict},
		problem.BodyExpunged:         {Status: http.StatusConflict},
		problem.TooLarge:             {Status: http.StatusRequestEntityTooLarge},
		problem.UnsupportedMediaType: {Status: http.StatusUnsupportedMediaType},
		problem.Invalid:              {Status: http.StatusBadRequest},
		problem.QueryTooSlow:         {Status: http.StatusBadRequest},
		problem.RateLimited:          {Status: http.StatusTooManyRequests},
		problem.Internal:             {Status: http.StatusInternalServerError, Message: "Something went wrong here"},
		problem.Unavailable:          {Status: http.StatusServiceUnavailable},
	},
	Names: map[string]string{"url": "target_url", "event_types": "events"},
}

// Refusals is the table of PartnerStack's statuses.
func (*api) Refusals() dialect.Refusals { return refusals }

// errorJSON is how a refusal is shown.
type errorJSON struct {
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// Body returns {"message","status"}.
func (*api) Body(_ *dialect.Call, r dialect.Refusal) any { return errorJSON{r.Message, r.Status} }

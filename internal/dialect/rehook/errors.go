package rehook

import (
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The codes, of which Rehook documents the third alone.
const (
	codeBadRequest       = "BAD_REQUEST_CODE"
	codeConflict         = "CONFLICT_CODE"
	codeNotFound         = "NOT_FOUND_CODE"
	codeUnauthorized     = "UNAUTHORIZED_CODE"
	codeForbidden        = "FORBIDDEN_CODE"
	codeMethodNotAllowed = "METHOD_NOT_ALLOWED_CODE"
	codeTimeout          = "REQUEST_TIMEOUT_CODE"
	codeTooLarge         = "PAYLOAD_TOO_LARGE_CODE"
	codeMediaType        = "UNSUPPORTED_MEDIA_TYPE_CODE"
	codeTooMany          = "TOO_MANY_REQUESTS_CODE"
	codeInternal         = "INTERNAL_SERVER_ERROR_CODE"
	codeUnavailable      = "SERVICE_UNAVAILABLE_CODE"
)

// refusals has Rehook's statuses, of which 400 is for whatever is wrong with the
// input.
var refusals = dialect.Refusals{
	Codes: map[*problem.Code]dialect.Refusal{
		problem.Malformed:            {Status: http.StatusBadRequest, Code: codeBadRequest},
		problem.Unauthenticated:      {Status: http.StatusUnauthorized, Code: codeUnauthorized},
		problem.Forbidden:            {Status: http.StatusForbidden, Code: codeForbidden},
		problem.NotFound:             {Status: http.StatusNotFound, Code: codeNotFound},
		problem.MethodNotAllowed:     {Status: http.StatusMethodNotAllowed, Code: codeMethodNotAllowed},
		problem.Timeout:              {Status: http.StatusRequestTimeout, Code: codeTimeout},
		problem.Conflict:             {Status: http.StatusConflict, Code: codeConflict},
		problem.AliasTaken:           {Status: http.StatusConflict, Code: codeConflict},
		problem.IdempotencyConflict:  {Status: http.StatusConflict, Code: codeConflict},
		problem.SubscriptionDisabled: {Status: http.StatusConflict, Code: codeConflict},
		problem.HandshakeFailed:      {Status: http.StatusConflict, Code: codeConflict},
		problem.BodyExpunged:         {Status: http.StatusConflict, Code: codeConflict},
		problem.TooLarge:             {Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge},
		problem.UnsupportedMediaType: {Status: http.StatusUnsupportedMediaType, Code: codeMediaType},
		problem.Invalid:              {Status: http.StatusBadRequest, Code: codeBadRequest},
		problem.QueryTooSlow:         {Status: http.StatusBadRequest, Code: codeBadRequest},
		problem.RateLimited:          {Status: http.StatusTooManyRequests, Code: codeTooMany},
		problem.Internal:             {Status: http.StatusInternalServerError, Code: codeInternal, Message: "Something went wrong here: tell the operator this request's id"},
		problem.Unavailable:          {Status: http.StatusServiceUnavailable, Code: codeUnavailable},
	},
	Names: map[string]string{"event_types": "events", "auth": "basic_auth"},
}

// Refusals is the table of Rehook's statuses and codes.
func (*api) Refusals() dialect.Refusals { return refusals }

// errorJSON is how a refusal is shown. Details name the fields that are not valid.
type errorJSON struct {
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Details   []problem.Field `json:"details"`
	RequestID string          `json:"request_id"`
}

// Body returns {"code","message","details","request_id"}.
func (*api) Body(c *dialect.Call, r dialect.Refusal) any {
	return errorJSON{r.Code, r.Message, append([]problem.Field{}, r.Fields...), c.RequestID}
}

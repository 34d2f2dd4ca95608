package saasquatch

import (
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// errorJSON is how errors are shown.
type errorJSON struct {
	Message      string `json:"message"`
	StatusCode   int    `json:"statusCode"`
	APIErrorCode string `json:"apiErrorCode"`
	RSCode       string `json:"rsCode,omitempty"`

	ValidationErrors []validationErrorJSON `json:"validationErrors,omitempty"`
}

// The codes that clients switch on. The first five are the vendor's.
const (
	codeTenantNotFound   = "TENANT_NOT_FOUND"
	codeBadRequest       = "BAD_REQUEST"
	codeValidationFailed = "VALIDATION_FAILED"
	codeUnauthorized     = "UNAUTHORIZED"
	codeForbidden        = "FORBIDDEN"
	codeNotFound         = "NOT_FOUND"
	codeMethod           = "METHOD_NOT_ALLOWED"
	codeTimeout          = "REQUEST_TIMEOUT"
	codeConflict         = "CONFLICT"
	codeTooLarge         = "REQUEST_TOO_LARGE"
	codeMediaType        = "UNSUPPORTED_MEDIA_TYPE"
	codeRateLimited      = "RATE_LIMIT_EXCEEDED"
	codeInternal         = "INTERNAL_SERVER_ERROR"
	codeUnavailable      = "SERVICE_UNAVAILABLE"
)

// rsCodes are the vendor's numbers of those errors that have one.
var rsCodes = map[string]string{
	codeTenantNotFound: "RS045", // no credentials, or an unknown tenant
	codeUnauthorized:   "RS045",
	codeMediaType:      "RS046",
	codeRateLimited:    "RS033",
}

// errNoTenant is the answer to an alias that no tenant has.
var errNoTenant = dialect.Refusal{Status: http.StatusNotFound, Code: codeTenantNotFound, Message: "Missing or invalid tenant alias."}

// Refusals answers what is not valid with 400, as all of the vendor's API does.
func (*api) Refusals() dialect.Refusals {
	conflict := dialect.Refusal{Status: http.StatusConflict, Code: codeConflict}
	return dialect.Refusals{
		Names: map[string]string{"url": "endpointUrl", "description": "name"},
		Codes: map[*problem.Code]dialect.Refusal{
			problem.Malformed:            {Status: http.StatusBadRequest, Code: codeBadRequest},
			problem.Unauthenticated:      {Status: http.StatusUnauthorized, Code: codeUnauthorized},
			problem.Forbidden:            {Status: http.StatusForbidden, Code: codeForbidden},
			problem.NotFound:             {Status: http.StatusNotFound, Code: codeNotFound},
			problem.MethodNotAllowed:     {Status: http.StatusMethodNotAllowed, Code: codeMethod},
			problem.Timeout:              {Status: http.StatusRequestTimeout, Code: codeTimeout},
			problem.Conflict:             conflict,
			problem.AliasTaken:           conflict,
			problem.IdempotencyConflict:  conflict,
			problem.SubscriptionDisabled: conflict,
			problem.HandshakeFailed:      conflict,
			problem.BodyExpunged:         conflict,
			problem.TooLarge:             {Status: http.StatusRequestEntityTooLarge, Code: codeTooLarge},
			problem.UnsupportedMediaType: {Status: http.StatusUnsupportedMediaType, Code: codeMediaType},
			problem.Invalid:              {Status: http.StatusBadRequest, Code: codeValidationFailed},
			problem.QueryTooSlow:         {Status: http.StatusBadRequest, Code: codeBadRequest},
			problem.RateLimited:          {Status: http.StatusTooManyRequests, Code: codeRateLimited},
			problem.Internal:             {Status: http.StatusInternalServerError, Code: codeInternal, Message: "Internal server error."},
			problem.Unavailable:          {Status: http.StatusServiceUnavailable, Code: codeUnavailable},
		},
	}
}

// Body shows a refusal.
func (*api) Body(c *dialect.Call, r dialect.Refusal) any {
	return errorJSON{
		Message: r.Message, StatusCode: r.Status, APIErrorCode: r.Code, RSCode: rsCodes[r.Code], ValidationErrors: validationErrors(c, r),
	}
}

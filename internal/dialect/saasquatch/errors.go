package saasquatch

import (
	"errors"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// errorJSON is how errors are shown.
type errorJSON struct {
	Message      string `json:"message"`
	StatusCode   int    `json:"statusCode"`
	APIErrorCode string `json:"apiErrorCode"`
	RSCode       string `json:"rsCode,omitempty"`

	ValidationErrors []string `json:"validationErrors,omitempty"` // of the variables of a theme: a path each, and what is wrong there
}

// The codes that clients switch on. The first four are the vendor's.
const (
	codeTenantNotFound   = "TENANT_NOT_FOUND"
	codeBadRequest       = "BAD_REQUEST"
	codeValidationFailed = "VALIDATION_FAILED"
	codeNoCode           = "REFERRAL_CODE_NOT_FOUND"

	codeNoUser           = "USER_NOT_FOUND"
	codeNoAccount        = "ACCOUNT_NOT_FOUND"
	codeUserExists       = "USER_ALREADY_EXISTS"
	codeForgotten        = "DO_NOT_TRACK"
	codeAccountFull      = "ACCOUNT_USER_LIMIT"
	codeCodeTaken        = "REFERRAL_CODE_TAKEN"
	codeOwnCode          = "SELF_REFERRAL"
	codeAlreadyReferred  = "ALREADY_REFERRED"
	codeAlreadyConverted = "ALREADY_CONVERTED"
	codeUserBlocked      = "USER_BLOCKED"
	codeNotReferable     = "USER_NOT_REFERABLE"
	codeBadToken         = "INVALID_TOKEN"
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
	codeAccountFull:    "RS013",
	codeBadToken:       "RS032",
	codeRateLimited:    "RS033",
	codeNoCode:         "RS034",
	codeCodeTaken:      "RS034",
	codeOwnCode:        "RS034",
	codeNoAccount:      "RS041",
	codeNoUser:         "RS042",
	codeTenantNotFound: "RS045", // no credentials, or an unknown tenant
	codeUnauthorized:   "RS045",
	codeMediaType:      "RS046",
	codeUserExists:     "RS048",
	codeForgotten:      "RS050",
}

// rsOfFields are the vendor's numbers of fields that are not valid.
var rsOfFields = map[string]string{
	"email": "RS023", "referralCode": "RS034", "referralCodes": "RS034", "referredBy.code": "RS034", "widgetType": "RS036",
	"engagementMedium": "RS037", "locale": "RS039", "id": "RS043", "userId": "RS043", "accountId": "RS044", "cookies": "RS052",
}

// errNoTenant is the answer to an alias that no tenant has.
var errNoTenant = dialect.Refusal{Status: http.StatusNotFound, Code: codeTenantNotFound, Message: "Missing or invalid tenant alias."}

// The answers to what is not there.
var (
	errNoUser    = dialect.Refusal{Status: http.StatusNotFound, Code: codeNoUser, Message: "there is no such user"}
	errNoAccount = dialect.Refusal{Status: http.StatusNotFound, Code: codeNoAccount, Message: "there is no such account"}
	errNoCode    = dialect.Refusal{Status: http.StatusNotFound, Code: codeNoCode, Message: "there is no such referral code"}
)

// refusedBy are the answers to what programs refuse, by the error that says so.
var refusedBy = []struct {
	err error
	as  dialect.Refusal
}{
	{referral.ErrOwnCode, dialect.Refusal{Status: http.StatusBadRequest, Code: codeOwnCode, Message: "the referral code is the user's own"}},
	{referral.ErrConverted, dialect.Refusal{Status: http.StatusBadRequest, Code: codeAlreadyConverted, Message: "the user has converted already, and can't be referred any more"}},
	{referral.ErrReferred, dialect.Refusal{Status: http.StatusBadRequest, Code: codeAlreadyReferred, Message: "the user was referred by another code already"}},
	{referral.ErrBlocked, dialect.Refusal{Status: http.StatusBadRequest, Code: codeUserBlocked, Message: "the user is blocked, and can't be referred"}},
	{referral.ErrApart, dialect.Refusal{Status: http.StatusBadRequest, Code: codeNotReferable, Message: "the user is not referable"}},
	{referral.ErrKnown, dialect.Refusal{Status: http.StatusBadRequest, Code: codeUserExists, Message: "there is a user of these ids already: change it with PUT"}},
	{referral.ErrFull, dialect.Refusal{Status: http.StatusBadRequest, Code: codeAccountFull, Message: "the account has as many users as it may have"}},
	{person.ErrForgotten, dialect.Refusal{Status: http.StatusForbidden, Code: codeForgotten, Message: "the user was deleted, and is not to be tracked again"}},
	{code.ErrTaken, dialect.Refusal{Status: http.StatusBadRequest, Code: codeCodeTaken, Message: "the referral code is taken: choose another one"}},
}

// told returns an error of a command as the vendor tells it. A code that is not there
// is answered with the status: it may have stood in the path, or in the body.
func told(err error, missing int) error {
	own, _ := errors.AsType[dialect.Refusal](err)
	if errors.Is(err, referral.ErrNoCode) || own.Code == codeNoCode {
		refusal := errNoCode
		refusal.Status = missing
		return refusal
	}
	for _, r := range refusedBy {
		if errors.Is(err, r.err) {
			return r.as
		}
	}
	if problem.NotFound.Has(err) { // it was deleted meanwhile
		return errNoUser
	}
	return err
}

// Refusals answers what is not valid with 400, as all of the vendor's API does.
func (*api) Refusals() dialect.Refusals {
	conflict := dialect.Refusal{Status: http.StatusConflict, Code: codeConflict}
	return dialect.Refusals{
		Names: map[string]string{
			"url": "endpointUrl", "description": "name",
			"key": "id", "account": "accountId", "first_name": "firstName", "last_name": "lastName", "country": "countryCode",
			"image_url": "imageUrl", "fields": "customFields", "code": "referralCode", "codes": "referralCodes", "referred_by": "referredBy.code",
			"state": "subscription.status",
		},
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
	shown := errorJSON{
		Message: r.Message, StatusCode: r.Status, APIErrorCode: r.Code, RSCode: rsCodes[r.Code], ValidationErrors: validationErrors(c, r),
	}
	if shown.RSCode == "" && len(r.Fields) > 0 {
		shown.RSCode = rsOfFields[r.Fields[0].Name]
	}
	return shown
}

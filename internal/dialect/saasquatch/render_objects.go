package saasquatch

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// payloads is the version of the events' shapes that a tenant has chosen.
type payloads string

// The versions: those of the page, and those of the published schemas.
const (
	v2016 payloads = "2016"
	v2020 payloads = "2020"
)

// payloadsOf returns what a tenant has chosen.
func payloadsOf(chosen wire.Settings) payloads {
	if payloads(chosen["payload_version"]) == v2020 {
		return v2020
	}
	return v2016
}

// orNull is a text, or null for one that is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// milliOrNull is a time in milliseconds, or null for the zero time.
func milliOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMilli())
}

// newerUserJSON is a user as the published schemas have one.
type newerUserJSON struct {
	userJSON

	ReferralCodes     map[string]string `json:"referralCodes"` // by program
	Referable         bool              `json:"referable"`
	CountryCode       *string           `json:"countryCode"`
	CookieID          *string           `json:"cookieId"`
	PaymentProviderID *string           `json:"paymentProviderId"`
	DateBlocked       *string           `json:"dateBlocked"` // not in milliseconds, as everything else is
	ReferredByCodes   []string          `json:"referredByCodes"`
	CustomFields      map[string]any    `json:"customFields"`
	Segments          []string          `json:"segments"`
}

func newerUserOf(p referral.Profile, baseURL string) newerUserJSON {
	own := traitsOf(p)
	shown := newerUserJSON{
		userJSON: userOf(p, baseURL), PaymentProviderID: orNull(own.PaymentProviderID), ReferralCodes: make(map[string]string), Referable: !p.Unreferable, CountryCode: orNull(p.Country),
		CookieID: orNull(p.Device), ReferredByCodes: []string{}, CustomFields: fittingFields(p.Fields), Segments: own.segments(),
	}
	for _, c := range p.Codes {
		shown.ReferralCodes[c.ProgramKey] = c.Text
	}
	for _, r := range p.Referrals {
		if r.Code != "" {
			shown.ReferredByCodes = append(shown.ReferredByCodes, r.Code)
		}
	}
	if p.IsBlocked() {
		shown.DateBlocked = new(p.BlockedAt.UTC().Format(time.RFC3339))
	}
	return shown
}

// The bounds of custom fields, by the published schemas.
const (
	maxCustomFields = 100
	maxCustomText   = 1024 // characters
)

var customName = regexp.MustCompile(`^[a-zA-Z0-9_]{1,64}$`)

// fittingFields returns those of a person's fields that the published schemas have
// room for.
func fittingFields(raw json.RawMessage) map[string]any {
	shown, fields := make(map[string]any), activity.ReadFields(raw)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if len(shown) < maxCustomFields && customName.MatchString(name) && isScalar(fields[name]) {
			shown[name] = fields[name]
		}
	}
	return shown
}

func isScalar(value any) bool {
	switch v := value.(type) {
	case string:
		return len([]rune(v)) <= maxCustomText
	case []any, map[string]any:
		return false
	default:
		return true
	}
}

// couponJSON is a code as the page shows one.
type couponJSON struct {
	CodeString         string  `json:"codeString"`
	DiscountPercentage string  `json:"discountPercentage"`
	DateCreated        int64   `json:"dateCreated"` // in seconds, as nothing else
	RatePlanID         *string `json:"ratePlanId"`  // of another company's product
}

func couponOf(c *referral.Code, basisPoints int64) couponJSON {
	return couponJSON{CodeString: c.Text, DiscountPercentage: percentText(basisPoints), DateCreated: c.CreatedAt.Unix()}
}

// percentText writes basis points as percent: 10, or 12.5.
func percentText(basisPoints int64) string {
	return strconv.FormatFloat(float64(basisPoints)/100, 'f', -1, 64)
}

// newerCouponJSON is a code as the published schemas have one.
type newerCouponJSON struct {
	Code        string `json:"code"`
	DateCreated int64  `json:"dateCreated"`
	ProgramID   string `json:"programId"`
}

func newerCouponOf(c *referral.Code) newerCouponJSON {
	return newerCouponJSON{c.Text, c.CreatedAt.UnixMilli(), c.ProgramKey}
}

// toldReferralJSON is a referral as events have it: our ids stand for people and
// rewards.
type toldReferralJSON struct {
	referralJSON[string, *string]

	FraudSignals *map[string]signalJSON `json:"fraudSignals,omitempty"` // an ended one has none, not even null
	*newerReferralJSON
}

// newerReferralJSON is what the published schemas have beside that.
type newerReferralJSON struct {
	Referrer         userRef `json:"referrer"`
	Referred         userRef `json:"referred"`
	ReferralCodeUsed string  `json:"referralCodeUsed,omitempty"`
	ShareLinkUsed    string  `json:"shareLinkUsed,omitempty"`
	DateConverted    *int64  `json:"dateConverted"`
	DateModified     int64   `json:"dateModified"`
	DateUserModified *int64  `json:"dateUserModified"` // when somebody moderated it
	ProgramID        *string `json:"programId"`
}

func newerReferralOf(r *referral.Referral, people sides[userRef], changed time.Time) *newerReferralJSON {
	shown := &newerReferralJSON{
		Referrer: people.referrer, Referred: people.referred, ReferralCodeUsed: r.Code, DateConverted: milliOrNull(r.ConvertedAt),
		DateModified: changed.UnixMilli(), ProgramID: orNull(r.ProgramKey),
	}
	if r.ByHand {
		shown.DateUserModified = milliOrNull(r.ModeratedAt)
	}
	return shown
}

// emailJSON is a message as all its events have it.
type emailJSON struct {
	RecipientUserID    string `json:"recipientUserId"`
	RecipientAccountID string `json:"recipientAccountId"`
	Subject            string `json:"subject"`
	Message            string `json:"message"`
}

// mergedEmailJSON is one with what its template was filled with, which is not told.
type mergedEmailJSON struct {
	emailJSON

	MergeVars *string `json:"mergeVars"`
}

// limitEmailJSON is the one that says that a limit was reached.
type limitEmailJSON struct {
	mergedEmailJSON

	ReferralRewardLimit int64 `json:"referralRewardLimit"`
}

// emails are the event types of messages.
var emails = map[message.Type]string{
	message.ReferralStarted: "email.referral.started", message.ReferralPaid: "email.referral.paid",
	message.ReferredRewardEarned: "email.referred.reward.earned", message.RewardLimitReached: "email.referral.rewardLimitReached",
}

// emailOf shows a message in the form of its event.
func emailOf(m *referral.Message, to userRef) any {
	shown := emailJSON{to.ID, to.AccountID, m.Subject, m.Told()}
	switch message.Type(m.Type) {
	case message.ReferralStarted:
		return mergedEmailJSON{emailJSON: shown}
	case message.RewardLimitReached:
		return limitEmailJSON{mergedEmailJSON{emailJSON: shown}, m.Limit}
	default:
		return shown
	}
}

// balanceJSON is what a user can redeem of one unit.
type balanceJSON struct {
	UserID          string `json:"userId"`
	AccountID       string `json:"accountId"`
	Unit            string `json:"unit"`
	AvailableValue  int64  `json:"availableValue"`
	ResourceVersion int64  `json:"resourceVersion"` // in milliseconds: of two the greater is the later one
}

func balanceOf(w *reward.WalletChange, owner userRef) balanceJSON {
	return balanceJSON{owner.ID, owner.AccountID, w.Unit, w.Balance, w.Stamp}
}

// themeJSON is a theme that was published.
type themeJSON struct {
	NewAssetsVersion string `json:"newAssetsVersion"`
}

// exportJSON is an export as the page shows one.
type exportJSON struct {
	ID            string        `json:"id"`
	Name          *string       `json:"name"`
	Requester     string        `json:"requester"`
	Status        string        `json:"status"`
	DateCreated   int64         `json:"dateCreated"`
	DateExpires   *int64        `json:"dateExpires"`
	DateCompleted *int64        `json:"dateCompleted"`
	Type          string        `json:"type"`
	Format        string        `json:"format"`
	Params        export.Params `json:"params"`
}

// exportTold is an export as its event tells of it, whose params are the times alone.
func exportTold(e *export.Export) exportJSON {
	shown := exportOf(e)
	shown.Params.ProgramID, shown.Params.At, shown.Params.Filter, shown.Params.Fields = "", time.Time{}, nil, nil
	return shown
}

func exportOf(e *export.Export) exportJSON {
	return exportJSON{
		e.ID.String(), orNull(e.Name), e.Requester, string(e.Status), e.CreatedAt.UnixMilli(), milliOrNull(e.ExpiresAt),
		milliOrNull(e.CompletedAt), strings.ToUpper(e.Type), e.Format, e.Params,
	}
}

// newerExportJSON is an export as the published schemas have one.
type newerExportJSON struct {
	ID            string        `json:"id"`
	Name          *string       `json:"name"`
	Requester     string        `json:"requester"`
	Status        string        `json:"status"`
	DateCreated   int64         `json:"dateCreated"`
	DateExpires   *int64        `json:"dateExpires"`
	DateCompleted *int64        `json:"dateCompleted"`
	MailtoEmail   *string       `json:"mailtoEmail"` // nobody is written to
	OutputFormat  string        `json:"outputFormat"`
	Task          string        `json:"task"`
	Operation     string        `json:"operation"`
	Params        export.Params `json:"params"`
	Stats         *statsJSON    `json:"stats"`
	FileRef       *string       `json:"fileRef"` // it is downloaded by the export's id
}

type statsJSON struct {
	RecordsProcessed int64 `json:"recordsProcessed"`
	Errors           int64 `json:"errors"`
}

func newerExportOf(e *export.Export) newerExportJSON {
	shown := newerExportJSON{
		ID: e.ID.String(), Name: orNull(e.Name), Requester: e.Requester, Status: string(e.Status), DateCreated: e.CreatedAt.UnixMilli(),
		DateExpires: milliOrNull(e.ExpiresAt), DateCompleted: milliOrNull(e.CompletedAt), OutputFormat: e.Format, Task: strings.ToUpper(e.Type),
		Operation: "QUERY", Params: e.Params,
	}
	if e.Status == export.Completed {
		shown.Stats = &statsJSON{RecordsProcessed: e.Rows}
	}
	return shown
}

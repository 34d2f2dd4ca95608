package saasquatch

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// userBody is a user as it is sent, by key or in a token. What is missing or null
// stays as it is.
//
// Of the vendor's fields one is not read, since links are made of codes: shareLinks.
type userBody struct {
	ID            *string            `json:"id"`
	AccountID     *string            `json:"accountId"`
	FirstName     *string            `json:"firstName"`
	LastName      *string            `json:"lastName"`
	Email         *string            `json:"email"`
	ImageURL      *string            `json:"imageUrl"`
	Locale        *string            `json:"locale"`
	CountryCode   *string            `json:"countryCode"`
	Referable     *bool              `json:"referable"`
	ReferralCode  *string            `json:"referralCode"`
	ReferralCodes map[string]*string `json:"referralCodes"`
	CustomFields  *json.RawMessage   `json:"customFields"`

	Segments               *segmentSteps `json:"segments"`
	PaymentProviderID      *string       `json:"paymentProviderId"`
	DateUSTaxFormSubmitted *float64      `json:"dateUsTaxFormSubmitted"`

	ReferredBy      *referredBody `json:"referredBy"`
	ReferredByCodes []string      `json:"referredByCodes"`
	Cookies         *string       `json:"cookies"`
}

type referredBody struct {
	Code        *string `json:"code"`
	IsConverted *bool   `json:"isConverted"`
}

// maxCodes is how many codes a request may name.
const maxCodes = 20

// localeFormat is a language, perhaps a script, and perhaps a country.
var localeFormat = regexp.MustCompile(`^[a-z]{2,3}(_[A-Z][a-z]{3})?(_([A-Z]{2}|[0-9]{3}))?$`)

// check refuses what is wrong by itself, and ids that are not those of the path.
func (b *userBody) check(account, user string) error {
	var checks problem.Checks
	if b.ID != nil && *b.ID != user {
		checks.Add("id", "must be the user's of the path")
	}
	if b.AccountID != nil && *b.AccountID != account {
		checks.Add("accountId", "must be the account's of the path")
	}
	if b.Locale != nil && *b.Locale != "" && !localeFormat.MatchString(*b.Locale) {
		checks.Add("locale", "must be a language and a country, such as en_US, or a language alone")
	}
	if len(b.ReferralCodes) > maxCodes {
		checks.Add("referralCodes", "has more than %d codes", maxCodes)
	}
	if len(b.ReferredByCodes) > maxCodes {
		checks.Add("referredByCodes", "has more than %d codes", maxCodes)
	}
	b.checkTraits(&checks)
	b.checkCustomFields(&checks)
	return checks.Err()
}

// compare calls differs with each field that says something else than what was
// signed. Who the user is, was looked at before; codes that somebody came by, cookies
// and the locale are a browser's to say.
func (b *userBody) compare(signed *userBody, differs func(field string)) {
	text := func(name string, has, wants *string) {
		if has != nil && (wants == nil || *has != *wants) {
			differs(name)
		}
	}
	text("firstName", b.FirstName, signed.FirstName)
	text("lastName", b.LastName, signed.LastName)
	text("email", b.Email, signed.Email)
	text("imageUrl", b.ImageURL, signed.ImageURL)
	text("countryCode", b.CountryCode, signed.CountryCode)
	text("referralCode", b.ReferralCode, signed.ReferralCode)
	for program, code := range b.ReferralCodes {
		text("referralCodes", code, signed.ReferralCodes[program])
	}
	if b.Referable != nil && (signed.Referable == nil || *b.Referable != *signed.Referable) {
		differs("referable")
	}
	if b.CustomFields != nil && (signed.CustomFields == nil || !sameJSON(*b.CustomFields, *signed.CustomFields)) {
		differs("customFields")
	}
	b.compareTraits(signed, differs)
	if b.converted() && !signed.converted() {
		differs("referredBy.isConverted")
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var left, right any
	if json.Unmarshal(a, &left) != nil || json.Unmarshal(b, &right) != nil {
		return false
	}
	one, errOne := json.Marshal(left) // with the members sorted
	other, errOther := json.Marshal(right)
	return errOne == nil && errOther == nil && bytes.Equal(one, other)
}

func (b *userBody) converted() bool {
	return b.ReferredBy != nil && b.ReferredBy.IsConverted != nil && *b.ReferredBy.IsConverted
}

// overlay returns what was signed together with what a browser may say.
func (b *userBody) overlay(signed userBody) *userBody {
	signed.Cookies = b.Cookies
	signed.ReferredByCodes = append(signed.ReferredByCodes, b.ReferredByCodes...)
	if b.ReferredBy != nil && b.ReferredBy.Code != nil {
		signed.ReferredByCodes = append(signed.ReferredByCodes, *b.ReferredBy.Code)
	}
	if b.Locale != nil {
		signed.Locale = b.Locale
	}
	return &signed
}

// origin is where a person's own request came from; the zero origin is that of a
// request which a server made.
type origin struct {
	ip     netip.Addr
	device string
	codes  []string // by which the browser came, the latest first
}

// registration is what is to be stored of a user.
func (b *userBody) registration(of person.Identity, account string, from origin) referral.Registration {
	r := referral.Registration{
		Identity: of,
		Patch: person.Patch{
			Account: &account, Email: b.Email, FirstName: b.FirstName, LastName: b.LastName, Locale: b.Locale, Country: b.CountryCode,
			ImageURL: b.ImageURL,
		},
		Codes: b.codes(), Cookies: from.codes, Device: from.device, IP: from.ip, Converted: b.converted(),
	}
	if b.CustomFields != nil || !b.saysNoTraits() {
		r.Patch.Revise = b.revise
	}
	if b.Referable != nil {
		r.Patch.Unreferable = new(!*b.Referable)
	}
	if b.ReferredBy != nil && b.ReferredBy.Code != nil {
		r.ReferredBy = append(r.ReferredBy, *b.ReferredBy.Code)
	}
	for _, code := range b.ReferredByCodes {
		if code != "" {
			r.ReferredBy = append(r.ReferredBy, code)
		}
	}
	return r
}

// codes are those that the user is to have, by the program's key; "" is the first
// program.
func (b *userBody) codes() map[string]string {
	codes := make(map[string]string)
	if b.ReferralCode != nil && *b.ReferralCode != "" {
		codes[""] = *b.ReferralCode
	}
	for program, code := range b.ReferralCodes {
		if code != nil && *code != "" {
			codes[program] = *code
		}
	}
	return codes
}

package saasquatch

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/dialect"
)

// pii shows a server everything that is kept of the user of the path. What nobody
// tells us, such as where an address is, is null.
func (a *api) pii(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	led, err := a.ledTo(ctx, c, p)
	if err != nil {
		return dialect.Answer{}, err
	}
	u, own := userOf(p, a.base(c)), traitsOf(p)
	return dialect.Answer{Status: http.StatusOK, Body: append(object{
		{"id", u.ID},
		{"accountId", u.AccountID},
		{"firstName", u.FirstName},
		{"lastName", u.LastName},
		{"lastInitial", initial(p.LastName)},
		{"referralCode", u.ReferralCode},
		{"imageUrl", u.ImageURL},
		{"email", u.Email},
		{"cookieId", orNull(p.Device)},
		{"paymentProviderId", orNull(own.PaymentProviderID)},
		{"locale", u.Locale},
		{"referable", !p.Unreferable},
		{"customFields", customFields(p)},
		{"firstSeenIP", u.FirstSeenIP},
		{"lastSeenIP", u.LastSeenIP},
		{"firstSeenIPLocation", nil},
		{"lastSeenIPLocation", nil},
		{"firstSeenUserAgent", nil},
		{"lastSeenUserAgent", nil},
		{"dateCreated", u.DateCreated},
		{"dateBlocked", milliOrNull(p.BlockedAt)},
		{"emailHash", u.EmailHash},
		{"referralSource", u.ReferralSource},
		{"shareLinks", u.ShareLinks},
		{"segments", own.segments()},
	}, led...)}, nil
}

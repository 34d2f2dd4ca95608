package saasquatch

import (
	"crypto/md5" //nolint:gosec // the product hashes e-mail addresses so
	"encoding/hex"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// userRef is what a user is called by.
type userRef struct {
	ID        string `json:"id"`
	AccountID string `json:"accountId"`
}

// refOf returns what a person is called by.
func refOf(p *person.Person) userRef {
	account, user := NameOf(p)
	return userRef{ID: user, AccountID: account}
}

// linksJSON are the share links of one engagement medium.
type linksJSON struct {
	ShareLink         string `json:"shareLink"`
	FacebookShareLink string `json:"facebookShareLink"`
	TwitterShareLink  string `json:"twitterShareLink"`
	EmailShareLink    string `json:"emailShareLink"`
	LinkedInShareLink string `json:"linkedinShareLink"`
}

// shareLinksJSON are all share links of a code.
type shareLinksJSON struct {
	linksJSON

	MobileShareLink         string `json:"mobileShareLink"`
	MobileFacebookShareLink string `json:"mobileFacebookShareLink"`
	MobileTwitterShareLink  string `json:"mobileTwitterShareLink"`
	MobileEmailShareLink    string `json:"mobileEmailShareLink"`

	Embed  linksJSON `json:"EMBED"`
	Popup  linksJSON `json:"POPUP"`
	Hosted linksJSON `json:"HOSTED"`
	Mobile linksJSON `json:"MOBILE"`
	Email  linksJSON `json:"EMAIL"`
}

// shareLinks returns the links of a code below a URL; without a code they are empty.
func shareLinks(baseURL, short string) shareLinksJSON {
	if short == "" {
		return shareLinksJSON{}
	}
	link := func(e code.Engagement, s code.Share) string {
		return baseURL + code.Path(short, code.Link{Engagement: e, Share: s})
	}
	of := func(e code.Engagement) linksJSON {
		return linksJSON{link(e, code.Direct), link(e, code.Facebook), link(e, code.Twitter), link(e, code.Email), link(e, code.LinkedIn)}
	}
	mobile := of(code.Mobile)
	return shareLinksJSON{
		linksJSON: of(code.UnknownEngagement), MobileShareLink: mobile.ShareLink, MobileFacebookShareLink: mobile.FacebookShareLink,
		MobileTwitterShareLink: mobile.TwitterShareLink, MobileEmailShareLink: mobile.EmailShareLink,
		Embed: of(code.Embed), Popup: of(code.Popup), Hosted: of(code.Hosted), Mobile: mobile, Email: of(code.InEmail),
	}
}

// userJSON is a user as the page on webhooks shows one.
type userJSON struct {
	userRef

	Email          *string        `json:"email"`
	FirstName      *string        `json:"firstName"`
	LastName       *string        `json:"lastName"`
	ReferralCode   string         `json:"referralCode"`
	ImageURL       string         `json:"imageUrl"`
	FirstSeenIP    *string        `json:"firstSeenIP"`
	LastSeenIP     *string        `json:"lastSeenIP"`
	DateCreated    int64          `json:"dateCreated"`
	EmailHash      *string        `json:"emailHash"`
	ReferralSource *string        `json:"referralSource"` // nobody tells us
	Locale         *string        `json:"locale"`
	ShareLinks     shareLinksJSON `json:"shareLinks"`
}

// userOf shows a person with links below a URL. Who was forgotten has no code: it was
// made of the name.
func userOf(p referral.Profile, baseURL string) userJSON {
	if p.IsDeleted() {
		p.Codes = nil
	}
	shown := userJSON{
		userRef: refOf(p.Person), Email: orNull(p.Email), FirstName: orNull(p.FirstName), LastName: orNull(p.LastName), ReferralCode: p.Code(),
		ImageURL: p.ImageURL, FirstSeenIP: orNull(p.FirstIP), LastSeenIP: orNull(p.LastIP), DateCreated: p.CreatedAt.UnixMilli(),
		Locale: orNull(p.Locale),
	}
	if p.Email != "" {
		sum := md5.Sum([]byte(strings.ToLower(strings.TrimSpace(p.Email)))) //nolint:gosec // as above
		shown.EmailHash = new(hex.EncodeToString(sum[:]))
	}
	if len(p.Codes) > 0 {
		shown.ShareLinks = shareLinks(baseURL, p.Codes[0].Short)
	}
	return shown
}

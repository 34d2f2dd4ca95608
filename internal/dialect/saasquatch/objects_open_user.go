package saasquatch

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// object is a JSON object whose members stay in their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := edge.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSuffix(value, []byte("\n")))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// programLinks are the links that a user has in one program.
type programLinks struct {
	Clean   string     `json:"cleanShareLink"`
	Mobile  directLink `json:"MOBILE"`
	Email   directLink `json:"EMAIL"`
	Unknown directLink `json:"UNKNOWN"`
}

type directLink struct {
	Direct string `json:"DIRECT"`
}

// recently is for how long somebody counts as newly referred.
const recently = 24 * time.Hour

// referredJSON is by whom a user came.
type referredJSON struct {
	Code          string `json:"code"`
	IsConverted   bool   `json:"isConverted"`
	NewlyReferred bool   `json:"newlyReferred"`
}

// openUserOf is a user as the open calls show one.
func openUserOf(p referral.Profile, base string) object {
	ref := refOf(p.Person)
	codes, links := make(map[string]string), make(map[string]programLinks)
	var short string
	for i, of := range p.Codes {
		if i == 0 {
			short = of.Short
		}
		link := func(e code.Engagement) directLink {
			return directLink{base + code.Path(of.Short, code.Link{Engagement: e, Share: code.Direct})}
		}
		codes[of.ProgramKey] = of.Text
		links[of.ProgramKey] = programLinks{base + code.CleanPath(of.Short), link(code.Mobile), link(code.InEmail), link(code.UnknownEngagement)}
	}
	return object{
		{"id", ref.ID},
		{"cookieId", nil},
		{"accountId", ref.AccountID},
		{"firstName", orNull(p.FirstName)},
		{"lastName", orNull(p.LastName)},
		{"email", orNull(p.Email)},
		{"referable", !p.Unreferable},
		{"locale", orNull(p.Locale)},
		{"countryCode", orNull(p.Country)},
		{"dateUsTaxFormSubmitted", nil},
		{"referralCode", p.Code()},
		{"referralCodes", codes},
		{"referredBy", referredOf(p, time.Now())},
		{"referredByCodes", referredBy(p)},
		{"imageUrl", p.ImageURL},
		{"customFields", customFields(p)},
		{"segments", []string{}},
		{"shareLinks", shareLinks(base, short)},
		{"programShareLinks", links},
	}
}

// extraOf are the members that are shown where they are asked for.
func extraOf(p referral.Profile, base string) object {
	u := userOf(p, base)
	return object{
		{"lastInitial", initial(p.LastName)},
		{"dateCreated", u.DateCreated},
		{"dateBlocked", milliOrNull(p.BlockedAt)},
		{"emailHash", u.EmailHash},
		{"firstSeenIP", u.FirstSeenIP},
		{"lastSeenIP", u.LastSeenIP},
		{"referralSource", u.ReferralSource},
		{"paymentProviderId", nil},
	}
}

func referredOf(p referral.Profile, now time.Time) *referredJSON {
	if len(p.Referrals) == 0 {
		return nil
	}
	r := p.Referrals[0]
	return &referredJSON{r.Code, !r.ConvertedAt.IsZero(), now.Sub(r.StartedAt) < recently}
}

func referredBy(p referral.Profile) []string {
	codes := make([]string, len(p.Referrals))
	for i, r := range p.Referrals {
		codes[i] = r.Code
	}
	return codes
}

func customFields(p referral.Profile) json.RawMessage {
	if len(p.Fields) == 0 {
		return json.RawMessage("{}")
	}
	return p.Fields
}

// initial is the first letter of a name, or null.
func initial(last string) *string {
	r, size := utf8.DecodeRuneInString(last)
	if size == 0 {
		return nil
	}
	return new(string(r))
}

// selection is which members of a user a client asks for.
type selection struct{ only, extra []string }

// members are the names that there are.
var members = func() []string {
	var known []string
	nobody := referral.Profile{Person: new(person.Person)}
	for _, m := range append(openUserOf(nobody, ""), extraOf(nobody, "")...) {
		known = append(known, m.name)
	}
	return known
}()

// selectionOf reads the parameters fields and extraFields: names with commas between,
// and perhaps several times.
func selectionOf(c *dialect.Call) (selection, error) {
	query := c.Request.URL.Query()
	s := selection{names(query["fields"]), names(query["extraFields"])}
	var checks problem.Checks
	if len(s.only) > 0 && len(s.extra) > 0 {
		checks.Add("fields", "can't be given together with extraFields")
	}
	unknown := func(name string) bool { return !slices.Contains(members, name) }
	if slices.ContainsFunc(s.only, unknown) {
		checks.Add("fields", "has one that users do not have")
	}
	if slices.ContainsFunc(s.extra, unknown) {
		checks.Add("extraFields", "has one that users do not have")
	}
	return s, checks.Err()
}

func names(given []string) []string {
	var all []string
	for _, list := range given {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, name)
			}
		}
	}
	return all
}

// of shows what was asked for of a user.
func (s selection) of(p referral.Profile, base string) object {
	shown := openUserOf(p, base)
	if len(s.only) > 0 {
		all := append(shown, extraOf(p, base)...)
		return slices.DeleteFunc(all, func(m member) bool { return !slices.Contains(s.only, m.name) })
	}
	for _, m := range extraOf(p, base) {
		if slices.Contains(s.extra, m.name) {
			shown = append(shown, m)
		}
	}
	return shown
}

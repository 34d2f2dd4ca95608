package saasquatch

import (
	"bytes"
	"encoding/json"
	"net/http"
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

var _ edge.Encoder = object(nil)

// EncodeJSON writes the members.
func (o object) EncodeJSON(to *bytes.Buffer) error {
	enc := json.NewEncoder(to)
	enc.SetEscapeHTML(false)
	to.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			to.WriteByte(',')
		}
		to.WriteByte('"')
		to.WriteString(m.name) // a word of ours, or as GraphQL has names: nothing is to be escaped
		to.WriteString(`":`)
		if err := enc.Encode(m.value); err != nil {
			return err
		}
		to.Truncate(to.Len() - 1) // the newline
	}
	to.WriteByte('}')
	return nil
}

// MarshalJSON writes the members, where they stand in something else.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := o.EncodeJSON(&b)
	return b.Bytes(), err
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
	ref, own := refOf(p.Person), traitsOf(p)
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
		{"cookieId", orNull(p.Device)},
		{"accountId", ref.AccountID},
		{"firstName", orNull(p.FirstName)},
		{"lastName", orNull(p.LastName)},
		{"email", orNull(p.Email)},
		{"referable", !p.Unreferable},
		{"locale", orNull(p.Locale)},
		{"countryCode", orNull(p.Country)},
		{"dateUsTaxFormSubmitted", own.DateUSTaxFormSubmitted},
		{"referralCode", p.Code()},
		{"referralCodes", codes},
		{"referredBy", referredOf(p, time.Now())},
		{"referredByCodes", referredBy(p)},
		{"imageUrl", p.ImageURL},
		{"customFields", customFields(p)},
		{"segments", own.segments()},
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
		{"paymentProviderId", orNull(traitsOf(p).PaymentProviderID)},
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
	switch {
	case len(p.Fields) == 0:
		return json.RawMessage("{}")
	case !bytes.Contains(p.Fields, []byte(traitsName)):
		return p.Fields
	}
	custom, _ := split(p.Fields)
	shown, err := json.Marshal(custom)
	if err != nil { // it was read from JSON
		return json.RawMessage("{}")
	}
	return shown
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
	unknown := func(name string) bool { return !slices.Contains(members, name) }
	switch {
	case len(s.only) > 0 && len(s.extra) > 0:
		return s, refuseParameter("fields", "can't be given together with extraFields")
	case slices.ContainsFunc(s.only, unknown):
		return s, refuseParameter("fields", "has one that users do not have")
	case slices.ContainsFunc(s.extra, unknown):
		return s, refuseParameter("extraFields", "has one that users do not have")
	}
	return s, nil
}

// refuseParameter refuses a parameter of the query by its own name. The parameter
// fields has the name that custom fields have here, which the table of refusals would
// take it for.
func refuseParameter(name, message string) error {
	return dialect.Refusal{
		Status: http.StatusBadRequest, Code: codeValidationFailed, Fields: []problem.Field{{Name: name, Message: message}},
		Message: name + ": " + message,
	}
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
	if len(s.extra) == 0 {
		return shown
	}
	for _, m := range extraOf(p, base) {
		if slices.Contains(s.extra, m.name) {
			shown = append(shown, m)
		}
	}
	return shown
}

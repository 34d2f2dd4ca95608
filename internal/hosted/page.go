package hosted

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// view is what a page shows.
type view struct {
	Title  string
	Text   []string // paragraphs
	Path   string
	Query  string // what the links and forms of the page keep
	Framed bool
	Closed bool // nobody can register now

	Form    form   // where nobody knows whose browser it is
	Link    string // "": the person has none in this program yet
	Shares  []share
	Rewards []shownReward
	Writes  bool   // those who are known are sent links to their pages
	Token   string // of a link to the own page
}

// share is a way to send a link.
type share struct{ Name, URL string }

// shownReward is a reward in words.
type shownReward struct{ Name, State, Since string }

// maxRewards is how many rewards a page shows, the latest.
const maxRewards = 50

func (p page) view() view {
	v := view{
		Title: p.program.Title(), Path: p.path, Framed: p.framed, Closed: !p.program.Runs(time.Now()), Form: form{Token: rand.Text()},
	}
	for paragraph := range strings.SplitSeq(strings.ReplaceAll(p.program.Settings.Page.Text, "\r\n", "\n"), "\n\n") {
		if paragraph = strings.TrimSpace(paragraph); paragraph != "" {
			v.Text = append(v.Text, paragraph)
		}
	}
	if p.framed {
		v.Query = "?embed=1"
	}
	return v
}

// show shows the form, or somebody's link and rewards.
func (h *Hosted) show(w http.ResponseWriter, r *http.Request, p page) error {
	v := p.view()
	who, renew, err := h.visitor(r, p)
	if err != nil {
		return err
	}
	if who == nil {
		return h.render(w, http.StatusOK, "form", v)
	}
	if renew {
		if err := h.recognise(w, r, p, who.ID); err != nil {
			return err
		}
	}
	v.Writes = h.url != "" && p.program.Settings.Messages != "off"
	if short := p.shortOf(who); short != "" {
		v.Link, v.Shares = p.shares(h.base(r), short)
	}
	rewards, err := h.rewards(r, p, who.ID)
	if err != nil {
		return err
	}
	v.Rewards = rewards
	return h.render(w, http.StatusOK, "own", v)
}

// visitor returns whose browser it is, and whether its cookie should be renewed;
// nil: nobody's that is known.
func (h *Hosted) visitor(r *http.Request, p page) (*referral.Profile, bool, error) {
	of, renew := h.recognised(r, p)
	if of.IsZero() {
		return nil, false, nil
	}
	who, err := h.referrals.PersonByID(r.Context(), p.tenant.ID, of)
	if problem.NotFound.Has(err) { // forgotten since
		return nil, false, nil
	}
	return &who, renew, err
}

// shortOf returns the short code of a person's link in the program; "": there is
// none.
func (p page) shortOf(who *referral.Profile) string {
	for _, c := range who.Codes {
		if c.ProgramID == p.program.ID {
			return c.Short
		}
	}
	return ""
}

// shares returns the link to copy, and the ways to send one. Each has a link of its
// own, so that it is known later by which somebody came.
func (p page) shares(base, short string) (string, []share) {
	where := code.Hosted
	if p.framed {
		where = code.Embed
	}
	link := func(by code.Share) string { return base + code.Path(short, code.Link{Engagement: where, Share: by}) }
	with := func(address string, query url.Values) string {
		return address + "?" + strings.ReplaceAll(query.Encode(), "+", "%20") // in mailto a + is a +
	}
	words := "Join me at " + p.program.Title()
	return link(code.Direct), []share{
		{"Facebook", with("https://www.facebook.com/sharer/sharer.php", url.Values{"u": {link(code.Facebook)}})},
		{"X", with("https://x.com/intent/post", url.Values{"text": {words}, "url": {link(code.Twitter)}})},
		{"LinkedIn", with("https://www.linkedin.com/sharing/share-offsite/", url.Values{"url": {link(code.LinkedIn)}})},
		{"WhatsApp", with("https://wa.me/", url.Values{"text": {words + ": " + link(code.WhatsApp)}})},
		{"E-mail", with("mailto:", url.Values{"subject": {words}, "body": {words + ": " + link(code.Email)}})},
	}
}

// rewardStates are the words for the states of rewards that are shown.
var rewardStates = map[reward.State]string{
	reward.IsPending: "pending", reward.IsAvailable: "available", reward.IsRedeemed: "redeemed", reward.IsExpired: "expired",
}

// rewards returns what the person has got in the program, the latest first.
func (h *Hosted) rewards(r *http.Request, p page, of id.ID) ([]shownReward, error) {
	all, err := h.referrals.Rewards(r.Context(), p.tenant.ID, referral.RewardFilter{People: []id.ID{of}, Limit: maxRewards})
	if err != nil {
		return nil, err
	}
	var shown []shownReward
	for _, got := range all {
		if state, ok := rewardStates[got.State]; ok && (got.ProgramID == p.program.ID || got.ProgramID.IsZero()) {
			shown = append(shown, shownReward{referral.RewardName(got), state, got.GivenAt.In(p.program.Zone).Format("2 January 2006")})
		}
	}
	return shown, nil
}

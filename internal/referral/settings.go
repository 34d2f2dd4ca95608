package referral

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Settings are those of a referral program. The zero value works, but for share
// links, which then lead to the program's own page.
type Settings struct {
	// LandingURL is where share links lead, with the code in the parameter rsCode.
	LandingURL string `json:"landing_url,omitempty"`
	// AllowedHosts are where else a link may lead, by its parameter "to".
	AllowedHosts []string    `json:"allowed_hosts,omitempty"`
	Attribution  Attribution `json:"attribution,omitzero"`
	Moderation   Defaults    `json:"moderation,omitzero"`
	// Fraud says what each signal leads to; see package fraud.
	Fraud json.RawMessage `json:"fraud,omitempty"`
	// Accounts says what the state of an account does: "convert" (the default) has
	// paid convert referrals and cancelled end them; "ignore" leaves that to rules.
	Accounts string `json:"accounts,omitempty"`
	// Clawback is what becomes of the spent part of a reward that is taken back.
	Clawback ledger.Policy `json:"clawback,omitempty"`
	// Messages says whether people are written to: "on" (the default) or "off".
	Messages string `json:"messages,omitempty"`
	// Page is the program's own page.
	Page HostedPage `json:"page,omitzero"`

	fraud  fraud.Settings
	window rule.Duration // of touches; zero: for ever
	after  rule.Duration
}

// Attribution says who gets the credit for somebody who came more than once.
type Attribution struct {
	Mode   attribution.Mode `json:"mode,omitempty"`   // first, last or sticky, the default
	Window string           `json:"window,omitempty"` // how long a touch counts, such as 90d; "": for ever
}

// Defaults are what is decided about a referral that no signal concerns.
type Defaults struct {
	Referrer Moderation `json:"referrer,omitempty"` // "": approved
	Referred Moderation `json:"referred,omitempty"` // "": approved
	// ApproveAfter approves what is still pending then, unless a signal holds it.
	ApproveAfter string `json:"approve_after,omitempty"`
}

// HostedPage is what the program's own page says.
type HostedPage struct {
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
	Frame bool   `json:"frame,omitempty"` // other sites may show it in a frame
}

// Kind is the kind of program that this package runs.
func Kind() program.Kind {
	return program.Kind{
		Name: KindName,
		Rules: rule.Options{
			Kinds:   []rule.Kind{rule.Points, rule.Credit, rule.Percent, rule.CodePool, rule.Webhook},
			Actions: []string{},
			World: &rule.World{
				Roots:   []string{"event", "person", "referral", "program"},
				Amounts: []string{"event", "person"},
				Roles:   []rule.Role{rule.Referrer, rule.Referred},
				Facts:   listenedTo(),
				Counted: counter{}.Counted(), CountedFor: rule.Referrer,
				Reported: activity.Reportable,
			},
		},
		Check: func(raw json.RawMessage) (json.RawMessage, error) {
			s, err := readSettings(raw)
			if err != nil {
				return nil, err
			}
			return json.Marshal(s)
		},
	}
}

// listenedTo are the types of the facts that rules are asked about.
func listenedTo() []string {
	types := []string{person.Created, Started, Converted}
	for _, state := range person.States {
		types = append(types, accountPrefix+string(state))
	}
	return types
}

// readSettings reads and checks settings.
func readSettings(raw json.RawMessage) (*Settings, error) {
	s := new(Settings)
	if err := program.ReadSettings(raw, s); err != nil {
		return nil, err
	}
	var checks problem.Checks
	if s.LandingURL != "" {
		if _, ok := webURL(s.LandingURL); !ok {
			checks.Add("settings.landing_url", "must be a URL with https or http, without user and password")
		}
	}
	for i, host := range s.AllowedHosts {
		s.AllowedHosts[i] = strings.ToLower(host)
		if u, err := url.Parse("https://" + host); err != nil || u.Host != host || host == "" || strings.ContainsAny(host, "/@?#") {
			checks.Add("settings.allowed_hosts", "must be names of hosts, such as www.example.com")
		}
	}
	if len(s.AllowedHosts) > 100 {
		checks.Add("settings.allowed_hosts", "has more than 100 hosts")
	}
	s.window = duration(&checks, "settings.attribution.window", s.Attribution.Window)
	checks.AddError("settings.attribution", attribution.Policy{Mode: s.Attribution.Mode}.Check("settings.attribution"))
	for name, decision := range map[string]Moderation{"referrer": s.Moderation.Referrer, "referred": s.Moderation.Referred} {
		if decision != "" && !slices.Contains([]Moderation{Undecided, Approved, Denied}, decision) {
			checks.Add("settings.moderation."+name, "must be pending, approved or denied")
		}
	}
	s.after = duration(&checks, "settings.moderation.approve_after", s.Moderation.ApproveAfter)
	var err error
	s.fraud, err = fraud.Parse("settings.fraud", s.Fraud)
	checks.AddError("settings.fraud", err)
	if s.Accounts != "" && s.Accounts != "convert" && s.Accounts != "ignore" {
		checks.Add("settings.accounts", "must be convert or ignore")
	}
	if s.Messages != "" && s.Messages != "on" && s.Messages != "off" {
		checks.Add("settings.messages", "must be on or off")
	}
	if s.Clawback != "" && !slices.Contains(ledger.Policies(), s.Clawback) {
		checks.Add("settings.clawback", "must be keep, to_zero, negative or offset_next")
	}
	if len(s.Page.Title) > 200 || len(s.Page.Text) > 5000 {
		checks.Add("settings.page", "has a title of more than 200 bytes, or a text of more than 5000")
	}
	return s, checks.Err()
}

func duration(checks *problem.Checks, name, text string) rule.Duration {
	if text == "" {
		return rule.Duration{}
	}
	d, err := rule.ParseDuration(text)
	checks.AddError(name, err)
	return d
}

// webURL reads a URL that people can be sent to.
func webURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, false
	}
	return u, len(text) <= 2048 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Landing returns where a share link of the program leads: to a URL that was asked
// for, if its host is allowed, else to the landing page. It reports false where the
// program has none.
func (s *Settings) Landing(to, text string) (string, bool) {
	landing, ok := webURL(s.LandingURL)
	if asked, valid := webURL(to); valid {
		host := strings.ToLower(asked.Host)
		if slices.Contains(s.AllowedHosts, host) || ok && strings.EqualFold(landing.Host, asked.Host) {
			landing, ok = asked, true
		}
	}
	if !ok {
		return "", false
	}
	query := landing.Query()
	query.Set("rsCode", text)
	landing.RawQuery = query.Encode()
	return landing.String(), true
}

// policy is how the credit is decided at a time. On the calendar of the program's zone
// a window is longer or shorter by when it ends.
func (s *Settings) policy(now time.Time, zone *time.Location) attribution.Policy {
	p := attribution.Policy{Mode: s.Attribution.Mode}
	if !s.window.IsZero() {
		p.Window = now.Sub(s.window.Before(now, zone))
	}
	return p
}

func (s *Settings) defaultOf(side Side) Moderation {
	if side == ReferrerSide {
		return cmp.Or(s.Moderation.Referrer, Approved)
	}
	return cmp.Or(s.Moderation.Referred, Approved)
}

func (s *Settings) convertsAccounts() bool { return s.Accounts != "ignore" }
func (s *Settings) writes() bool           { return s.Messages != "off" }

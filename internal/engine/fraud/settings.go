package fraud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The bounds of settings.
const (
	MinThreshold = 50              // below it no two names are compared
	MinWindow    = Seconds(60)     // a minute
	MaxWindow    = Seconds(7776e3) // ninety days
	MaxDomains   = 1000            // in one list
	MaxNetworks  = 100
)

// Action is what a kind of signal leads to.
type Action string

// The actions, the strictest last.
const (
	Off   Action = "off"   // it is not looked for
	Flag  Action = "flag"  // it is shown with the referral
	Hold  Action = "hold"  // the referral waits for approval
	Block Action = "block" // the referral is denied
)

// outcome is what an action makes of a referral.
func (a Action) outcome() Outcome {
	switch a {
	case Flag:
		return Flagged
	case Hold:
		return Held
	case Block:
		return Blocked
	case Off:
		return None
	default:
		return None
	}
}

// Seconds is a length of time, as settings write it.
type Seconds int64

// Settings say for each kind of signal what it leads to, and when it is one. In JSON
// its members are the kinds' names:
//
//	{"rate": {"action": "hold", "count": 5, "window": 3600}, "domain": {"action": "off"}}
//
// What is left out, or zero, is as [Settings.WithDefaults] says.
type Settings struct {
	Self       Rule           `json:"self,omitzero"`
	Listed     Rule           `json:"listed,omitzero"`
	Ring       Rule           `json:"ring,omitzero"`
	Email      Rule           `json:"email,omitzero"`
	Device     Rule           `json:"device,omitzero"`
	Disposable DisposableRule `json:"disposable,omitzero"`
	Sequential SequentialRule `json:"sequential,omitzero"`
	Name       NameRule       `json:"name,omitzero"`
	IP         IPRule         `json:"ip,omitzero"`
	Rate       RateRule       `json:"rate,omitzero"`
	Domain     DomainRule     `json:"domain,omitzero"`
}

// Rule is all there is to say of a kind that is or is not.
type Rule struct {
	Action Action `json:"action,omitempty"`
}

// DisposableRule is about mailboxes that are made to be thrown away.
type DisposableRule struct {
	Action  Action   `json:"action,omitempty"`
	Domains []string `json:"domains,omitempty"` // besides the well-known ones; those below them count too
	Allowed []string `json:"allowed,omitempty"` // never count, nor do those below them
}

// SequentialRule is about e-mail addresses that are numbered.
type SequentialRule struct {
	Action Action `json:"action,omitempty"`
	Count  int    `json:"count,omitempty"` // so many neighbours are a signal
}

// NameRule is about names.
type NameRule struct {
	Action    Action `json:"action,omitempty"`
	Threshold int    `json:"threshold,omitempty"` // a similarity of so many percent is a signal
}

// IPRule is about network addresses. The referrer's is a signal at once, those of
// others whom the referrer referred only where there are enough of them.
type IPRule struct {
	Action   Action   `json:"action,omitempty"`
	Count    int      `json:"count,omitempty"`     // so many others at the address are a signal
	Window   Seconds  `json:"window,omitempty"`    // if they were referred within it
	IPv4Bits int      `json:"ipv4_bits,omitempty"` // addresses that begin alike are one: 24 for networks of 256
	IPv6Bits int      `json:"ipv6_bits,omitempty"`
	Allowed  []string `json:"allowed,omitempty"` // networks (CIDR) or addresses that never count, such as offices
}

// RateRule is about how fast a referrer refers.
type RateRule struct {
	Action Action  `json:"action,omitempty"`
	Count  int     `json:"count,omitempty"` // so many referrals are fine, one more is a signal
	Window Seconds `json:"window,omitempty"`
}

// DomainRule is about the domains of e-mail addresses. Free providers never count.
type DomainRule struct {
	Action  Action   `json:"action,omitempty"`
	Count   int      `json:"count,omitempty"`   // so many others at the domain are a signal; one is if it is the referrer
	Allowed []string `json:"allowed,omitempty"` // never count
}

// WithDefaults returns the settings with what is left out filled in. Who is on the block
// list is blocked, and every other kind of signal is flagged. Three referrals in half an hour are fine; names are similar
// from 75 %; two numbered neighbours, three others at one address within thirty days
// and three others at one domain are a signal; addresses are compared whole, but of
// IPv6 the first 64 bits, since a household has all that begin so.
func (s Settings) WithDefaults() Settings {
	setDefault(&s.Listed.Action, Block)
	for _, m := range s.members() {
		setDefault(m.action, Flag)
	}
	setDefault(&s.Sequential.Count, 2)
	setDefault(&s.Name.Threshold, 75)
	setDefault(&s.IP.Count, 3)
	setDefault(&s.IP.Window, 30*24*3600)
	setDefault(&s.IP.IPv4Bits, 32)
	setDefault(&s.IP.IPv6Bits, 64)
	setDefault(&s.Rate.Count, 3)
	setDefault(&s.Rate.Window, 30*60)
	setDefault(&s.Domain.Count, 3)
	return s
}

func setDefault[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// member is a member of the settings, by its kind.
type member struct {
	kind   Kind
	rule   any // a pointer to what the member is decoded into
	action *Action
}

// members lists the members, so that what all have in common is said once.
func (s *Settings) members() []member {
	return []member{
		{Self, &s.Self, &s.Self.Action},
		{OnList, &s.Listed, &s.Listed.Action},
		{Ring, &s.Ring, &s.Ring.Action},
		{SameEmail, &s.Email, &s.Email.Action},
		{SameDevice, &s.Device, &s.Device.Action},
		{Disposable, &s.Disposable, &s.Disposable.Action},
		{Sequential, &s.Sequential, &s.Sequential.Action},
		{SimilarName, &s.Name, &s.Name.Action},
		{SameIP, &s.IP, &s.IP.Action},
		{Rate, &s.Rate, &s.Rate.Action},
		{SameDomain, &s.Domain, &s.Domain.Action},
	}
}

// Parse reads and checks the settings that stand in a field of that name. Nothing,
// and null, are the defaults. Domains come back in their normal form. The error is a
// problem that names every mistake by its path, such as fraud.rate.window, and
// repeats nothing of what was given.
func Parse(field string, raw []byte) (Settings, error) {
	var s Settings
	if len(bytes.TrimSpace(raw)) == 0 {
		return s, nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return Settings{}, problem.InvalidField(field, "must be an object with a member for each kind of signal: %s", kindNames())
	}
	var checks problem.Checks
	for _, m := range s.members() {
		if rule, ok := given[string(m.kind)]; ok {
			parseRule(&checks, field+"."+string(m.kind), rule, m.rule)
			delete(given, string(m.kind))
		}
	}
	if len(given) > 0 {
		checks.Add(field, "has a member that is no kind of signal; there are %s", kindNames())
	}
	for _, list := range s.domainLists() {
		for i, domain := range *list.domains {
			if form, ok := email.NormalizeDomain(domain); ok {
				(*list.domains)[i] = form
			}
		}
	}
	checks.AddError(field, s.Validate(field))
	if err := checks.Err(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

// parseRule decodes one member of the settings.
func parseRule(checks *problem.Checks, path string, raw json.RawMessage, into any) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		checks.Add(path+"."+wrong.Field, "must be %s", typeNames[wrong.Type.Kind()])
		return
	}
	checks.Add(path, "must be an object with no other members than %s", strings.Join(membersOf(into), ", "))
}

// typeNames says to a person which types the members of rules have.
var typeNames = map[reflect.Kind]string{
	reflect.Int: "a whole number", reflect.Int64: "a whole number of seconds",
	reflect.String: "text", reflect.Slice: "a list of text",
}

// membersOf names the members that a rule may have.
func membersOf(rule any) []string {
	t := reflect.TypeOf(rule).Elem()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

// kindNames lists the kinds for a person.
func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// Validate names every mistake of the settings by its path below field. The error is
// a problem.
func (s Settings) Validate(field string) error {
	var checks problem.Checks
	for _, m := range s.members() {
		if !slices.Contains([]Action{"", Off, Flag, Hold, Block}, *m.action) {
			checks.Add(fmt.Sprintf("%s.%s.action", field, m.kind), "must be off, flag, hold or block")
		}
	}
	s.validateNumbers(&checks, field)
	for _, list := range s.domainLists() {
		validateDomains(&checks, field+"."+list.path, *list.domains)
	}
	if len(s.IP.Allowed) > MaxNetworks {
		checks.Add(field+".ip.allowed", "has more than %d entries", MaxNetworks)
	}
	for i, text := range first(s.IP.Allowed, MaxNetworks) {
		if _, ok := parseNetwork(text); !ok {
			checks.Add(fmt.Sprintf("%s.ip.allowed[%d]", field, i), "must be a network such as 203.0.113.0/24, or an address")
		}
	}
	return checks.Err()
}

func (s Settings) validateNumbers(checks *problem.Checks, field string) {
	within := func(path string, n, low, high int64) {
		if n != 0 && (n < low || n > high) {
			checks.Add(field+"."+path, "must be between %d and %d", low, high)
		}
	}
	within("name.threshold", int64(s.Name.Threshold), MinThreshold, 100)
	within("sequential.count", int64(s.Sequential.Count), 1, MaxRecent)
	within("domain.count", int64(s.Domain.Count), 1, MaxRecent)
	within("ip.count", int64(s.IP.Count), 1, MaxRecent)
	within("ip.window", int64(s.IP.Window), int64(MinWindow), int64(MaxWindow))
	within("ip.ipv4_bits", int64(s.IP.IPv4Bits), 8, 32)
	within("ip.ipv6_bits", int64(s.IP.IPv6Bits), 16, 128)
	within("rate.count", int64(s.Rate.Count), 1, MaxRecent)
	within("rate.window", int64(s.Rate.Window), int64(MinWindow), int64(MaxWindow))
}

// domainList is a member that lists domains.
type domainList struct {
	path    string
	domains *[]string
}

func (s *Settings) domainLists() []domainList {
	return []domainList{
		{"disposable.domains", &s.Disposable.Domains},
		{"disposable.allowed", &s.Disposable.Allowed},
		{"domain.allowed", &s.Domain.Allowed},
	}
}

func validateDomains(checks *problem.Checks, path string, domains []string) {
	if len(domains) > MaxDomains {
		checks.Add(path, "has more than %d entries", MaxDomains)
	}
	for i, domain := range first(domains, MaxDomains) {
		if form, ok := email.NormalizeDomain(domain); !ok || form != domain {
			checks.Add(fmt.Sprintf("%s[%d]", path, i), "must be a domain, such as example.com")
		}
	}
}

// parseNetwork reads a network in CIDR notation, or one address.
func parseNetwork(text string) (netip.Prefix, bool) {
	if network, err := netip.ParsePrefix(text); err == nil {
		return network.Masked(), true
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

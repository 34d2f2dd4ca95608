package fraud

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Kind is a kind of signal. The words are stable.
type Kind string

// The kinds of signals.
const (
	Self        Kind = "self"       // the referrer refers themselves
	OnList      Kind = "listed"     // one of both is on the tenant's block list
	Ring        Kind = "ring"       // the referred has, over others, referred the referrer
	SameEmail   Kind = "email"      // one mailbox
	SameDevice  Kind = "device"     // one cookie or device
	Disposable  Kind = "disposable" // a mailbox to be thrown away
	Sequential  Kind = "sequential" // user1@, user2@, user3@
	SimilarName Kind = "name"       // names of one person, spelled differently
	SameIP      Kind = "ip"         // one network address
	Rate        Kind = "rate"       // many referrals within a short time
	SameDomain  Kind = "domain"     // e-mail at one domain that isn't everybody's
)

// Kinds lists the kinds, those first that count most.
func Kinds() []Kind {
	kinds := make([]Kind, len(checks))
	for i, c := range checks {
		kinds[i] = c.kind
	}
	return kinds
}

// finding is what a check has found.
type finding struct {
	message  string
	compared Compared
}

// check is how one kind of signal is looked for.
type check struct {
	kind   Kind
	score  int
	action func(s Settings) Action
	find   func(p *prepared, s Settings) *finding // nil: nothing
}

// checks are all there are. The scores of names and addresses are those of the
// hosted product whose programs move here; the others stand in proportion.
var checks = []check{
	{Self, 100, func(s Settings) Action { return s.Self.Action }, findSelf},
	{OnList, 100, func(s Settings) Action { return s.Listed.Action }, findListed},
	{Ring, 90, func(s Settings) Action { return s.Ring.Action }, findRing},
	{SameEmail, 90, func(s Settings) Action { return s.Email.Action }, findEmail},
	{SameDevice, 80, func(s Settings) Action { return s.Device.Action }, findDevice},
	{Disposable, 70, func(s Settings) Action { return s.Disposable.Action }, findDisposable},
	{Sequential, 60, func(s Settings) Action { return s.Sequential.Action }, findSequential},
	{SimilarName, 50, func(s Settings) Action { return s.Name.Action }, findName},
	{SameIP, 50, func(s Settings) Action { return s.IP.Action }, findIP},
	{Rate, 50, func(s Settings) Action { return s.Rate.Action }, findRate},
	{SameDomain, 30, func(s Settings) Action { return s.Domain.Action }, findDomain},
}

// findSelf: one person on both sides, or a link followed on the referrer's own
// device. The same network address is no proof of that; findIP says it.
func findSelf(p *prepared, _ Settings) *finding {
	compared := Compared{People: []id.ID{p.referrer.ID}}
	if !p.referrer.ID.IsZero() && p.referrer.ID == p.referred.ID {
		return &finding{"Referrer and referred are the same person", compared}
	}
	if p.touch.Device != "" && slices.Contains(p.referrer.Devices, p.touch.Device) {
		return &finding{"The referral was followed on the referrer's own device", compared}
	}
	return nil
}

// findListed: the tenant itself has said of one of both that it is not wanted. Of
// several entries the first is shown.
func findListed(p *prepared, _ Settings) *finding {
	if len(p.listed) == 0 {
		return nil
	}
	e := p.listed[0]
	found := Compared{People: []id.ID{p.referred.ID}, Entry: e.ID, EntryKind: e.Kind, Side: "referred"}
	who := "Referred"
	if e.Referrer {
		found.People, found.Side, who = []id.ID{p.referrer.ID}, "referrer", "Referrer"
	}
	return &finding{who + " is on the block list (" + e.Kind + ")", found}
}

func findRing(p *prepared, _ Settings) *finding {
	if len(p.ring) < 2 {
		return nil // who refers themselves is found by findSelf
	}
	return &finding{"Referred has referred the referrer, directly or through others", Compared{People: p.ring}}
}

func findEmail(p *prepared, _ Settings) *finding {
	if p.referred.email == "" {
		return nil
	}
	if p.referred.email == p.referrer.email {
		return &finding{"Referrer and referred have the same email address", Compared{People: []id.ID{p.referrer.ID}}}
	}
	others := p.others(func(s side) bool { return s.email == p.referred.email })
	if len(others.People) == 0 {
		return nil
	}
	return &finding{"Referred has the email address of somebody else whom the referrer referred", others}
}

func findDevice(p *prepared, _ Settings) *finding {
	if p.referred.sharesDevice(p.referrer) {
		return &finding{"Referrer and referred use the same device", Compared{People: []id.ID{p.referrer.ID}}}
	}
	others := p.others(p.referred.sharesDevice)
	if len(others.People) == 0 {
		return nil
	}
	return &finding{"Referred uses the same device as somebody else whom the referrer referred", others}
}

func (s side) sharesDevice(other side) bool {
	return slices.ContainsFunc(s.Devices, func(device string) bool {
		return device != "" && slices.Contains(other.Devices, device)
	})
}

func findDisposable(p *prepared, s Settings) *finding {
	if s.Disposable.listed(p.referred.domain) {
		return &finding{"Referred has a temporary email address", Compared{People: []id.ID{p.referred.ID}, Domain: p.referred.domain}}
	}
	if s.Disposable.listed(p.referrer.domain) {
		return &finding{"Referrer has a temporary email address", Compared{People: []id.ID{p.referrer.ID}, Domain: p.referrer.domain}}
	}
	return nil
}

// listed reports whether a domain, or one above it, is known for temporary
// addresses. What the tenant allows goes before what anybody lists.
func (r DisposableRule) listed(domain string) bool {
	allowed := func(d string) bool { return slices.Contains(r.Allowed, d) }
	added := func(d string) bool { return slices.Contains(r.Domains, d) }
	return !email.Within(domain, allowed) && (email.Disposable(domain) || email.Within(domain, added))
}

// findSequential: the same domain, and local parts that are the same but for a
// number at their end, which may be missing. Numbers alone say nothing: at some
// providers every address is one.
func findSequential(p *prepared, s Settings) *finding {
	stem := withoutNumber(p.referred.local)
	if stem == "" {
		return nil
	}
	others := p.others(func(o side) bool {
		return o.domain == p.referred.domain && o.local != p.referred.local && withoutNumber(o.local) == stem
	})
	if len(others.People) < s.Sequential.Count {
		return nil
	}
	others.Count, others.Limit = len(others.People)+1, s.Sequential.Count
	return &finding{"Referrer has referred a row of numbered email addresses", others}
}

func withoutNumber(local string) string { return strings.TrimRight(local, "0123456789") }

func findName(p *prepared, s Settings) *finding {
	similarity := Similarity(p.referrer.name(), p.referred.name())
	if similarity < s.Name.Threshold {
		return nil
	}
	return &finding{
		"Referrer and referred have very similar names", // a word other than the vendor's would break rules on it
		Compared{People: []id.ID{p.referrer.ID}, Similarity: similarity, Threshold: s.Name.Threshold},
	}
}

func (s side) name() FullName { return FullName{s.FirstName, s.LastName} }

// findIP: an address of the referred, or of the visit that led here, is the
// referrer's, or that of as many others as the settings say.
func findIP(p *prepared, s Settings) *finding {
	networks := s.IP.networks(append(slices.Clone(p.referred.IPs), p.touch.IP))
	if len(networks) == 0 {
		return nil
	}
	shares := func(o side) bool {
		return slices.ContainsFunc(s.IP.networks(o.IPs), func(n netip.Prefix) bool { return slices.Contains(networks, n) })
	}
	if shares(p.referrer) {
		return &finding{"Referrer and referred have the same IP address", Compared{People: []id.ID{p.referrer.ID}}}
	}
	others := p.within(s.IP.Window).others(shares)
	if len(others.People) < s.IP.Count {
		return nil
	}
	others.Count, others.Limit, others.Window = len(others.People)+1, s.IP.Count, s.IP.Window
	return &finding{"Referrer has referred several people with the same IP address", others}
}

// networks returns the networks that the addresses are in. Those that the tenant
// allows are left out, and those that aren't anybody's in particular: behind a proxy
// that names itself instead of its clients everybody has one private address.
func (r IPRule) networks(addrs []netip.Addr) []netip.Prefix {
	var list []netip.Prefix
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if !addr.IsGlobalUnicast() || addr.IsPrivate() || r.allows(addr) {
			continue
		}
		bits := r.IPv6Bits
		if addr.Is4() {
			bits = r.IPv4Bits
		}
		if network, err := addr.Prefix(bits); err == nil {
			list = append(list, network)
		}
	}
	return list
}

func (r IPRule) allows(addr netip.Addr) bool {
	return slices.ContainsFunc(r.Allowed, func(text string) bool {
		network, ok := parseNetwork(text)
		return ok && network.Contains(addr)
	})
}

// findRate: with this one there are more referrals in the window than may be. One
// that is exactly as old as the window is long is no longer in it.
func findRate(p *prepared, s Settings) *finding {
	others := p.within(s.Rate.Window).others(func(side) bool { return true })
	n := len(others.Referrals) + 1
	if n <= s.Rate.Count {
		return nil
	}
	return &finding{"Referrer has referred more people in a short time than usual", Compared{
		Referrals: others.Referrals, Count: n, Limit: s.Rate.Count, Window: s.Rate.Window,
	}}
}

func findDomain(p *prepared, s Settings) *finding {
	domain := p.referred.domain
	if domain == "" || email.Free(domain) || slices.Contains(s.Domain.Allowed, domain) {
		return nil
	}
	if domain == p.referrer.domain {
		return &finding{"Referrer and referred have email addresses at the same domain", Compared{People: []id.ID{p.referrer.ID}, Domain: domain}}
	}
	others := p.others(func(o side) bool { return o.domain == domain })
	if len(others.People) < s.Domain.Count {
		return nil
	}
	others.Domain, others.Count, others.Limit = domain, len(others.People)+1, s.Domain.Count
	return &finding{"Referrer has referred several people with email addresses at one domain", others}
}

// within returns the evidence with the recent referrals of a window only.
func (p *prepared) within(window Seconds) *prepared {
	narrow := *p
	since := p.at.Add(-time.Duration(window) * time.Second)
	narrow.recent = slices.DeleteFunc(slices.Clone(p.recent), func(r recent) bool { return !r.at.After(since) })
	return &narrow
}

// others names the recent referrals for which alike holds, and the people referred.
func (p *prepared) others(alike func(o side) bool) Compared {
	var c Compared
	for _, r := range p.recent {
		if alike(r.referred) {
			c.People = append(c.People, r.referred.ID)
			c.Referrals = append(c.Referrals, r.id)
		}
	}
	return c
}

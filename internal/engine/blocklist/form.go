package blocklist

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The widest networks that may be listed: what is wider is a slip of the hand, and
// would block everybody.
const (
	minIPv4Bits = 8
	minIPv6Bits = 16
)

// shape is what entries have in common that are looked for in the same way.
type shape struct {
	family string // the kind; of addresses the version
	bits   int    // of a network's prefix; 0: it is none
}

const (
	ipv4 = "ipv4"
	ipv6 = "ipv6"
)

// form is a value in its normal form.
type form struct {
	kind  Kind
	value string
}

// name is what an entry is stored and found under.
func (e Entry) name() string { return form{e.Kind, e.Value}.name() }

func (f form) name() string { return string(f.kind) + ":" + f.value }

// valueOf returns the value that an entry's name has.
func valueOf(kind Kind, name string) string { return strings.TrimPrefix(name, string(kind)+":") }

// shape returns the shape of an entry.
func (e Entry) shape() shape {
	if network, ok := parseNetwork(e.Value); ok && e.Kind == IP {
		return shapeOf(network)
	}
	return shape{family: string(e.Kind)}
}

// formOf reads what is to be listed. The error names the field kind or value.
func formOf(kind Kind, value string) (form, error) {
	if kind != Device { // of which every byte counts
		value = strings.TrimSpace(value)
	}
	switch kind {
	case Email:
		if address, ok := email.Normalize(value); ok {
			return form{Email, address}, nil
		}
		return form{}, problem.InvalidField("value", "must be an email address, such as ada@example.com; the kind domain lists all addresses at a domain")
	case Domain:
		if domain, ok := normalDomain(value); ok {
			return form{Domain, domain}, nil
		}
		return form{}, problem.InvalidField("value", "must be a domain, such as example.com; those below it are listed with it")
	case IP:
		if network, ok := parseNetwork(value); ok {
			return ofNetwork(network)
		}
		return form{}, problem.InvalidField("value", "must be an address such as 203.0.113.7, or a network such as 203.0.113.0/24")
	case Device:
		if value != "" && len(value) <= maxDevice && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl) {
			return form{Device, value}, nil
		}
		return form{}, problem.InvalidField("value", "must be the id of a device, of 1 to %d bytes that can be seen", maxDevice)
	}
	return form{}, problem.InvalidField("kind", "must be email, domain, ip or device")
}

// normalDomain returns the domain that the normal forms of its addresses have.
func normalDomain(domain string) (string, bool) {
	address, ok := email.Normalize("a@" + domain)
	if !ok || strings.Contains(domain, "@") {
		return "", false
	}
	_, domain = email.Split(address)
	return domain, true
}

// parseNetwork reads a network in CIDR notation, or one address. IPv4 that is mapped
// into IPv6 is IPv4.
func parseNetwork(text string) (netip.Prefix, bool) {
	if network, err := netip.ParsePrefix(text); err == nil {
		if mapped := network.Bits() - 96; network.Addr().Is4In6() && mapped >= 0 {
			network = netip.PrefixFrom(network.Addr().Unmap(), mapped)
		}
		return network.Masked(), true
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, false
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), true
}

// ofNetwork returns the form of a network, unless it is too wide.
func ofNetwork(network netip.Prefix) (form, error) {
	least := minIPv6Bits
	if network.Addr().Is4() {
		least = minIPv4Bits
	}
	if network.Bits() < least {
		return form{}, problem.InvalidField("value", "is too wide a network: list a /%d or narrower ones", least)
	}
	return networkForm(network), nil
}

func networkForm(network netip.Prefix) form {
	if network.IsSingleIP() {
		return form{IP, network.Addr().String()}
	}
	return form{IP, network.String()}
}

func shapeOf(network netip.Prefix) shape {
	if network.Addr().Is4() {
		return shape{ipv4, network.Bits()}
	}
	return shape{ipv6, network.Bits()}
}

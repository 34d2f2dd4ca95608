package blocklist

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Subject is what is known of somebody. What is unknown is empty, and is on no list.
type Subject struct {
	Email   string       // as given, or its normal form
	IPs     []netip.Addr // invalid ones are passed over
	Devices []string
}

// Match is an entry that one of several subjects is on.
type Match struct {
	Entry

	Subject int // its place among those that were asked about
}

// Find returns the entries of a tenant that the subjects are on: those of the first
// subject first, and of each the closest first, which are its address, its devices,
// the narrowest of its networks and the lowest of its domains. Entries that have
// expired are not among them.
//
// It takes one statement where the tenant has no list, and two where it has one, but
// for subjects with so many addresses that there are more than 256 names to look for.
func Find(q db.Queryer, tenant id.ID, now time.Time, subjects ...Subject) ([]Match, error) {
	shapes, err := selectShapes(q, tenant)
	if err != nil || len(shapes) == 0 {
		return nil, err
	}
	names := make([][]string, len(subjects))
	for i, s := range subjects {
		names[i] = s.names(shapes)
	}
	listed, err := selectNamed(q, tenant, slices.Concat(names...))
	if err != nil || len(listed) == 0 {
		return nil, err
	}
	var found []Match
	for i := range subjects {
		for _, name := range names[i] {
			if e, ok := listed[name]; ok && e.counts(now) {
				found = append(found, Match{e, i})
			}
		}
	}
	return found, nil
}

// names lists under which names a subject can be listed, as far as there are entries
// of such shapes: the closest first.
func (s Subject) names(shapes map[shape]int64) []string {
	var names []string
	add := func(of shape, f form) {
		if shapes[of] > 0 {
			names = append(names, f.name())
		}
	}
	address, _ := email.Normalize(s.Email) // "" where it is none
	_, domain := email.Split(address)
	if address != "" {
		add(shape{family: string(Email)}, form{Email, address})
	}
	for _, device := range s.Devices {
		if device != "" {
			add(shape{family: string(Device)}, form{Device, device})
		}
	}
	lengths := slices.Backward(slices.Sorted(maps.Keys(bitsOf(shapes))))
	for _, addr := range s.IPs {
		if !addr.IsValid() {
			continue
		}
		addr = addr.Unmap().WithZone("")
		for _, bits := range lengths {
			if network, err := addr.Prefix(bits); err == nil {
				add(shapeOf(network), networkForm(network))
			}
		}
	}
	for ; domain != ""; _, domain, _ = strings.Cut(domain, ".") {
		add(shape{family: string(Domain)}, form{Domain, domain})
	}
	return names
}

// bitsOf returns how long the prefixes of networks are, of either version.
func bitsOf(shapes map[shape]int64) map[int]bool {
	bits := make(map[int]bool)
	for s := range shapes {
		if s.family == ipv4 || s.family == ipv6 {
			bits[s.bits] = true
		}
	}
	return bits
}

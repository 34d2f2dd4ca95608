package edge

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers in which proxies say whom they speak for.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// Proxies are the proxies that are believed when they say whom they speak for.
type Proxies struct {
	Trusted []netip.Prefix // where they are; empty: there is none

	// Header is the one that they write, XForwardedFor or Forwarded; "":
	// XForwardedFor. Only one counts, since a proxy passes on what it does not
	// know: the other one would be the caller's to write.
	Header string
}

// Handler has next see the client's address as the request's RemoteAddr, where
// the request comes from a trusted proxy.
func (p Proxies) Handler(next http.Handler) http.Handler {
	if len(p.Trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, ok := p.client(r); ok {
			told := *r // a handler leaves the request that it got as it is
			told.RemoteAddr = netip.AddrPortFrom(client, 0).String()
			r = &told
		}
		next.ServeHTTP(w, r)
	})
}

// client returns whom a trusted proxy speaks for: the last address of the header
// that is not itself a trusted proxy's. What stands left of it may be made up.
// There is none if the request comes from elsewhere, or if the right-hand part of
// the header says anything else than addresses.
func (p Proxies) client(r *http.Request) (netip.Addr, bool) {
	if !p.trusts(Address(r)) {
		return netip.Addr{}, false
	}
	header, read := XForwardedFor, parseAddress
	if p.Header == Forwarded {
		header, read = Forwarded, parseForwarded
	}
	for _, line := range slices.Backward(r.Header[header]) {
		for rest, more := line, true; more; {
			var last string
			rest, last, more = cutLast(rest)
			address := read(last)
			if !p.trusts(address) {
				return address, address.IsValid()
			}
		}
	}
	return netip.Addr{}, false
}

func (p Proxies) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(p.Trusted, func(network netip.Prefix) bool { return network.Contains(address) })
}

// cutLast cuts the last element off a list with commas, and reports whether there
// are more. Commas in quotes don't count; quotes are paired from the right, so
// that what a caller has put on the left can't spoil what a proxy added.
func cutLast(list string) (string, string, bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return "", list, false
}

// parseForwarded returns the address in the "for" of an element of Forwarded, or
// the zero Addr.
func parseForwarded(element string) netip.Addr {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			if inner, ok := strings.CutPrefix(value, `"`); ok {
				value = strings.TrimSuffix(inner, `"`)
			}
			return parseAddress(value)
		}
	}
	return netip.Addr{}
}

// Address returns where a request comes from, or the zero Addr where that is no
// address in a network. IPv4 in IPv6 is IPv4, and there is no zone.
func Address(r *http.Request) netip.Addr { return parseAddress(r.RemoteAddr) }

// parseAddress reads an address with or without a port and brackets, or returns
// the zero Addr.
func parseAddress(text string) netip.Addr {
	text = strings.TrimSpace(text)
	if with, err := netip.ParseAddrPort(text); err == nil {
		return with.Addr().Unmap().WithZone("")
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	alone, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return alone.Unmap().WithZone("")
}

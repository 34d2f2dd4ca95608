// Package netguard is the one guarded door to foreign servers: every request to
// an address that somebody else chose goes through it.
//
// A URL that a stranger registers may name our own network, or a name whose
// owner points it there later. So the check that counts is made at dial time,
// after DNS, on each address just before a connection to it is opened
// ([Guard.Transport]); no answer of a name server can slip in between. A check
// when the URL is registered ([Guard.CheckURL]) comes on top, to give its owner
// a clear error early. A connection that is kept alive was checked when it was
// opened, so reusing it costs nothing.
//
// By default only https and public addresses can be reached: no loopback,
// private, link-local, shared (CGNAT), multicast, reserved, documentation,
// benchmark, metadata or unique-local address, and none of the IPv6 forms that
// wrap an IPv4 address. The lists come from code.dny.dev/ssrf, which generates
// them from IANA's registries; this package adds what they leave out. Proxies
// named in the environment are ignored, redirects are not followed.
//
// With an explicit forward proxy the connection goes to the proxy, which
// resolves the name once more. The guard resolves and checks the target before
// it hands the request over, but DNS can change in between, so a forward proxy
// must refuse private targets too.
package netguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// ErrBlocked says that an address may not be reached. Test for it with
// [errors.Is].
var ErrBlocked = errors.New("address not allowed")

var (
	// alsoDenied are public by the registries, but answer only to machines of
	// one cloud, as its metadata service: 168.63.129.16 is Azure's wire server.
	alsoDenied = []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}

	loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	loopback6 = netip.IPv6Loopback()
)

// Resolver looks up the addresses of a host name, as [net.Resolver] does.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DialFunc opens a connection, as [net.Dialer.DialContext] does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Config says which foreign addresses may be reached. The zero value is the
// strict guard: https only, public addresses only, no proxy.
type Config struct {
	// AllowNetworks can be reached although the guard refuses them by default.
	// An IPv4 network covers IPv4 addresses only. Allowing the NAT64 prefix
	// 64:ff9b::/96 (on an IPv6-only network with DNS64) leaves the IPv4 address
	// inside subject to the guard.
	AllowNetworks []netip.Prefix

	// AllowHTTP lets requests go out unencrypted.
	AllowHTTP bool

	// ForwardProxy takes all requests: an http or https URL of scheme, host and
	// port, with credentials if need be. Its own address is not subject to the
	// guard. Nil connects directly. It is never read from the environment. What
	// it says in place of a target reached by plain http looks like the target's
	// own answer.
	ForwardProxy *url.URL

	// Resolver looks up names; nil means [net.DefaultResolver]. With one given,
	// the addresses of a name are tried in turn instead of raced.
	Resolver Resolver

	// DialContext replaces the network, for tests. It is given the addresses
	// that Resolver answered and the guard accepted, one at a time, or the
	// host and port of ForwardProxy.
	DialContext DialFunc
}

// Guard decides which foreign servers may be reached, and makes the clients
// that obey. It is safe for concurrent use.
type Guard struct {
	addrs     *ssrf.Guardian
	allowHTTP bool
	resolver  Resolver
	ownLookup bool // resolve here rather than in net.Dialer

	proxy     *url.URL // nil: direct
	proxyAddr string   // host:port of proxy, as net/http dials it

	dialGuarded DialFunc // to foreign servers
	dialProxy   DialFunc
}

// New returns a guard, or an error that says what is wrong with the
// configuration. The error does not echo the proxy's URL.
func New(c Config) (*Guard, error) {
	var v4, v6 []netip.Prefix
	for _, p := range c.AllowNetworks {
		switch {
		case !p.IsValid():
			return nil, errors.New("netguard: an allowed network is not a valid prefix")
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("netguard: allowed network %s: write an IPv4 network in its IPv4 form", p)
		case p.Addr().Is4():
			v4 = append(v4, p)
		default:
			v6 = append(v6, p)
		}
	}
	g := &Guard{
		addrs: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(alsoDenied...),
			ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
		allowHTTP: c.AllowHTTP,
		resolver:  c.Resolver,
		ownLookup: c.Resolver != nil || c.DialContext != nil,
	}
	if g.resolver == nil {
		g.resolver = net.DefaultResolver
	}
	g.dialGuarded = (&net.Dialer{Control: g.control}).DialContext
	g.dialProxy = (&net.Dialer{}).DialContext
	if c.DialContext != nil {
		g.dialGuarded, g.dialProxy = c.DialContext, c.DialContext
	}
	if c.ForwardProxy == nil {
		return g, nil
	}
	if err := g.useProxy(*c.ForwardProxy); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Guard) useProxy(u url.URL) error {
	defaultPort, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if !ok {
		return errors.New("netguard: the forward proxy needs an http or https URL")
	}
	if u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("netguard: the forward proxy's URL is scheme, host and port, and credentials if need be")
	}
	g.proxy = &u
	g.proxyAddr = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPort))
	return nil
}

// CheckAddr returns nil if a connection to the address may be opened, and else
// an error that [errors.Is] [ErrBlocked]. An address with a zone and an IPv4
// address in IPv6 clothes (::ffff:…) are refused whatever is allowed: neither
// is ever dialled as such. The error names the address; it is for logs.
func (g *Guard) CheckAddr(addr netip.Addr) error {
	if !addr.IsValid() {
		return fmt.Errorf("%w: no address", ErrBlocked)
	}
	if addr.Is4In6() {
		return fmt.Errorf("%w: %s wraps an IPv4 address", ErrBlocked, addr)
	}
	if err := g.addrs.SafeAddr(addr); err != nil { // no prefix contains an address with a zone
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	}
	if ssrf.IPv6NAT64Prefix.Contains(addr) {
		b := addr.As16()
		return g.CheckAddr(netip.AddrFrom4([4]byte(b[12:])))
	}
	return nil
}

// control is called by net.Dialer for each address, with the socket made and
// not yet connected. The address has been resolved.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	}
	return g.CheckAddr(target.Addr())
}

// dial opens the connections of a transport. The time limit is the dial's own: a
// request may have no deadline, and towards a proxy net/http lets a dial go on
// when the request it was for is over.
func (g *Guard) dial(ctx context.Context, network, address string, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if g.proxy != nil && address == g.proxyAddr {
		return g.dialProxy(ctx, network, address)
	}
	if !g.ownLookup {
		return g.dialGuarded(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("splitting the address to dial: %w", err)
	}
	addrs, err := g.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var first error // as net.Dialer does: the first failure is the telling one
	for i, addr := range addrs {
		conn, err := g.dialOne(ctx, network, net.JoinHostPort(addr.String(), port), addr, len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// dialOne tries one of the addresses that are left, with its share of the time.
func (g *Guard) dialOne(ctx context.Context, network, address string, addr netip.Addr, left int) (net.Conn, error) {
	if err := g.CheckAddr(addr); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline() // dial set one
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	return g.dialGuarded(ctx, network, address)
}

// lookup returns the addresses of a host name or IP literal as they would be
// dialled: Go dials an IPv4-mapped address as the IPv4 address inside, and
// resolvers may answer IPv4 addresses in that form. At least one, or an error.
func (g *Guard) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	answer, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(answer) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	addrs := make([]netip.Addr, len(answer))
	for i, addr := range answer {
		addrs[i] = addr.Unmap()
	}
	return addrs, nil
}

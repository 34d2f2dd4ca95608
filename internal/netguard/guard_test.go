package netguard_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

// TestMain names a proxy in the environment for the whole run, since net/http
// reads it once for the process. The tests of the transport fail if it is used.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		if err := os.Setenv(name, "http://192.0.2.99:9"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const (
	public4 = "93.184.215.14"
	public6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
)

func mustGuard(t testing.TB, c netguard.Config) *netguard.Guard {
	t.Helper()
	g, err := netguard.New(c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return g
}

func networks(cidrs ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, cidr := range cidrs {
		all = append(all, netip.MustParsePrefix(cidr))
	}
	return all
}

// hosts is a resolver that knows the names in it and no others.
type hosts map[string][]string

func (h hosts) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	texts, ok := h[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// specialAddrs has addresses of every class that the guard refuses.
var specialAddrs = map[string][]string{
	"this network":      {"0.0.0.0", "0.0.0.1", "0.255.255.255"},
	"loopback":          {"127.0.0.1", "127.0.0.53", "127.255.255.255", "::1"},
	"private":           {"10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"},
	"link-local":        {"169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"},
	"shared (CGNAT)":    {"100.64.0.0", "100.127.255.255"},
	"metadata":          {"169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"},
	"protocol":          {"192.0.0.1", "192.0.0.170", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "2001::", "2001:1::1", "2001:20::1", "2001:1ff::1", "2620:4f:8000::1"},
	"documentation":     {"192.0.2.1", "198.51.100.255", "203.0.113.7", "2001:db8::1", "3fff::1", "3fff:fff:ffff::1"},
	"benchmark":         {"198.18.0.1", "198.19.255.255", "2001:2::1"},
	"multicast":         {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
	"reserved":          {"240.0.0.1", "255.255.255.254", "255.255.255.255", "4000::1", "5f00::1", "8000::1"},
	"unspecified":       {"::"},
	"discard":           {"100::1"},
	"unique-local":      {"fc00::1", "fd12:3456:789a::1"},
	"site-local":        {"fec0::1"},
	"NAT64":             {"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808"},
	"NAT64, local":      {"64:ff9b:1::1", "64:ff9b:1:ffff::a00:1"},
	"6to4":              {"2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1"},
	"Teredo":            {"2001::1", "2001:0:ffff::1"},
	"IPv4-mapped":       {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8"},
	"IPv4-compatible":   {"::127.0.0.1", "::8.8.8.8"},
	"IPv4-translated":   {"::ffff:0:7f00:1"},
	"with a zone":       {"fe80::1%eth0", "::1%lo", public6 + "%eth0"},
	"no address at all": {""},
}

func TestEveryClassOfSpecialAddressIsRefused(t *testing.T) {
	g := mustGuard(t, netguard.Config{})
	for class, texts := range specialAddrs {
		for _, text := range texts {
			addr, _ := netip.ParseAddr(text)
			if err := g.CheckAddr(addr); !errors.Is(err, netguard.ErrBlocked) {
				t.Errorf("%s %q: got %v, want ErrBlocked", class, text, err)
			}
		}
	}
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	g := mustGuard(t, netguard.Config{})
	for _, text := range []string{
		public4, public6, "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.1", "168.63.129.15", "172.15.255.255", "172.32.0.0", "192.0.1.0", "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "2001:200::1", "2003::1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e",
	} {
		if err := g.CheckAddr(netip.MustParseAddr(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAllowedNetworksOpenWhatTheyNameAndNothingElse(t *testing.T) {
	tests := []struct {
		name    string
		allowed []netip.Prefix
		open    []string
		shut    []string
	}{
		{"a network", networks("10.1.0.0/16"), []string{"10.1.2.3", public4}, []string{"10.2.0.1", "127.0.0.1", "::1"}},
		{"one address", networks("::1/128"), []string{"::1"}, []string{"127.0.0.1", "::2", "::1%lo"}},
		{"a network written by one of its addresses", networks("10.1.2.3/16"), []string{"10.1.0.1"}, []string{"10.2.0.1"}},
		{
			"an IPv4 network is not its IPv6 forms", networks("127.0.0.0/8"),
			[]string{"127.0.0.1"},
			[]string{"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"},
		},
		{
			"all of IPv6 is not IPv4", networks("::/0"),
			[]string{"::1", "fd00::1"},
			[]string{"::ffff:127.0.0.1", "127.0.0.1", "fe80::1%eth0"},
		},
		{
			"NAT64 still guards the address inside", networks("64:ff9b::/96"),
			[]string{"64:ff9b::808:808"},
			[]string{"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110"},
		},
		{
			"NAT64 with the address inside allowed", networks("64:ff9b::/96", "10.0.0.0/8"),
			[]string{"64:ff9b::a00:1"},
			[]string{"64:ff9b::c0a8:1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := mustGuard(t, netguard.Config{AllowNetworks: tt.allowed})
			for _, text := range tt.open {
				if err := g.CheckAddr(netip.MustParseAddr(text)); err != nil {
					t.Errorf("%s is refused: %v", text, err)
				}
			}
			for _, text := range tt.shut {
				if err := g.CheckAddr(netip.MustParseAddr(text)); !errors.Is(err, netguard.ErrBlocked) {
					t.Errorf("%s: got %v, want ErrBlocked", text, err)
				}
			}
		})
	}
}

func TestAConfigurationThatCannotMeanWhatItSaysIsRefused(t *testing.T) {
	proxy := func(scheme, host string) *url.URL { return &url.URL{Scheme: scheme, Host: host} }
	tests := map[string]netguard.Config{
		"the zero prefix":           {AllowNetworks: []netip.Prefix{{}}},
		"an IPv4-mapped network":    {AllowNetworks: networks("::ffff:10.0.0.0/104")},
		"a proxy of another scheme": {ForwardProxy: proxy("socks5", "proxy:1080")},
		"a proxy without a scheme":  {ForwardProxy: proxy("", "proxy:3128")},
		"a proxy without a host":    {ForwardProxy: proxy("http", ":3128")},
		"a proxy with a path":       {ForwardProxy: &url.URL{Scheme: "http", Host: "proxy", Path: "/x"}},
	}
	for name, config := range tests {
		if _, err := netguard.New(config); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

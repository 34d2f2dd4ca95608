package edge_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

// seenFrom returns where a handler behind the proxies sees a request from.
func seenFrom(p edge.Proxies, peer string, headers ...string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = peer
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	var seen netip.Addr
	p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = edge.Address(r) })).ServeHTTP(httptest.NewRecorder(), r)
	if r.RemoteAddr != peer {
		return "the request itself was changed"
	}
	return seen.String()
}

func TestTheClientOfATrustedProxyIsTheLastAddressThatIsNotAProxy(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	const proxy = "10.0.0.1:4711"
	for name, c := range map[string]struct {
		header, peer string
		sent         []string
		want         string
	}{
		"no header":                          {"", proxy, nil, "10.0.0.1"},
		"one address":                        {"", proxy, []string{"X-Forwarded-For: 192.0.2.7"}, "192.0.2.7"},
		"what the client made up":            {"", proxy, []string{"X-Forwarded-For: 203.0.113.9, 192.0.2.7"}, "192.0.2.7"},
		"a made-up line of its own":          {"", proxy, []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.7"}, "192.0.2.7"},
		"a made-up proxy":                    {"", proxy, []string{"X-Forwarded-For: 203.0.113.9, 10.9.9.9, 192.0.2.7"}, "192.0.2.7"},
		"a chain of proxies":                 {"", proxy, []string{"X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.0.0.3", "X-Forwarded-For: fd00::2"}, "192.0.2.7"},
		"a peer that is no proxy":            {"", "192.0.2.99:1", []string{"X-Forwarded-For: 203.0.113.9"}, "192.0.2.99"},
		"only proxies":                       {"", proxy, []string{"X-Forwarded-For: 10.0.0.4, 10.0.0.3"}, "10.0.0.1"},
		"garbage on the right":               {"", proxy, []string{"X-Forwarded-For: 192.0.2.7, unknown"}, "10.0.0.1"},
		"garbage before a proxy":             {"", proxy, []string{"X-Forwarded-For: 192.0.2.7, ;, 10.0.0.3"}, "10.0.0.1"},
		"garbage on the left":                {"", proxy, []string{"X-Forwarded-For: \x01\", 192.0.2.7"}, "192.0.2.7"},
		"a comma at the end":                 {"", proxy, []string{"X-Forwarded-For: 192.0.2.7,"}, "10.0.0.1"},
		"an empty header":                    {"", proxy, []string{"X-Forwarded-For: "}, "10.0.0.1"},
		"an address with a port":             {"", proxy, []string{"X-Forwarded-For: 192.0.2.7:55000"}, "192.0.2.7"},
		"IPv6":                               {"", proxy, []string{"X-Forwarded-For: 2001:db8::7"}, "2001:db8::7"},
		"IPv6 in brackets with a port":       {"", proxy, []string{"X-Forwarded-For: [2001:db8::7]:443"}, "2001:db8::7"},
		"IPv6 with a zone":                   {"", proxy, []string{"X-Forwarded-For: fe80::7%eth0"}, "fe80::7"},
		"IPv4 in IPv6":                       {"", "[::ffff:10.0.0.1]:9", []string{"X-Forwarded-For: ::ffff:192.0.2.7"}, "192.0.2.7"},
		"a proxy with a zone":                {"", "[fd00::1%eth0]:9", []string{"X-Forwarded-For: 192.0.2.7"}, "192.0.2.7"},
		"the other header, which is made up": {"", proxy, []string{"Forwarded: for=203.0.113.9", "X-Forwarded-For: 192.0.2.7"}, "192.0.2.7"},
		"only the other header":              {"", proxy, []string{"Forwarded: for=203.0.113.9"}, "10.0.0.1"},

		"Forwarded":                          {edge.Forwarded, proxy, []string{"Forwarded: for=192.0.2.7"}, "192.0.2.7"},
		"Forwarded with more":                {edge.Forwarded, proxy, []string{`Forwarded: For=203.0.113.9;by=10.0.0.9, proto=https; FOR="192.0.2.7:80" ;host="a,b;c"`}, "192.0.2.7"},
		"Forwarded, IPv6":                    {edge.Forwarded, proxy, []string{`Forwarded: for="[2001:db8::7]:4711"`}, "2001:db8::7"},
		"Forwarded, a chain":                 {edge.Forwarded, proxy, []string{`Forwarded: for=203.0.113.9, for=192.0.2.7, for=10.0.0.3`}, "192.0.2.7"},
		"Forwarded, a name":                  {edge.Forwarded, proxy, []string{`Forwarded: for=192.0.2.7, for=_hidden`}, "10.0.0.1"},
		"Forwarded, nobody":                  {edge.Forwarded, proxy, []string{`Forwarded: for=192.0.2.7, proto=https`}, "10.0.0.1"},
		"Forwarded, a quote that stays open": {edge.Forwarded, proxy, []string{`Forwarded: for="203.0.113.9, for=192.0.2.7`}, "192.0.2.7"},
		"Forwarded, a quote in its own line": {edge.Forwarded, proxy, []string{`Forwarded: for="`, `Forwarded: for=192.0.2.7`}, "192.0.2.7"},
		"Forwarded and the other header":     {edge.Forwarded, proxy, []string{"Forwarded: for=192.0.2.7", "X-Forwarded-For: 203.0.113.9"}, "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := seenFrom(edge.Proxies{Trusted: trusted, Header: c.header}, c.peer, c.sent...); got != c.want {
				t.Errorf("seen from %s, want %s", got, c.want)
			}
		})
	}
}

func TestWithoutTrustedProxiesNoHeaderCounts(t *testing.T) {
	if got := seenFrom(edge.Proxies{}, "10.0.0.1:1", "X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7"); got != "10.0.0.1" {
		t.Errorf("seen from %s", got)
	}
}

func TestAPeerThatHasNoAddressIsNoProxy(t *testing.T) {
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	if got := seenFrom(edge.Proxies{Trusted: everything}, "@", "X-Forwarded-For: 192.0.2.7"); got != (netip.Addr{}).String() {
		t.Errorf("seen from %s", got)
	}
}

func FuzzNoHeaderOfACallerDecidesWhereItIsSeenFrom(f *testing.F) {
	f.Add("203.0.113.9", false)
	f.Add(`for="203.0.113.9, for=`, true)
	f.Add(`",",\",`, true)
	f.Fuzz(func(t *testing.T, sent string, standard bool) {
		p := edge.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		added := "X-Forwarded-For: " + sent + ", 192.0.2.7"
		if standard {
			p.Header, added = edge.Forwarded, "Forwarded: "+sent+", for=192.0.2.7"
		}
		if got := seenFrom(p, "10.0.0.1:1", added, "X-Other: "+sent); got != "192.0.2.7" {
			t.Errorf("seen from %s after %q", got, sent)
		}
	})
}

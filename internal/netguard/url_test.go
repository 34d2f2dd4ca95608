package netguard_test

import (
	"context"
	"errors"
	"hash/fnv"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var someHosts = hosts{
	"example.com":                   {public4, public6},
	"example.com.":                  {public4},
	"EXAMPLE.com":                   {public4},
	"xn--bcher-kva.example":         {public6},
	"a_b.example":                   {public4},
	"mapped.example":                {"::ffff:" + public4},
	"mapped-private.example":        {"::ffff:10.0.0.1"},
	"private.example":               {"10.0.0.1"},
	"metadata.google.internal":      {"169.254.169.254"},
	"rebind.example":                {public4, "127.0.0.1"},
	"rebind6.example":               {public6, "fd00::1"},
	"zone.example":                  {"fe80::1%eth0"},
	"nothing.example":               {},
	"localhost":                     {"127.0.0.1", "::1"},
	"localhost.":                    {"127.0.0.1"},
	"api.localhost":                 {public4}, // a lying resolver
	"1.2.3.4.example":               {public4},
	"0x7f.example":                  {public4},
	"123.456example":                {public4},
	strings.Repeat("a.", 126) + "b": {public4},
}

func reasonOf(t *testing.T, err error) netguard.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	refused, ok := errors.AsType[*netguard.URLError](err)
	if !ok {
		t.Fatalf("got %T (%v), want a *URLError", err, err)
	}
	if refused.Detail == "" {
		t.Errorf("%s has no sentence", refused.Reason)
	}
	return refused.Reason
}

func TestAURLIsAcceptedOrRefusedForItsReason(t *testing.T) {
	const ok netguard.Reason = ""
	tests := []struct {
		url  string
		want netguard.Reason
	}{
		{"https://example.com", ok},
		{"https://example.com/hook?token=a%20b&x=1;2", ok},
		{"HTTPS://EXAMPLE.com/", ok},
		{"https://example.com./", ok},
		{"https://example.com:8443/", ok},
		{"https://example.com/ümlaut/日本", ok},
		{"https://xn--bcher-kva.example/", ok},
		{"https://a_b.example/", ok},
		{"https://mapped.example/", ok},
		{"https://" + public4 + "/", ok},
		{"https://[" + public6 + "]:443/", ok},
		{"https://[" + strings.ToUpper(public6) + "]/", ok},
		{"https://1.2.3.4.example/", ok},
		{"https://0x7f.example/", ok},
		{"https://123.456example/", ok},
		{"https://example.com/" + strings.Repeat("a", netguard.MaxURLLength-len("https://example.com/")), ok},
		{"https://" + strings.Repeat("a.", 126) + "b/", ok},

		{"", netguard.ReasonRequired},
		{"https://example.com/" + strings.Repeat("a", netguard.MaxURLLength), netguard.ReasonTooLong},

		{"https://example.com/\xff", netguard.ReasonMalformed},
		{" https://example.com/", netguard.ReasonMalformed},
		{"https://example.com/ ", netguard.ReasonMalformed},
		{"https://exa\tmple.com/", netguard.ReasonMalformed},
		{"https://example.com/\r\nHost:%20evil", netguard.ReasonMalformed},
		{"https://example.com/\x00", netguard.ReasonMalformed},
		{"https://example.com/\u2028", netguard.ReasonMalformed},
		{"https://example.com/\u00a0", netguard.ReasonMalformed},
		{"https://example.com/\u202e", netguard.ReasonMalformed},
		{`https:\\example.com\x`, netguard.ReasonMalformed},
		{`https://example.com\@127.0.0.1/`, netguard.ReasonMalformed},
		{`https://example.com/a\b`, netguard.ReasonMalformed},
		{"https://example.com/%zz", netguard.ReasonMalformed},
		{"https://%31%32%37.0.0.1/", netguard.ReasonMalformed},
		{"https://user:pa/ss@example.com/", netguard.ReasonMalformed},
		{"https:example.com", netguard.ReasonMalformed},
		{"https://::1/", netguard.ReasonMalformed},
		{"https://[::1", netguard.ReasonMalformed},
		{"https://[127.0.0.1]/", netguard.ReasonMalformed},
		{"https://[example.com]/", netguard.ReasonMalformed},
		{"https://example.com:abc/", netguard.ReasonMalformed},
		{"://example.com", netguard.ReasonMalformed},

		{"http://example.com/", netguard.ReasonScheme},
		{"http:/x", netguard.ReasonScheme},
		{"example.com/hook", netguard.ReasonScheme},
		{"//example.com/hook", netguard.ReasonScheme},
		{"file:///etc/passwd", netguard.ReasonScheme},
		{"ftp://example.com/", netguard.ReasonScheme},
		{"gopher://example.com:70/_", netguard.ReasonScheme},
		{"javascript:alert(1)", netguard.ReasonScheme},
		{"unix:///var/run/docker.sock", netguard.ReasonScheme},

		{"https://user:secret@example.com/", netguard.ReasonCredentials},
		{"https://user@example.com/", netguard.ReasonCredentials},
		{"https://@example.com/", netguard.ReasonCredentials},
		{"https://example.com@127.0.0.1/", netguard.ReasonCredentials},
		{"https://example.com/#x", netguard.ReasonFragment},
		{"https://example.com/#", netguard.ReasonFragment},
		{"https://127.0.0.1#@example.com/", netguard.ReasonFragment},

		{"https:///x", netguard.ReasonHostRequired},
		{"https:/x", netguard.ReasonHostRequired},
		{"https://", netguard.ReasonHostRequired},
		{"https://:443/", netguard.ReasonHostRequired},
		{"https://?x", netguard.ReasonHostRequired},

		{"https://example.com:/", netguard.ReasonPortInvalid},
		{"https://example.com:0/", netguard.ReasonPortInvalid},
		{"https://example.com:65536/", netguard.ReasonPortInvalid},
		{"https://example.com:0443/", netguard.ReasonPortInvalid},
		{"https://example.com:99999999999999999999/", netguard.ReasonPortInvalid},

		{"https://bücher.example/", netguard.ReasonHostInvalid},
		{"https://１２７.0.0.1/", netguard.ReasonHostInvalid},
		{"https://127。0。0。1/", netguard.ReasonHostInvalid},
		{"https://%e4.example/", netguard.ReasonHostInvalid},
		{"https://./", netguard.ReasonHostInvalid},
		{"https://example..com/", netguard.ReasonHostInvalid},
		{"https://.example.com/", netguard.ReasonHostInvalid},
		{"https://example.com../", netguard.ReasonHostInvalid},
		{"https://a,b.example/", netguard.ReasonHostInvalid},
		{"https://*.example.com/", netguard.ReasonHostInvalid},
		{"https://" + strings.Repeat("a", 64) + ".example/", netguard.ReasonHostInvalid},
		{"https://" + strings.Repeat("a.", 126) + "bc/", netguard.ReasonHostInvalid},
		{"https://[::1%25eth0]/", netguard.ReasonHostInvalid},

		{"https://2130706433/", netguard.ReasonIPNotation},
		{"https://0x7f000001/", netguard.ReasonIPNotation},
		{"https://0X7F.1/", netguard.ReasonIPNotation},
		{"https://0x7f.0x0.0x0.0x1/", netguard.ReasonIPNotation},
		{"https://0177.0.0.1/", netguard.ReasonIPNotation},
		{"https://017700000001/", netguard.ReasonIPNotation},
		{"https://127.1/", netguard.ReasonIPNotation},
		{"https://127.0.1/", netguard.ReasonIPNotation},
		{"https://127.0.0.1./", netguard.ReasonIPNotation},
		{"https://127.0.0.0x1/", netguard.ReasonIPNotation},
		{"https://127.0.0.0x/", netguard.ReasonIPNotation},
		{"https://0/", netguard.ReasonIPNotation},
		{"https://256.0.0.1/", netguard.ReasonIPNotation},
		{"https://1.2.3.4.5/", netguard.ReasonIPNotation},
		{"https://example.1/", netguard.ReasonIPNotation},
		{"https://[::ffff:127.0.0.1]/", netguard.ReasonIPNotation},
		{"https://[::ffff:7f00:1]/", netguard.ReasonIPNotation},
		{"https://[::ffff:8.8.8.8]/", netguard.ReasonIPNotation},
		{"https://[::127.0.0.1]/", netguard.ReasonIPNotation},
		{"https://[0:0:0:0:0:0:0:1]/", netguard.ReasonIPNotation},
		{"https://[64:ff9b::127.0.0.1]/", netguard.ReasonIPNotation},

		{"https://127.0.0.1/", netguard.ReasonAddress},
		{"https://169.254.169.254/latest/meta-data/", netguard.ReasonAddress},
		{"https://[::1]/", netguard.ReasonAddress},
		{"https://[fe80::1]/", netguard.ReasonAddress},
		{"https://[64:ff9b::7f00:1]/", netguard.ReasonAddress},
		{"https://[2002:7f00:1::]/", netguard.ReasonAddress},
		{"https://localhost/", netguard.ReasonAddress},
		{"https://LOCALHOST:8080/", netguard.ReasonAddress},
		{"https://localhost./", netguard.ReasonAddress},
		{"https://api.localhost/", netguard.ReasonAddress},
		{"https://private.example/", netguard.ReasonAddress},
		{"https://mapped-private.example/", netguard.ReasonAddress},
		{"https://metadata.google.internal/", netguard.ReasonAddress},
		{"https://rebind.example/", netguard.ReasonAddress},
		{"https://rebind6.example/", netguard.ReasonAddress},
		{"https://zone.example/", netguard.ReasonAddress},

		{"https://unknown.example/", netguard.ReasonHostUnresolved},
		{"https://nothing.example/", netguard.ReasonHostUnresolved},
	}
	g := mustGuard(t, netguard.Config{Resolver: someHosts})
	for _, tt := range tests {
		if got := reasonOf(t, g.CheckURL(t.Context(), tt.url)); got != tt.want {
			t.Errorf("%.80q: got %q, want %q", tt.url, got, tt.want)
		}
	}
}

func TestTheErrorOfAURLTellsWhatItIsFor(t *testing.T) {
	g := mustGuard(t, netguard.Config{Resolver: someHosts})
	for raw, want := range map[string]netguard.Class{
		"https://private.example/": netguard.ClassBlocked,
		"https://localhost/":       netguard.ClassBlocked,
		"http://example.com/":      netguard.ClassBlocked,
		"https://unknown.example/": netguard.ClassDNS,
	} {
		if got := netguard.Classify(g.CheckURL(t.Context(), raw)); got != want {
			t.Errorf("%s: class %q, want %q", raw, got, want)
		}
	}
	if err := g.CheckURL(t.Context(), "https://127.0.0.1/"); !errors.Is(err, netguard.ErrBlocked) {
		t.Errorf("a refused address is not ErrBlocked: %v", err)
	}
	if err := g.CheckURL(t.Context(), "https://unknown.example/"); !errors.As(err, new(*net.DNSError)) {
		t.Errorf("an unknown host does not tell what the resolver said: %v", err)
	}
}

func TestTheErrorOfAURLEchoesNothingOfIt(t *testing.T) {
	g := mustGuard(t, netguard.Config{Resolver: someHosts})
	for _, raw := range []string{
		"https://hunter2:hunter2@example.com/", "https://hunter2:pa/ss@example.com:1/", "https://example.com:hunter2/",
		"hunter2://example.com/", "https://hunter2/", "https://hunter2.localhost/?hunter2", "https://example.com/%zz?hunter2",
		"https://[hunter2]/", "https://example.com/#hunter2", "https://example.com:0/hunter2", "https://private.example/hunter2",
	} {
		err := g.CheckURL(t.Context(), raw)
		if err == nil {
			t.Errorf("%s is accepted", raw)
			continue
		}
		for _, text := range []string{err.Error(), netguard.Redact(err)} {
			if strings.Contains(text, "hunter2") || strings.Contains(text, "example.com") {
				t.Errorf("%s: the error echoes it: %s", raw, text)
			}
		}
	}
}

func TestSettingsOpenHTTPAndNetworksForURLs(t *testing.T) {
	tests := []struct {
		name   string
		config netguard.Config
		url    string
		want   netguard.Reason
	}{
		{"http when it is allowed", netguard.Config{AllowHTTP: true}, "http://example.com/", ""},
		{"https when http is allowed", netguard.Config{AllowHTTP: true}, "https://example.com/", ""},
		{"other schemes when http is allowed", netguard.Config{AllowHTTP: true}, "ftp://example.com/", netguard.ReasonScheme},
		{"loopback when it is allowed", netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, "https://127.0.0.1:1234/", ""},
		{"localhost when all its addresses are allowed", netguard.Config{AllowNetworks: networks("127.0.0.0/8", "::1/128")}, "https://localhost/", ""},
		{"localhost when one of its addresses is not", netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, "https://localhost/", netguard.ReasonAddress},
		{"localhost when another network is allowed", netguard.Config{AllowNetworks: networks("10.0.0.0/8")}, "https://localhost/", netguard.ReasonAddress},
		{"a private host when it is allowed", netguard.Config{AllowNetworks: networks("10.0.0.0/24")}, "https://private.example/", ""},
		{"an IPv4 host in the form some resolvers answer", netguard.Config{AllowNetworks: networks("10.0.0.0/24")}, "https://mapped-private.example/", ""},
		{"an address in that form in the URL", netguard.Config{AllowNetworks: networks("10.0.0.0/24")}, "https://[::ffff:a00:1]/", netguard.ReasonIPNotation},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Resolver = someHosts
			if got := reasonOf(t, mustGuard(t, tt.config).CheckURL(t.Context(), tt.url)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

type silentResolver struct{}

func (silentResolver) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestANameServerThatDoesNotAnswerIsWaitedForFiveSeconds(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		g := mustGuard(t, netguard.Config{Resolver: silentResolver{}})
		begun := time.Now()
		err := g.CheckURL(t.Context(), "https://example.com/")
		if got := reasonOf(t, err); got != netguard.ReasonHostUnresolved {
			t.Errorf("got %v, want %s", err, netguard.ReasonHostUnresolved)
		}
		if waited := time.Since(begun); waited != 5*time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestACallerWhoGivesUpIsNotToldThatTheURLIsBad(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		g := mustGuard(t, netguard.Config{Resolver: silentResolver{}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := g.CheckURL(ctx, "https://example.com/")
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*netguard.URLError)) {
			t.Errorf("got %v, want the context's error", err)
		}
	})
}

// anyHost is a resolver that knows every name. It answers a lenient reading of
// what looks like an address, and for names an address that hangs on the name:
// half of them are not public.
type anyHost struct{}

var lenient = map[string]string{
	"2130706433": "127.0.0.1", "0x7f.1": "127.0.0.1", "0177.0.0.1": "127.0.0.1", "127.1": "127.0.0.1", "0": "0.0.0.0",
}

func (anyHost) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if text, ok := lenient[strings.ToLower(strings.TrimSuffix(host, "."))]; ok {
		return []netip.Addr{netip.MustParseAddr(text)}, nil
	}
	answers := []string{public4, public6, "::ffff:" + public4, public4, "127.0.0.1", "::ffff:10.0.0.1", "fd00::1", "64:ff9b::a00:1"}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(host))
	return []netip.Addr{netip.MustParseAddr(answers[sum.Sum32()%uint32(len(answers))])}, nil
}

// FuzzCheckURL checks against net/http itself: whatever the URL, no request
// reaches an address that is not one of the two public ones or a public literal,
// and a URL that is accepted is one that can be sent to.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/", "https://user:pw@example.com:8443/x?y=z#f", "https://2130706433/", "https://0x7f.1/", "https://127.1",
		"https://[::ffff:127.0.0.1]/", "https://[::1%25eth0]/", "https://１２７.0.0.1/", "http:/x", `https:\\x`, "https://localhost./",
		"https://1.1.1.1:443", "https://[2606:4700::1111]/", "https:opaque", "https://%31/", "https://a..b/", "https://host:", "https://xn--a/",
		"file:///etc/passwd", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://127。0.0.1/", "https://[fe80::1]/", "https://0/", "https://exa\tmple/",
	} {
		f.Add(seed)
	}
	var mu sync.Mutex
	var dialled []string
	errStop := errors.New("dialled")
	g := mustGuard(f, netguard.Config{
		Resolver: anyHost{},
		DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, address)
			return nil, errStop
		},
	})
	client := g.Client(netguard.TransportOptions{})
	f.Fuzz(func(t *testing.T, raw string) {
		dialled = nil
		err := g.CheckURL(t.Context(), raw)
		if err != nil {
			reasonOf(t, err)
		}
		if u, parseErr := url.Parse(raw); err == nil && (parseErr != nil || u.Scheme != "https" || u.User != nil || u.Host == "") {
			t.Fatalf("%q is accepted", raw)
		}
		req, reqErr := http.NewRequestWithContext(t.Context(), http.MethodPost, raw, http.NoBody)
		if reqErr != nil {
			if err == nil {
				t.Fatalf("%q is accepted, but makes no request: %v", raw, reqErr)
			}
			return
		}
		resp, doErr := client.Do(req)
		if doErr == nil {
			_ = resp.Body.Close()
			t.Fatalf("%q was answered by nobody", raw)
		}
		if err == nil && !errors.Is(doErr, errStop) {
			t.Fatalf("%q is accepted, but not dialled: %v", raw, doErr)
		}
		for _, address := range dialled {
			host, _, _ := net.SplitHostPort(address)
			ip, parseErr := netip.ParseAddr(host)
			if parseErr != nil || ip.Is4In6() || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() {
				t.Fatalf("%q led to %s", raw, address)
			}
		}
	})
}

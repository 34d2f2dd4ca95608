package netguard_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// countingListener counts the connections that were opened to it.
type countingListener struct {
	net.Listener
	accepted atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// mustServe starts a TLS server on loopback that is valid for example.com too,
// and returns it, the count of its connections and what trusts it.
func mustServe(t testing.TB, h http.Handler) (*httptest.Server, *atomic.Int32, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	counting := &countingListener{Listener: s.Listener}
	s.Listener = counting
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, &counting.accepted, &tls.Config{RootCAs: roots}
}

func mustPort(t testing.TB, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatalf("parsing %s: %v", rawURL, err)
	}
	return u.Port()
}

// post sends an empty POST and returns the status of the answer.
func post(t testing.TB, client *http.Client, rawURL string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rawURL, http.NoBody)
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func mustClient(t testing.TB, c netguard.Config, opts netguard.TransportOptions) *http.Client {
	t.Helper()
	client := mustGuard(t, c).Client(opts)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

var answerOK = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestAServerOnLoopbackIsReachedOnlyWhenAllowed(t *testing.T) {
	server, connections, trust := mustServe(t, answerOK)
	port := mustPort(t, server.URL)
	strict := mustClient(t, netguard.Config{}, netguard.TransportOptions{TLS: trust})
	resolving := mustClient(t, netguard.Config{Resolver: hosts{"example.com": {"127.0.0.1"}}}, netguard.TransportOptions{TLS: trust})

	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "127.0.0.2", "0.0.0.0", "[::]"} {
		if _, err := post(t, strict, "https://"+host+":"+port); netguard.Classify(err) != netguard.ClassBlocked {
			t.Errorf("%s: got %v, want blocked", host, err)
		}
	}
	if _, err := post(t, resolving, "https://example.com:"+port); !errors.Is(err, netguard.ErrBlocked) {
		t.Errorf("a name that points to loopback: got %v, want ErrBlocked", err)
	}

	open := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	if status, err := post(t, open, server.URL); err != nil || status != http.StatusOK {
		t.Errorf("allowed: got %d, %v", status, err)
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("the server saw %d connections, want the allowed one only", got)
	}
}

// flipping answers a public address first and a loopback one from then on.
type flipping struct{ calls atomic.Int32 }

func (f *flipping) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	if f.calls.Add(1) == 1 {
		return []netip.Addr{netip.MustParseAddr(public4)}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

func TestAHostThatMovesToLoopbackAfterTheCheckIsBlockedAtDial(t *testing.T) {
	server, connections, trust := mustServe(t, answerOK)
	rebound := "https://example.com:" + mustPort(t, server.URL)
	g := mustGuard(t, netguard.Config{Resolver: &flipping{}})
	if err := g.CheckURL(t.Context(), rebound); err != nil {
		t.Fatalf("the first look: %v", err)
	}
	if _, err := post(t, g.Client(netguard.TransportOptions{TLS: trust}), rebound); !errors.Is(err, netguard.ErrBlocked) {
		t.Errorf("got %v, want ErrBlocked", err)
	}
	open := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.1/32")}, netguard.TransportOptions{TLS: trust})
	if _, err := post(t, open, server.URL); err != nil || connections.Load() != 1 {
		t.Errorf("the server saw %d connections (%v), want the allowed one only", connections.Load(), err)
	}
}

// recorder is a network on which every dial fails, and is remembered.
type recorder struct {
	mu      sync.Mutex
	dialled []string
}

var errNoNetwork = errors.New("no network")

func (r *recorder) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialled = append(r.dialled, address)
	return nil, errNoNetwork
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.dialled, " ")
}

func TestOnlyTheAllowedAddressesOfAHostAreDialled(t *testing.T) {
	tests := []struct {
		url     string
		allowed []netip.Prefix
		dialled string
		err     error
	}{
		{"https://example.com/", nil, public4 + ":443 [" + public6 + "]:443", errNoNetwork},
		{"https://rebind.example:8443/", nil, public4 + ":8443", errNoNetwork},
		{"https://mapped.example/", nil, public4 + ":443", errNoNetwork},
		{"https://mapped-private.example/", nil, "", netguard.ErrBlocked},
		{"https://mapped-private.example/", networks("10.0.0.0/8"), "10.0.0.1:443", errNoNetwork},
		{"https://[::ffff:10.0.0.1]/", networks("10.0.0.0/8"), "10.0.0.1:443", errNoNetwork},
		{"https://[::ffff:10.0.0.1]/", nil, "", netguard.ErrBlocked},
		{"https://private.example/", nil, "", netguard.ErrBlocked},
		{"https://zone.example/", nil, "", netguard.ErrBlocked},
		{"https://1.1.1.1/", nil, "1.1.1.1:443", errNoNetwork},
		{"https://169.254.169.254/", nil, "", netguard.ErrBlocked},
		{"https://[::1%25eth0]/", networks("::/0"), "", netguard.ErrBlocked},
		{"https://１２７.0.0.1/", nil, "", netguard.ErrBlocked},
	}
	for _, tt := range tests {
		network := &recorder{}
		client := mustClient(t, netguard.Config{AllowNetworks: tt.allowed, Resolver: someHosts, DialContext: network.DialContext}, netguard.TransportOptions{})
		_, err := post(t, client, tt.url)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %v", tt.url, err, tt.err)
		}
		if got := network.String(); got != tt.dialled {
			t.Errorf("%s: dialled %q, want %q", tt.url, got, tt.dialled)
		}
	}
}

func TestARequestOfASchemeOrMethodThatIsNotAllowedIsNotSent(t *testing.T) {
	for name, proxy := range map[string]*url.URL{"directly": nil, "by a proxy": {Scheme: "http", Host: "proxy:3128"}} {
		network := &recorder{}
		client := mustClient(t, netguard.Config{Resolver: someHosts, DialContext: network.DialContext, ForwardProxy: proxy}, netguard.TransportOptions{})
		_, err := post(t, client, "http://example.com/")
		if got := reasonOf(t, err); got != netguard.ReasonScheme || network.String() != "" {
			t.Errorf("%s: got %v, and dialled %q", name, err, network.String())
		}
		resp, err := client.Get("https://example.com/")
		if err == nil {
			_ = resp.Body.Close()
		}
		if err == nil || network.String() != "" {
			t.Errorf("%s: GET: got %v, and dialled %q", name, err, network.String())
		}
	}
}

func TestProxiesOfTheEnvironmentAreIgnored(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://example.com/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if proxy, err := http.ProxyFromEnvironment(req); err != nil || proxy == nil {
		t.Fatalf("the environment names no proxy (%v, %v), so this test shows nothing", proxy, err)
	}
	network := &recorder{}
	client := mustClient(t, netguard.Config{AllowHTTP: true, Resolver: hosts{"example.com": {public4}}, DialContext: network.DialContext}, netguard.TransportOptions{})
	for _, rawURL := range []string{"https://example.com/", "http://example.com/"} {
		if _, err := post(t, client, rawURL); !errors.Is(err, errNoNetwork) {
			t.Errorf("%s: %v", rawURL, err)
		}
	}
	if want := public4 + ":443 " + public4 + ":80"; network.String() != want {
		t.Errorf("dialled %q, want %q", network.String(), want)
	}
}

func TestRedirectsAreTheAnswerAndNotFollowed(t *testing.T) {
	var visited atomic.Int32
	server, _, trust := mustServe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			visited.Add(1)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		if r.Header.Get("Cookie") != "" || r.Header.Get("Accept-Encoding") != "" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	client := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	for range 2 { // the second would carry the first's cookie
		if status, err := post(t, client, server.URL); err != nil || status != http.StatusTemporaryRedirect {
			t.Errorf("got %d, %v; want 307", status, err)
		}
	}
	if visited.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

type countingResolver struct {
	Resolver hosts
	calls    atomic.Int32
}

func (c *countingResolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	c.calls.Add(1)
	return c.Resolver.LookupNetIP(ctx, network, host)
}

func TestAConnectionIsReusedWithoutAnotherLookup(t *testing.T) {
	server, connections, trust := mustServe(t, answerOK)
	resolver := &countingResolver{Resolver: hosts{"example.com": {"127.0.0.1"}}}
	client := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8"), Resolver: resolver},
		netguard.TransportOptions{TLS: trust, MaxIdleConnsPerHost: 1})
	for range 10 {
		if status, err := post(t, client, "https://example.com:"+mustPort(t, server.URL)); err != nil || status != http.StatusOK {
			t.Fatalf("got %d, %v", status, err)
		}
	}
	if connections.Load() != 1 || resolver.calls.Load() != 1 {
		t.Errorf("%d connections and %d lookups for ten requests, want one each", connections.Load(), resolver.calls.Load())
	}
}

func TestAnOldTLSVersionIsNotSpokenEvenIfConfigured(t *testing.T) {
	server, _, trust := mustServe(t, answerOK)
	server.TLS.MaxVersion = tls.VersionTLS11
	server.TLS.MinVersion = tls.VersionTLS10
	trust.MinVersion = tls.VersionTLS10
	client := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	if _, err := post(t, client, server.URL); netguard.Classify(err) != netguard.ClassTLS {
		t.Errorf("got %v, want a TLS error", err)
	}
	if trust.MinVersion != tls.VersionTLS10 {
		t.Error("the caller's configuration was changed")
	}
}

func TestAHandshakeThatIsNeverAnsweredIsGivenUp(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		held := make(chan time.Duration, 1)
		begun := time.Now()
		client := mustClient(t, netguard.Config{
			Resolver: hosts{"example.com": {public4}},
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					_, _ = io.Copy(io.Discard, theirs)
					held <- time.Since(begun)
				}()
				return ours, nil
			},
		}, netguard.TransportOptions{ConnectTimeout: 40 * time.Second})
		client.Timeout = 15 * time.Second
		if _, err := post(t, client, "https://example.com/"); netguard.Classify(err) != netguard.ClassTimeout {
			t.Errorf("got %v, want a timeout", err)
		}
		if waited := time.Since(begun); waited != 15*time.Second {
			t.Errorf("the request ended after %v, not at its deadline", waited)
		}
		if got := <-held; got != 15*time.Second {
			t.Errorf("the connection was held for %v, not as long as the request", got)
		}
		client.Timeout, begun = 0, time.Now()
		if _, err := post(t, client, "https://example.com/"); netguard.Classify(err) != netguard.ClassTimeout {
			t.Errorf("without a deadline: got %v, want a timeout", err)
		}
		if got := <-held; got != 40*time.Second {
			t.Errorf("without a deadline the connection was held for %v, want 40s", got)
		}
	})
}

func TestAnAddressThatDoesNotAnswerLeavesTimeForTheNext(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		begun := time.Now()
		client := mustClient(t, netguard.Config{
			Resolver: hosts{"example.com": {public6, public4}},
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				if address == public4+":443" {
					return nil, errNoNetwork
				}
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}, netguard.TransportOptions{ConnectTimeout: 10 * time.Second})
		if _, err := post(t, client, "https://example.com/"); netguard.Classify(err) != netguard.ClassTimeout {
			t.Errorf("got %v, want what the first address said", err)
		}
		if waited := time.Since(begun); waited != 5*time.Second {
			t.Errorf("waited %v for the first of two addresses, want half of the time", waited)
		}
	})
}

// forwardProxy tunnels every CONNECT to one server, forwards nothing else, and
// notes what it was asked.
type forwardProxy struct {
	target string // host:port
	status int    // answered instead of connecting, if not zero
	mu     sync.Mutex
	asked  []string
}

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if p.status != 0 || r.Method != http.MethodConnect {
		w.WriteHeader(max(p.status, http.StatusOK))
		return
	}
	var dialer net.Dialer
	upstream, err := dialer.DialContext(r.Context(), "tcp", p.target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = upstream.Close() }()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 Connected\r\n\r\n")
	go func() { _, _ = io.Copy(upstream, bufio.NewReader(buffered)) }()
	_, _ = io.Copy(conn, upstream)
}

func (p *forwardProxy) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.asked, "; ")
}

func TestAForwardProxyCarriesRequestsToPublicTargetsOnly(t *testing.T) {
	server, _, trust := mustServe(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	resolver := hosts{"example.com": {public4}, "private.example": {"10.0.0.1"}, "mixed.example": {public4, "127.0.0.1"}, "localhost": {"127.0.0.1"}, "１２７.0.0.1": {public4}}
	const basic = "Basic dXNlcjpzM2NyZXQ=" // user:s3cret

	proxies := map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer}
	for scheme, start := range proxies {
		t.Run(scheme, func(t *testing.T) {
			proxy := &forwardProxy{target: server.Listener.Addr().String()}
			ps := start(proxy)
			defer ps.Close()
			pu, err := url.Parse(ps.URL)
			if err != nil {
				t.Fatal(err)
			}
			pu.User = url.UserPassword("user", "s3cret")
			client := mustClient(t, netguard.Config{ForwardProxy: pu, AllowHTTP: true, Resolver: resolver}, netguard.TransportOptions{TLS: trust})

			for _, refused := range []string{
				"https://private.example/", "https://mixed.example/", "https://localhost/", "https://127.0.0.1/", "http://private.example/", "http://169.254.169.254/",
				"https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://１２７.0.0.1/", "https://unknown.example/", ps.URL,
			} {
				if _, err := post(t, client, refused); !errors.As(err, new(*netguard.URLError)) {
					t.Errorf("%s: got %v, want a refusal", refused, err)
				}
			}
			if status, err := post(t, client, "https://example.com/hook"); err != nil || status != http.StatusAccepted {
				t.Errorf("https by the proxy: got %d, %v", status, err)
			}
			if status, err := post(t, client, "http://example.com/hook"); err != nil || status != http.StatusOK {
				t.Errorf("http by the proxy: got %d, %v", status, err)
			}
			if want := "CONNECT example.com:443 " + basic + "; POST example.com " + basic; proxy.String() != want {
				t.Errorf("the proxy was asked %q, want %q", proxy.String(), want)
			}
		})
	}
}

func TestAProxyThatRefusesOrIsDownIsAFailureToConnect(t *testing.T) {
	ps := httptest.NewServer(&forwardProxy{status: http.StatusForbidden})
	defer ps.Close()
	down := httptest.NewServer(nil)
	down.Close()
	for rawURL, want := range map[string]string{
		ps.URL:   "the forward proxy answered with status 403",
		down.URL: "the forward proxy could not be reached: connect",
	} {
		pu, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		client := mustClient(t, netguard.Config{ForwardProxy: pu, Resolver: someHosts}, netguard.TransportOptions{})
		_, err = post(t, client, "https://example.com/?key=hunter2")
		if got := netguard.Classify(err); got != netguard.ClassConnect {
			t.Errorf("class %q of %v, want connect", got, err)
		}
		if got := netguard.Redact(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAProtocolSwitchByAProxyIsAnAnswerWithoutABody(t *testing.T) {
	proxy := mustScript(t, func(p *peer) {
		p.take()
		p.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		p.hold()
	})
	client := mustClient(t, netguard.Config{ForwardProxy: &url.URL{Scheme: "http", Host: proxy.addr}, AllowHTTP: true, Resolver: hosts{"example.com": {public4}}}, netguard.TransportOptions{})
	if status, err := post(t, client, "http://example.com/"); err != nil || status != http.StatusSwitchingProtocols {
		t.Errorf("got %d, %v", status, err)
	}
}

func BenchmarkReusedConnection(b *testing.B) {
	server, _, trust := mustServe(b, answerOK)
	client := mustClient(b, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	for b.Loop() {
		if _, err := post(b, client, server.URL); err != nil {
			b.Fatal(err)
		}
	}
}

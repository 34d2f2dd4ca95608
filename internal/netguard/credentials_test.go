package netguard_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// visitors is a TLS server that notes whose certificate each of its requests
// came with, and by which connection.
type visitors struct {
	url string

	mu    sync.Mutex
	names []string
	conns map[string]bool
}

func mustVisit(t *testing.T, config *tls.Config) *visitors {
	t.Helper()
	v := &visitors{conns: make(map[string]bool)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		v.mu.Lock()
		defer v.mu.Unlock()
		name := ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		v.names, v.conns[r.RemoteAddr] = append(v.names, name), true
	}))
	server.TLS = config
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

// seen returns the names in the order of the requests, and the number of
// connections.
func (v *visitors) seen() (string, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.names, " "), len(v.conns)
}

// mustCredentials makes an owner's credentials from PEM.
func mustCredentials(t *testing.T, owner string, pair [2]string, authorities ...*testkit.Authority) *netguard.Credentials {
	t.Helper()
	var certificate *tls.Certificate
	if pair[0] != "" {
		both, err := tls.X509KeyPair([]byte(pair[0]), []byte(pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		certificate = &both
	}
	var roots []*x509.Certificate
	for _, a := range authorities {
		block, _ := pem.Decode([]byte(a.PEM))
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
	}
	return netguard.NewCredentials(owner, certificate, roots)
}

func mustPair(t *testing.T, a *testkit.Authority, name string) [2]string {
	t.Helper()
	certificate, key := a.MustIssue(t, name, time.Now().Add(time.Hour))
	return [2]string{certificate, key}
}

// through sends an empty request.
func through(t *testing.T, transport http.RoundTripper, rawURL string) error {
	t.Helper()
	req, err := netguard.NewRequest(t.Context(), rawURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return err
}

func TestConnectionsOfDifferentCredentialsAreKeptApart(t *testing.T) {
	servers, clients := testkit.MustAuthority(t), testkit.MustAuthority(t)
	v := mustVisit(t, servers.MustServerConfig(t, clients))
	transport := mustTransport(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{MaxIdleConnsPerHost: 8})
	ann, bob := mustPair(t, clients, "ann"), mustPair(t, clients, "bob")
	for _, who := range []struct {
		owner string
		pair  [2]string
	}{{"1", ann}, {"2", bob}, {"1", ann}, {"1", bob}, {"2", bob}, {"2", ann}, {"1", ann}} {
		if err := through(t, transport.With(mustCredentials(t, who.owner, who.pair, servers)), v.url); err != nil {
			t.Fatal(err)
		}
	}
	names, connections := v.seen()
	if names != "ann bob ann bob bob ann ann" || connections != 4 {
		t.Errorf("%s came by %d connections, and there are 4 combinations of owner and certificate", names, connections)
	}
	if err := through(t, transport, v.url); netguard.Classify(err) != netguard.ClassTLS {
		t.Errorf("without credentials: %v", err)
	}
	if err := through(t, transport.With(mustCredentials(t, "1", [2]string{}, servers)), v.url); netguard.Classify(err) != netguard.ClassTLS {
		t.Errorf("with no certificate on a connection that would be there: %v", err)
	}
}

func TestOwnAuthoritiesReplaceTheSystems(t *testing.T) {
	trusted, own := testkit.MustAuthority(t), testkit.MustAuthority(t)
	usual, special := mustVisit(t, trusted.MustServerConfig(t, nil)), mustVisit(t, own.MustServerConfig(t, nil))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(trusted.PEM))
	transport := mustTransport(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	with := transport.With(mustCredentials(t, "1", [2]string{}, own))
	if err := through(t, transport, usual.url); err != nil {
		t.Error(err)
	}
	if err := through(t, with, special.url); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"the system's": through(t, with, usual.url), "another's": through(t, transport, special.url)} {
		if netguard.Classify(err) != netguard.ClassTLS {
			t.Errorf("a server of %s authority: %v", name, err)
		}
	}
}

func TestNothingIsSentToAServerThatDoesNotAskForTheCertificate(t *testing.T) {
	servers, clients := testkit.MustAuthority(t), testkit.MustAuthority(t)
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			config := servers.MustServerConfig(t, nil)
			config.MaxVersion = version
			v := mustVisit(t, config)
			transport := mustTransport(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{})
			err := through(t, transport.With(mustCredentials(t, "1", mustPair(t, clients, "ann"), servers)), v.url)
			if netguard.Classify(err) != netguard.ClassTLS || !strings.Contains(netguard.Redact(err), "did not ask") {
				t.Errorf("%v", err)
			}
			if names, connections := v.seen(); connections != 0 {
				t.Errorf("%q reached it", names)
			}
		})
	}
}

func TestCredentialsAreNotForPlainHTTP(t *testing.T) {
	network := &recordedNetwork{}
	transport := mustTransport(t, netguard.Config{AllowHTTP: true, Resolver: someHosts, DialContext: network.DialContext}, netguard.TransportOptions{})
	err := through(t, transport.With(mustCredentials(t, "1", [2]string{}, testkit.MustAuthority(t))), "http://example.com/")
	if netguard.Classify(err) != netguard.ClassBlocked {
		t.Errorf("%v", err)
	}
	if network.dials.Load() != 0 {
		t.Error("a connection was opened")
	}
}

type recordedNetwork struct{ dials atomic.Int32 }

func (n *recordedNetwork) DialContext(context.Context, string, string) (net.Conn, error) {
	n.dials.Add(1)
	return nil, io.EOF
}

// relay is a forward proxy that connects every tunnel to one server, or refuses.
type relay struct {
	asked   atomic.Pointer[http.Request]
	target  string
	refuses atomic.Bool
}

func (p *relay) serve(client net.Conn) {
	defer client.Close()
	req, err := http.ReadRequest(bufio.NewReader(client))
	if err != nil {
		return
	}
	p.asked.Store(req)
	if p.refuses.Load() {
		_, _ = io.WriteString(client, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	server, err := (&net.Dialer{}).Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client) }()
	_, _ = io.Copy(client, server)
}

func TestCredentialsGoThroughTheForwardProxyToTheServer(t *testing.T) {
	servers, clients, proxies := testkit.MustAuthority(t), testkit.MustAuthority(t), testkit.MustAuthority(t)
	v := mustVisit(t, servers.MustServerConfig(t, clients))
	target, err := url.Parse(v.url)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(proxies.PEM))
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			p := &relay{target: target.Host}
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if scheme == "https" {
				listener = tls.NewListener(listener, proxies.MustServerConfig(t, nil))
			}
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for {
					client, err := listener.Accept()
					if err != nil {
						return
					}
					go p.serve(client)
				}
			}()
			proxy := &url.URL{Scheme: scheme, Host: listener.Addr().String(), User: url.UserPassword("user", "word")}
			transport := mustTransport(t, netguard.Config{ForwardProxy: proxy, Resolver: hosts{"example.com": {public4}, "inside.example": {"10.0.0.1"}}},
				netguard.TransportOptions{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
			with := transport.With(mustCredentials(t, "1", mustPair(t, clients, "ann"), servers))
			for range 2 {
				if err := through(t, with, "https://example.com/"); err != nil {
					t.Fatal(err)
				}
			}
			asked := p.asked.Load()
			if asked.Method != http.MethodConnect || asked.Host != "example.com:443" || asked.Header.Get("Proxy-Authorization") != "Basic dXNlcjp3b3Jk" {
				t.Errorf("the proxy was asked %s %s %v", asked.Method, asked.Host, asked.Header)
			}
			p.asked.Store(nil)
			if err := through(t, with, "https://inside.example/"); netguard.Classify(err) != netguard.ClassBlocked || p.asked.Load() != nil {
				t.Errorf("an address that is not allowed: %v", err)
			}
			transport.CloseIdleConnections()
			p.refuses.Store(true)
			if err := through(t, with, "https://example.com/"); netguard.Redact(err) != "the forward proxy answered with status 407" {
				t.Errorf("a proxy that refuses: %v", err)
			}
		})
	}
	if names, _ := v.seen(); names != "ann ann ann ann" {
		t.Errorf("the server saw %q", names)
	}
}

func TestAProxyThatSaysNothingIsGivenUp(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	proxy := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	transport := mustTransport(t, netguard.Config{ForwardProxy: proxy, Resolver: hosts{"example.com": {public4}}},
		netguard.TransportOptions{ConnectTimeout: 20 * time.Millisecond})
	err = through(t, transport.With(mustCredentials(t, "1", [2]string{}, testkit.MustAuthority(t))), "https://example.com/")
	if netguard.Classify(err) != netguard.ClassTimeout {
		t.Errorf("%v is %s", err, netguard.Classify(err))
	}
}

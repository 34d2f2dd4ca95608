package netguard_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

// mustListen serves raw connections on loopback: each is given to handle and
// then closed.
func mustListen(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handle(conn)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// mustTakePort returns an address at which nobody listens, and nobody else can before
// the test ends: that of the client of a connection.
func mustTakePort(t testing.TB) string {
	t.Helper()
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", mustListen(t, func(net.Conn) { <-hold }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

// reply reads what comes first and answers it with a text.
func reply(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 64<<10))
		_, _ = io.WriteString(conn, text)
	}
}

// mustNameServer starts a DNS server that answers every question with one
// response code (RFC 1035, section 4.1.1), and returns a resolver that asks it.
func mustNameServer(t testing.TB, code byte) *net.Resolver {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		message := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(message)
			if err != nil {
				return
			}
			message[2] |= 0x80 // this is a response
			message[3] = 0x80 | code
			_, _ = conn.WriteTo(message[:n], from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestARealErrorHasItsClassAndTellsNothingSecret(t *testing.T) {
	server, _, trust := mustServe(t, answerOK)
	port := mustPort(t, server.URL)
	plain := httptest.NewServer(answerOK)
	t.Cleanup(plain.Close)
	closed := "http://" + mustTakePort(t)
	mutual, _, trustMutual := mustServe(t, answerOK)
	mutual.TLS.ClientAuth = tls.RequireAnyClientCert
	old, _, trustOld := mustServe(t, answerOK)
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	slow, _, trustSlow := mustServe(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	half, _, trustHalf := mustServe(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	// A server hello that chooses TLS 1.0, against what was offered.
	stubborn := mustListen(t, reply("\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"+strings.Repeat("r", 32)+"\x00\x00\x2f\x00"))
	reset := mustListen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	})
	loopback := netguard.Config{AllowNetworks: networks("127.0.0.0/8", "::1/128"), AllowHTTP: true}
	named := loopback
	named.Resolver = hosts{"other.test": {"127.0.0.1"}}
	unknown, broken, noServer := loopback, loopback, loopback
	unknown.Resolver = mustNameServer(t, 3)
	broken.Resolver = mustNameServer(t, 2)
	noServer.Resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route to 10.1.2.3")
	}}

	tests := []struct {
		name   string
		config netguard.Config
		tls    *tls.Config
		url    string
		want   netguard.Class
		text   string // a part of what Redact gives
	}{
		{"a private address", netguard.Config{}, nil, "https://10.0.0.1", netguard.ClassBlocked, "the host has an address that is not allowed"},
		{"a scheme", netguard.Config{}, nil, plain.URL, netguard.ClassBlocked, "The URL must begin with https://."},
		{"no such host", unknown, nil, "https://unknown.example", netguard.ClassDNS, "looking up the host: no such host"},
		{"a broken name server", broken, nil, "https://unknown.example", netguard.ClassDNS, "looking up the host: the name server failed"},
		{"no name server", noServer, nil, "https://unknown.example", netguard.ClassDNS, "looking up the host: the name server failed"},
		{"a closed port", loopback, nil, closed, netguard.ClassConnect, "dial: connection refused"},
		{"a server that hangs up", loopback, nil, "http://" + mustListen(t, reply("")), netguard.ClassConnect, "EOF"},
		{"a server that hangs up during the handshake", loopback, nil, "https://" + mustListen(t, reply("")), netguard.ClassConnect, "EOF"},
		{"a connection that is reset", loopback, nil, "http://" + reset, netguard.ClassConnect, "read: connection reset by peer"},
		{"a body that breaks off", loopback, trustHalf, half.URL, netguard.ClassConnect, "unexpected EOF"},
		{"an unknown authority", loopback, nil, server.URL, netguard.ClassTLS, "certificate signed by unknown authority"},
		{"another name's certificate", named, trust, "https://other.test:" + port, netguard.ClassTLS, "certificate is valid for example.com"},
		{"a server without TLS", loopback, nil, "https://" + plain.Listener.Addr().String(), netguard.ClassTLS, "server gave HTTP response to HTTPS client"},
		{"a server of another protocol", loopback, nil, "https://" + mustListen(t, reply("220 mail.example ESMTP\r\n")), netguard.ClassTLS, "first record does not look like a TLS handshake"},
		{"a server that knows old TLS only", loopback, trustOld, old.URL, netguard.ClassTLS, "remote error: tls: protocol version not supported"},
		{"a server that chooses old TLS", loopback, nil, "https://" + stubborn, netguard.ClassTLS, "tls: server selected unsupported protocol version 301"},
		{"a server that wants a certificate", loopback, trustMutual, mutual.URL, netguard.ClassTLS, "remote error: tls: certificate required"},
		{"a server that does not answer", loopback, trustSlow, slow.URL, netguard.ClassTimeout, "context deadline exceeded"},
		{"an answer that is not HTTP", loopback, nil, "http://" + mustListen(t, reply("SSH-2.0-hunter2\r\n\r\n")), netguard.ClassProtocol, "malformed HTTP response"},
		{"a header that is too large", loopback, nil, "http://" + mustListen(t, reply("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n")), netguard.ClassProtocol, "server response headers exceeded"},
		{"a redirect to nowhere", loopback, nil, "http://" + mustListen(t, reply("HTTP/1.1 302 Found\r\nLocation: https://u:hunter2@h:x/\r\n\r\n")), netguard.ClassProtocol, "failed to parse Location header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := mustClient(t, tt.config, netguard.TransportOptions{TLS: tt.tls})
			if tt.want == netguard.ClassTimeout {
				client.Timeout = 100 * time.Millisecond
			}
			_, err := post(t, client, tt.url+"/hunter2?key=hunter2")
			if got := netguard.Classify(err); got != tt.want {
				t.Errorf("class %q of %v, want %q", got, err, tt.want)
			}
			text := netguard.Redact(err)
			if !strings.Contains(text, tt.text) {
				t.Errorf("%q does not say %q", text, tt.text)
			}
			for _, secret := range []string{"hunter2", "127.0.0.1:", "10.", "unknown.example"} {
				if strings.Contains(text, secret) {
					t.Errorf("%q has %q in it", text, secret)
				}
			}
		})
	}
}

func TestARequestThatIsCalledOffIsCanceledAndOnePastItsDeadlineTimedOut(t *testing.T) {
	arrived := make(chan struct{}, 2)
	slow, _, trust := mustServe(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // or an empty answer might still arrive
	}))
	client := mustClient(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	do := func(ctx context.Context) netguard.Class {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, slow.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		return netguard.Classify(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if got := do(ctx); got != netguard.ClassCanceled {
		t.Errorf("called off: got %q", got)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := do(ctx); got != netguard.ClassTimeout {
		t.Errorf("past the deadline: got %q", got)
	}
}

func TestNoErrorHasNoClassAndNoText(t *testing.T) {
	if class, text := netguard.Classify(nil), netguard.Redact(nil); class != "" || text != "" {
		t.Errorf("got %q, %q", class, text)
	}
}

func TestRedactionKeepsTheCauseAndDropsWhatMayBeSecret(t *testing.T) {
	malformed := &url.Error{Op: "parse", URL: "https://user:pa/hunter2@example.com/", Err: errors.New(`invalid port ":pa" after host`)}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"the URL of a request", &url.Error{Op: "Post", URL: "https://u:p@h/s?k=v", Err: io.ErrUnexpectedEOF}, "unexpected EOF"},
		{"a request in a request", &url.Error{URL: "https://a", Err: fmt.Errorf("wrapped: %w", &url.Error{URL: "https://b", Err: io.EOF})}, "EOF"},
		{"a URL that can't be parsed", malformed, "invalid port … after host"},
		{"a URL in a text", errors.New("posting https://u:p@h/s?k=v failed"), "posting … failed"},
		{"a quotation with escapes", errors.New(`bad line "a\"hunter2" in answer`), "bad line … in answer"},
		{"a quotation without an end", errors.New(`bad line "hunter2`), "bad line …"},
		{"both ends of a connection", &net.OpError{Op: "read", Source: &net.TCPAddr{Port: 1}, Addr: &net.TCPAddr{Port: 2}, Err: errors.New("reset")}, "read: reset"},
		{"the name server", &net.DNSError{Err: "i/o timeout", Name: "h", Server: "10.0.0.2:53", IsTimeout: true}, "looking up the host: timed out"},
		{"more than one line", errors.New("a\r\nb\x00c\xff"), "a  b c?"},
		{"a long text", errors.New(strings.Repeat("ä", 400)), strings.Repeat("ä", 148) + "…"},
	}
	for _, tt := range tests {
		if got := netguard.Redact(tt.err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

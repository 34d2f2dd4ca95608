package netguard_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

func TestARequestIsWrittenAsItShouldBe(t *testing.T) {
	const end = "\r\nContent-Length: 2\r\nA: 1\r\nB: 2\r\nB: 3\r\n\r\n{}"
	for rawURL, want := range map[string]string{
		"http://example.com":                      "POST / HTTP/1.1\r\nHost: example.com" + end,
		"http://example.com:80/":                  "POST / HTTP/1.1\r\nHost: example.com:80" + end,
		"http://example.com:/":                    "POST / HTTP/1.1\r\nHost: example.com" + end,
		"http://example.com:8080?q":               "POST /?q HTTP/1.1\r\nHost: example.com:8080" + end,
		"http://example.com/?":                    "POST /? HTTP/1.1\r\nHost: example.com" + end,
		"http://user:hunter2@example.com/a%2Fb#f": "POST /a%2Fb HTTP/1.1\r\nHost: example.com" + end,
		"http://example.com/ä?ä":                  "POST /%C3%A4?ä HTTP/1.1\r\nHost: example.com" + end,
		"http://example.com//a/../b":              "POST //a/../b HTTP/1.1\r\nHost: example.com" + end,
		"http://[" + public6 + "]:8080/":          "POST / HTTP/1.1\r\nHost: [" + public6 + "]:8080" + end,
	} {
		sent := make(chan string, 1)
		config := pipes(new(atomic.Int32), func(p *peer) {
			got := make([]byte, len(want))
			n, _ := io.ReadFull(p.in, got)
			sent <- string(got[:n])
			p.say(created)
		}, new(atomic.Int32))
		req, err := netguard.NewRequest(t.Context(), rawURL, []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"B": {"2", "3"}, "A": {"1"}, "Host": {"other"}, "content-length": {"7"}, "Transfer-Encoding": {"chunked"}, "Connection": {"close"}}
		resp, err := mustTransport(t, config, netguard.TransportOptions{}).RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", rawURL, err)
		}
		_ = resp.Body.Close()
		if got := <-sent; got != want {
			t.Errorf("%s: sent %q", rawURL, got)
		}
	}
}

func TestARequestThatCanNotBeWrittenIsNotSent(t *testing.T) {
	network := &recorder{}
	transport := mustTransport(t, netguard.Config{Resolver: someHosts, DialContext: network.DialContext}, netguard.TransportOptions{})
	for name, spoil := range map[string]func(*http.Request){
		"a header on two lines":      func(r *http.Request) { r.Header["A"] = []string{"1\r\nB: 2"} },
		"a header with a NUL":        func(r *http.Request) { r.Header["A"] = []string{"1\x00"} },
		"a name on two lines":        func(r *http.Request) { r.Header["A: 1\r\nB"] = []string{"2"} },
		"a name that is empty":       func(r *http.Request) { r.Header[""] = []string{"2"} },
		"a query on two lines":       func(r *http.Request) { r.URL.RawQuery = "a HTTP/1.1\r\nB: 2" },
		"a query with a space":       func(r *http.Request) { r.URL.RawQuery = "a b" },
		"a path that is opaque":      func(r *http.Request) { r.URL.Opaque = "//example.com/\r\n" },
		"a host on two lines":        func(r *http.Request) { r.URL.Host = "example.com\r\nA: 1" },
		"a host with a path":         func(r *http.Request) { r.URL.Host = "example.com/a" },
		"no host":                    func(r *http.Request) { r.URL.Host = ":443" },
		"another method":             func(r *http.Request) { r.Method = http.MethodGet },
		"a body that can't be read":  func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte("{")), failing{})) },
		"a context that has ended":   func(r *http.Request) { *r = *r.WithContext(ended(r.Context())) },
		"a scheme that is not known": func(r *http.Request) { r.URL.Scheme = "ftp" },
	} {
		req, err := netguard.NewRequest(t.Context(), "https://example.com/", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		spoil(req)
		if resp, err := transport.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: answered with %d", name, resp.StatusCode)
		}
	}
	if network.String() != "" {
		t.Errorf("dialled %q", network.String())
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errNoNetwork }

func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

package netguard_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

// canned is a connection whose peer says the same whatever it is sent, and then
// hangs up. As of a real peer, nothing comes of it before the request.
type canned struct {
	answer *bytes.Reader
	sent   chan struct{}
	once   sync.Once
}

func newCanned(answer []byte) *canned {
	return &canned{answer: bytes.NewReader(answer), sent: make(chan struct{})}
}

func (c *canned) Write(p []byte) (int, error) {
	c.once.Do(func() { close(c.sent) })
	return len(p), nil
}

func (c *canned) Read(p []byte) (int, error) {
	<-c.sent
	return c.answer.Read(p)
}

func (c *canned) Close() error {
	c.once.Do(func() { close(c.sent) })
	return nil
}

func (*canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*canned) SetDeadline(time.Time) error      { return nil }
func (*canned) SetReadDeadline(time.Time) error  { return nil }
func (*canned) SetWriteDeadline(time.Time) error { return nil }

// verdict is what a client makes of an answer.
type verdict struct {
	Status      int
	Header      http.Header
	Body        string
	Trailer     http.Header
	HeadFailed  bool
	BodyFailed  bool
	ContentSize int64
}

func judge(t *testing.T, rt http.RoundTripper) verdict {
	t.Helper()
	req, err := netguard.NewRequest(t.Context(), "http://example.com/", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return verdict{HeadFailed: true}
	}
	defer func() { _ = resp.Body.Close() }()
	v := verdict{Status: resp.StatusCode, Header: resp.Header, ContentSize: resp.ContentLength}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return v // whose body is the connection with net/http, and nothing here
	}
	body, err := io.ReadAll(resp.Body)
	v.Body, v.Trailer, v.BodyFailed = string(body), resp.Trailer, err != nil
	return v
}

func FuzzAnAnswerMeansWhatItMeansToNetHTTP(f *testing.F) {
	for _, answer := range []string{
		ok, created,
		"",
		"HTTP/1.1 200 OK\r\n\r\nuntil the end",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nA: b\r\n\r\nHTTP/1.1 500 Not Asked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
		"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nbytes",
		"HTTP/1.1 199 Odd\r\nContent-Length: 2\r\n\r\nok" + created,
		"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n",
		"HTTP/1.1 0200 OK\r\n\r\n",
		"HTTP/1.1 -20 OK\r\n\r\n",
		"HTTP/1.1 000 OK\r\n\r\n",
		"HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nConnection: close, x\r\n\r\n",
		"\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 70_000) + "\r\n\r\n",
		"SSH-2.0-OpenSSH_9.9\r\n",
	} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		dial := func(context.Context, string, string) (net.Conn, error) { return newCanned(answer), nil }
		own := mustTransport(t, netguard.Config{AllowHTTP: true, Resolver: hosts{"example.com": {public4}}, DialContext: dial}, netguard.TransportOptions{})
		standard := &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
		want, got := judge(t, standard), judge(t, own)
		if got.HeadFailed && bytes.Count(answer, []byte("HTTP/1.")) > 32 {
			return // more hints than are put up with here
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-net/http +own):\n%s", answer, diff)
		}
	})
}

package netguard_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// peer is the other end of a connection.
type peer struct {
	net.Conn
	in       *bufio.Reader
	requests *atomic.Int32 // over all connections of the server
}

// take reads a request, and returns its body.
func (p *peer) take() string {
	req, err := http.ReadRequest(p.in)
	if err != nil {
		return ""
	}
	body, _ := io.ReadAll(req.Body)
	p.requests.Add(1)
	return string(body)
}

func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// hold waits until the client hangs up.
func (p *peer) hold() { _, _ = io.Copy(io.Discard, p.in) }

// server serves a connection by each of its scripts and refuses any further one.
type server struct {
	addr        string
	requests    atomic.Int32
	connections atomic.Int32
	ended       chan struct{} // gets a value when a script has ended and its connection is closed
}

func mustScript(t testing.TB, scripts ...func(*peer)) *server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &server{addr: listener.Addr().String(), ended: make(chan struct{}, len(scripts))}
	go func() {
		defer func() { _ = listener.Close() }()
		for _, script := range scripts {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			go func() {
				script(&peer{conn, bufio.NewReader(conn), &s.requests})
				_ = conn.Close()
				s.ended <- struct{}{}
			}()
		}
	}()
	return s
}

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	created = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
)

// loopback reaches servers on this machine.
func loopback() netguard.Config {
	return netguard.Config{AllowHTTP: true, AllowNetworks: networks("127.0.0.0/8")}
}

func mustTransport(t testing.TB, c netguard.Config, opts netguard.TransportOptions) *netguard.Transport {
	t.Helper()
	transport := mustGuard(t, c).Transport(opts)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// send posts a body and returns status and body of the answer.
func send(t testing.TB, ctx context.Context, rt http.RoundTripper, rawURL, body string) (int, string, error) {
	t.Helper()
	req, err := netguard.NewRequest(ctx, rawURL, []byte(body))
	if err != nil {
		t.Fatalf("making the request: %v", err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}

func TestAConnectionThatThePeerHasClosedCostsNothing(t *testing.T) {
	once := func(p *peer) { p.take(); p.say(ok) }
	server := mustScript(t, once, once, once)
	transport := mustTransport(t, loopback(), netguard.TransportOptions{})
	for i := range 3 {
		if status, body, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); err != nil || status != 200 || body != "ok" {
			t.Errorf("request %d: %d %q %v", i, status, body, err)
		}
		<-server.ended
	}
	if n := server.requests.Load(); n != 3 {
		t.Errorf("%d requests arrived, not 3", n)
	}
}

func TestAnEncryptedConnectionThatThePeerHasClosedCostsNothing(t *testing.T) {
	server, connections, trust := mustServe(t, answerOK)
	transport := mustTransport(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8", "::1/128")}, netguard.TransportOptions{TLS: trust})
	for range 3 {
		for range 2 {
			if status, _, err := send(t, t.Context(), transport, server.URL, "{}"); err != nil || status != 200 {
				t.Errorf("got %d, %v", status, err)
			}
		}
		server.CloseClientConnections()
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("six requests took %d connections, not one for each two", n)
	}
}

func TestARequestIsRepeatedOnceIfAUsedConnectionEndsWithoutAnAnswer(t *testing.T) {
	answerOne := func(p *peer) { p.take(); p.say(ok) }
	hangUp := func(p *peer) { p.take() }
	tests := []struct {
		name     string
		scripts  []func(*peer)
		requests int32 // in all, the first one included
		status   int
		class    netguard.Class
	}{
		{"and the new one answers", []func(*peer){func(p *peer) { answerOne(p); p.take() }, func(p *peer) { p.take(); p.say(created) }}, 3, 201, ""},
		{"and the new one ends too", []func(*peer){func(p *peer) { answerOne(p); p.take() }, hangUp, hangUp}, 3, 0, netguard.ClassConnect},
		{"but not after the first byte", []func(*peer){func(p *peer) { answerOne(p); p.take(); p.say("HTTP/1.1 200 OK\r\n") }, hangUp}, 2, 0, netguard.ClassConnect},
		{"but not after a hint", []func(*peer){func(p *peer) { answerOne(p); p.take(); p.say("HTTP/1.1 100 Continue\r\n\r\n") }, hangUp}, 2, 0, netguard.ClassConnect},
	}
	for _, tt := range tests {
		for size, payload := range map[string]string{"short": "{}", "long": strings.Repeat("x", 300_000)} {
			t.Run(tt.name+", "+size, func(t *testing.T) {
				server := mustScript(t, tt.scripts...)
				transport := mustTransport(t, loopback(), netguard.TransportOptions{})
				if status, _, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); err != nil || status != 200 {
					t.Fatalf("the first request: %d %v", status, err)
				}
				status, _, err := send(t, t.Context(), transport, "http://"+server.addr, payload)
				if status != tt.status || netguard.Classify(err) != tt.class {
					t.Errorf("got %d, %v", status, err)
				}
				if n := server.requests.Load(); n != tt.requests {
					t.Errorf("%d requests arrived, not %d", n, tt.requests)
				}
			})
		}
	}
}

func TestARequestOnANewConnectionIsNotRepeated(t *testing.T) {
	hangUp := func(p *peer) { p.take() }
	server := mustScript(t, hangUp, hangUp)
	_, _, err := send(t, t.Context(), mustTransport(t, loopback(), netguard.TransportOptions{}), "http://"+server.addr, "{}")
	if netguard.Classify(err) != netguard.ClassConnect || server.requests.Load() != 1 {
		t.Errorf("after %d requests: %v", server.requests.Load(), err)
	}
}

func TestNothingIsRepeatedAfterTheDeadline(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var requests, connections atomic.Int32
		transport := mustTransport(t, pipes(&connections, func(p *peer) {
			p.take()
			p.say(ok)
			p.take()
			p.hold()
		}, &requests), netguard.TransportOptions{})
		if _, _, err := send(t, t.Context(), transport, "http://example.com", "{}"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := send(t, ctx, transport, "http://example.com", "{}"); netguard.Classify(err) != netguard.ClassTimeout {
			t.Errorf("got %v, want a timeout", err)
		}
		if requests.Load() != 2 || connections.Load() != 1 {
			t.Errorf("%d requests arrived over %d connections", requests.Load(), connections.Load())
		}
	})
}

// pipes is a network in memory on which every connection to example.com is
// served by the script.
func pipes(connections *atomic.Int32, script func(*peer), requests *atomic.Int32) netguard.Config {
	return netguard.Config{
		AllowHTTP: true, Resolver: hosts{"example.com": {public4}, "example.org": {public6}},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			connections.Add(1)
			ours, theirs := net.Pipe()
			go func() {
				script(&peer{theirs, bufio.NewReader(theirs), requests})
				_ = theirs.Close()
			}()
			return ours, nil
		},
	}
}

func TestAConnectionIsUsedAgainOnlyIfTheAnswerLeftItClean(t *testing.T) {
	for name, tt := range map[string]struct {
		answer      string
		status      int
		body        string
		connections int32
	}{
		"a length":                           {ok, 200, "ok", 1},
		"no content":                         {"HTTP/1.1 204 No Content\r\n\r\n", 204, "", 1},
		"not modified":                       {"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, "", 1},
		"chunks":                             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, "ok", 1},
		"chunks with a trailer":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", 200, "ok", 1},
		"hints first":                        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok, 200, "ok", 1},
		"old, but keeping the connection":    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 1},
		"old":                                {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2},
		"a wish to close":                    {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", 2},
		"a protocol switch":                  {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, "", 2},
		"bytes after the answer":             {ok + "HTTP/1.1 500 Not Asked\r\nContent-Length: 0\r\n\r\n", 200, "ok", 2},
		"bytes after an answer with no body": {"HTTP/1.1 204 No Content\r\n\r\nok", 204, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			talk := func(p *peer) {
				for p.take() != "" {
					p.say(tt.answer)
				}
			}
			server := mustScript(t, talk, talk)
			transport := mustTransport(t, loopback(), netguard.TransportOptions{})
			for range 2 {
				status, body, err := send(t, t.Context(), transport, "http://"+server.addr, "{}")
				if err != nil || status != tt.status || body != tt.body {
					t.Errorf("got %d %q %v", status, body, err)
				}
			}
			if n := server.connections.Load(); n != tt.connections {
				t.Errorf("two requests took %d connections, not %d", n, tt.connections)
			}
		})
	}
}

func TestWhatAPeerSendsUnaskedIsNotTheNextAnswer(t *testing.T) {
	said := make(chan struct{})
	server := mustScript(t, func(p *peer) {
		p.take()
		p.say(ok)
		<-said // the client has the answer
		p.say("HTTP/1.1 500 Not Asked\r\nContent-Length: 0\r\n\r\n")
		said <- struct{}{}
		p.hold()
	}, func(p *peer) { p.take(); p.say(created) })
	transport := mustTransport(t, loopback(), netguard.TransportOptions{})
	if _, _, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); err != nil {
		t.Fatal(err)
	}
	said <- struct{}{}
	<-said
	if status, _, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); err != nil || status != 201 {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestAnAnswerThatIsClosedBeforeItsEndCostsTheConnection(t *testing.T) {
	half := func(p *peer) { p.take(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"); p.hold() }
	server := mustScript(t, half, func(p *peer) { p.take(); p.say(created) })
	transport := mustTransport(t, loopback(), netguard.TransportOptions{})
	req, err := netguard.NewRequest(t.Context(), "http://"+server.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	<-server.ended
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reading a closed body: %v", err)
	}
	if status, _, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); err != nil || status != 201 {
		t.Errorf("got %d, %v", status, err)
	}
}

func TestAConnectionWhoseRequestWasCalledOffIsNotUsedAgainAlthoughItsAnswerWasWhole(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var connections, requests atomic.Int32
		transport := mustTransport(t, pipes(&connections, func(p *peer) {
			for p.take() != "" {
				p.say(ok)
			}
		}, &requests), netguard.TransportOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := netguard.NewRequest(ctx, "http://example.com", []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		cancel() // the answer came in one piece, so its end is here already
		synctest.Wait()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "ok" {
			t.Fatalf("got %q, %v", body, err)
		}
		if status, _, err := send(t, t.Context(), transport, "http://example.com", "{}"); err != nil || status != 200 {
			t.Errorf("the next: got %d, %v", status, err)
		}
		if n := connections.Load(); n != 2 {
			t.Errorf("two requests took %d connections", n)
		}
	})
}

func TestAnAnswerIsReadAlthoughTheRequestWasNot(t *testing.T) {
	const early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"
	head := func(p *peer) { // reads no more than what is buffered with it
		for line := "x"; strings.TrimSpace(line) != ""; {
			line, _ = p.in.ReadString('\n')
		}
	}
	for name, script := range map[string]func(*peer){
		"and the connection stays":              func(p *peer) { head(p); p.say(early); <-t.Context().Done() },
		"and the connection is closed":          func(p *peer) { head(p); p.say(early) },
		"nor its head, and the connection ends": func(p *peer) { _, _ = p.in.Peek(1); p.say(early) },
	} {
		for size, payload := range map[string]string{"short": strings.Repeat("x", 8<<10), "long": strings.Repeat("x", 8<<20)} {
			t.Run(name+", "+size, func(t *testing.T) {
				server := mustScript(t, script)
				transport := mustTransport(t, loopback(), netguard.TransportOptions{})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if status, body, err := send(t, ctx, transport, "http://"+server.addr, payload); err != nil || status != 413 || body != "no!" {
					t.Errorf("got %d %q %v", status, body, err)
				}
			})
		}
	}
}

func TestALongRequestArrivesWholeAndItsConnectionIsUsedAgain(t *testing.T) {
	payload := strings.Repeat("0123456789abcdef", 1<<16)
	var wrong atomic.Int32
	server := mustScript(t, func(p *peer) {
		for range 3 {
			if p.take() != payload {
				wrong.Add(1)
			}
			p.say(ok)
		}
	})
	transport := mustTransport(t, loopback(), netguard.TransportOptions{})
	for range 3 {
		if status, _, err := send(t, t.Context(), transport, "http://"+server.addr, payload); err != nil || status != 200 {
			t.Errorf("got %d, %v", status, err)
		}
	}
	if wrong.Load() != 0 || server.connections.Load() != 1 {
		t.Errorf("%d were not as sent; %d connections", wrong.Load(), server.connections.Load())
	}
}

func TestAPeerThatIsTooSlowMeetsTheDeadline(t *testing.T) {
	drip := func(p *peer, text string) {
		for _, b := range []byte(text) {
			if _, err := p.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
	for name, script := range map[string]func(*peer){
		"never answers":         func(p *peer) { p.take(); p.hold() },
		"never reads":           func(*peer) { time.Sleep(20 * time.Second) },
		"sends its head slowly": func(p *peer) { p.take(); drip(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") },
		"sends its body slowly": func(p *peer) {
			p.take()
			p.say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
			drip(p, strings.Repeat("x", 100))
		},
		"hints slowly": func(p *peer) {
			p.take()
			for range 20 {
				p.say("HTTP/1.1 102 Processing\r\n\r\n")
				time.Sleep(time.Second)
			}
		},
	} {
		for size, payload := range map[string]string{"short": "{}", "long": strings.Repeat("x", 300_000)} {
			t.Run(name+", "+size, func(t *testing.T) {
				testkit.VirtualTime(t, func(t *testing.T) {
					var connections, requests atomic.Int32
					transport := mustTransport(t, pipes(&connections, script, &requests), netguard.TransportOptions{})
					begun := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
					defer cancel()
					_, _, err := send(t, ctx, transport, "http://example.com", payload)
					if got := netguard.Classify(err); got != netguard.ClassTimeout {
						t.Errorf("class %q of %v", got, err)
					}
					if waited := time.Since(begun); waited != 15*time.Second {
						t.Errorf("it took %v", waited)
					}
					time.Sleep(time.Minute) // the script ends
				})
			})
		}
	}
}

func TestARequestThatIsCalledOffEndsAtOnceWhereverItIs(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"before the request is read": func(*peer) { time.Sleep(20 * time.Second) },
		"before the answer":          func(p *peer) { p.take(); p.hold() },
		"within the head":            func(p *peer) { p.take(); p.say("HTTP/1.1 200"); p.hold() },
		"within the body":            func(p *peer) { p.take(); p.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"); p.hold() },
	} {
		for size, payload := range map[string]string{"short": "{}", "long": strings.Repeat("x", 300_000)} {
			t.Run(name+", "+size, func(t *testing.T) {
				testkit.VirtualTime(t, func(t *testing.T) {
					var connections, requests atomic.Int32
					transport := mustTransport(t, pipes(&connections, script, &requests), netguard.TransportOptions{})
					begun := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
					defer cancel()
					time.AfterFunc(2*time.Second, cancel)
					_, _, err := send(t, ctx, transport, "http://example.com", payload)
					if got := netguard.Classify(err); got != netguard.ClassCanceled {
						t.Errorf("class %q of %v", got, err)
					}
					if waited := time.Since(begun); waited != 2*time.Second {
						t.Errorf("it took %v", waited)
					}
					time.Sleep(time.Minute) // the script ends
				})
			})
		}
	}
}

func TestTheHeadOfAnAnswerIsBounded(t *testing.T) {
	lines := func(n int) string { return strings.Repeat("X-Line: "+strings.Repeat("x", 1014)+"\r\n", n) } // 1 KiB each
	for name, tt := range map[string]struct {
		answer string
		class  netguard.Class
	}{
		"63 KiB":             {"HTTP/1.1 200 OK\r\n" + lines(63) + "\r\n", ""},
		"65 KiB":             {"HTTP/1.1 200 OK\r\n" + lines(65) + "\r\n", netguard.ClassProtocol},
		"65 KiB of hints":    {strings.Repeat("HTTP/1.1 103 Early Hints\r\n"+lines(13)+"\r\n", 5) + created, netguard.ClassProtocol},
		"a few hints":        {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 32) + created, ""},
		"too many hints":     {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 33) + created, netguard.ClassProtocol},
		"a body of 1 MiB":    {"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20), ""},
		"a status line only": {"HTTP/1.1 " + strings.Repeat("2", 1<<20), netguard.ClassProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			server := mustScript(t, func(p *peer) { p.take(); p.say(tt.answer) })
			transport := mustTransport(t, loopback(), netguard.TransportOptions{})
			if _, _, err := send(t, t.Context(), transport, "http://"+server.addr, "{}"); netguard.Classify(err) != tt.class {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheTimesOfTheFirstRequestAreThoseOfConnectingAndOfTheNextNone(t *testing.T) {
	server, _, trust := mustServe(t, answerOK)
	proxy := httptest.NewServer(&forwardProxy{target: server.Listener.Addr().String()})
	defer proxy.Close()
	proxyURL, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config netguard.Config
		url    string
	}{
		"directly":   {netguard.Config{AllowNetworks: networks("127.0.0.0/8", "::1/128")}, server.URL},
		"by a proxy": {netguard.Config{ForwardProxy: proxyURL, Resolver: hosts{"example.com": {public4}}}, "https://example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			transport := mustTransport(t, c.config, netguard.TransportOptions{TLS: trust})
			var first, next netguard.Timing
			for _, timing := range []*netguard.Timing{&first, &next} {
				if _, _, err := send(t, netguard.WithTiming(t.Context(), timing), transport, c.url, "{}"); err != nil {
					t.Fatal(err)
				}
			}
			if first.Connect <= 0 || first.TLS <= 0 || first.FirstByte < first.Connect+first.TLS {
				t.Errorf("first %+v", first)
			}
			if next.DNS != 0 || next.Connect != 0 || next.TLS != 0 || next.FirstByte <= 0 {
				t.Errorf("next %+v", next)
			}
		})
	}
}

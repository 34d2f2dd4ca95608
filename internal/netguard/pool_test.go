package netguard_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// idling serves connections in a bubble, each request in a second, and counts
// the ones that are open.
type idling struct{ open, opened, requests atomic.Int32 }

func (s *idling) config() netguard.Config {
	return pipes(&s.opened, func(p *peer) {
		s.open.Add(1)
		for p.take() != "" {
			time.Sleep(time.Second)
			p.say(ok)
		}
		s.open.Add(-1)
	}, &s.requests)
}

// burst sends one request to each URL, all at once, and waits until they are
// answered.
func burst(t *testing.T, rt http.RoundTripper, urls ...string) {
	t.Helper()
	var all sync.WaitGroup
	for _, u := range urls {
		all.Go(func() {
			if _, _, err := send(t, t.Context(), rt, u, "{}"); err != nil {
				t.Errorf("%s: %v", u, err)
			}
		})
	}
	all.Wait()
	synctest.Wait()
}

const com, org = "http://example.com", "http://example.org"

func TestOnlySoManyIdleConnectionsAreKeptForAHost(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var server idling
		transport := mustTransport(t, server.config(), netguard.TransportOptions{MaxIdleConnsPerHost: 3})
		burst(t, transport, slices.Repeat([]string{com}, 5)...)
		if n := server.open.Load(); n != 3 {
			t.Errorf("%d are open, not 3", n)
		}
		burst(t, transport, slices.Repeat([]string{com}, 4)...)
		if n := server.opened.Load(); n != 6 {
			t.Errorf("%d were opened, not one more", n)
		}
		burst(t, transport, org, org)
		if n := server.open.Load(); n != 5 {
			t.Errorf("%d are open to two hosts, not 5", n)
		}
	})
}

func TestOfTooManyIdleConnectionsInAllTheOldestGoes(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var server idling
		transport := mustTransport(t, server.config(), netguard.TransportOptions{MaxIdleConns: 3, MaxIdleConnsPerHost: 3})
		burst(t, transport, com)
		burst(t, transport, org, org, org)
		if n := server.open.Load(); n != 3 {
			t.Errorf("%d are open, not 3", n)
		}
		burst(t, transport, org, org, org)
		if n := server.opened.Load(); n != 4 {
			t.Errorf("%d were opened: the newer ones should have been used again", n)
		}
		burst(t, transport, com)
		if n := server.opened.Load(); n != 5 {
			t.Errorf("%d were opened: the oldest should have gone", n)
		}
	})
}

func TestAnIdleConnectionIsClosedAfterNinetySeconds(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var server idling
		transport := mustTransport(t, server.config(), netguard.TransportOptions{})
		burst(t, transport, com, com) // idle since 1s
		time.Sleep(59 * time.Second)
		burst(t, transport, com) // idle since 61s
		start := time.Now().Add(-61 * time.Second)
		for _, step := range []struct {
			at   time.Duration // from the start
			open int32
		}{{90 * time.Second, 2}, {92 * time.Second, 1}, {150 * time.Second, 1}, {152 * time.Second, 0}} {
			time.Sleep(time.Until(start.Add(step.at)))
			synctest.Wait()
			if n := server.open.Load(); n != step.open {
				t.Errorf("after %s %d are open, not %d", step.at, n, step.open)
			}
		}
		burst(t, transport, com)
		time.Sleep(92 * time.Second)
		synctest.Wait()
		if n := server.open.Load(); n != 0 {
			t.Errorf("%d are open: the timer has not come again", n)
		}
	})
}

func TestIdleConnectionsCanBeClosedAndThoseUnderWayFollow(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		var server idling
		transport := mustTransport(t, server.config(), netguard.TransportOptions{MaxIdleConnsPerHost: 9})
		burst(t, transport, com, com, org)
		done := make(chan struct{})
		go func() {
			defer close(done)
			burst(t, transport, com)
		}()
		time.Sleep(500 * time.Millisecond)
		transport.CloseIdleConnections()
		synctest.Wait()
		if n := server.open.Load(); n != 1 {
			t.Errorf("%d are open, not the one under way", n)
		}
		<-done
		if n := server.open.Load(); n != 0 {
			t.Errorf("%d are open after the last answer", n)
		}
		burst(t, transport, com)
		if n := server.open.Load(); n != 1 {
			t.Errorf("%d are open: with a new request connections are kept again", n)
		}
	})
}

// everywhere resolves every name to this machine.
type everywhere struct{}

func (everywhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// inOnePiece holds back what is written until it is flushed.
type inOnePiece struct {
	net.Conn
	held []byte
}

func (c *inOnePiece) Write(b []byte) (int, error) {
	c.held = append(c.held, b...)
	return len(b), nil
}

func (c *inOnePiece) Read(b []byte) (int, error) {
	if _, err := c.Conn.Write(c.held); err != nil {
		return 0, err
	}
	c.held = nil
	return c.Conn.Read(b)
}

func TestWhatAPeerSendsInOnePieceWithAnEncryptedAnswerIsNotTheNextAnswer(t *testing.T) {
	authority, _, trust := mustServe(t, answerOK)
	certificates := &tls.Config{Certificates: authority.TLS.Certificates}
	encrypted := func(answers ...string) func(*peer) {
		return func(p *peer) {
			conn := tls.Server(&inOnePiece{Conn: p.Conn}, certificates)
			p.Conn, p.in = conn, bufio.NewReader(conn)
			for p.take() != "" {
				for _, answer := range answers { // a record each
					p.say(answer)
				}
			}
		}
	}
	server := mustScript(t, encrypted(ok, "HTTP/1.1 299 Not Asked\r\nContent-Length: 0\r\n\r\n"), encrypted(created))
	transport := mustTransport(t, netguard.Config{AllowNetworks: networks("127.0.0.0/8")}, netguard.TransportOptions{TLS: trust})
	for _, want := range []int{200, 201, 201} {
		if status, _, err := send(t, t.Context(), transport, "https://"+server.addr, "{}"); err != nil || status != want {
			t.Errorf("got %d, %v, not %d", status, err, want)
		}
	}
	if n := server.connections.Load(); n != 2 {
		t.Errorf("there were %d connections, not 2", n)
	}
}

func TestManyRequestsAtOnceOverManyHosts(t *testing.T) {
	server, _, trust := mustServe(t, answerOK)
	port := mustPort(t, server.URL)
	config := netguard.Config{AllowNetworks: networks("127.0.0.0/8"), Resolver: everywhere{}}
	transport := mustTransport(t, config, netguard.TransportOptions{TLS: trust, MaxIdleConns: 64, MaxIdleConnsPerHost: 2})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 20 {
				host := "h" + string(rune('a'+(i*j)%26)) + ".example.com"
				if status, _, err := send(t, t.Context(), transport, "https://"+host+":"+port, "{}"); err != nil || status != http.StatusOK {
					t.Errorf("%s: %d %v", host, status, err)
				}
			}
		})
	}
	all.Wait()
}

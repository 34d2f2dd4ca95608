package node_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// onPostgres runs a test whose leases are so long that what is seen soon was not
// seen by a renewal.
func onPostgres(t *testing.T, lease time.Duration, fn func(w *world)) {
	t.Helper()
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: hints, and a network between")
	}
	fn(mustWorld(t, lease))
}

const (
	longLease = time.Minute
	soon      = 5 * time.Second
)

// mustListen returns a node that hears hints.
func (w *world) mustListen() *node.Node {
	w.t.Helper()
	return w.mustJoinWith(node.Options{Listen: w.url})
}

// exchange has every node hear a hint of the first one.
func (w *world) exchange(from *node.Node, others ...*node.Node) {
	w.t.Helper()
	for i, n := range others {
		var got heard[string]
		n.OnHint("exchange", got.add)
		w.within(soon, fmt.Sprintf("node %d of them hears hints", i+1), func() bool {
			from.Hint("exchange", "now")
			return got.has("now")
		})
	}
}

// gapsFromNowOn returns where a node's gaps are told, of which none is due. That they
// are not dense is all that shows that.
func (w *world) gapsFromNowOn(n *node.Node) <-chan struct{} {
	w.t.Helper()
	time.Sleep(w.lease/20 + w.slack())
	gaps := make(chan struct{}, 100)
	n.OnGap(func() { gaps <- struct{}{} })
	return gaps
}

func TestAHintIsHeardByTheOthersAndNotByOneself(t *testing.T) {
	onPostgres(t, longLease, func(w *world) {
		a, b, c := w.mustListen(), w.mustListen(), w.mustListen()
		w.within(soon, "they see each other", func() bool { return sees(a, 1, 2, 3)() && sees(b, 1, 2, 3)() })
		w.exchange(a, b, c)
		var onA, onB, onC heard[string]
		a.OnHint("topic", onA.add)
		b.OnHint("topic", onB.add)
		c.OnHint("topic", onC.add)
		const odd = "line\nquote\" and €"
		a.Hint("topic", odd)
		for i := range 3000 { // more than a notification has room for
			a.Hint("topic", fmt.Sprintf("%0100d", i))
		}
		w.within(soon, "all are heard", func() bool { return onB.count() == 3001 && onC.count() == 3001 })
		if !onB.has(odd) || onA.count() != 0 {
			w.t.Errorf("%d were heard by the one who sent them", onA.count())
		}
	})
}

func TestAChangeIsHintedAt(t *testing.T) {
	onPostgres(t, longLease, func(w *world) {
		a, b := w.mustListen(), w.mustListen()
		w.exchange(a, b)
		w.exchange(b, a)
		var told heard[id.ID]
		b.Watch("keys", func(_ context.Context, tenant id.ID) { told.add(tenant) })
		w.mustChange(a, "keys", id.ID{7})
		w.within(soon, "the change is told", func() bool { return told.has(id.ID{7}) })
		if err := a.Stop(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.within(soon, "the leaving is told", sees(b, 2))
	})
}

func TestMoreHintsThanAreKeptHaveTheOthersLook(t *testing.T) {
	onPostgres(t, longLease, func(w *world) {
		a, b := w.mustListen(), w.mustListen()
		w.exchange(a, b)
		gap := w.gapsFromNowOn(b)
		for i := range 100_000 {
			a.Hint("topic", fmt.Sprint(i))
		}
		select {
		case <-gap:
		case <-time.After(soon):
			w.t.Error("nobody was told that hints were lost")
		}
	})
}

func TestAListenerThatIsCutOffComesBackAndHasEverybodyLook(t *testing.T) {
	onPostgres(t, longLease, func(w *world) {
		a, b := w.mustListen(), w.mustListen()
		w.exchange(a, b)
		gap := w.gapsFromNowOn(b)
		w.mustExec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'grapevine hints' AND datname = current_database()`)
		select {
		case <-gap:
		case <-time.After(soon):
			w.t.Error("nobody was told that hints may have been lost")
		}
		w.exchange(a, b)
	})
}

// The connection stays open, and nothing comes any more.
func TestAListenerThatHearsNothingConnectsAnew(t *testing.T) {
	onPostgres(t, 2*time.Second, func(w *world) {
		p := w.mustProxy()
		a, b := w.mustListen(), w.mustJoinWith(node.Options{Listen: p.url})
		w.exchange(a, b)
		p.stall()
		w.within(2*w.lease, "it tries another connection", func() bool { return p.connections() > 1 })
		p.flow()
		w.exchange(a, b)
		if !b.Alive() {
			w.t.Error("it is not alive, though the database is there")
		}
	})
}

func TestANodeThatIsCutOffStopsInTimeAndComesBackWithANewLife(t *testing.T) {
	onPostgres(t, 2*time.Second, func(w *world) {
		p := w.mustProxy()
		a, b := w.mustListen(), w.mustJoinWith(node.Options{DB: w.mustOpen(p.url), Listen: p.url})
		w.exchange(b, a)
		w.exchange(a, b)
		p.stall()
		cut := time.Now()
		stopped := w.within(w.lease+50*time.Millisecond, "it stops", func() bool { return !b.Alive() })
		w.within(w.lease+time.Second-time.Since(cut), "it is buried", sees(a, 1))
		if b.Alive() {
			w.t.Error("it is alive although it was buried")
		}
		w.t.Logf("it stopped after %v, and was buried after %v", stopped, time.Since(cut))
		p.flow()
		w.within(2*w.lease, "it has a new life", func() bool { return b.Alive() && b.Membership().Self == 3 })
		w.within(w.lease, "the other one sees it", sees(a, 1, 3))
		w.exchange(a, b)
	})
}

// A process can be stopped in the middle of its renewal, which then holds a lock on
// the row that others want to write to.
func TestANodeThatIsStoppedInARenewalIsBuriedInTimeAllTheSame(t *testing.T) {
	onPostgres(t, 2*time.Second, func(w *world) {
		p := w.mustProxy()
		a := w.mustListen()
		b := w.mustJoinWith(node.Options{DB: w.mustOpen(p.url + "&default_query_exec_mode=exec")})
		w.within(w.beat(), "they see each other", sees(a, 1, 2))
		p.stallAt("UPDATE node SET expires_at")
		w.within(w.lease, "it is stopped", p.isStalled)
		took := w.within(w.lease+time.Second, "it is buried", sees(a, 1))
		w.t.Logf("it was buried after %v", took)
		p.flow()
		w.within(2*w.lease, "it has a new life", func() bool { return b.Alive() && b.Membership().Self == 3 })
	})
}

func TestAnOutageOfAllLongerThanTheLeaseEndsNoLife(t *testing.T) {
	onPostgres(t, 2*time.Second, func(w *world) {
		p := w.mustProxy()
		join := func() *node.Node { return w.mustJoinWith(node.Options{DB: w.mustOpen(p.url), Listen: p.url}) }
		a, b := join(), join()
		w.exchange(a, b)
		p.refuse()
		w.within(w.lease+50*time.Millisecond, "they stop", func() bool { return !a.Alive() && !b.Alive() })
		time.Sleep(w.lease)
		p.flow()
		w.within(w.lease, "they go on", func() bool { return a.Alive() && b.Alive() })
		time.Sleep(w.lease)
		if !sees(a, 1, 2)() || !sees(b, 1, 2)() || a.Membership().Latest != 2 {
			w.t.Errorf("they see %+v and %+v", a.Membership(), b.Membership())
		}
	})
}

// proxy is a network between a node and its database.
type proxy struct {
	url    string
	target string

	mu       sync.Mutex
	flowing  *sync.Cond
	stalled  bool
	trap     string // what is let through, and nothing after it
	refusing bool
	open     map[net.Conn]bool
	made     int
}

func (w *world) mustProxy() *proxy {
	w.t.Helper()
	config, err := pgx.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	u.Host = listener.Addr().String()
	p := &proxy{url: u.String(), target: fmt.Sprintf("%s:%d", config.Host, config.Port), open: map[net.Conn]bool{}}
	p.flowing = sync.NewCond(&p.mu)
	w.t.Cleanup(func() {
		_ = listener.Close()
		p.refuse()
	})
	go p.serve(listener)
	return p
}

func (p *proxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.add(client, server) {
			_ = client.Close()
			continue
		}
		go p.copy(server, client)
		go p.copy(client, server)
	}
}

// add reports whether connections are taken.
func (p *proxy) add(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing {
		_ = server.Close()
		return false
	}
	p.open[client], p.open[server] = true, true
	p.made++
	return true
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.pass(buf[:n])
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass returns when bytes may come through.
func (p *proxy) pass(bytes []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled {
		p.flowing.Wait()
	}
	if p.trap != "" && strings.Contains(string(bytes), p.trap) {
		p.stalled, p.trap = true, ""
	}
}

// stallAt stalls after what is sent next that has such a text in it.
func (p *proxy) stallAt(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = text
}

func (p *proxy) isStalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalled
}

// stall has nothing come through, and nobody notice.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = true
}

// refuse breaks all connections off, and takes none.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.stalled = true, false
	p.flowing.Broadcast()
	for conn := range p.open {
		_ = conn.Close()
	}
	clear(p.open)
}

func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.stalled = false, false
	p.flowing.Broadcast()
}

func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

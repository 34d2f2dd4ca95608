package app_test

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// network is what lies between a server and its database.
type network struct {
	url    string // of the database, through it
	target string

	mu      sync.Mutex
	changed *sync.Cond
	stalled bool
	delay   time.Duration // of whatever comes through
	refuses bool          // connections
	open    map[net.Conn]bool
}

func mustNetwork(t testing.TB, database string) *network {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{target: u.Host, open: make(map[net.Conn]bool)}
	n.changed = sync.NewCond(&n.mu)
	u.Host = listener.Addr().String()
	n.url = u.String()
	var serving sync.WaitGroup
	serving.Go(func() { n.serve(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		n.set(func() { n.refuses, n.stalled = true, false })
		n.reset()
		serving.Wait()
	})
	return n
}

func (n *network) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", n.target)
		if err != nil || !n.add(client, server) {
			_ = client.Close()
			continue
		}
		go n.carry(client, server)
		go n.carry(server, client)
	}
}

// add reports whether the network takes a connection.
func (n *network) add(client, server net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuses {
		_ = server.Close()
		return false
	}
	n.open[client], n.open[server] = true, true
	return true
}

// carry brings what comes from one end to the other.
func (n *network) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		size, err := from.Read(buffer)
		n.pass()
		if _, failed := to.Write(buffer[:size]); err != nil || failed != nil {
			return
		}
	}
}

// pass returns when something may come through.
func (n *network) pass() {
	n.mu.Lock()
	for n.stalled {
		n.changed.Wait()
	}
	delay := n.delay
	n.mu.Unlock()
	time.Sleep(delay)
}

// set changes how the network is.
func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	n.changed.Broadcast()
}

// stall has nothing come through, which neither side notices.
func (n *network) stall() { n.set(func() { n.stalled = true }) }

// cut breaks all connections off and takes none.
func (n *network) cut() {
	n.set(func() { n.refuses = true })
	n.reset()
}

// slow has everything take so much longer.
func (n *network) slow(delay time.Duration) { n.set(func() { n.delay = delay }) }

// mend has everything come through again.
func (n *network) mend() { n.set(func() { n.stalled, n.refuses, n.delay = false, false, 0 }) }

// reset breaks all connections off.
func (n *network) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.open {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
	}
	clear(n.open)
}

// Package testkit is what the tests of several packages need: a network in
// memory, databases that clean up after themselves, and a sender wired as the
// program wires it.
package testkit

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
)

// Net is a network in memory: servers listen under host names, and connections
// are pipes. Unlike real sockets pipes block durably in a synctest bubble, so
// virtual time runs past them.
//
// It resolves names as well, so that the egress guard works on it: each host has
// a public address of its own.
type Net struct {
	mu    sync.Mutex
	hosts map[string]*listener
	dials map[string]int
}

// NewNet returns a network without hosts.
func NewNet() *Net { return &Net{hosts: make(map[string]*listener), dials: make(map[string]int)} }

// MustServe serves the host's port until the test ends.
func (n *Net) MustServe(t testing.TB, host string, handler http.Handler) {
	t.Helper()
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	n.hosts[host] = l
	l.addr = address(len(n.hosts))
	n.mu.Unlock()
	server := &http.Server{Handler: handler} //nolint:gosec // no time limits: the test has its own
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
}

// address returns the n-th address of a public network.
func address(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(8<<24+n)) //nolint:gosec // few hosts
	return netip.AddrFrom4(b)
}

// LookupNetIP resolves the host of MustServe.
func (n *Net) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l, ok := n.hosts[host]; ok {
		return []netip.Addr{l.addr}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// DialContext connects to the host that has the address.
func (n *Net) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	var l *listener
	for name, host := range n.hosts {
		if host.addr == target.Addr() {
			l = host
			n.dials[name]++
		}
	}
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Dials returns how often a connection to the host was asked for.
func (n *Net) Dials(host string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[host]
}

// link is one machine's way into the network.
type link struct {
	net *Net

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *link) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := l.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Err: errors.New("network is unreachable")}
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

// sever ends all connections and refuses new ones.
func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

// listener accepts pipes.
type listener struct {
	addr  netip.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(l.addr, 443)) }

// Repoint has a name resolve to another address, as an attacker's name server
// might between two requests.
func (n *Net) Repoint(host, addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host].addr = netip.MustParseAddr(addr)
}

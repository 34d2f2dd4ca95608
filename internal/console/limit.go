package console

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

// How many keys that are not accepted may be tried from one address.
const (
	failuresAtOnce = 10
	failuresEvery  = 6 * time.Second // one more
	maxAddresses   = 4096            // remembered
)

// failures counts the keys that were not accepted. Keys that the server makes
// can't be guessed; the operator may have chosen one that can.
type failures struct {
	mu        sync.Mutex
	byAddress map[netip.Prefix]*rate.Limiter
}

func newFailures() *failures { return &failures{byAddress: make(map[netip.Prefix]*rate.Limiter)} }

// begin takes an attempt from those that the request's address has left, before
// the key is looked at, and reports whether there was one. succeeded gives it
// back.
func (f *failures) begin(r *http.Request, now time.Time) (func(), bool) {
	attempt := f.of(origin(r)).ReserveN(now, 1)
	if !attempt.OK() || attempt.DelayFrom(now) > 0 {
		attempt.CancelAt(now)
		return nil, false
	}
	return func() { attempt.CancelAt(now) }, true
}

func (f *failures) of(address netip.Prefix) *rate.Limiter {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l, ok := f.byAddress[address]; ok {
		return l
	}
	if len(f.byAddress) >= maxAddresses {
		f.forget()
	}
	l := rate.NewLimiter(rate.Every(failuresEvery), failuresAtOnce)
	f.byAddress[address] = l
	return l
}

// forget drops the addresses with no failure of late, and all of them if that is
// not enough.
func (f *failures) forget() {
	for address, l := range f.byAddress {
		if l.Tokens() >= failuresAtOnce {
			delete(f.byAddress, address)
		}
	}
	if len(f.byAddress) > maxAddresses/2 {
		clear(f.byAddress)
	}
}

// origin returns where a request comes from: an address, or the network that an
// IPv6 customer has to itself. Behind a proxy that is not trusted all come from
// the proxy.
func origin(r *http.Request) netip.Prefix {
	address := edge.Address(r)
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	network, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

package hosted

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

// maxAddresses bounds the addresses that are remembered.
const maxAddresses = 10_000

// limits are how often one address may do what everybody may do.
type limits struct {
	requests, touches, registrations *limit
}

func newLimits() limits {
	return limits{
		requests:      newLimit(100, 100*time.Millisecond), // 10 a second
		touches:       newLimit(60, time.Second),
		registrations: newLimit(20, 3*time.Minute), // 20 an hour
	}
}

// limit counts what addresses do.
type limit struct {
	atOnce int
	every  time.Duration // one more

	mu        sync.Mutex
	byAddress map[netip.Prefix]*rate.Limiter
}

func newLimit(atOnce int, every time.Duration) *limit {
	return &limit{atOnce: atOnce, every: every, byAddress: make(map[netip.Prefix]*rate.Limiter)}
}

// take reports whether the address may do it once more, and counts it if so.
func (l *limit) take(address netip.Prefix, now time.Time) bool {
	return l.of(address).AllowN(now, 1)
}

func (l *limit) of(address netip.Prefix) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.byAddress[address]; ok {
		return known
	}
	if len(l.byAddress) >= maxAddresses {
		l.forget()
	}
	made := rate.NewLimiter(rate.Every(l.every), l.atOnce)
	l.byAddress[address] = made
	return made
}

// forget drops the addresses that have done nothing of late, and all of them if that
// is not enough.
func (l *limit) forget() {
	for address, known := range l.byAddress {
		if known.Tokens() >= float64(l.atOnce) {
			delete(l.byAddress, address)
		}
	}
	if len(l.byAddress) > maxAddresses/2 {
		clear(l.byAddress)
	}
}

// origin returns where a request comes from: an address, or the network that an IPv6
// customer has to itself. Behind a proxy that is not trusted all come from the proxy.
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

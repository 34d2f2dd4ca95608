package edge

import (
	"math"
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// Buckets are rates by key, such as by the addresses that ask, in this process alone.
// They are so many at most. Where one more is made, another one goes: of a few that
// are looked at, that which would soonest be as good as new. So those that have used
// up the most stay the longest, and nobody gets rid of a count by bringing along as
// many addresses as are remembered.
type Buckets[K comparable] struct {
	most int

	mu    sync.Mutex
	byKey map[K]*rate.Limiter
}

// NewBuckets returns buckets of which there are at most so many at a time.
func NewBuckets[K comparable](most int) *Buckets[K] {
	return &Buckets[K]{most: most, byKey: make(map[K]*rate.Limiter)}
}

// Of returns the bucket of a key; a new one has this rate and burst.
func (b *Buckets[K]) Of(key K, limit rate.Limit, burst int) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known, ok := b.byKey[key]; ok {
		return known
	}
	if len(b.byKey) >= b.most {
		b.forget()
	}
	made := rate.NewLimiter(limit, burst)
	b.byKey[key] = made
	return made
}

// lookedAt is how many buckets are looked at to choose the one that goes. One that has
// used up more than all the others is never it, however few these are.
const lookedAt = 16

func (b *Buckets[K]) forget() {
	var chosen K
	soonest, looked := math.Inf(1), 0
	for key, l := range b.byKey { // begins anywhere, each time
		if missing := (float64(l.Burst()) - l.Tokens()) / float64(l.Limit()); missing < soonest {
			chosen, soonest = key, missing
		}
		if looked++; looked == lookedAt || soonest <= 0 {
			break
		}
	}
	delete(b.byKey, chosen)
}

// Network returns where a request comes from, as far as that can be limited: its
// address, or the network of 64 bits that a subscriber of IPv6 has to itself. Behind a
// proxy that is not trusted all come from the proxy. It is the zero Prefix where the
// address is not known.
func Network(r *http.Request) netip.Prefix {
	address := Address(r)
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits)
	return network
}

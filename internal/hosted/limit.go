package hosted

import (
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/edge"
)

// maxAddresses bounds the addresses that are remembered.
const maxAddresses = 10_000

// limits are how often one network may do what everybody may do.
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

// limit counts what networks do (see edge.Network).
type limit struct {
	atOnce    int
	every     time.Duration // one more
	byNetwork *edge.Buckets[netip.Prefix]
}

func newLimit(atOnce int, every time.Duration) *limit {
	return &limit{atOnce, every, edge.NewBuckets[netip.Prefix](maxAddresses)}
}

// take reports whether who asks may do it once more, and counts it if so.
func (l *limit) take(r *http.Request, now time.Time) bool {
	return l.byNetwork.Of(edge.Network(r), rate.Every(l.every), l.atOnce).AllowN(now, 1)
}

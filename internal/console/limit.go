package console

import (
	"net/http"
	"net/netip"
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
type failures struct{ byNetwork *edge.Buckets[netip.Prefix] }

func newFailures() *failures { return &failures{edge.NewBuckets[netip.Prefix](maxAddresses)} }

// begin takes an attempt from those that the request's address has left, before
// the key is looked at, and reports whether there was one. succeeded gives it
// back.
func (f *failures) begin(r *http.Request, now time.Time) (func(), bool) {
	attempt := f.byNetwork.Of(edge.Network(r), rate.Every(failuresEvery), failuresAtOnce).ReserveN(now, 1)
	if !attempt.OK() || attempt.DelayFrom(now) > 0 {
		attempt.CancelAt(now)
		return nil, false
	}
	return func() { attempt.CancelAt(now) }, true
}

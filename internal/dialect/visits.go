package dialect

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Visits is how often one address may make calls of a live tenant without a key.
// Zero: as often as it likes.
type Visits struct {
	CreationsADay int // calls that create somebody
	OthersAnHour  int
}

// VisitLimiter counts the calls of each address. An IPv6 address counts with all of
// its network of 64 bits, which one subscriber has.
type VisitLimiter struct {
	allowed Visits
	seen    *edge.Buckets[visitor]
}

// visitor is an address that asks for something of a tenant's.
type visitor struct {
	tenant  id.ID // zero: it was not let in, to whichever tenant
	from    netip.Prefix
	creates bool
}

// maxVisitors bounds those that are kept in memory.
const maxVisitors = 50_000

// NewVisitLimiter returns a limiter, which counts in this process alone.
func NewVisitLimiter(allowed Visits) *VisitLimiter {
	return &VisitLimiter{allowed, edge.NewBuckets[visitor](maxVisitors)}
}

// visit counts a call that was made without a key. Test tenants have no limit.
func (h *handler) visit(ctx context.Context, w http.ResponseWriter, c *Call) error {
	if h.opts.Visits == nil || !c.Principal.Tenant.Live {
		return nil
	}
	v := visitor{tenant: c.Principal.Tenant.ID, from: edge.Network(c.Request)}
	// Not of a call that is refused anyway: the limits would tell who is known.
	if c.route.Creates != nil && c.allowed() == nil {
		var err error
		if v.creates, err = c.route.Creates(ctx, c); err != nil {
			return err
		}
	}
	switch {
	case h.mayVisit(w, v):
		return nil
	case v.creates:
		return problem.RateLimited.New("an address may create %d people a day; a server with a key may create more", h.opts.Visits.allowed.CreationsADay)
	default:
		return problem.RateLimited.New("an address may ask %d times an hour; a server with a key may ask more often", h.opts.Visits.allowed.OthersAnHour)
	}
}

// turnedAway counts a call that everybody may try and that was refused for its key, its
// token or its tenant. Beyond the limit it is told nothing else any more: nobody may
// look for tenants, keys and tokens by asking. Who shows a good one is let in all the
// same, since others may share the address.
func (h *handler) turnedAway(w http.ResponseWriter, c *Call, refused error) error {
	told, ok := h.refusals.Tell(refused)
	if h.opts.Visits == nil || !ok || told.Status >= http.StatusInternalServerError {
		return refused
	}
	if h.mayVisit(w, visitor{from: edge.Network(c.Request)}) {
		return refused
	}
	return problem.RateLimited.New("an address may try keys and tokens that are not good %d times an hour", h.opts.Visits.allowed.OthersAnHour)
}

// mayVisit counts a visit, and says when the next one is possible where this one is
// not.
func (h *handler) mayVisit(w http.ResponseWriter, v visitor) bool {
	wait := h.opts.Visits.take(v, time.Now())
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	return wait == 0
}

// take counts a visit, and returns how long the visitor has to wait; zero: it may go
// on.
func (l *VisitLimiter) take(v visitor, now time.Time) time.Duration {
	most, within := l.allowed.OthersAnHour, time.Hour
	if v.creates {
		most, within = l.allowed.CreationsADay, 24*time.Hour
	}
	if most <= 0 {
		return 0
	}
	each := within / time.Duration(most)
	r := l.seen.Of(v, rate.Every(each), most)
	if r.AllowN(now, 1) {
		return 0
	}
	missing := 1 - r.TokensAt(now)
	return max(time.Second, time.Duration(missing*float64(each)))
}

package dialect

import (
	"context"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
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

	mu   sync.Mutex
	seen map[visitor]*rate.Limiter
}

// visitor is an address that asks for something of a tenant's.
type visitor struct {
	tenant  id.ID
	from    netip.Prefix
	creates bool
}

// maxVisitors bounds those that are kept in memory.
const maxVisitors = 50_000

// NewVisitLimiter returns a limiter, which counts in this process alone.
func NewVisitLimiter(allowed Visits) *VisitLimiter {
	return &VisitLimiter{allowed: allowed, seen: make(map[visitor]*rate.Limiter)}
}

// visit counts a call that was made without a key. Test tenants have no limit.
func (h *handler) visit(ctx context.Context, w http.ResponseWriter, c *Call) error {
	if h.opts.Visits == nil || !c.Principal.Tenant.Live {
		return nil
	}
	v := visitor{tenant: c.Principal.Tenant.ID, from: network(edge.Address(c.Request))}
	if c.route.Creates != nil {
		var err error
		if v.creates, err = c.route.Creates(ctx, c); err != nil {
			return err
		}
	}
	wait := h.opts.Visits.take(v, time.Now())
	if wait == 0 {
		return nil
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	if v.creates {
		return problem.RateLimited.New("an address may create %d people a day; a server with a key may create more", h.opts.Visits.allowed.CreationsADay)
	}
	return problem.RateLimited.New("an address may ask %d times an hour; a server with a key may ask more often", h.opts.Visits.allowed.OthersAnHour)
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
	r := l.of(v, each, most)
	if r.AllowN(now, 1) {
		return 0
	}
	missing := 1 - r.TokensAt(now)
	return max(time.Second, time.Duration(missing*float64(each)))
}

func (l *VisitLimiter) of(v visitor, each time.Duration, most int) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.seen[v]; ok {
		return r
	}
	if len(l.seen) >= maxVisitors {
		clear(l.seen) // rather than let a flood of addresses keep everybody out
	}
	r := rate.NewLimiter(rate.Every(each), most)
	l.seen[v] = r
	return r
}

// network returns what counts as one address.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of an address that is not known it is the zero Prefix
	return p
}

package timer

import (
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// mostTimers is how many are done in one transaction.
const mostTimers = 200

// pace is how many of a tenant's timers are tried in one transaction. It follows how
// many could be done; the zero value begins with the most.
type pace struct{ size int }

func (p *pace) limit() int {
	if p.size == 0 {
		return mostTimers
	}
	return p.size
}

// failed has the next one tried alone, so that what fails is told from the others.
func (p *pace) failed() { p.size = 1 }

// met has fewer be tried in the next one: the database could not take so much at once,
// be it that others were in its way each time.
func (p *pace) met() { p.size = max(p.limit()/2, 1) }

// went notes how many could be done of those that were tried.
func (p *pace) went(settled, tried int) {
	if settled < tried {
		p.size = settled
		return
	}
	p.size = min(p.limit()+p.limit()/4+1, mostTimers)
}

// agenda is when each tenant's first timer may be tried, as far as this process
// knows. It may be too early, and then nothing is found; what is set in this process
// is never too late.
type agenda struct {
	mu      sync.Mutex
	tenants map[id.ID]*entry
	turns   uint64
}

type entry struct {
	tryAt time.Time // zero: nothing is known to wait
	busy  bool      // somebody does its timers
	turn  uint64    // when it was its turn last
	pace  pace      // of whoever does its timers
}

// expect notes that a timer may be tried at a time, and reports whether that is news.
func (a *agenda) expect(e expected) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tenants == nil {
		a.tenants = make(map[id.ID]*entry)
	}
	known, ok := a.tenants[e.tenant]
	if !ok {
		known = new(entry)
		a.tenants[e.tenant] = known
	}
	return known.expect(e.tryAt)
}

func (e *entry) expect(at time.Time) bool {
	if !e.tryAt.IsZero() && !at.Before(e.tryAt) {
		return false
	}
	e.tryAt = at
	return true
}

// begin returns a tenant whose timers may be tried by now, and it is busy until end.
// The tenants take turns. Where there is none it returns when there will be, zero if
// nobody knows.
func (a *agenda) begin(now time.Time) (id.ID, *pace, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var tenant id.ID
	var chosen *entry
	var next time.Time
	for of, e := range a.tenants {
		switch {
		case e.busy || e.tryAt.IsZero():
		case e.tryAt.After(now):
			if next.IsZero() || e.tryAt.Before(next) {
				next = e.tryAt
			}
		case chosen == nil || e.turn < chosen.turn:
			tenant, chosen = of, e
		}
	}
	if chosen == nil {
		return id.ID{}, nil, next
	}
	a.turns++
	chosen.turn, chosen.busy, chosen.tryAt = a.turns, true, time.Time{}
	return tenant, &chosen.pace, now
}

// end notes that a tenant is busy no more, and when its next timer may be tried; zero:
// none is known but what has been expected meanwhile.
func (a *agenda) end(tenant id.ID, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.tenants[tenant]
	e.busy = false
	if !next.IsZero() {
		e.expect(next)
	}
	if e.tryAt.IsZero() {
		delete(a.tenants, tenant)
	}
}

package dispatch

import "github.com/grapevine-hq/grapevine/internal/id"

// load is what a tenant has under way. One tenant may hold at most three
// quarters of what may be in flight, so that its endpoints, however slow and
// however many, leave room for the others'.
type load struct {
	inFlight int
	parked   []*queue // that had their turn when the tenant held that much
}

// admit counts an attempt that is about to begin, or parks its queue until
// another one of the tenant's has ended.
func (d *Dispatcher) admit(q *queue) bool {
	tenant := q.sub.TenantID
	l, ok := d.tenants[tenant]
	if !ok {
		l = &load{}
		d.tenants[tenant] = l
	}
	if l.inFlight >= max(1, d.most*3/4) {
		q.parked = true
		l.parked = append(l.parked, q)
		return false
	}
	l.inFlight++
	return true
}

// release counts an attempt that has ended and lets a queue that was parked have
// its turn.
func (d *Dispatcher) release(tenant id.ID) {
	l := d.tenants[tenant]
	l.inFlight--
	if len(l.parked) > 0 {
		q := l.parked[0]
		l.parked = l.parked[1:]
		q.parked = false
		d.ready(q)
	}
	if l.inFlight == 0 && len(l.parked) == 0 {
		delete(d.tenants, tenant)
	}
}

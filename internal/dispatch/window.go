package dispatch

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// How much of a lane may wait in memory.
const (
	leastWindow = 256
	mostWindow  = 1024
	// certainWindow is what every lane may hold even where memory is short, so
	// that endpoints that are down can't starve the others.
	certainWindow = 8
)

// capacity is how many jobs of a lane may wait in memory now: more for an
// endpoint that takes more.
func (d *Dispatcher) capacity(q *queue) int {
	if d.bytes >= d.mostBytes {
		return certainWindow
	}
	return min(max(8*q.limit.allowed(), leastWindow), mostWindow)
}

// room is how many more jobs fit into a lane.
func (d *Dispatcher) room(q *queue, lane webhook.Lane) int {
	return max(0, d.capacity(q)-q.lanes[lane].len())
}

// short reports whether a lane has little left in memory and more in the table.
// Whoever makes it so, by taking or by reading, has the table read.
func (d *Dispatcher) short(q *queue) bool {
	few := d.capacity(q) / 2
	return q.uncertain() ||
		q.more[webhook.Pending] && q.lanes[webhook.Pending].len() <= few ||
		q.more[webhook.Retrying] && q.lanes[webhook.Retrying].len() <= few
}

// behind reports whether the table has first attempts for which there was no room:
// new ones go behind these. Where it is only being looked whether it has any they
// need not, or every one that comes meanwhile would be a reason to look again.
func (q *queue) behind() bool {
	return q.more[webhook.Pending] && (q.left[webhook.Pending] || !q.refilling)
}

// push books a job and puts it at the end of its lane, unless it is booked
// already.
func (d *Dispatcher) push(q *queue, job webhook.Job) {
	if _, booked := q.booked[job.EventID]; booked {
		return
	}
	d.book(q, &job)
	q.lanes[job.Status].push(job)
}

// book enters a job into the books, with its body.
func (d *Dispatcher) book(q *queue, job *webhook.Job) {
	d.hold(job)
	q.booked[job.EventID] = struct{}{}
	d.bytes += bookedBytes
}

// forget removes a job from the books, and its body with it. The table says from
// now on what becomes of it.
func (d *Dispatcher) forget(q *queue, job webhook.Job) {
	d.letGo(&job)
	if _, booked := q.booked[job.EventID]; booked {
		delete(q.booked, job.EventID)
		d.bytes -= bookedBytes
	}
	if q.refilling {
		q.unbooked[job.EventID] = struct{}{}
	}
}

// empty forgets what waits in memory.
func (d *Dispatcher) empty(q *queue) {
	for lane := range q.lanes {
		for q.lanes[lane].len() > 0 {
			job := q.lanes[lane].pop()
			d.forget(q, job)
			d.giveBack(job)
		}
	}
	q.more, q.nextDue, q.emptied = [2]bool{}, [2]time.Time{}, true
}

// refillSoon has a queue's window filled from the table.
func (d *Dispatcher) refillSoon(q *queue) {
	if q.refilling || q.failed || d.stopping || !q.sub.Enabled || !d.sendsTo(q) {
		return
	}
	q.refilling, q.unbooked = true, make(map[id.ID]struct{})
	d.refills = append(d.refills, q)
	if d.refilling < maxRefilling {
		d.refilling++
		d.workers.Go(d.refillLoop)
	}
}

// refillLoop reads for the queues that want it until none does. It takes d.mu
// itself.
func (d *Dispatcher) refillLoop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.refills) > 0 && !d.stopping {
		q := d.refills[0]
		d.refills = slices.Delete(d.refills, 0, 1)
		d.refill(q)
	}
	d.refilling--
}

// refill reads both lanes of a queue as far as there is room.
func (d *Dispatcher) refill(q *queue) {
	for _, lane := range []webhook.Lane{webhook.Pending, webhook.Retrying} {
		if q.more[lane] && (d.room(q, lane) > 0 || q.uncertain()) && !d.read(q, lane) {
			break
		}
	}
	q.refilling, q.unbooked = false, nil
	if d.short(q) { // a lane ran low while the other was read
		d.refillSoon(q)
	}
	d.drop(q)
	d.ready(q)
	d.start()
}

// read fills a lane from the table and reports whether to go on. It lets go of
// d.mu while it reads; what was forgotten meanwhile may still be in what it read,
// and is passed over.
func (d *Dispatcher) read(q *queue, lane webhook.Lane) bool {
	query := webhook.DueQuery{
		Sub: q.sub, Lane: lane, From: q.unread.from, Now: time.Now(), Known: maps.Clone(q.booked),
		Room:  max(d.room(q, lane), 1),
		Limit: max(d.room(q, lane), 1) + len(q.booked), // what is booked may be among the rows that come first
	}
	self := d.members.Self
	q.unbooked, q.emptied, q.missed[lane] = make(map[id.ID]struct{}), false, false
	d.mu.Unlock()
	due, err := d.store.Due(d.ctx, query)
	d.mu.Lock()
	if err != nil {
		if d.ctx.Err() == nil {
			d.log.Error("queue_not_read", slog.String("subscription_id", id.Subscription.Format(query.Sub.ID)), slog.String("error", err.Error()))
			d.readLater(q)
		}
		return false
	}
	if q.emptied || self != d.members.Self || !d.sendsTo(q) { // what was read may have been cancelled since
		d.giveBack(due.Jobs...)
		return false
	}
	if query.Sub.Policy.Ordered {
		d.tookInOrder(q, due)
		return !due.Held
	}
	q.more[lane] = due.More || q.missed[lane]
	q.left[lane] = due.More
	for i, job := range due.Jobs {
		if _, passed := q.unbooked[job.EventID]; passed {
			d.giveBack(job)
			continue
		}
		if d.room(q, lane) == 0 {
			q.more[lane], q.left[lane] = true, true
			d.giveBack(due.Jobs[i:]...)
			break
		}
		d.push(q, job)
	}
	if !due.Next.IsZero() {
		q.expect(lane, due.Next)
	}
	return true
}

// readLater has a queue read from the table in a moment, after something could
// not be read.
func (d *Dispatcher) readLater(q *queue) {
	if !q.failed && !d.stopping {
		q.failed = true
		time.AfterFunc(time.Second, func() { d.retryRefill(q) })
	}
}

// retryRefill reads again after an error. It takes d.mu itself.
func (d *Dispatcher) retryRefill(q *queue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.failed = false
	if !d.stopping && q.sub.Enabled {
		d.wake(q)
	}
}

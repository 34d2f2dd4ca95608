package dispatch

import (
	"log/slog"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Where several nodes share the database, each sends what it holds: what it has
// accepted or claimed. Limits are divided among the nodes that live. An endpoint
// that gets its deliveries in order, that is being probed, or whose limits are too
// small to be divided, is one node's alone; the others give back what they hold of
// it. A node whose lease has run out starts nothing, since others may take over
// what it holds.

// haltedFor is after how long a node looks again whether it may start something.
const haltedFor = 50 * time.Millisecond

// mayStart reports whether this node may start something. If not it looks again
// soon.
func (d *Dispatcher) mayStart() bool {
	if d.node == nil || d.node.Alive() {
		return true
	}
	if !d.halted {
		d.halted = true
		time.AfterFunc(haltedFor, d.resumed)
	}
	return false
}

// resumed starts what waits, if that may be now. It takes d.mu itself.
func (d *Dispatcher) resumed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halted = false
	d.start()
}

// undivided reports whether one node alone sends to the queue's endpoint.
func (d *Dispatcher) undivided(q *queue) bool {
	policy, nodes := &q.sub.Policy, len(d.members.Members)
	return nodes > 1 && (policy.Ordered || q.governed && q.health.Pause.Probing() ||
		policy.MaxInFlight > 0 && policy.MaxInFlight < nodes || policy.Rate > 0 && policy.Rate < float64(nodes))
}

// sendsTo reports whether this node sends to the queue's endpoint.
func (d *Dispatcher) sendsTo(q *queue) bool {
	return !d.undivided(q) || d.members.Owns(q.sub.ID)
}

// allot divides a queue's limits among the nodes.
func (d *Dispatcher) allot(q *queue) { q.allot(d.members, d.undivided(q)) }

// Takes says what becomes of a delivery that is about to be stored.
func (d *Dispatcher) Takes(sub *webhook.Subscription) webhook.Taking {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping || d.node != nil && !d.node.Alive() {
		return webhook.Elsewhere
	}
	q := d.queue(sub)
	switch {
	case !d.sendsTo(q):
		return webhook.Elsewhere
	case sub.Policy.Ordered: // another node may have stored one before it, and the hint of that is on its way
		return webhook.Waits
	case q.behind() || d.room(q, webhook.Pending) == 0:
		return webhook.Waits
	default:
		return webhook.Taken
	}
}

// joined takes in which nodes live. What this node held under another number is not
// its own any more.
func (d *Dispatcher) joined(now node.Membership) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		d.members = now
		return
	}
	reborn := now.Self != d.members.Self
	type standing struct{ sends, undivided bool }
	before := make(map[*queue]standing, len(d.queues))
	for _, q := range d.queues {
		before[q] = standing{d.sendsTo(q), d.undivided(q)}
	}
	d.members = now
	for _, q := range d.queues {
		if reborn {
			d.empty(q)
		}
		d.allot(q)
		// What is due later others may know of alone who don't send to it any more.
		if q.sub.Enabled && (reborn || before[q] != standing{d.sendsTo(q), d.undivided(q)}) {
			d.wake(q)
		}
		d.ready(q)
	}
	d.start()
}

// Heard takes in how an endpoint fares as another node has stored it.
func (d *Dispatcher) Heard(sub *webhook.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.queues[sub.ID]; d.stopping || !known && sub.Health == (webhook.Health{}) {
		return
	}
	d.heard(d.queue(sub), sub)
	d.start()
}

// heard follows what is stored of an endpoint's health, unless this node is the one
// that stores it. Another one does too as long as its last attempts are under way, and
// leaves the retries of those to this one.
func (d *Dispatcher) heard(q *queue, sub *webhook.Subscription) {
	probes := d.undivided(q) && d.members.Owns(sub.ID)
	worse := sub.Health.Pause.Probing() && !q.health.Pause.Probing()
	if probes {
		d.wake(q)
	}
	if sub.Generation != q.sub.Generation || probes || !worse && d.sendsTo(q) {
		return
	}
	q.health = sub.Health
	d.allot(q)
	d.wake(q)
	d.ready(q)
}

// Resume has the table read for everything that waits in it, after something may
// have been missed.
func (d *Dispatcher) Resume(waiting []*webhook.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return
	}
	unwell := make(map[id.ID]bool)
	for _, sub := range waiting {
		q := d.queue(sub)
		unwell[sub.ID] = sub.Health != webhook.Health{}
		d.heard(q, sub)
		d.wake(q)
	}
	for _, q := range d.queues {
		if !unwell[q.sub.ID] && !d.sendsTo(q) { // it is well again
			q.health = webhook.Health{}
			d.allot(q)
		}
		d.ready(q)
	}
	d.start()
	if d.doubts != nil && d.doubts() != d.doubted && !d.seeking {
		d.seeking = true
		go d.seekLost()
	}
}

// giveBack lets go of deliveries that this node holds and does not send.
func (d *Dispatcher) giveBack(held ...webhook.Job) {
	if d.node == nil {
		return
	}
	for i := range held {
		if held[i].Owner == 0 {
			continue
		}
		held[i].Body = nil
		d.returns = append(d.returns, held[i])
	}
	if len(d.returns) > 0 && !d.returning && !d.stopping { // else it is free once the node has left
		d.returning = true
		d.workers.Go(d.giveBackLoop)
	}
}

// yield gives back what waits for an endpoint that another node sends to.
func (d *Dispatcher) yield(q *queue) {
	if q.lanes[webhook.Pending].len()+q.lanes[webhook.Retrying].len() > 0 {
		d.empty(q)
	}
}

// giveBackLoop gives back until there is nothing left. It takes d.mu itself.
func (d *Dispatcher) giveBackLoop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.returns) > 0 && d.ctx.Err() == nil {
		some := d.returns[:min(len(d.returns), maxRecorded)]
		d.mu.Unlock()
		err := d.store.Release(d.ctx, some)
		if err != nil {
			d.log.Error("deliveries_not_released", slog.Int("deliveries", len(some)), slog.String("error", err.Error()))
			d.mu.Lock()
			if d.stopping { // they are free once the node has left
				break
			}
			d.mu.Unlock()
			select {
			case <-time.After(time.Second):
			case <-d.ctx.Done():
			}
			d.mu.Lock()
			continue
		}
		d.mu.Lock()
		d.returns = d.returns[len(some):]
		for i := range some {
			if q, known := d.queues[some[i].Sub.ID]; known && q.sub.Enabled {
				d.gaveBack(q, some[i].EventID)
			}
		}
	}
	if len(d.returns) == 0 {
		d.returns = nil
	}
	d.returning = false
}

// gaveBack notes that what this node has held is in the table for anybody, and so for
// itself once it has room.
func (d *Dispatcher) gaveBack(q *queue, event id.ID) {
	if q.blocked {
		q.failed, q.blocked = false, false
	}
	if !q.sub.Policy.Ordered {
		d.wake(q)
		return
	}
	q.missing(event)
	if d.short(q) {
		d.refillSoon(q)
	}
}

// settled is how long it takes at most until what a commit has made this node's is in
// its books.
const settled = 2 * time.Second

// seekLost gives back what commits have made this node's of which it was never told,
// since their answers were lost: what is in the table as its own and not in its books,
// twice, some time apart. It takes d.mu itself.
func (d *Dispatcher) seekLost() {
	for {
		doubts := d.doubts()
		lost, err := d.unbooked(nil)
		if err == nil && len(lost) > 0 {
			lost, err = d.unbooked(lost)
		}
		if d.ctx.Err() != nil {
			return
		}
		if err != nil {
			d.log.Error("queue_not_read", slog.String("error", err.Error()))
			continue
		}
		d.mu.Lock()
		for _, job := range lost {
			d.giveBack(job)
		}
		d.doubted = doubts
		if d.seeking = d.doubts() != doubts; !d.seeking {
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
	}
}

// unbooked waits until what was under way has settled, and returns what is this node's
// in the table and not in its books; of candidates alone, unless they are nil.
func (d *Dispatcher) unbooked(candidates map[heldKey]webhook.Job) (map[heldKey]webhook.Job, error) {
	select {
	case <-time.After(settled):
	case <-d.ctx.Done():
		return nil, d.ctx.Err()
	}
	waiting, err := d.store.Waiting(d.ctx)
	if err != nil {
		return nil, err
	}
	found := make(map[heldKey]webhook.Job)
	for _, sub := range waiting {
		d.mu.Lock()
		self := d.members.Self
		d.mu.Unlock()
		held, err := d.store.Held(d.ctx, sub, self)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		for _, job := range held {
			key := heldKey{job.EventID, sub.ID, job.Epoch}
			if _, candidate := candidates[key]; candidates != nil && !candidate {
				continue
			}
			if q, known := d.queues[sub.ID]; known {
				if _, booked := q.booked[job.EventID]; booked {
					continue
				}
			}
			found[key] = job
		}
		d.mu.Unlock()
	}
	return found, nil
}

// heldKey names a delivery as it is held.
type heldKey struct {
	event, sub id.ID
	epoch      int
}

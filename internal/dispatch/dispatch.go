// Package dispatch sends what is due: when, in which order, how much at once,
// and what follows from each attempt.
//
// Each subscription has a queue of its own with its own concurrency, rate and
// health, and the queues are served in turn, so that no endpoint stands in
// another's way. A queue is a window on the delivery table: deliveries that were
// just accepted are handed over in memory while there is room, and what there is
// no room for stays in the table and is read when there is. So memory is
// bounded however long an endpoint is down. First attempts and retries are kept
// apart and take turns.
//
// Nothing polls: a queue sleeps until its next delivery is due. No transaction
// is open while a request is. Outcomes are stored in batches; a delivery stays
// in its queue's books until its outcome is on disk, so that no reading of the
// table sends it twice.
package dispatch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Store is what the dispatcher needs of the records.
type Store interface {
	Due(ctx context.Context, query webhook.DueQuery) (webhook.Due, error)
	Waiting(ctx context.Context) ([]*webhook.Subscription, error)
	LoadBody(ctx context.Context, job *webhook.Job) error
	Record(ctx context.Context, outcomes []webhook.Outcome, done func()) error
	Split(outcomes []webhook.Outcome) [][]webhook.Outcome

	// Where several nodes share the database.
	Release(ctx context.Context, held []webhook.Job) error
	Held(ctx context.Context, sub *webhook.Subscription, owner int64) ([]webhook.Job, error)
}

// Node is this process as one of those that share the database. See the package
// node for what its methods promise.
type Node interface {
	Alive() bool
	OnMembership(fn func(node.Membership))
}

var (
	_ Store          = (*webhook.Service)(nil)
	_ webhook.Sender = (*Dispatcher)(nil)
)

// Options are what a Dispatcher needs. Store and Attempter are required.
type Options struct {
	Store     Store
	Attempter webhook.Attempter
	Logger    *slog.Logger          // nil: nothing is logged
	Metrics   prometheus.Registerer // nil: nothing is measured

	// Node is this process among those that share the database. nil: it has the
	// database to itself.
	Node Node
	// Doubts counts the commits of which it is not known whether they took place.
	// nil: there are none.
	Doubts func() int64

	MaxInFlight int // attempts under way at once; zero means 1,024

	// MaxMemoryBytes bounds what the deliveries in memory take: 256 bytes each,
	// and the body of each event once, however many of its deliveries wait or are
	// under way. Beyond it every lane may still hold 8 deliveries, but no body
	// that is not held already. Zero means 64 MiB.
	MaxMemoryBytes int
}

// Dispatcher sends what is due, from Start to Stop.
type Dispatcher struct {
	store     Store
	attempter webhook.Attempter
	log       *slog.Logger
	metrics   *metrics
	most      int // in flight
	mostBytes int

	node   Node         // nil: the database is this process's own
	doubts func() int64 // nil: there are none

	outcomes chan webhook.Outcome
	underWay atomic.Int64 // attempts whose outcome has not come
	work     chan task    // to workers that wait for more
	loops    sync.WaitGroup
	workers  sync.WaitGroup
	ctx      context.Context //nolint:containedctx // ends what is under way when a stop runs out of time
	cancel   context.CancelFunc

	mu        sync.Mutex
	stopping  bool // nothing is taken: before Start, which reads what there is, and after Stop
	queues    map[id.ID]*queue
	rings     [2]line[*queue] // queues with something to send now, by class
	turn      class
	inFlight  [2]int // by class
	idle      int    // workers that wait for more
	bodies    map[eventKey]*body
	bytes     int // that the bodies and the booked jobs take
	tenants   map[id.ID]*load
	refills   []*queue
	refilling int

	members   node.Membership
	returns   []webhook.Job // that are to be given back to the table
	returning bool          // they are being given back
	halted    bool          // this node may start nothing, and looks again soon whether it may
	doubted   int64         // how many doubts have been looked into
	seeking   bool          // what they may have left is being looked for
}

// class tells queues whose endpoint times out, or takes long, from the others.
// Together they may hold a quarter of what may be in flight, so that endpoints
// that never answer leave room.
type class int

const (
	prompt class = 0
	slow   class = 1
)

// task is an attempt to make.
type task struct {
	q   *queue
	job webhook.Job
	as  class
}

const (
	maxRecorded  = 1024 // outcomes in one transaction
	maxIdle      = 256  // workers that wait for more rather than end
	maxRefilling = 4    // readings of the table at once
)

// New returns a Dispatcher that does nothing until Start.
func New(opts Options) *Dispatcher {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MaxInFlight == 0 {
		opts.MaxInFlight = 1024
	}
	if opts.MaxMemoryBytes == 0 {
		opts.MaxMemoryBytes = 64 << 20
	}
	d := &Dispatcher{
		store:     opts.Store,
		attempter: opts.Attempter,
		node:      opts.Node,
		doubts:    opts.Doubts,
		log:       opts.Logger,
		most:      opts.MaxInFlight,
		mostBytes: opts.MaxMemoryBytes,
		outcomes:  make(chan webhook.Outcome, maxRecorded),
		work:      make(chan task),
		queues:    make(map[id.ID]*queue),
		bodies:    make(map[eventKey]*body),
		tenants:   make(map[id.ID]*load),
		stopping:  true,
	}
	d.metrics = newMetrics(d, opts.Metrics)
	return d
}

// Start begins to send, first what an earlier run left. It is called once.
func (d *Dispatcher) Start(ctx context.Context) error {
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.loops.Go(d.recordLoop)
	if d.node != nil {
		d.node.OnMembership(d.joined)
	}
	d.mu.Lock()
	d.stopping = false
	d.mu.Unlock()
	waiting, err := d.store.Waiting(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, sub := range waiting {
		q := d.queue(sub)
		q.health = sub.Health
		d.wake(q)
	}
	return nil
}

// Stop starts nothing more, gives back to other nodes what it has not begun, waits for
// the attempts under way and stores their outcomes. When ctx ends it gives up those that are still under way: they stay
// pending and are made again by the next Start. It may be called more than once.
func (d *Dispatcher) Stop(ctx context.Context) {
	d.mu.Lock()
	if d.stopping || d.cancel == nil {
		d.mu.Unlock()
		return
	}
	for _, q := range d.queues {
		q.timer.Stop()
		if d.node != nil {
			d.empty(q)
		}
	}
	d.stopping = true
	close(d.work)
	d.mu.Unlock()

	defer context.AfterFunc(ctx, d.cancel)()
	d.workers.Wait()
	close(d.outcomes)
	d.loops.Wait()
	d.cancel()
}

// Accepted takes deliveries whose first attempt is due.
func (d *Dispatcher) Accepted(jobs []webhook.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return
	}
	for _, job := range jobs {
		q := d.queue(job.Sub)
		if !q.sub.Enabled || job.Owner != d.members.Self || !d.sendsTo(q) {
			d.giveBack(job) // it waits in the table
			continue
		}
		switch {
		case q.sub.Policy.Ordered:
			d.acceptInOrder(q, job)
		case job.Owner == 0 && q.more[webhook.Pending] || d.room(q, webhook.Pending) == 0:
			q.more[webhook.Pending], q.missed[webhook.Pending] = true, true
			d.giveBack(job)
			continue
		default:
			d.push(q, job)
		}
		d.ready(q)
	}
	d.start()
}

// Changed takes a subscription as it is now.
func (d *Dispatcher) Changed(sub *webhook.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, known := d.queues[sub.ID]
	switch {
	case d.stopping, !known && !sub.Enabled, known && sub.Version < q.sub.Version:
		return
	case !known:
		q = d.queue(sub)
	}
	enabled, undivided := sub.Enabled && (!known || !q.sub.Enabled), d.undivided(q)
	if sub.Generation != q.sub.Generation { // another endpoint, or a new chance for this one
		q.health, q.limit, q.class = webhook.Health{}, newLimit(sub.Policy.MaxInFlight), prompt
	}
	reordered := sub.Policy.Ordered != q.sub.Policy.Ordered
	q.change(sub)
	d.allot(q)
	if !sub.Enabled || reordered {
		d.empty(q)
	}
	switch {
	case !sub.Enabled:
		d.drop(q)
	case enabled, reordered, d.undivided(q) != undivided: // what is due later others may know of alone
		d.wake(q)
	}
	d.ready(q)
	d.start()
}

// Intervened forgets what waits of a delivery, which was decided by hand, and
// reads the table again. An attempt that is under way goes on; its outcome will
// be found superseded.
func (d *Dispatcher) Intervened(sub *webhook.Subscription, event id.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return
	}
	q := d.queue(sub)
	for lane := range q.lanes {
		if job, waits := q.lanes[lane].remove(event); waits {
			d.forget(q, job)
			d.giveBack(job)
		}
	}
	if q.refilling {
		q.unbooked[event] = struct{}{} // the reading under way may have found it as it was
	}
	if !q.sub.Policy.Ordered {
		d.wake(q)
		return
	}
	q.missing(event)
	d.refillSoon(q)
}

// Refilled has the table read for a subscription that has more to send.
func (d *Dispatcher) Refilled(sub *webhook.Subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return
	}
	q, known := d.queues[sub.ID]
	if !known {
		q = d.queue(sub)
		q.health = sub.Health
		d.allot(q)
	}
	d.wake(q)
}

// queue returns the subscription's queue and makes it where it is missing.
// d.mu is held, here and in everything below that does not say otherwise.
func (d *Dispatcher) queue(sub *webhook.Subscription) *queue {
	q, ok := d.queues[sub.ID]
	if !ok {
		q = newQueue(sub)
		d.allot(q)
		q.timer = time.AfterFunc(never, func() { d.fired(q) })
		q.timer.Stop()
		d.queues[sub.ID] = q
	}
	return q
}

// drop lets go of the queue of a subscription that was deleted, once nothing of
// it is under way.
func (d *Dispatcher) drop(q *queue) {
	if !q.sub.DeletedAt.IsZero() && len(q.booked) == 0 && !q.refilling && d.queues[q.sub.ID] == q {
		q.timer.Stop()
		delete(d.queues, q.sub.ID)
	}
}

// wake has both lanes of a queue read from the table.
func (d *Dispatcher) wake(q *queue) {
	if !d.sendsTo(q) {
		return
	}
	if q.sub.Policy.Ordered {
		q.missing(id.ID{})
	} else {
		q.more, q.missed = [2]bool{true, true}, [2]bool{true, true}
	}
	d.refillSoon(q)
}

// fired runs when a queue's timer does. It takes d.mu itself.
func (d *Dispatcher) fired(q *queue) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopping {
		return
	}
	d.readDue(q, time.Now())
	d.ready(q)
	d.start()
}

// readDue has the lanes read of which the table has jobs that have become due.
func (d *Dispatcher) readDue(q *queue, now time.Time) {
	for lane, at := range q.nextDue {
		if at.IsZero() || now.Before(at) {
			continue
		}
		q.nextDue[lane] = time.Time{}
		q.more[lane], q.missed[lane] = true, true
		d.refillSoon(q)
	}
}

// ready puts a queue into its ring if it has something that may be sent now, and
// otherwise sets its timer to when it will.
func (d *Dispatcher) ready(q *queue) {
	if d.stopping || q.inRing || q.parked || !q.sub.Enabled {
		return
	}
	if !d.sendsTo(q) {
		d.yield(q)
		return
	}
	now := time.Now()
	wait, able := q.mayStart(now)
	if able {
		q.inRing = true
		d.rings[q.class].push(q)
		return
	}
	if until := q.untilDue(now); until > 0 && (wait == 0 || until < wait) {
		wait = until
	}
	if wait > 0 {
		// The wall clock may be set while a timer runs: look again in time.
		q.timer.Reset(min(wait, 15*time.Minute))
	}
}

// start has workers begin whatever may begin now.
func (d *Dispatcher) start() {
	for {
		t, ok := d.next()
		if !ok {
			return
		}
		if d.idle > 0 {
			d.idle--
			d.work <- t // a worker is waiting, or about to
			continue
		}
		d.workers.Go(func() { d.worker(t) })
	}
}

// next takes the task whose turn it is.
func (d *Dispatcher) next() (task, bool) {
	for !d.stopping && d.inFlight[prompt]+d.inFlight[slow] < d.most && d.mayStart() {
		as := d.turn
		if !d.servable(as) {
			if as = 1 - as; !d.servable(as) {
				break
			}
		}
		d.turn = 1 - as
		q := d.rings[as].pop()
		q.inRing = false
		now := time.Now()
		d.readDue(q, now) // its timer does not run while it is in the ring
		if _, able := q.mayStart(now); !able || !q.sub.Enabled || !d.sendsTo(q) {
			d.ready(q)
			continue
		}
		if !d.admit(q) {
			continue
		}
		job := q.take(now)
		job.Sub = q.sub // the request follows the latest change
		q.inFlight++
		d.inFlight[as]++
		d.ready(q)
		if d.short(q) {
			d.refillSoon(q)
		}
		return task{q: q, job: job, as: as}, true
	}
	return task{}, false
}

// servable reports whether a class has a queue whose turn may come.
func (d *Dispatcher) servable(as class) bool {
	return d.rings[as].len() > 0 && (as == prompt || d.inFlight[slow] < max(1, d.most/4))
}

// worker makes attempts until there are none to make. It holds no lock but
// while it looks for the next one.
func (d *Dispatcher) worker(t task) {
	for {
		d.underWay.Add(1)
		outcome, keep := d.attempt(t)
		d.underWay.Add(-1)
		if keep {
			d.outcomes <- outcome // waits while the database does: then nothing new begins either
		}
		d.mu.Lock()
		d.finished(t, keep)
		next, ok := d.next()
		if ok {
			d.start()
			d.mu.Unlock()
			t = next
			continue
		}
		if d.stopping || d.idle >= maxIdle {
			d.mu.Unlock()
			return
		}
		d.idle++
		d.mu.Unlock()
		if t, ok = <-d.work; !ok {
			return
		}
	}
}

// attempt makes one attempt and decides what follows. It reports whether the
// outcome is to be stored: not if we gave it up ourselves.
func (d *Dispatcher) attempt(t task) (webhook.Outcome, bool) {
	if t.job.Body == nil { // memory was short when it was read
		if err := d.store.LoadBody(d.ctx, &t.job); err != nil {
			d.log.Error("body_not_read", slog.String("event_id", id.Event.Format(t.job.EventID)), slog.String("error", err.Error()))
			return webhook.Outcome{}, false
		}
	}
	a := d.send(t)
	t.job.Body = nil // outcomes may have to wait, and need none
	if a.Reason == reasonUnread {
		d.log.Error("keys_not_read", slog.String("tenant_id", id.Tenant.Format(t.job.TenantID)), slog.String("event_id", id.Event.Format(t.job.EventID)))
		return webhook.Outcome{Job: t.job, Attempt: a}, false
	}
	if d.ctx.Err() != nil && (a.ResponseStatus == 0 || a.Reason == wire.Reason(netguard.ClassCanceled)) {
		return webhook.Outcome{Job: t.job, Attempt: a}, false
	}
	now := time.Now()
	var health *webhook.Snapshot
	d.mu.Lock()
	if t.job.Sub.Generation == t.q.sub.Generation { // else the endpoint is another one, or was given a new chance
		health = t.q.judged(&t.job, a, now)
		if health != nil {
			d.allot(t.q)
		}
	}
	pausedUntil := t.q.health.Pause.Until
	d.mu.Unlock()
	status, next := decide(t.job, a, t.job.Sub.Schedule(), pausedUntil, now, rand.Float64()) //nolint:gosec // jitter
	return webhook.Outcome{Job: t.job, Attempt: a, Status: status, NextAt: next, Health: health}, true
}

// send makes the request. A failure of ours becomes a failed attempt, so that
// one bad row can't stop the server.
func (d *Dispatcher) send(t task) (a webhook.Attempt) { //nolint:nonamedreturns // set by the recover
	msg := wire.Message{EventID: t.job.EventID, Type: t.job.Type, Body: t.job.Body, SentAt: time.Now(), Attempt: t.job.Attempts + 1, Version: t.job.Version}
	defer func() {
		if r := recover(); r != nil {
			d.log.Error("attempt_panicked", slog.String("event_id", id.Event.Format(t.job.EventID)), slog.Any("panic", r))
			a = webhook.Attempt{Number: msg.Attempt, StartedAt: msg.SentAt, Verdict: wire.Refused, Reason: reasonInternal}
		}
	}()
	return d.attempter.Attempt(d.ctx, t.job.Sub, msg, t.job.Traceparent)
}

// finished gives back what an attempt held.
func (d *Dispatcher) finished(t task, kept bool) {
	t.q.inFlight--
	d.inFlight[t.as]--
	d.release(t.job.TenantID)
	d.letGo(&t.job) // its outcome has none to let go of
	if !kept {
		d.forget(t.q, t.job)
		d.giveBack(t.job)
		d.readLater(t.q)
		return
	}
	d.ready(t.q)
}

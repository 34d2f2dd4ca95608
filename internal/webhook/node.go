package webhook

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Where several nodes share the database, each of them sends. Whoever stores a
// delivery either holds it, and hands it to its own sender, or leaves it in the
// table to whoever claims it. What a node changes the others hear of twice: by a
// hint, at once and not for certain, and by reading, at the next beat of the node.

const (
	// topicSubscriptions is followed by reading too: a tenant's subscriptions have
	// changed.
	topicSubscriptions = "subscriptions"
	topicDue           = "due"     // hint: a subscription has deliveries that nobody holds
	topicHealth        = "health"  // hint: an endpoint fares otherwise than before
	topicDecided       = "decided" // hint: a delivery was decided by hand
)

// alone is a process that has the database to itself.
type alone struct{}

func (alone) Membership() node.Membership                           { return node.Membership{} }
func (alone) Changed(*db.Tx, string, id.ID) error                   { return nil }
func (alone) Watch(string, func(ctx context.Context, tenant id.ID)) {}
func (alone) Alive() bool                                           { return true }
func (alone) Hint(string, string)                                   {}
func (alone) OnHint(string, func(payload string))                   {}
func (alone) OnGap(func())                                          {}

// handing hands new deliveries of a transaction over to whoever sends them.
type handing struct {
	s    *Service
	tx   *db.Tx
	rows [][]any // of the deliveries
	jobs []Job   // for this process's sender
	left []unset // what has deliveries for whoever claims them
}

// unset is a subscription with deliveries that nobody holds.
type unset struct {
	sub *Subscription
	own bool // this node sends to it as well, once it has room
}

func (s *Service) handOver(tx *db.Tx) *handing { return &handing{s: s, tx: tx} }

// add notes a delivery whose first attempt is due.
func (h *handing) add(job Job) error {
	able, err := mayBeSent(h.tx, job.Sub)
	if err != nil {
		return err
	}
	if able && h.tx.Shared() {
		able = h.hold(&job)
	}
	if able {
		h.jobs = append(h.jobs, job)
	}
	h.rows = append(h.rows, deliveryRow(h.tx, &job))
	return nil
}

// hold makes the delivery this node's if its sender takes it, and reports whether
// it does.
func (h *handing) hold(job *Job) bool {
	taking := Elsewhere
	if h.s.sender != nil {
		taking = h.s.sender.Takes(job.Sub)
	}
	if taking == Taken {
		job.Owner = h.s.node.Membership().Self
		return true
	}
	if n := len(h.left); n == 0 || h.left[n-1].sub.ID != job.Sub.ID {
		h.left = append(h.left, unset{job.Sub, taking == Waits})
	}
	return false
}

// end stores the deliveries, and tells of them once they are committed.
func (h *handing) end() error {
	if err := h.tx.Insert(newDelivery, h.rows); err != nil {
		return err
	}
	if h.s.sender == nil {
		return nil
	}
	if jobs := h.jobs; len(jobs) > 0 {
		h.tx.After(func() { h.s.sender.Accepted(jobs) })
	}
	if len(h.left) == 0 {
		return nil
	}
	h.tx.After(func() {
		for _, left := range h.left {
			h.s.sender.Refilled(left.sub)
			if !left.own || h.s.others.mayTell(left.sub.ID, time.Now()) {
				h.s.hint(topicDue, left.sub)
			}
		}
	})
	return nil
}

// hint tells the other nodes something about a subscription.
func (s *Service) hint(topic string, sub *Subscription) {
	s.node.Hint(topic, sub.TenantID.String()+sub.ID.String())
}

// others is what the other nodes have changed and this process has not looked at
// yet.
type others struct {
	wakes chan struct{} // one token: there is something

	mu      sync.Mutex
	gap     bool // anything may have been missed
	tenants map[id.ID]bool
	hints   map[hinted]bool
	seen    map[id.ID]int64     // the version of a tenant's subscriptions that was looked at last
	told    map[id.ID]time.Time // when the others were last told that there is no room for a subscription's
}

// hinted is a hint as it came.
type hinted struct{ topic, payload string }

func newOthers() others {
	return others{
		wakes: make(chan struct{}, 1), tenants: make(map[id.ID]bool), hints: make(map[hinted]bool),
		seen: make(map[id.ID]int64), told: make(map[id.ID]time.Time),
	}
}

// tellEvery is how often the others are told of a subscription that this node has
// no room for. They go on by themselves as long as there is something.
const tellEvery = time.Second

// mayTell reports whether it is time to tell the others again.
func (o *others) mayTell(sub id.ID, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.told[sub]) < tellEvery {
		return false
	}
	if len(o.told) > 10_000 {
		clear(o.told)
	}
	o.told[sub] = now
	return true
}

// note has something looked at soon.
func (o *others) note(change func()) {
	o.mu.Lock()
	change()
	o.mu.Unlock()
	select {
	case o.wakes <- struct{}{}:
	default:
	}
}

// follow has the node tell of what others change.
func (s *Service) follow() {
	o := &s.others
	s.node.Watch(topicSubscriptions, func(_ context.Context, tenant id.ID) {
		s.index.changed(tenant)
		o.note(func() { o.tenants[tenant] = true })
	})
	for _, topic := range []string{topicDue, topicHealth, topicDecided} {
		s.node.OnHint(topic, func(payload string) { o.note(func() { o.hints[hinted{topic, payload}] = true }) })
	}
	s.node.OnGap(func() { o.note(func() { o.gap = true }) })
}

// catchUpLoop looks at what others have changed.
func (s *Service) catchUpLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.others.wakes:
		}
		if err := s.catchUp(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "changes_not_read", slog.String("error", err.Error()))
			time.AfterFunc(time.Second, func() { s.others.note(func() {}) })
		}
	}
}

// catchUp looks at everything that was noted. What it could not look at stays.
func (s *Service) catchUp(ctx context.Context) error {
	o := &s.others
	o.mu.Lock()
	gap, tenants, hints := o.gap, slices.Collect(maps.Keys(o.tenants)), slices.Collect(maps.Keys(o.hints))
	o.gap = false
	clear(o.tenants)
	clear(o.hints)
	o.mu.Unlock()
	again := func(err error) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.gap = true
		for _, h := range hints {
			o.hints[h] = true
		}
		for _, tenant := range tenants {
			o.tenants[tenant] = true
		}
		return err
	}
	for _, tenant := range tenants {
		if err := s.readChanged(ctx, tenant); err != nil {
			return again(err)
		}
	}
	for _, h := range hints {
		if err := s.lookAt(ctx, h); err != nil {
			return again(err)
		}
	}
	if !gap {
		return nil
	}
	s.sweepSoon()
	s.jobs.Wake()
	waiting, err := s.Waiting(ctx)
	if err != nil {
		return again(err)
	}
	s.sender.Resume(waiting)
	return nil
}

// ids reads the ids of a hint: of a tenant and a subscription, and of an event where
// a delivery was decided.
func (h hinted) ids() ([3]id.ID, bool) {
	const long = 2 * len(id.ID{})
	var ids [3]id.ID
	if n := len(h.payload); n%long != 0 || n < 2*long || n > 3*long {
		return ids, false
	}
	for i := range len(h.payload) / long {
		if ids[i].UnmarshalText([]byte(h.payload[i*long:(i+1)*long])) != nil {
			return ids, false
		}
	}
	return ids, true
}

// lookAt follows a hint. One that names nothing is passed over.
func (s *Service) lookAt(ctx context.Context, h hinted) error {
	ids, ok := h.ids()
	if !ok {
		return nil
	}
	sub, err := s.Subscription(ctx, ids[0], ids[1])
	switch {
	case problem.NotFound.Has(err):
	case err != nil:
		return err
	case h.topic == topicDue:
		s.sender.Refilled(sub)
	case h.topic == topicHealth:
		s.sender.Heard(sub)
	case h.topic == topicDecided:
		s.sender.Intervened(sub, ids[2])
	}
	return nil
}

// readChanged tells the sender of a tenant's subscriptions that have changed.
func (s *Service) readChanged(ctx context.Context, tenant id.ID) error {
	s.others.mu.Lock()
	after := s.others.seen[tenant]
	s.others.mu.Unlock()
	var subs []*Subscription
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		subs, err = s.selectChanged(q, tenant, after)
		return err
	})
	if err != nil || len(subs) == 0 {
		return err
	}
	s.index.changed(tenant)
	for _, sub := range subs {
		s.sender.Changed(sub)
	}
	s.others.mu.Lock()
	defer s.others.mu.Unlock()
	s.others.seen[tenant] = subs[len(subs)-1].Version
	return nil
}

package node

import (
	"context"
	"slices"
	"sync"
	"time"
)

// gapRest is what part of a lease lies between two rounds of OnGap at least.
const gapRest = 20

// observers are who wants to know about members and gaps.
type observers struct {
	mu      sync.Mutex // held while they are told, one after the other
	members []func(Membership)
	told    Membership

	gapsMu sync.Mutex
	onGap  []func()

	changes chan struct{} // one token: the membership has changed
	gaps    chan struct{} // one token: something may have been missed
}

func newObservers() observers {
	return observers{changes: make(chan struct{}, 1), gaps: make(chan struct{}, 1)}
}

func (o *observers) changed() { signal(o.changes) }

func (o *observers) register(fn func(Membership)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.members = append(o.members, fn)
	fn(o.told)
}

// tell tells about members until ctx ends. After a new life, and after somebody has
// gone, there is something to look for: what was sent to the one that is no more,
// and what that one had.
func (n *Node) tell(ctx context.Context) {
	for {
		select {
		case <-n.observers.changes:
		case <-ctx.Done():
			return
		}
		m := n.Membership()
		before := n.observers.tell(m)
		n.told.Store(m.Self)
		for _, number := range before.Members {
			if !slices.Contains(m.Members, number) {
				signal(n.observers.gaps)
				break
			}
		}
	}
}

// tell tells everybody, and returns what they were told before.
func (o *observers) tell(m Membership) Membership {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.told
	if m.equal(before) {
		return before
	}
	o.told = m
	for _, fn := range o.members {
		fn(m)
	}
	return before
}

// OnGap has fn called whenever hints, or what followed from a commit here, may have
// been lost: it looks at the database for what it may have missed. That is so after
// each connection of the listener, with each renewal while there is none, after
// another node has gone, after a commit whose outcome is not known, and when this
// node has its lease back or a new life. Calls follow one another, and are never
// dense.
func (n *Node) OnGap(fn func()) {
	if n.alone {
		return
	}
	n.observers.gapsMu.Lock()
	defer n.observers.gapsMu.Unlock()
	n.observers.onGap = append(n.observers.onGap, fn)
}

func (n *Node) reportGaps(ctx context.Context) {
	for {
		select {
		case <-n.observers.gaps:
		case <-ctx.Done():
			return
		}
		n.observers.gapsMu.Lock()
		fns := slices.Clone(n.observers.onGap)
		n.observers.gapsMu.Unlock()
		for _, fn := range fns {
			fn()
		}
		rest(ctx, n.lease/gapRest)
	}
}

// rest waits so long, or until ctx ends.
func rest(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

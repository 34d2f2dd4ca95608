package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	nodesName = "nodes"

	steadyRate  = 5 * time.Millisecond  // between two events while a node is killed: 200 a second
	usually     = 50 * time.Millisecond // what the endpoint takes then
	clogged     = time.Second           // what it takes before the kill, so that a node has something to hold
	beforeKill  = 2 * time.Second       // of the steady rate
	takeOverMax = nodeLease + time.Second
)

// nodes has one node deliver, then two that share the load, and then kills one of
// the two while it holds deliveries.
func (b *bench) nodes(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx, "--lease", nodeLease.String())
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	n := b.share(30_000, 300)
	one, two, killed := &Result{Name: "nodes-one"}, &Result{Name: "nodes-two"}, &Result{Name: "nodes-killed"}
	if _, err := r.flood(ctx, one, n, 1); err != nil {
		return nil, err
	}
	if err := r.grow(ctx); err != nil {
		return nil, err
	}
	if err := r.awaitMembers(ctx); err != nil {
		return nil, err
	}
	if err := r.floodTwo(ctx, two, n); err != nil {
		return nil, err
	}
	two.figure("two_beside_one", two.rate()/one.rate(), "")
	return []*Result{one, two, killed}, r.killOne(ctx, killed)
}

// awaitMembers waits until every node knows of all others.
func (r *rig) awaitMembers(ctx context.Context) error {
	for begun := time.Now(); time.Since(begun) < startTimeout; {
		all := true
		for _, s := range r.nodes {
			known, err := s.counter(ctx, "grapevine_nodes")
			if err != nil {
				return err
			}
			all = all && int(known) == len(r.nodes)
		}
		if all {
			return nil
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return errors.New("bench: the nodes do not know of each other")
}

// attemptCounter counts the attempts of which a node has stored the outcome.
const attemptCounter = "grapevine_attempts_total"

// attempts returns how many attempts each node has made so far.
func (r *rig) attempts(ctx context.Context) ([]float64, error) {
	made := make([]float64, len(r.nodes))
	for i, s := range r.nodes {
		var err error
		if made[i], err = s.sum(ctx, attemptCounter); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// floodTwo is flood at both nodes, and holds each to having sent half.
func (r *rig) floodTwo(ctx context.Context, result *Result, n int) error {
	r.publishAtAll()
	before, err := r.attempts(ctx)
	if err != nil {
		return err
	}
	if _, err := r.flood(ctx, result, n, 1); err != nil {
		return err
	}
	after, err := r.attempts(ctx)
	if err != nil {
		return err
	}
	least, sum := math.Inf(1), 0.0
	for i := range after {
		made := after[i] - before[i]
		result.figure(fmt.Sprintf("attempts_of_node_%d", i+1), made, "")
		least, sum = min(least, made), sum+made
	}
	result.atLeast("attempts of the node that made fewer, as a share of all", least/sum, 0.45, "")
	return nil
}

// killOne publishes at both nodes at a steady rate, gives the second one more than
// it can send at once, and kills it when it has accepted all of that. The first
// node has then to send what the dead one held.
func (r *rig) killOne(ctx context.Context, result *Result) error {
	if err := r.takeFor(ctx, usually); err != nil {
		return err
	}
	if err := r.receiver.watch(ctx, Watch{Secret: r.secret, Verify: math.MaxInt32}); err != nil {
		return err
	}
	var err error
	if r.begun, err = r.used(ctx); err != nil {
		return err
	}
	victim := r.nodes[1]
	toVictim := *r.events
	toVictim.urls = []string{victim.events()}
	r.events.insist = true

	var steady []publication
	var failed error
	var publishing sync.WaitGroup
	publishing.Go(func() {
		steady, failed = r.load.pace(ctx, r.events, steadyRate, int((beforeKill+takeOverMax+time.Second)/steadyRate))
	})
	r.show("publishing at both nodes, then killing one")
	sleep(ctx, beforeKill)
	clog := r.takeFor(ctx, clogged)
	burst, err := r.load.flood(ctx, &toVictim, 1_000)
	down := outage{from: time.Now().UnixNano()}
	victim.kill()
	down.to = time.Now().Add(lateArrivals).UnixNano()
	unclog := r.takeFor(ctx, usually)
	publishing.Wait()
	if err := errors.Join(clog, err, unclog, failed); err != nil {
		return err
	}
	posted := append(steady, burst...)
	if _, err := r.concludeKills(ctx, result, posted, []outage{down}); err != nil {
		return err
	}
	noted, err := r.receiver.noted(ctx)
	if err != nil {
		return err
	}
	held := heldAt(down.from, posted, noted.Arrivals)
	result.figure("held_by_the_killed", float64(len(held)), "")
	longest := held.inMilliseconds(100) / 1000
	result.figure("taken_over_and_sent_after", longest, "s")
	result.atLeast("events that the killed node held", float64(len(held)), 1, "")
	result.below("sent by the other node, the last of them after", longest, takeOverMax.Seconds(), "s")
	return r.checkClock()
}

// takeFor has the endpoint take so long for a webhook.
func (r *rig) takeFor(ctx context.Context, d time.Duration) error {
	return r.receiver.behave(ctx, map[int]Behaviour{0: {Delay: d}})
}

// heldAt returns how long after a moment each event first arrived that had been
// accepted by then and had not arrived.
func heldAt(moment int64, posted []publication, arrivals []Arrival) latencies {
	first := make(map[string]int64, len(arrivals))
	for _, a := range arrivals {
		if at, seen := first[a.ID]; !seen || a.At < at {
			first[a.ID] = a.At
		}
	}
	var held latencies
	for _, p := range posted {
		if at, arrived := first[p.ID]; arrived && p.Answered <= moment && at > moment {
			held = append(held, time.Duration(at-moment))
		}
	}
	return held
}

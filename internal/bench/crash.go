package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// How long a server lives before it is killed, from when it has accepted an
// event.
const (
	shortLife = 50 * time.Millisecond
	longLife  = 500 * time.Millisecond
)

// crash kills the server under load again and again, and then waits for all that
// was accepted. On Postgres there are several servers, and the database itself is
// killed as well: see wreck.
func (b *bench) crash(ctx context.Context) ([]*Result, error) {
	if b.opts.Postgres {
		return b.wreck(ctx)
	}
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	if err := r.receiver.watch(ctx, Watch{Secret: r.secret, Verify: math.MaxInt32}); err != nil {
		return nil, err
	}
	if r.begun, err = r.used(ctx); err != nil {
		return nil, err
	}
	k := killing{rig: r, more: b.moreKills()}
	if err := k.run(ctx); err != nil {
		return nil, err
	}
	result := &Result{Name: crashName}
	result.figure("kills", float64(len(k.kills)), "")
	result.figure("ready_after_kill_most", milliseconds(k.slowestStart), "ms")
	integrity, err := r.concludeKills(ctx, result, k.posted, k.kills)
	if err != nil {
		return nil, err
	}
	result.figure("answers_lost_but_accepted", float64(integrity.Unanswered), "")
	return []*Result{result}, nil
}

// concludeKills waits for all that was accepted, and adds what arrived, what it
// cost, and how often more than once.
func (r *rig) concludeKills(ctx context.Context, result *Result, posted []publication, kills []outage) (Integrity, error) {
	f, integrity, err := r.settle(ctx, posted)
	if err != nil {
		return integrity, err
	}
	recorded, err := r.recorded(ctx, earliest(posted))
	if err != nil {
		return integrity, err
	}
	unrecorded := integrity.Arrived - recorded
	result.figure("events", float64(len(posted)), "")
	result.figure("accepted", float64(integrity.Accepted), "")
	result.figure("arrived", float64(integrity.Arrived), "")
	result.figure("lost", float64(integrity.Lost), "")
	result.figure("duplicated", float64(integrity.Duplicated), "")
	result.figure("attempts_unrecorded", float64(unrecorded), "")
	r.costs(result, f.used, len(posted))
	result.intactAfterKills(integrity)
	result.atMost("duplicates with no kill in between", float64(unexplained(f.noted.Arrivals, kills)), 0)
	result.atMost("duplicates of attempts on record", float64(integrity.Duplicated-unrecorded), 0)
	return integrity, nil
}

// moreKills returns a function that says, given how many there were, whether
// there is to be another kill.
func (b *bench) moreKills() func(kills int) bool {
	if b.opts.For > 0 {
		until := time.Now().Add(b.opts.For)
		return func(int) bool { return time.Now().Before(until) }
	}
	return func(kills int) bool { return kills < b.opts.Kills }
}

// killing is a server that is killed again and again, and what was published
// meanwhile.
type killing struct {
	*rig
	more func(kills int) bool

	kills        []outage
	posted       []publication
	slowestStart time.Duration
}

// outage is the time from a kill to when the next server was ready, in
// nanoseconds of the wall clock. What the killed one has sent may still arrive
// in it.
type outage struct{ from, to int64 }

// unexplained returns how many webhooks arrived once more although no kill came
// between them and the ones before.
func unexplained(arrivals []Arrival, kills []outage) int {
	sorted := slices.SortedFunc(slices.Values(arrivals), func(a, b Arrival) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.At, b.At))
	})
	n := 0
	for i := 1; i < len(sorted); i++ {
		first, again := sorted[i-1], sorted[i]
		if first.ID != again.ID || first.Endpoint != again.Endpoint {
			continue
		}
		if !slices.ContainsFunc(kills, func(k outage) bool { return first.At <= k.to && again.At >= k.from }) {
			n++
		}
	}
	return n
}

// run kills the server as often as is wanted, and leaves it running.
func (k *killing) run(ctx context.Context) error {
	for k.more(len(k.kills)) {
		k.show("%d kills, %d events", len(k.kills), len(k.posted))
		var killed atomic.Bool
		before := k.load.accepted.Load()
		flooded := make(chan error, 1)
		go func() {
			posted, err := k.load.floodWhile(ctx, k.events, func() bool { return !killed.Load() })
			k.posted = append(k.posted, posted...)
			flooded <- err
		}()
		for k.load.accepted.Load() == before && len(flooded) == 0 {
			sleep(ctx, time.Millisecond)
		}
		sleep(ctx, shortLife+rand.N(longLife-shortLife)) //nolint:gosec // any moment will do
		if ctx.Err() == nil && len(flooded) > 0 {
			return fmt.Errorf("bench: publishing failed before the server was killed: %w", <-flooded)
		}
		down := outage{from: time.Now().UnixNano()}
		k.server.kill()
		killed.Store(true)
		err := <-flooded
		if refused, ok := errors.AsType[refusal](err); ok {
			return refused
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		k.load.client.CloseIdleConnections()
		ready, err := k.server.start(ctx)
		if err != nil {
			return err
		}
		down.to = time.Now().UnixNano()
		k.kills = append(k.kills, down)
		k.slowestStart = max(k.slowestStart, ready)
	}
	return nil
}

// lull is how long nothing arrives before what is on its way has arrived.
const lull = time.Second

// settle waits until everything that was accepted has arrived and nothing is
// pending, so that what dead nodes held was sent again, or has had two minutes to.
func (r *rig) settle(ctx context.Context, posted []publication) (flow, Integrity, error) {
	f := flow{posted: posted, endpoints: 1}
	for begun := time.Now(); ; {
		if err := r.receiver.awaitLull(ctx, lull); err != nil {
			return f, Integrity{}, err
		}
		pending, err := r.tenant.Deliveries(ctx, client.DeliveryFilter{Status: client.Pending}, client.Page{Limit: 1})
		if err != nil {
			return f, Integrity{}, err
		}
		if f.noted, err = r.receiver.noted(ctx); err != nil {
			return f, Integrity{}, err
		}
		integrity := compare(posted, f.noted, 1)
		if integrity.Lost == 0 && len(pending.Data) == 0 || time.Since(begun) > patience {
			now, err := r.used(ctx)
			f.used = now.since(r.begun)
			return f, integrity, err
		}
		r.show("waiting for %d of %d events", integrity.Lost, integrity.Accepted)
	}
}

// earliest is when the first of the events was due.
func earliest(posted []publication) time.Time { return time.Unix(0, flow{posted: posted}.begin()) }

// recorded returns how many attempts the server knows of, for events published
// since a time.
func (r *rig) recorded(ctx context.Context, since time.Time) (int, error) {
	n := 0
	for d, err := range r.tenant.AllDeliveries(ctx, client.DeliveryFilter{Since: since}) {
		if err != nil {
			return 0, err
		}
		if n += d.AttemptCount; n%1000 == 0 {
			r.show("%d attempts on record", n)
		}
	}
	return n, nil
}

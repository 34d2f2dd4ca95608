package bench

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

const (
	pace      = 10 * time.Millisecond // between two events: 100 a second
	paceFor   = 20 * time.Second
	warmingUp = 100 // events before the measured ones, so that connections are open
)

// paced publishes 100 events a second and looks at how long each takes.
func (b *bench) paced(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "paced"}
	direct := r.direct()
	bare, err := r.load.pace(ctx, direct, pace, b.share(500, 20))
	if err != nil {
		return nil, err
	}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	f, err := r.paced(ctx, b.share(int(paceFor/pace), 100))
	if err != nil {
		return nil, err
	}
	publish, endToEnd := answering(f.posted), arriving(f.posted, f.noted.Arrivals)
	result.figure("events", float64(len(f.posted)), "")
	result.figure("published", f.publishing(), "/s")
	result.spread("publish", publish)
	result.spread("end_to_end", endToEnd)
	result.spread("bare_post", answering(bare))
	r.conclude(result, f)
	if b.opts.Postgres {
		result.below("end to end p50", endToEnd.inMilliseconds(50), 8, "ms")
		result.below("end to end p99", endToEnd.inMilliseconds(99), 30, "ms")
		return []*Result{result}, nil
	}
	result.below("publish p99", publish.inMilliseconds(99), 10, "ms")
	result.below("end to end p50", endToEnd.inMilliseconds(50), 5, "ms")
	result.below("end to end p99", endToEnd.inMilliseconds(99), 20, "ms")
	return []*Result{result}, nil
}

// paced has n events published on the timetable and delivered to the endpoint 0,
// after a few that are not measured.
func (r *rig) paced(ctx context.Context, n int) (flow, error) {
	if err := r.begin(ctx); err != nil {
		return flow{}, err
	}
	warm, err := r.load.pace(ctx, r.events, pace, warmingUp)
	if err != nil {
		return flow{}, err
	}
	if _, err := r.end(ctx, warm, 1); err != nil {
		return flow{}, err
	}
	if err := r.begin(ctx); err != nil {
		return flow{}, err
	}
	r.show("%d events, one each %s", n, pace)
	posted, err := r.load.pace(ctx, r.events, pace, n)
	if err != nil {
		return flow{}, err
	}
	return r.end(ctx, posted, 1)
}

// deadEndpoint compares how long deliveries take without and with another
// subscription for which much is pending and which never answers.
func (b *bench) deadEndpoint(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "dead-endpoint"}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	n := b.share(int(paceFor/pace), 100)
	alone, err := r.paced(ctx, n)
	if err != nil {
		return nil, err
	}
	dead := b.share(10_000, 100)
	pending, err := r.bury(ctx, dead)
	if err != nil {
		return nil, err
	}
	beside, err := r.paced(ctx, n)
	if err != nil {
		return nil, err
	}
	before, after := arriving(alone.posted, alone.noted.Arrivals), arriving(beside.posted, beside.noted.Arrivals)
	result.figure("events", float64(2*n), "")
	result.figure("pending_for_the_dead", float64(pending), "")
	result.spread("end_to_end_alone", before)
	result.spread("end_to_end_beside_the_dead", after)
	r.conclude(result, joined(alone, beside))
	result.atMost("end to end p99 beside the dead, as a multiple of p99 alone",
		after.inMilliseconds(99)/before.inMilliseconds(99), 2)
	result.atLeast("pending for the dead endpoint", float64(pending), float64(dead), "")
	return []*Result{result}, nil
}

// bury subscribes an endpoint that never answers, publishes n events for it, and
// returns how many of them are pending once it has been tried.
func (r *rig) bury(ctx context.Context, n int) (int, error) {
	const dead = 1
	if err := r.receiver.behave(ctx, map[int]Behaviour{dead: {Dead: true}}); err != nil {
		return 0, err
	}
	if err := r.subscribe(ctx, deadType, dead, 1); err != nil {
		return 0, err
	}
	if _, err := r.publishBatches(ctx, deadType, n); err != nil {
		return 0, err
	}
	if err := r.receiver.awaitTurned(ctx, 1); err != nil {
		return 0, err
	}
	pending := 0
	for _, err := range r.tenant.AllDeliveries(ctx, client.DeliveryFilter{Status: client.Pending}) {
		if err != nil {
			return 0, err
		}
		pending++
	}
	return pending, nil
}

// joined is two flows as one.
func joined(a, b flow) flow {
	return flow{
		posted: append(a.posted, b.posted...), endpoints: a.endpoints, used: a.used.plus(b.used),
		noted: Noted{
			Arrivals: append(a.noted.Arrivals, b.noted.Arrivals...),
			Verified: a.noted.Verified + b.noted.Verified, Invalid: a.noted.Invalid + b.noted.Invalid,
		},
	}
}

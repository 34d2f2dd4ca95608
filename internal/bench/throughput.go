package bench

import (
	"context"
	"time"
)

// throughput publishes events singly, as fast as they are answered, with one
// subscription. The clock stops when the last one has arrived.
func (b *bench) throughput(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig()
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: throughputName}
	err = r.besideBare(ctx, result, 0.35, func() (flow, error) {
		if err := r.serve(ctx, 1); err != nil {
			return flow{}, err
		}
		return r.flood(ctx, result, b.opts.Events, 1)
	})
	return []*Result{result}, err
}

const throughputName = "throughput"

// throughputRate is what the scenario throughput of this run has delivered a
// second.
func (b *bench) throughputRate(ctx context.Context) (float64, error) {
	if result := b.report.result(throughputName); result != nil {
		return result.rate(), nil
	}
	results, err := b.throughput(ctx)
	if err != nil {
		return 0, err
	}
	b.add(results...)
	return results[0].rate(), nil
}

// fanout publishes events that go to many subscriptions each.
func (b *bench) fanout(ctx context.Context) ([]*Result, error) {
	few, err := b.fanoutTo(ctx, "fanout-10", b.share(5_000, 20), 10)
	if err != nil {
		return nil, err
	}
	many, err := b.fanoutTo(ctx, "fanout-1000", b.share(100, 5), b.share(1_000, 20))
	return []*Result{few, many}, err
}

func (b *bench) fanoutTo(ctx context.Context, name string, events, subscriptions int) (*Result, error) {
	r, err := b.newRig()
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: name}
	return result, r.besideBare(ctx, result, 0.4, func() (flow, error) {
		if err := r.serve(ctx, subscriptions); err != nil {
			return flow{}, err
		}
		return r.flood(ctx, result, events, subscriptions)
	})
}

// flood has events published as fast as they are answered and delivered to the
// endpoints that are subscribed.
func (r *rig) flood(ctx context.Context, result *Result, events, endpoints int) (flow, error) {
	if err := r.begin(ctx); err != nil {
		return flow{}, err
	}
	r.show("publishing %d events", events)
	posted, err := r.load.flood(ctx, r.events, events)
	if err != nil {
		return flow{}, err
	}
	f, err := r.end(ctx, posted, endpoints)
	if err != nil {
		return flow{}, err
	}
	result.figure("events", float64(events), "")
	if endpoints > 1 {
		result.figure("subscriptions", float64(endpoints), "")
	}
	result.figure("published", f.publishing(), "/s")
	result.figure(delivered, f.delivering(), "/s")
	if steady := f.steadily(time.Second); steady > 0 && endpoints == 1 {
		result.figure("delivered_after_1s", steady, "/s")
	}
	if endpoints > 1 && measured {
		result.figure("server_cpu_per_delivery", microseconds(f.used.server/time.Duration(events*endpoints)), "µs")
	}
	r.conclude(result, f)
	return f, nil
}

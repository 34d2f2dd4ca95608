package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// throughput publishes events singly, as fast as they are answered, with one
// subscription. The clock stops when the last one has arrived.
func (b *bench) throughput(ctx context.Context) ([]*Result, error) {
	flags, profiling, err := b.profiling()
	if err != nil {
		return nil, err
	}
	r, err := b.newRig(ctx, flags...)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: throughputName}
	err = r.besideBare(ctx, result, 0.35, func() (flow, error) {
		if err := r.serve(ctx, 1); err != nil {
			return flow{}, err
		}
		profiled := make(chan error, 1)
		go func() { profiled <- profiling(ctx) }()
		f, err := r.flood(ctx, result, b.opts.Events, 1)
		return f, errors.Join(err, <-profiled)
	})
	if b.opts.Postgres {
		result.atLeast("delivered", result.rate(), 6_000, "/s")
	}
	return []*Result{result}, err
}

// profiling returns with which flags a server is profiled, if the run is asked for a
// profile, and what makes it.
func (b *bench) profiling() ([]string, func(ctx context.Context) error, error) {
	if b.opts.Profile == nil {
		return nil, func(context.Context) error { return nil }, nil
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	return []string{"--debug-listen", address}, func(ctx context.Context) error { return profile(ctx, address, b.opts.Profile) }, nil
}

// profile writes what a server spends the next seconds with.
func profile(ctx context.Context, address string, to io.Writer) error {
	const seconds = "5"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/debug/pprof/profile?seconds="+seconds, nil)
	if err != nil {
		return err
	}
	resp, err := asking.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("bench: the server's profile: %s", resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
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
	r, err := b.newRig(ctx)
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

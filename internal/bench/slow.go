package bench

import (
	"context"
	"time"
)

// slowEndpoint delivers to an endpoint that takes 50 ms, at default settings.
func (b *bench) slowEndpoint(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "slow-endpoint"}
	if err := r.receiver.behave(ctx, map[int]Behaviour{0: {Delay: 50 * time.Millisecond}}); err != nil {
		return nil, err
	}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	if _, err := r.flood(ctx, result, b.share(15_000, 200), 1); err != nil {
		return nil, err
	}
	if !b.opts.Postgres {
		result.atLeast("delivered to an endpoint that takes 50 ms", result.rate(), 1_500, "/s")
	}
	return []*Result{result}, nil
}

// slowDisk is throughput on a disk that takes 2 ms longer for every commit.
func (b *bench) slowDisk(ctx context.Context) ([]*Result, error) {
	full, err := b.throughputRate(ctx)
	if err != nil {
		return nil, err
	}
	r, err := b.newRig(ctx, "--commit-delay", "2ms")
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "slow-disk"}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	if _, err := r.flood(ctx, result, b.share(30_000, 100), 1); err != nil {
		return nil, err
	}
	result.figure("share_of_throughput", result.rate()/full, "")
	if !b.opts.Postgres {
		result.atLeast("delivered, as a share of throughput", result.rate()/full, 1.0/3, "")
	}
	return []*Result{result}, nil
}

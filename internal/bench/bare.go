package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// direct posts to the receiver what Grapevine would.
func (r *rig) direct() *target {
	return &target{
		urls: []string{r.receiver.endpoint(0)}, header: http.Header{"Content-Type": {"application/json"}},
		head: []byte(`{"type":"` + eventType + `","timestamp":"2026-01-31T15:04:05.123456Z","data":`),
		tail: []byte{'}'},
		id:   func(n int) string { return fmt.Sprintf("evt_%024x", n) },
	}
}

// bare is what the loop does with nothing in between.
type bare struct {
	rate   float64       // posts a second
	cpu    time.Duration // of load and receiver, a post
	others float64       // cores that were busy with something else
}

// bare measures the bare loop.
func (r *rig) bare(ctx context.Context) (bare, error) {
	r.show("bare loop")
	if _, err := r.load.floodFor(ctx, r.direct(), r.bareFor/6); err != nil { // to open the connections
		return bare{}, err
	}
	if err := r.receiver.watch(ctx, Watch{}); err != nil {
		return bare{}, err
	}
	before, err := r.used(ctx)
	if err != nil {
		return bare{}, err
	}
	posted, err := r.load.floodFor(ctx, r.direct(), r.bareFor)
	if err != nil {
		return bare{}, err
	}
	after, err := r.used(ctx)
	if err != nil {
		return bare{}, err
	}
	noted, err := r.receiver.noted(ctx)
	if err := errors.Join(err, r.checkClock()); err != nil {
		return bare{}, err
	}
	if i := compare(posted, noted, 1); !i.ok() || i.Accepted == 0 {
		return bare{}, fmt.Errorf("bench: the bare loop itself went wrong: %s", i)
	}
	f := flow{posted: posted, noted: noted}
	used := after.since(before)
	return bare{f.delivering(), used.ours() / time.Duration(len(posted)), used.others()}, nil
}

// besideBare measures the bare loop, then something, then the bare loop again
// with the server stopped, and, on SQLite, holds what was delivered to a share of
// the mean of the two: the machine's speed changes, and so cancels out as far as it
// can.
func (r *rig) besideBare(ctx context.Context, result *Result, least float64, measure func() (flow, error)) error {
	before, err := r.bare(ctx)
	if err != nil {
		return err
	}
	f, err := measure()
	if err != nil {
		return err
	}
	if err := r.server.stop(ctx); err != nil {
		return err
	}
	after, err := r.bare(ctx)
	if err != nil {
		return err
	}
	share := result.rate() / ((before.rate + after.rate) / 2)
	result.figure("bare_before", before.rate, "/s")
	result.figure("bare_after", after.rate, "/s")
	result.figure("bare_cpu_per_post", microseconds((before.cpu+after.cpu)/2), "µs")
	result.figure("share_of_bare", share, "")
	if measured {
		result.figure(othersBusyBare, max(before.others, after.others), "cores")
		// What the share would be if the cores were ours alone.
		cpu := f.used.ours() / time.Duration(max(len(f.noted.Arrivals), 1))
		result.figure("share_of_bare_by_cpu", float64(before.cpu+after.cpu)/2/float64(max(cpu, 1)), "")
	}
	if !r.opts.Postgres {
		result.atLeast("delivered, as a share of the bare loop", share, least, "")
	}
	return nil
}

package bench

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

const (
	keptFor      = 10 * time.Second     // how long the server keeps events
	steady       = 2 * time.Millisecond // between two events: 500 a second
	steadyTimes  = 3                    // as long as events are kept: once until it is full, and twice with it full
	beforeOld    = 0                    // the first time nothing is old yet
	oldAndFull   = 1
	lastPeriod   = steadyTimes - 1
	deadPending  = 5_000 // deliveries that wait all the time
	retentionBar = 1.15
)

// retention publishes at a steady rate for three times as long as events are
// kept, beside deliveries that wait for an endpoint that never answers.
func (b *bench) retention(ctx context.Context) ([]*Result, error) {
	period := max(b.shareTime(keptFor), time.Second)
	r, err := b.newRig(ctx, "--retention", period.String(), "--short-retention")
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: "retention"}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	waiting := b.share(deadPending, 50)
	if _, err := r.bury(ctx, waiting); err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	var posted []publication
	var most [steadyTimes]int64 // bytes on disk
	var took [steadyTimes]latencies
	for i := range steadyTimes {
		r.show("publishing for %s, the %d. time of %d", period, i+1, steadyTimes)
		watched := r.watchDisk(ctx)
		part, err := r.load.pace(ctx, r.events, steady, int(period/steady))
		most[i] = watched()
		if err != nil {
			return nil, err
		}
		took[i], posted = answering(part), append(posted, part...)
	}
	f, err := r.end(ctx, posted, 1)
	if err != nil {
		return nil, err
	}
	return []*Result{result}, r.retained(ctx, result, retained{f, most, took, waiting})
}

// retained is what the scenario retention has seen.
type retained struct {
	flow
	most    [steadyTimes]int64
	took    [steadyTimes]latencies
	waiting int // deliveries that are to be pending still
}

// retained adds what was seen, and holds it to the bars.
func (r *rig) retained(ctx context.Context, result *Result, seen retained) error {
	removed, err := r.server.counter(ctx, `grapevine_retention_removed_total{kind="event"}`)
	if err != nil {
		return err
	}
	pending := 0
	for _, err := range r.tenant.AllDeliveries(ctx, client.DeliveryFilter{Status: client.Pending}) {
		if err != nil {
			return err
		}
		pending++
	}
	before, after := seen.took[beforeOld], append(seen.took[oldAndFull], seen.took[lastPeriod]...)
	result.figure("events", float64(len(seen.posted)), "")
	result.figure("published", seen.publishing(), "/s")
	result.figure("events_removed", removed, "")
	result.figure("disk_most_in_the_second", megabytes(seen.most[oldAndFull]), "MB")
	result.figure("disk_most_in_the_third", megabytes(seen.most[lastPeriod]), "MB")
	result.spread("publish_before", before)
	result.spread("publish_while_removing", after)
	r.conclude(result, seen.flow)
	if !r.opts.Postgres {
		result.atMost("most disk in the third period, as a multiple of the second", float64(seen.most[lastPeriod])/float64(seen.most[oldAndFull]), retentionBar)
		result.below("publish p99 while events are removed", after.inMilliseconds(99), max(10, 2*before.inMilliseconds(99)), "ms")
	}
	result.atLeast("events removed", removed, float64(len(seen.posted))/2, "")
	result.atLeast("pending for the dead endpoint", float64(pending), float64(seen.waiting), "")
	return nil
}

// watchDisk watches how much the database and its log take, until the function
// that it returns is called, which says how much it was at most.
func (r *rig) watchDisk(ctx context.Context) func() int64 {
	ctx, stop := context.WithCancel(ctx)
	every := 20 * time.Millisecond
	if r.opts.Postgres {
		every = time.Second // each look is a session
	}
	most := make(chan int64)
	go func() {
		var seen int64
		for more := true; more; more = sleep(ctx, every) {
			if now, err := r.database.onDisk(ctx); err == nil {
				seen = max(seen, now)
			}
		}
		most <- seen
	}()
	return func() int64 {
		stop()
		return <-most
	}
}

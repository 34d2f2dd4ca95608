package bench

import (
	"context"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// backlog starts a server on a database in which much is pending, and looks at
// how it gets going and how fast it catches up.
func (b *bench) backlog(ctx context.Context) ([]*Result, error) {
	return b.catchUp(ctx, "backlog", b.share(200_000, 1_000), 200)
}

const outageName = "outage"

// outage is backlog with a million deliveries.
func (b *bench) outage(ctx context.Context) ([]*Result, error) {
	return b.catchUp(ctx, outageName, b.share(1_000_000, 2_000), 300)
}

// catchUp starts a server on a database in which so many deliveries are pending.
// Its memory is bounded in megabytes.
func (b *bench) catchUp(ctx context.Context, name string, n int, megabytesMost float64) ([]*Result, error) {
	full, err := b.throughputRate(ctx)
	if err != nil {
		return nil, err
	}
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	result := &Result{Name: name}
	posted, err := r.pileUp(ctx, n)
	if err != nil {
		return nil, err
	}
	if err := r.receiver.watch(ctx, Watch{Secret: r.secret, Verify: signatures}); err != nil {
		return nil, err
	}
	r.server.peak = 0 // only the start that follows counts
	if r.begun, err = r.used(ctx); err != nil {
		return nil, err
	}
	started := time.Now()
	ready, err := r.server.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.enableAll(ctx); err != nil {
		return nil, err
	}
	f, err := r.end(ctx, posted, 1)
	if err != nil {
		return nil, err
	}
	rate := f.deliveringSince(started.UnixNano())
	result.figure("events", float64(len(posted)), "")
	result.figure("ready_after", milliseconds(ready), "ms")
	result.figure(delivered, rate, "/s")
	r.conclude(result, f)
	if b.opts.Postgres {
		return []*Result{result}, nil
	}
	result.below("ready with all of it pending", ready.Seconds(), 2, "s")
	result.atLeast("delivered from the start on, as a share of throughput", rate/full, 0.8, "")
	if measured {
		result.below("memory of the server at most", megabytes(r.server.memory()), megabytesMost, "MB")
	}
	return []*Result{result}, nil
}

// pileUp publishes n events that stay pending, and stops the server.
func (r *rig) pileUp(ctx context.Context, n int) ([]publication, error) {
	if err := r.receiver.behave(ctx, map[int]Behaviour{0: {Busy: true}}); err != nil {
		return nil, err
	}
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	// One event by itself is told to come back in an hour, and with it the whole
	// subscription. The others are then not tried before it is enabled anew.
	if _, err := r.publishBatches(ctx, eventType, 1); err != nil {
		return nil, err
	}
	if err := r.receiver.awaitTurned(ctx, 1); err != nil {
		return nil, err
	}
	posted, err := r.publishBatches(ctx, eventType, n)
	if err != nil {
		return nil, err
	}
	if err := r.server.stop(ctx); err != nil {
		return nil, err
	}
	return posted, r.receiver.behave(ctx, map[int]Behaviour{0: {}})
}

// enableAll gives every endpoint a new chance, as an operator does who knows that
// it is well again.
func (r *rig) enableAll(ctx context.Context) error {
	for sub, err := range r.tenant.AllSubscriptions(ctx) {
		if err != nil {
			return err
		}
		if _, err := r.tenant.EnableSubscription(ctx, sub.ID); err != nil {
			return err
		}
	}
	return nil
}

// maxBatch is how many events the API takes at once.
const maxBatch = 1_000

// publishBatches publishes n events of a type in batches.
func (r *rig) publishBatches(ctx context.Context, eventType string, n int) ([]publication, error) {
	posted := make([]publication, 0, n)
	for len(posted) < n {
		r.show("%d of %d published", len(posted), n)
		batch := make([]client.Publication, min(maxBatch, n-len(posted)))
		first, due := r.load.take(len(batch)), time.Now().UnixNano()
		for i := range batch {
			batch[i] = client.Publication{Type: eventType, Data: json.RawMessage(appendData(nil, first+i))}
		}
		published, err := r.tenant.PublishBatch(ctx, batch)
		if err != nil {
			return posted, err
		}
		for i, p := range published {
			posted = append(posted, publication{N: first + i, ID: p.ID, Due: due, Answered: time.Now().UnixNano()})
		}
	}
	return posted, nil
}

package dispatch

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// How long outcomes wait for others to be stored with.
const (
	patience = 5 * time.Millisecond
	// enough is how many are worth a transaction of their own.
	enough = 64
)

// recordLoop stores outcomes, all that have come in one transaction, until the
// last one is stored. A commit costs about as much as a dozen outcomes, so that
// while other attempts are under way the first outcomes wait a moment for theirs.
func (d *Dispatcher) recordLoop() {
	batch := make([]webhook.Outcome, 0, maxRecorded)
	late := time.NewTimer(patience)
	for first := range d.outcomes {
		batch = append(batch[:0], first)
		late.Reset(patience)
		for waiting := true; waiting; {
			batch = d.collect(batch)
			if len(batch) >= enough || d.underWay.Load() == 0 || slices.ContainsFunc(batch, awaited) {
				break
			}
			select {
			case o, ok := <-d.outcomes:
				if waiting = ok; ok {
					batch = append(batch, o)
				}
			case <-late.C:
				waiting = false
			}
		}
		d.latestHealth(batch)
		for _, together := range d.store.Split(batch) {
			d.record(together)
		}
		clear(batch)
	}
}

// awaited reports whether the next attempt waits until an outcome is stored.
func awaited(o webhook.Outcome) bool { return o.Job.Sub.Policy.Ordered }

// collect adds what outcomes have come, as far as there is room for them.
func (d *Dispatcher) collect(batch []webhook.Outcome) []webhook.Outcome {
	for len(batch) < maxRecorded {
		select {
		case o, ok := <-d.outcomes:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// record stores outcomes, however long the database can't take them: meanwhile
// the attempts that end wait, and none begins. Only a stop that has run out of
// time gives up; the deliveries are then still pending and are sent again.
func (d *Dispatcher) record(batch []webhook.Outcome) {
	ctx := context.WithoutCancel(d.ctx)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := d.store.Record(ctx, batch, func() { d.recorded(batch) })
		if err == nil {
			break
		}
		d.log.Error("outcomes_not_stored", slog.Int("outcomes", len(batch)), slog.String("error", err.Error()))
		if !webhook.Unavailable(err) {
			d.recordSingly(batch)
			return
		}
		select {
		case <-time.After(wait):
		case <-d.ctx.Done():
			return
		}
	}
	for i := range batch {
		d.metrics.observe(&batch[i])
		d.logOutcome(ctx, &batch[i])
	}
}

// recordSingly stores the outcomes of a batch that was refused for what is in it,
// so that one of them can't stop the others.
//
// An outcome that is refused by itself is given up with a line in the log. Its
// delivery stays booked, so that this process does not send it again and again;
// the next one will.
func (d *Dispatcher) recordSingly(batch []webhook.Outcome) {
	if len(batch) == 1 {
		d.log.Error("outcome_given_up", slog.String("event_id", id.Event.Format(batch[0].Job.EventID)),
			slog.String("subscription_id", id.Subscription.Format(batch[0].Job.Sub.ID)))
		return
	}
	for i := range batch {
		d.record(batch[i : i+1])
	}
}

// recorded brings the books in step with the table. It runs right after the
// commit and takes d.mu itself.
func (d *Dispatcher) recorded(batch []webhook.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	start := false
	for i := range batch {
		o := &batch[i]
		q, known := d.queues[o.Job.Sub.ID]
		if !known {
			continue
		}
		d.forget(q, o.Job)
		switch {
		case d.stopping:
		case !q.sub.Enabled:
			d.drop(q)
		case q.sub.Policy.Ordered:
			if o.Superseded || o.Status == webhook.Retrying {
				q.missing(o.Job.EventID)
				d.refillSoon(q)
			}
			d.ready(q)
			start = true
		case o.Status == webhook.Retrying && !d.sendsTo(q):
			d.giveBack(o.Job) // it is given back already; whoever sends to it now hears of it
		case o.Superseded: // somebody made it due while the attempt was under way
			d.wake(q)
		case o.Status == webhook.Retrying:
			q.expect(webhook.Retrying, o.NextAt)
			d.ready(q)
		}
	}
	if start {
		d.start()
	}
}

// logOutcome writes the one line about an attempt.
func (d *Dispatcher) logOutcome(ctx context.Context, o *webhook.Outcome) {
	level := slog.LevelInfo
	if o.Status == webhook.Failed || o.Status == webhook.Cancelled {
		level = slog.LevelWarn
	}
	if !d.log.Enabled(ctx, level) {
		return
	}
	a := &o.Attempt
	attrs := []slog.Attr{
		slog.String("tenant_id", id.Tenant.Format(o.Job.TenantID)),
		slog.String("subscription_id", id.Subscription.Format(o.Job.Sub.ID)),
		slog.String("event_id", id.Event.Format(o.Job.EventID)),
		slog.String("event_type", o.Job.Type),
		slog.Int("attempt", a.Number),
		slog.String("verdict", string(a.Verdict)),
		slog.String("reason", string(a.Reason)),
		slog.Int("response_status", a.ResponseStatus),
		slog.Float64("took_ms", float64(a.Timing.Total.Microseconds())/1000),
		slog.String("status", o.Status.String()),
	}
	if !o.NextAt.IsZero() {
		attrs = append(attrs, slog.Time("next_at", o.NextAt))
	}
	if a.Error != "" {
		attrs = append(attrs, slog.String("error", a.Error))
	}
	if o.Superseded {
		attrs = append(attrs, slog.Bool("superseded", true))
	}
	d.log.LogAttrs(ctx, level, "attempt", attrs...)
}

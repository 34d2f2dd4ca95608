package dispatch

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// slowAttempt is how long an attempt takes that holds its place too long for its
// endpoint to be served like the others.
const slowAttempt = 5 * time.Second

// probing reports whether attempts of a kind are made one at a time: until the
// endpoint has shown that it is well. Where its dialect's page fixes their times,
// an endpoint that fails does not hold up retries.
func (q *queue) probing(kind webhook.Status) bool {
	p := &q.health.Pause
	return q.governed && p.Probing() && (kind == webhook.Pending || p.Why != webhook.PausedFailing || !q.fixed)
}

// judged takes in how an attempt ended, and returns the endpoint's health if that
// has changed.
func (q *queue) judged(job *webhook.Job, a webhook.Attempt, now time.Time) *webhook.Snapshot {
	timedOut := a.Reason == wire.Reason(netguard.ClassTimeout)
	switch {
	case timedOut || a.Timing.Total >= slowAttempt:
		q.class = slow
	case a.ResponseStatus > 0:
		q.class = prompt
	}
	switch {
	case timedOut || a.ResponseStatus >= 500 || a.Verdict == wire.Throttled:
		q.limit.setBack(a.StartedAt, now)
	case a.Verdict == wire.Delivered:
		q.limit.succeeded()
	}
	was := q.health
	if was == (webhook.Health{}) && a.Verdict == wire.Delivered {
		return nil
	}
	q.health = was.After(webhook.Heard{
		Event: job.EventID, Judgement: wire.Judgement{Verdict: a.Verdict, Reason: a.Reason, Wait: a.Wait},
		Started: a.StartedAt, Now: now, Exhausted: exhausted(job, a.Verdict), Governed: q.governed,
	})
	if was.State == webhook.Failing && q.health.State == webhook.Healthy && was.Pause.Count > 0 {
		fixed, most := q.limit.fixed, q.limit.most
		q.limit = newLimit(fixed) // what it kept up with was long ago
		q.limit.most = most
	}
	q.judgements++
	return &webhook.Snapshot{Health: q.health, Generation: q.sub.Generation, Version: q.judgements}
}

// latestHealth leaves each endpoint's health with one outcome of a batch alone:
// the one that was judged last. Outcomes come in another order than they were
// judged in; what is older than what was stored before is dropped. It takes d.mu
// itself.
func (d *Dispatcher) latestHealth(batch []webhook.Outcome) {
	latest := -1
	for i := range batch {
		if batch[i].Health != nil {
			latest = i
		}
	}
	if latest < 0 { // as a rule
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range batch[:latest+1] {
		o := &batch[i]
		if o.Health == nil {
			continue
		}
		if q, known := d.queues[o.Job.Sub.ID]; known && o.Health.Version >= q.stored {
			q.stored = o.Health.Version
			continue
		}
		o.Health = nil
	}
	for i := range batch[:latest+1] {
		if o := &batch[i]; o.Health != nil && o.Health.Version < d.queues[o.Job.Sub.ID].stored {
			o.Health = nil
		}
	}
}

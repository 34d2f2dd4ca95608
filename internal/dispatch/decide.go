package dispatch

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// decide says what becomes of a delivery after an attempt: its state and, if it
// is tried again, when. A delivery whose subscription waits is not due before
// that wait is over. chance is a random number in [0, 1).
func decide(job webhook.Job, a webhook.Attempt, schedule wire.Schedule, pausedUntil, now time.Time, chance float64) (webhook.Status, time.Time) {
	switch a.Verdict {
	case wire.Delivered:
		return webhook.Delivered, time.Time{}
	case wire.Gone:
		return webhook.Cancelled, time.Time{}
	case wire.Retry, wire.Busy, wire.Throttled, wire.Refused:
	}
	delay, ok := schedule.Next(job.Step+1, chance)
	if !ok {
		return webhook.Failed, time.Time{}
	}
	next := now.Add(delay)
	if a.Verdict == wire.Throttled && pausedUntil.After(next) {
		next = pausedUntil
	}
	return webhook.Retrying, next
}

// exhausted reports whether a delivery that ended like this has no further
// attempt.
func exhausted(job *webhook.Job, verdict wire.Verdict) bool {
	if verdict == wire.Delivered || verdict == wire.Gone {
		return false
	}
	_, more := job.Sub.Schedule().Next(job.Step+1, 0)
	return !more
}

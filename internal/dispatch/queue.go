package dispatch

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const never = 1 << 62 * time.Nanosecond

// queue is what the dispatcher knows of one subscription. The dispatcher's
// mutex guards it.
type queue struct {
	sub *webhook.Subscription

	lanes [2]lane // first attempts and retries that wait in memory
	turn  webhook.Lane
	// booked has the events that are in memory: waiting, under way, or done
	// with an outcome that is not stored yet.
	booked map[id.ID]struct{}

	more      [2]bool            // the table has, or may have, more of the lane that is due
	missed    [2]bool            // so it has become since the reading under way began
	refilling bool               // a reading is under way or waits for its turn
	failed    bool               // the last reading did, and the next one waits a moment
	unbooked  map[id.ID]struct{} // since the reading under way began
	emptied   bool               // since the reading under way began
	nextDue   [2]time.Time       // when the table's next job of the lane is due; zero: none, or not known

	inFlight int
	limit    limit
	rate     *rate.Limiter // nil: no limit
	pause    pause
	class    class
	inRing   bool
	parked   bool // its tenant has as much under way as it may
	timer    *time.Timer
}

func newQueue(sub *webhook.Subscription) *queue {
	q := &queue{booked: make(map[id.ID]struct{}), limit: newLimit(sub.Policy.MaxInFlight)}
	q.change(sub)
	return q
}

// change follows a change of the subscription.
func (q *queue) change(sub *webhook.Subscription) {
	q.limit.fixed = sub.Policy.MaxInFlight
	switch per := rate.Limit(sub.Policy.Rate); {
	case per == 0:
		q.rate = nil
	case q.rate == nil:
		q.rate = rate.NewLimiter(per, rateBurst(sub.Policy.Rate))
	case q.rate.Limit() != per:
		q.rate.SetLimit(per)
		q.rate.SetBurst(rateBurst(sub.Policy.Rate))
	}
	q.sub = sub
}

// rateBurst is what may be sent at once: what the rate allows in 20 ms, since a
// timer is not more exact than that under load.
func rateBurst(perSecond float64) int { return max(1, int(perSecond/50)) }

// mayStart reports whether an attempt may begin at now. If not, it returns how
// long to wait for that; zero if only another event, such as the end of an
// attempt, can change it.
func (q *queue) mayStart(now time.Time) (time.Duration, bool) {
	if q.lanes[0].len()+q.lanes[1].len() == 0 || q.inFlight >= q.allowed() {
		return 0, false
	}
	if !q.pause.over(now) {
		return q.pause.until.Sub(now), false
	}
	if q.rate != nil && q.rate.TokensAt(now) < 1 {
		missing := (1 - q.rate.TokensAt(now)) / float64(q.rate.Limit())
		return max(time.Duration(missing*float64(time.Second)), time.Millisecond), false
	}
	return 0, true
}

// expect notes that the table has a job of the lane that is due at the time.
func (q *queue) expect(lane webhook.Lane, at time.Time) {
	if q.nextDue[lane].IsZero() || at.Before(q.nextDue[lane]) {
		q.nextDue[lane] = at
	}
}

// untilDue returns how long it is until the table has a job that is due, at
// least a moment; zero if none is expected.
func (q *queue) untilDue(now time.Time) time.Duration {
	var wait time.Duration
	for _, at := range q.nextDue {
		if until := max(at.Sub(now), time.Microsecond); !at.IsZero() && (wait == 0 || until < wait) {
			wait = until
		}
	}
	return wait
}

// allowed is how many attempts may be under way at once: one while a probe is to
// show whether the endpoint is well again.
func (q *queue) allowed() int {
	if q.pause.probing {
		return 1
	}
	return q.limit.allowed()
}

// take removes the next job: from the lanes in turn, and for a probe not the
// event that met the pause, if there is another.
func (q *queue) take(now time.Time) webhook.Job {
	if q.rate != nil {
		q.rate.AllowN(now, 1)
	}
	lane := q.turn
	if q.lanes[lane].len() == 0 {
		lane = 1 - lane
	}
	q.turn = 1 - lane
	if q.pause.probing && q.lanes[lane].front().EventID == q.pause.last {
		if other := 1 - lane; q.lanes[other].len() > 0 {
			lane = other
		} else {
			q.lanes[lane].rotate()
		}
	}
	return q.lanes[lane].pop()
}

// judged takes in how an attempt ended.
func (q *queue) judged(event id.ID, a webhook.Attempt, now time.Time) {
	judgement := wire.Judgement{Verdict: a.Verdict, Reason: a.Reason, Wait: a.Wait}
	q.pause.judged(event, judgement, a.StartedAt, now)
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
}

// slowAttempt is how long an attempt takes that holds its place too long for its
// endpoint to be served like the others.
const slowAttempt = 5 * time.Second

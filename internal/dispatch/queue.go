package dispatch

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/webhook"
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
	left      [2]bool            // the last reading found more of the lane than there was room for
	missed    [2]bool            // so it has become since the reading under way began
	refilling bool               // a reading is under way or waits for its turn
	failed    bool               // the last reading did, and the next one waits a moment
	blocked   bool               // the last reading ended before what somebody holds
	unbooked  map[id.ID]struct{} // since the reading under way began
	emptied   bool               // since the reading under way began
	nextDue   [2]time.Time       // when the table's next job of the lane is due; zero: none, or not known

	inFlight int
	limit    limit
	rate     *rate.Limiter // nil: no limit
	class    class
	inRing   bool
	parked   bool // its tenant has as much under way as it may
	timer    *time.Timer

	health     webhook.Health
	judgements uint64 // that may have changed it
	stored     uint64 // how many there had been when it was last given to be stored
	governed   bool   // by it; see webhook.Subscription.Governed
	fixed      bool   // its dialect's page fixes the times of retries

	unread unread // where its deliveries are made in order
}

func newQueue(sub *webhook.Subscription) *queue {
	q := &queue{booked: make(map[id.ID]struct{}), limit: newLimit(sub.Policy.MaxInFlight)}
	q.change(sub)
	return q
}

// change follows a change of the subscription.
func (q *queue) change(sub *webhook.Subscription) {
	q.governed, q.fixed = sub.Governed(), sub.Dialect.Schedule().Fixed
	q.sub = sub
}

// allot gives a queue the part of its limits that is this node's: all of them where
// this node alone sends to the endpoint.
func (q *queue) allot(members node.Membership, alone bool) {
	policy := &q.sub.Policy
	inFlight, perSecond, most := policy.MaxInFlight, policy.Rate, mostLimit
	if !alone {
		inFlight, perSecond, most = members.Share(inFlight), members.ShareRate(perSecond), max(1, members.Share(most))
	}
	if policy.Ordered {
		inFlight = 1
	}
	q.limit.fixed, q.limit.most = inFlight, most
	q.limit.n = min(q.limit.n, most)
	switch per := rate.Limit(perSecond); {
	case per == 0:
		q.rate = nil
	case q.rate == nil:
		q.rate = rate.NewLimiter(per, rateBurst(perSecond))
	case q.rate.Limit() != per:
		q.rate.SetLimit(per)
		q.rate.SetBurst(rateBurst(perSecond))
	}
}

// rateBurst is what may be sent at once: what the rate allows in 20 ms, since a
// timer is not more exact than that under load.
func rateBurst(perSecond float64) int { return max(1, int(perSecond/50)) }

// mayStart reports whether an attempt may begin at now. If not, it returns how
// long to wait for that; zero if only another event, such as the end of an
// attempt, can change it.
func (q *queue) mayStart(now time.Time) (time.Duration, bool) {
	first, able := q.permits(webhook.Pending, now)
	retry, also := q.permits(webhook.Retrying, now)
	switch {
	case able || also:
	case first == 0 || retry > 0 && retry < first:
		return retry, false
	default:
		return first, false
	}
	if q.rate != nil && q.rate.TokensAt(now) < 1 {
		missing := (1 - q.rate.TokensAt(now)) / float64(q.rate.Limit())
		return max(time.Duration(missing*float64(time.Second)), time.Millisecond), false
	}
	return 0, true
}

// permits reports whether an attempt of a lane may begin at now, but for the rate,
// and else how long to wait, as mayStart does.
func (q *queue) permits(lane webhook.Lane, now time.Time) (time.Duration, bool) {
	if q.lanes[lane].len() == 0 || q.inFlight >= q.limit.allowed() {
		return 0, false
	}
	front := q.lanes[lane].front()
	if q.sub.Policy.Ordered && !q.isNext(front) {
		return 0, false
	}
	wait := time.Duration(0)
	if q.sub.Policy.Ordered {
		wait = front.DueAt.Sub(now)
	}
	if q.probing(front.Status) {
		if q.inFlight > 0 {
			return 0, false
		}
		wait = max(wait, q.health.Pause.Until.Sub(now))
	}
	return max(wait, 0), wait <= 0
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

// take removes the next job: from the lanes in turn, as far as they may be served,
// and for a probe not the event that met the pause, if there is another.
func (q *queue) take(now time.Time) webhook.Job {
	lane := q.turn
	if _, able := q.permits(lane, now); !able {
		lane = 1 - lane
	}
	if q.rate != nil {
		q.rate.AllowN(now, 1)
	}
	q.turn = 1 - lane
	met := q.health.Pause.Event
	if !q.sub.Policy.Ordered && q.probing(lane) && q.lanes[lane].front().EventID == met {
		if other := 1 - lane; q.lanes[other].len() > 0 {
			lane = other
		} else {
			q.lanes[lane].rotate()
		}
	}
	return q.lanes[lane].pop()
}

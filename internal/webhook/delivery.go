package webhook

import (
	"context"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// EventFilter chooses events. Zero fields choose nothing.
type EventFilter struct {
	Type           string
	DeliveryStatus string // events with at least one delivery that stands so
	Since, Until   time.Time
}

// DeliveryFilter chooses deliveries. Zero fields choose nothing.
type DeliveryFilter struct {
	SubscriptionID id.ID
	EventID        id.ID
	EventType      string
	Status         string
	ResponseStatus int
	ResponseClass  int       // the first digit of the response's status
	Reason         string    // of the last attempt, or why it ended
	Since, Until   time.Time // of the events
	Data           *DataFilter
}

// Events lists the tenant's events, the newest first, without their bodies.
func (s *Service) Events(ctx context.Context, tenant id.ID, filter EventFilter, page Page) ([]Event, string, error) {
	before, err := page.after(1)
	if err != nil {
		return nil, "", err
	}
	var events []Event
	err = s.search(ctx, func(q db.Queryer) error {
		var err error
		events, err = listEvents(q, tenant, filter, before[0], page.Limit+1)
		return err
	})
	events, next := cut(events, page, func(e Event) []id.ID { return []id.ID{e.ID} })
	return events, next, err
}

// What a search may cost, so that no tenant's can keep the others from reading.
const (
	maxSearches   = 2 // at once; there are more connections that read
	maxSearchTime = 5 * time.Second
)

// search reads a list. One that takes too long is broken off: with few filters
// or rare matches it may have to look at a tenant's whole history.
func (s *Service) search(ctx context.Context, fn func(q db.Queryer) error) error {
	limited, cancel := context.WithTimeout(ctx, maxSearchTime)
	defer cancel()
	var err error
	select {
	case s.searches <- struct{}{}:
		err = s.db.Read(limited, fn)
		<-s.searches
	case <-limited.Done():
		err = limited.Err()
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return problem.QueryTooSlow.New("the list took longer than %v", maxSearchTime)
	}
	return err
}

// maxShown bounds the deliveries that are returned together with an event.
const maxShown = 250

// Event returns one of the tenant's events with its body and its deliveries, at
// most 250 of them.
func (s *Service) Event(ctx context.Context, tenant, event id.ID) (Event, []Delivery, error) {
	var e Event
	var deliveries []Delivery
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if e, err = selectEvent(q, tenant, event); err != nil {
			return err
		}
		deliveries, err = listDeliveries(q, tenant, DeliveryFilter{EventID: event}, id.ID{}, id.ID{}, maxShown)
		return err
	})
	return e, deliveries, err
}

// ExpungeBody removes an event's body for good, and what receivers answered to
// it, which may repeat it; the records stay. What was pending or held is
// cancelled, since nothing is left to send. A few seconds later no file of the
// database has the body any more.
func (s *Service) ExpungeBody(ctx context.Context, tenant, event id.ID) error {
	defer s.scrubSoon()
	if err := s.cancelAndExpunge(ctx, tenant, event); err != nil {
		return err
	}
	return s.forgetResponses(ctx, span{tenant, event, event})
}

func (s *Service) cancelAndExpunge(ctx context.Context, tenant, event id.ID) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		e, err := selectEvent(tx, tenant, event)
		if err != nil {
			return err
		}
		waiting, err := waitingSubscriptions(tx, tenant, event)
		if err != nil {
			return err
		}
		for _, sub := range waiting {
			to, err := s.selectSubscription(tx, tenant, sub)
			if err != nil {
				return err
			}
			s.intervened(tx, to, event)
		}
		if err := expungeBody(tx, tenant, event); err != nil || e.Body == nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{TenantID: tenant, Action: audit.EventBodyExpunged, ObjectID: id.Event.Format(event)})
	})
}

// intervened tells, once tx is committed, that a delivery was decided by hand.
func (s *Service) intervened(tx *db.Tx, sub *Subscription, event id.ID) {
	if s.sender != nil {
		tx.After(func() {
			s.sender.Intervened(sub, event)
			s.node.Hint(topicDecided, sub.TenantID.String()+sub.ID.String()+event.String())
		})
	}
}

// Deliveries lists the tenant's deliveries, those of the newest events first. With
// a DataFilter a part of the list may be short or empty, and yet have a cursor to
// the next.
func (s *Service) Deliveries(ctx context.Context, tenant id.ID, filter DeliveryFilter, page Page) ([]Delivery, string, error) {
	if filter.Data != nil {
		return s.deliveriesByData(ctx, tenant, filter, page)
	}
	before, err := page.after(2)
	if err != nil {
		return nil, "", err
	}
	var deliveries []Delivery
	err = s.search(ctx, func(q db.Queryer) error {
		if own, err := ownsSubscription(q, tenant, filter.SubscriptionID); err != nil || !own {
			return err
		}
		var err error
		deliveries, err = listDeliveries(q, tenant, filter, before[0], before[1], page.Limit+1)
		return err
	})
	deliveries, next := cut(deliveries, page, func(d Delivery) []id.ID { return []id.ID{d.EventID, d.SubscriptionID} })
	return deliveries, next, err
}

// maxAttemptsShown bounds the attempts that are returned with a delivery: as many
// as a schedule can have.
const maxAttemptsShown = maxDelays + 1

// Delivery returns one of the tenant's deliveries with its attempts, the latest
// 100 of them.
func (s *Service) Delivery(ctx context.Context, tenant, event, sub id.ID) (Delivery, []Attempt, error) {
	var d Delivery
	var attempts []Attempt
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if d, err = selectDelivery(q, tenant, event, sub); err != nil {
			return err
		}
		attempts, err = listAttempts(q, tenant, event, sub)
		return err
	})
	return d, attempts, err
}

// Retry makes a delivery due now, whatever became of it, and begins its schedule
// again. An attempt that is under way no longer decides.
func (s *Service) Retry(ctx context.Context, tenant, event, sub id.ID) (Delivery, error) {
	var d Delivery
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := selectDelivery(tx, tenant, event, sub); err != nil {
			return err
		}
		to, err := s.selectSubscription(tx, tenant, sub)
		switch {
		case problem.NotFound.Has(err):
			return problem.Conflict.New("the delivery's subscription was deleted")
		case err != nil:
			return err
		case !to.Enabled:
			return problem.SubscriptionDisabled.New("the delivery's subscription is disabled: enable it, then retry")
		}
		e, err := selectEvent(tx, tenant, event)
		if err != nil {
			return err
		}
		if e.Body == nil {
			return problem.BodyExpunged.New("the event's body was expunged")
		}
		if err := restartDelivery(tx, tenant, event, sub); err != nil {
			return err
		}
		change := audit.Change{TenantID: tenant, Action: audit.DeliveryRetried, ObjectID: id.Delivery.Format(event, sub)}
		if err := audit.Write(ctx, tx, change); err != nil {
			return err
		}
		s.intervened(tx, to, event)
		d, err = selectDelivery(tx, tenant, event, sub)
		return err
	})
	return d, err
}

// Lane is which of a subscription's pending deliveries are meant.
type Lane = Status

// DueQuery is which due deliveries of a subscription are read.
type DueQuery struct {
	Sub   *Subscription
	Lane  Lane  // where the subscription is not ordered
	From  id.ID // where it is: the first event whose delivery is read; zero: the first that waits
	Now   time.Time
	Limit int                // rows at most, known ones included
	Room  int                // deliveries at most that are claimed; zero: as many as Limit says
	Known map[id.ID]struct{} // events whose deliveries are passed over
}

// Due is deliveries that are due, those first that have waited longest. Of an
// ordered subscription it is those that come next, due or not.
type Due struct {
	Jobs []Job
	More bool      // there may be more that are due now
	Next time.Time // if there are no more: when the next one is due; zero if none is
	Last id.ID     // where the subscription is ordered: the last event that was looked at
	Held bool      // where it is ordered: another node holds what comes next
}

// maxDueBytes bounds the bodies that are read at once.
const maxDueBytes = 4 << 20

// Due reads deliveries that are due, as many as the query asks for or as have
// bodies of a few megabytes together. Where several nodes share the database, those
// that it returns are this node's from then on.
func (s *Service) Due(ctx context.Context, query DueQuery) (Due, error) {
	if s.db.Shared() {
		return s.claimDue(ctx, query)
	}
	var due Due
	err := s.db.Read(ctx, func(q db.Queryer) error {
		read := selectDue
		if query.Sub.Policy.Ordered {
			read = selectInOrder
			if behind, err := hasSpool(q, query.Sub.TenantID, query.Sub.ID); err != nil || behind {
				return err
			}
		}
		jobs, err := read(q, query)
		if err != nil {
			return err
		}
		due = Due{More: len(jobs) == query.Limit}
		size := 0
		for _, job := range jobs {
			if _, known := query.Known[job.EventID]; known {
				due.Last = job.EventID
				continue
			}
			if size >= maxDueBytes {
				due.More = true
				break
			}
			if err := selectMessage(q, &job); err != nil {
				return err
			}
			size += len(job.Body)
			due.Jobs, due.Last = append(due.Jobs, job), job.EventID
		}
		if !due.More && !query.Sub.Policy.Ordered {
			due.Next, err = selectNextDue(q, query)
		}
		return err
	})
	return due, err
}

// LoadBody reads what a job sends, where a sender has not kept it.
func (s *Service) LoadBody(ctx context.Context, job *Job) error {
	err := s.db.Read(ctx, func(q db.Queryer) error { return selectMessage(q, job) })
	if err == nil && job.Body == nil {
		return problem.BodyExpunged.New("the event's body was expunged")
	}
	return err
}

// Waiting returns the enabled subscriptions that have pending deliveries or an
// endpoint that is not well, with its health.
func (s *Service) Waiting(ctx context.Context) ([]*Subscription, error) {
	var subs []*Subscription
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		subs, err = s.listWaiting(q)
		return err
	})
	return subs, err
}

// Record stores what came of attempts, all of them or none. done is called once
// they are committed, before anything that is committed later is told of; the
// outcomes then say whether they were superseded. Record may be repeated after
// an error.
func (s *Service) Record(ctx context.Context, outcomes []Outcome, done func()) error {
	write := s.db.Write
	if plain(outcomes) {
		write = s.records.Write
	}
	err := write(ctx, func(tx *db.Tx) error {
		if err := recordAttempts(tx, outcomes); err != nil {
			return err
		}
		if err := s.follows(ctx, tx, outcomes); err != nil {
			return err
		}
		tx.After(done)
		return nil
	})
	for i := range outcomes {
		outcomes[i].repeated = outcomes[i].repeated || err != nil && s.db.Shared()
	}
	return err
}

// follows does what else the outcomes call for.
func (s *Service) follows(ctx context.Context, tx *db.Tx, outcomes []Outcome) error {
	for i := range outcomes {
		if o := &outcomes[i]; o.Status == Failed && !o.Superseded {
			if err := s.announceFailed(tx, o); err != nil {
				return err
			}
		}
	}
	// After all are on record: what was delivered can't be cancelled.
	for i := range outcomes {
		if outcomes[i].Attempt.Verdict != wire.Gone {
			continue
		}
		if err := s.disableGone(ctx, tx, &outcomes[i]); err != nil {
			return err
		}
	}
	for i := range outcomes {
		if outcomes[i].Health == nil {
			continue
		}
		if err := s.recordHealth(ctx, tx, &outcomes[i]); err != nil {
			return err
		}
	}
	return nil
}

// isPlain reports whether an outcome concerns its delivery alone.
func (o *Outcome) isPlain() bool {
	return o.Status != Failed && o.Attempt.Verdict != wire.Gone && o.Health == nil
}

func plain(outcomes []Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o Outcome) bool { return !o.isPlain() })
}

// Split divides outcomes, in place, into those that Record should store together:
// where several nodes share the database what concerns a delivery alone is stored
// with less to wait for.
func (s *Service) Split(outcomes []Outcome) [][]Outcome {
	if !s.db.Shared() {
		return [][]Outcome{outcomes}
	}
	slices.SortStableFunc(outcomes, func(a, b Outcome) int {
		switch {
		case a.isPlain() == b.isPlain():
			return 0
		case a.isPlain():
			return -1
		default:
			return 1
		}
	})
	n := slices.IndexFunc(outcomes, func(o Outcome) bool { return !o.isPlain() })
	switch n {
	case -1, 0:
		return [][]Outcome{outcomes}
	default:
		return [][]Outcome{outcomes[:n], outcomes[n:]}
	}
}

// disableGone disables the subscription whose receiver wants nothing more and
// cancels what is pending for it.
func (s *Service) disableGone(ctx context.Context, tx *db.Tx, o *Outcome) error {
	old, err := s.selectSubscription(tx, o.Job.TenantID, o.Job.Sub.ID)
	if problem.NotFound.Has(err) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	if old.URL != o.Job.Sub.URL {
		// An answer of an endpoint that has been replaced since says nothing of
		// the new one, which is still to get the event.
		if o.Superseded {
			return nil
		}
		o.Superseded = true
		return restartDelivery(tx, o.Job.TenantID, o.Job.EventID, o.Job.Sub.ID)
	}
	if !old.Enabled {
		return nil
	}
	gone := old.with()
	gone.Enabled, gone.Reason, gone.UpdatedAt = false, ReasonGone, tx.Now()
	if err := s.updateSubscription(tx, gone); err != nil {
		return err
	}
	if err := s.cancelPending(tx, gone); err != nil {
		return err
	}
	if err := auditSubscription(ctx, tx, old, gone); err != nil {
		return err
	}
	if err := s.announceToggled(tx, old, gone); err != nil {
		return err
	}
	return s.changed(tx, gone)
}

package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Periods are how long records are kept after their event was published.
type Periods struct {
	Records time.Duration // events with their deliveries and attempts; zero: for good
	Bodies  time.Duration // of events, and what receivers answered; zero: as long as the records
}

// shorter returns the shorter of two periods each, where zero is the longest.
func (p Periods) shorter(than Periods) Periods {
	least := func(a, b time.Duration) time.Duration {
		if a == 0 || b == 0 {
			return a + b
		}
		return min(a, b)
	}
	return Periods{Records: least(p.Records, than.Records), Bodies: least(p.Bodies, than.Bodies)}
}

const (
	// What one transaction looks at and removes. It takes a few milliseconds,
	// in which nobody else writes.
	maxSpanEvents     = 200
	maxSpanDeliveries = 400
	maxRemoved        = 500 // rows of a table

	// maxLooked is how many events one read passes over to find bodies.
	maxLooked = 5000

	maxAsleep     = time.Hour        // between two runs: clocks are set, and periods changed
	retentionWait = 10 * time.Second // after an error
)

// retention lets go what is old: the records of events that have ended, and
// before that, where it is asked to, their bodies.
//
// What is old is known from the ids, so it needs no notes of its own, and goes on
// after a restart. What is passed over since it is still to be sent is looked at
// again later.
type retention struct {
	s       *Service
	records map[id.ID]id.ID // by tenant: up to where the events were looked at
	bodies  map[id.ID]id.ID
	whole   time.Time // when it began to look from the beginning
	removed removed   // in this run
}

// removed counts rows.
type removed struct{ events, deliveries, attempts, keys, bodies, cancelled, subscriptions int64 }

// span is consecutive events of a tenant.
type span struct{ tenant, first, last id.ID }

// retain lets go what is old for as long as the service runs. It sleeps until
// something becomes old.
func (s *Service) retain(ctx context.Context) {
	r := &retention{s: s}
	for {
		begun := time.Now()
		next, err := r.run(ctx, begun)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.ErrorContext(ctx, "retention_interrupted", slog.String("error", err.Error()))
			next = time.Now().Add(retentionWait)
		}
		r.tell(ctx, time.Since(begun))
		if !pause(ctx, time.Until(next)) {
			return
		}
	}
}

// pause waits, and reports whether it did so to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// shortest is the shortest of the server's periods.
func (r *retention) shortest() time.Duration {
	keep := r.s.keep
	return cmp.Or(keep.shorter(Periods{Records: keep.Bodies}).Records, maxAsleep)
}

// run lets go all that is old and returns when to run again: when the next event
// becomes old, but not at once, so that there is something to do then.
func (r *retention) run(ctx context.Context, now time.Time) (time.Time, error) {
	r.removed = removed{}
	asleep := min(r.shortest(), maxAsleep)
	if rescan := 6 * asleep; r.whole.IsZero() || now.Sub(r.whole).Abs() >= rescan {
		r.records, r.bodies, r.whole = make(map[id.ID]id.ID), make(map[id.ID]id.ID), now
	}
	next := now.Add(asleep)
	for tenant := (id.ID{}); ; {
		due, err := r.tenantAfter(ctx, tenant, now)
		if errors.Is(err, db.ErrNoRows) {
			break
		}
		if err != nil {
			return next, err
		}
		if tenant = due.tenant; !due.at.IsZero() && due.at.Before(next) {
			next = due.at
		}
	}
	if err := r.subscriptions(ctx); err != nil {
		return next, err
	}
	spacing := min(max(r.shortest()/60, 100*time.Millisecond), 10*time.Minute)
	return later(next, time.Now().Add(spacing)), nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// dueTenant is when a tenant's next event becomes old; zero: none does.
type dueTenant struct {
	tenant id.ID
	at     time.Time
}

// tenantAfter lets go what is old of the next tenant that has events.
func (r *retention) tenantAfter(ctx context.Context, after id.ID, now time.Time) (dueTenant, error) {
	var due dueTenant
	var keep Periods
	err := r.s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if due.tenant, err = nextTenantWithEvents(q, after); err != nil {
			return err
		}
		keep, err = r.s.periods(q, due.tenant)
		return err
	})
	if err != nil {
		return due, err
	}
	if keep.Records > 0 {
		p := pass{r: r, tenant: due.tenant, before: id.First(now.Add(-keep.Records)), seen: r.records, step: r.removeRecords}
		if err := p.run(ctx); err != nil {
			return due, err
		}
		if err := due.sooner(ctx, p, keep.Records); err != nil {
			return due, err
		}
	}
	if keep.Bodies > 0 && (keep.Records == 0 || keep.Bodies < keep.Records) {
		p := pass{r: r, tenant: due.tenant, before: id.First(now.Add(-keep.Bodies)), seen: r.bodies, step: r.removeBodies, withBody: true}
		if err := p.run(ctx); err != nil {
			return due, err
		}
		if err := due.sooner(ctx, p, keep.Bodies); err != nil {
			return due, err
		}
	}
	return due, nil
}

// sooner brings forward when something becomes old to what the pass has left.
func (d *dueTenant) sooner(ctx context.Context, p pass, keep time.Duration) error {
	var oldest id.ID
	err := p.r.s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		oldest, err = firstEventFrom(q, p.tenant, p.before)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if at := oldest.Time().Add(keep + time.Millisecond); d.at.IsZero() || at.Before(d.at) {
		d.at = at
	}
	return nil
}

// periods are how long the tenant's records are kept: as long as the server
// keeps them, or shorter if the tenant asks for that.
func (s *Service) periods(q db.Queryer, tenant id.ID) (Periods, error) {
	if s.keepOf == nil {
		return s.keep, nil
	}
	chosen, err := s.keepOf(q, tenant)
	return s.keep.shorter(chosen), err
}

// pass goes through a tenant's events up to an id, the oldest first, in small
// transactions with pauses in between.
type pass struct {
	r        *retention
	tenant   id.ID
	before   id.ID
	seen     map[id.ID]id.ID
	withBody bool // only events with a body
	// step removes some of a span and reports whether all of it is done.
	step func(tx *db.Tx, of span) (bool, error)
}

func (p pass) run(ctx context.Context) error {
	for {
		f, err := p.find(ctx)
		if err != nil {
			return err
		}
		if f.any {
			if err := p.remove(ctx, f.span); err != nil {
				return err
			}
		}
		p.seen[p.tenant] = f.seen
		if f.end {
			return nil
		}
	}
}

// removal is what the next step is about.
type removal struct {
	span
	any  bool  // there is a span
	seen id.ID // everything up to here is looked at, with the span
	end  bool  // there is nothing after it
}

// find looks for the next events that may go: at most as many as one transaction
// should remove, and none among them that is still to be sent.
func (p pass) find(ctx context.Context) (removal, error) {
	var f removal
	err := p.r.s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		f, err = p.findIn(q)
		return err
	})
	return f, err
}

func (p pass) findIn(q db.Queryer) (removal, error) {
	limit := maxSpanEvents
	if p.withBody {
		limit = maxLooked
	}
	events, err := selectAged(q, p.tenant, p.seen[p.tenant], p.before, limit)
	if err != nil || len(events) == 0 {
		return removal{seen: p.seen[p.tenant], end: true}, err
	}
	f := removal{seen: events[len(events)-1].event, end: len(events) < limit}
	var ids []id.ID
	for i, e := range events {
		if p.withBody && !e.hasBody {
			continue
		}
		if len(ids) == maxSpanEvents {
			f.seen, f.end = events[i-1].event, false
			break
		}
		ids = append(ids, e.event)
	}
	if len(ids) == 0 {
		return f, nil
	}
	return p.narrow(q, ids, f)
}

// narrow shortens the span to what one transaction should remove.
func (p pass) narrow(q db.Queryer, ids []id.ID, f removal) (removal, error) {
	whole := span{p.tenant, ids[0], ids[len(ids)-1]}
	crowded, err := eventOfDelivery(q, whole, maxSpanDeliveries)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return removal{}, err
	}
	if err == nil {
		n, _ := slices.BinarySearchFunc(ids, crowded, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) })
		n = max(n, 1) // an event alone may have more
		if n < len(ids) {
			ids, f.seen, f.end = ids[:n], ids[n-1], false
			whole.last = f.seen
		}
	}
	awaited, err := awaitedEvents(q, whole)
	if err != nil {
		return removal{}, err
	}
	from := 0
	for from < len(ids) && awaited[ids[from]] {
		from++
	}
	to := from
	for to < len(ids) && !awaited[ids[to]] {
		to++
	}
	if to < len(ids) { // what follows is for the next step
		f.seen, f.end = ids[to], false
	}
	if f.any = to > from; f.any {
		f.span = span{p.tenant, ids[from], ids[to-1]}
	}
	return f, nil
}

// remove removes a span, in as many transactions as it takes. What somebody has
// made due again since the span was found stays, with the rest of the span.
func (p pass) remove(ctx context.Context, of span) error {
	for done := false; !done; {
		var took time.Duration
		before := p.r.removed
		err := p.r.s.db.Write(ctx, func(tx *db.Tx) error {
			begun := time.Now()
			defer func() { took = time.Since(begun) }()
			p.r.removed = before // it may run again
			// Another node that is at it removes the same.
			if mine, err := tx.TryLock("retention"); err != nil || !mine {
				done = true
				return err
			}
			awaited, err := awaitedEvents(tx, of)
			if err != nil || len(awaited) > 0 {
				done = true
				return err
			}
			done, err = p.step(tx, of)
			return err
		})
		if err != nil {
			p.r.removed = before
			return err
		}
		p.r.s.metrics.retentionStep.Observe(took.Seconds())
		// At most a quarter of the time is spent here: others want to write.
		if !pause(ctx, min(max(3*took, time.Millisecond), 100*time.Millisecond)) {
			return ctx.Err()
		}
	}
	return nil
}

// removeRecords deletes what belongs to the events before the events themselves,
// so that after a crash what is left is found by them.
func (r *retention) removeRecords(tx *db.Tx, of span) (bool, error) {
	n, err := deleteAttempts(tx, of, maxRemoved)
	r.removed.attempts += n
	if err != nil || n == maxRemoved {
		return false, err
	}
	n, err = deleteDeliveries(tx, of, maxRemoved)
	r.removed.deliveries += n
	if err != nil || n == maxRemoved {
		return false, err
	}
	n, err = deleteIdempotencyKeys(tx, of)
	r.removed.keys += n
	if err != nil {
		return false, err
	}
	n, err = deleteEvents(tx, of)
	r.removed.events += n
	return err == nil, err
}

// removeBodies removes the events' bodies last: what has one is found again.
func (r *retention) removeBodies(tx *db.Tx, of span) (bool, error) {
	n, err := cancelWaiting(tx, of, maxRemoved)
	r.removed.cancelled += n
	if err != nil || n == maxRemoved {
		return false, err
	}
	n, err = clearResponses(tx, of, maxRemoved)
	if err != nil || n == maxRemoved {
		return false, err
	}
	n, err = clearBodies(tx, of)
	r.removed.bodies += n
	return err == nil, err
}

// subscriptions deletes those that were deleted and that nothing names any more.
func (r *retention) subscriptions(ctx context.Context) error {
	const step = 100
	for after := (id.ID{}); ; {
		var subs []id.ID
		err := r.s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			subs, err = deletedSubscriptions(q, after, step)
			return err
		})
		if err != nil || len(subs) == 0 {
			return err
		}
		first, last, n := subs[0], subs[len(subs)-1], int64(0)
		err = r.s.db.Write(ctx, func(tx *db.Tx) error {
			var err error
			n, err = forgetSubscriptions(tx, first, last)
			return err
		})
		if err != nil {
			return err
		}
		r.removed.subscriptions += n
		if after = last; !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
}

// tell counts what a run has removed, and has it leave the disk as well.
func (r *retention) tell(ctx context.Context, took time.Duration) {
	n := r.removed
	if n == (removed{}) {
		return
	}
	for what, count := range map[string]int64{
		"event": n.events, "delivery": n.deliveries, "attempt": n.attempts, "idempotency_key": n.keys,
		"body": n.bodies, "subscription": n.subscriptions,
	} {
		r.s.metrics.removed.WithLabelValues(what).Add(float64(count))
	}
	r.s.log.InfoContext(ctx, "retention", slog.Int64("events", n.events), slog.Int64("deliveries", n.deliveries),
		slog.Int64("attempts", n.attempts), slog.Int64("bodies", n.bodies), slog.Int64("cancelled", n.cancelled),
		slog.Int64("subscriptions", n.subscriptions), slog.Int64("took_ms", took.Milliseconds()))
	r.s.scrubSoon()
}

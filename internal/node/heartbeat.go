package node

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Parts of a lease.
const (
	beatsPerLease = 5
	firstRetry    = 50 // after a renewal that failed; doubles
	longestRetry  = 10
	grace         = 4  // in which others may come back after an outage, or after the clock leapt
	stagger       = 50 // nodes don't bury all at the same moment
	tolerance     = 10 // of the database's clock against this process's
)

// shortestWait keeps the loop from spinning where a clock is not quite even.
const shortestWait = 5 * time.Millisecond

// heartbeat is the loop that keeps a node alive and watches over the others. Its fields
// are of its goroutine alone.
type heartbeat struct {
	*Node
	clock clock

	due      time.Time // of the next renewal
	failures int       // of renewals, in a row
	lost     bool      // the lease has run out, and that was noted

	others  []member
	patient time.Time // before this nobody is buried
	delay   time.Duration
	doubts  int64
}

// begin begins the first life and sees who else lives.
func (b *heartbeat) begin(ctx context.Context) error {
	b.delay = rand.N(b.lease / stagger) //nolint:gosec // jitter
	b.doubts = b.db.Doubts()
	number, began, err := b.enter(ctx)
	if err != nil {
		return err
	}
	b.life.Store(&life{number, began})
	if _, err := b.look(ctx); err != nil {
		return err
	}
	m := b.Membership()
	b.observers.told = m
	b.told.Store(number)
	b.scheduleBeat(began)
	b.log.InfoContext(ctx, "node_joined", slog.Int64("node", number), slog.String("name", b.name),
		slog.Int("nodes", len(m.Members)), slog.Duration("lease", b.lease))
	b.Hint(nodesTopic, "")
	return nil
}

func (b *heartbeat) loop(ctx context.Context) {
	for ctx.Err() == nil {
		b.turn(ctx)
		b.wait(ctx)
	}
}

// turn renews the lease if that is due, sees who lives and what has changed, and
// buries whom it finds dead.
func (b *heartbeat) turn(ctx context.Context) {
	if !time.Now().Before(b.due) {
		if err := b.beat(ctx); err != nil {
			b.failed(ctx, err)
			return
		}
	} else if _, err := b.look(ctx); err != nil {
		b.waitForBeat()
		return
	}
	if b.bury(ctx) {
		b.Hint(nodesTopic, "")
		_, _ = b.look(ctx)
	}
}

// wait waits until a renewal is due, somebody's lease runs out or somebody came or
// went.
func (b *heartbeat) wait(ctx context.Context) {
	until := b.due
	for _, m := range b.others {
		if at := later(b.clock.when(m.expires).Add(b.delay), b.patient); at.Before(until) {
			until = at
		}
	}
	timer := time.NewTimer(max(time.Until(until), shortestWait))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.looks:
	case <-ctx.Done():
	}
}

// beat renews the lease, or begins a new life if this one was ended. The lease
// counts only once it is known who else lives: a node that can't see that must not
// think that it may do what is another's.
func (b *heartbeat) beat(ctx context.Context) error {
	b.noteLoss(ctx, nil)
	number := b.life.Load().number
	began, living, err := b.renew(ctx, number)
	if err != nil {
		return err
	}
	if !living {
		return b.beginAnew(ctx, number)
	}
	buried, err := b.look(ctx)
	if err != nil {
		return err
	}
	if buried { // since it was renewed
		return b.beginAnew(ctx, number)
	}
	b.keep(ctx, life{number, began})
	return nil
}

// renew has the lease of a life end a whole lease from now. began is a moment before
// the one that the lease counts from.
func (b *heartbeat) renew(ctx context.Context, number int64) (time.Time, bool, error) {
	living := false
	began, err := b.write(ctx, func(tx *db.Tx, now time.Time) error {
		var err error
		living, err = extend(tx, number, now.Add(b.lease))
		return err
	})
	return began, living, err
}

// enter begins a life.
func (b *heartbeat) enter(ctx context.Context) (int64, time.Time, error) {
	var number int64
	began, err := b.write(ctx, func(tx *db.Tx, now time.Time) error {
		var err error
		number, err = enter(tx, member{name: b.name, lease: b.lease}, now)
		return err
	})
	return number, began, err
}

// write runs a short transaction that needs to know the database's time, and returns
// when it began. It is given up after half a lease. Should this process be stopped
// meanwhile, the server does not hold its locks for longer, which would keep others
// from burying it.
func (b *heartbeat) write(ctx context.Context, fn func(tx *db.Tx, now time.Time) error) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, b.lease/2)
	defer cancel()
	r := reading{began: time.Now()}
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		if tx.Shared() {
			var set string
			if err := tx.QueryRow(`SELECT set_config('idle_in_transaction_session_timeout', $1, true)`,
				strconv.FormatInt((b.lease/2).Milliseconds(), 10)).Scan(&set); err != nil {
				return err
			}
		}
		var err error
		if r.server, err = tx.ServerTime(); err != nil {
			return err
		}
		r.ended = time.Now()
		return fn(tx, r.server)
	})
	if err == nil {
		b.observe(r)
	}
	return r.began, err
}

// observe notes what the database's clock says. If it leapt ahead, leases seem to
// have run out that only have not been renewed by the new time yet.
func (b *heartbeat) observe(r reading) {
	if b.clock.leapt(r, b.lease/tolerance) {
		b.patient = later(b.patient, time.Now().Add(b.lease/grace))
	}
	b.clock.last = r
}

// keep notes that the lease is this node's until a lease after it was renewed.
func (b *heartbeat) keep(ctx context.Context, l life) {
	lapsed := !b.leased(b.life.Load())
	b.life.Store(&l)
	b.scheduleBeat(l.renewed)
	if lapsed { // others will have had the same trouble, and nobody here has started anything since
		b.patient = later(b.patient, time.Now().Add(b.lease/grace))
		b.log.InfoContext(ctx, "node_lease_regained", slog.Int64("node", l.number))
		b.missed()
	}
	if n := b.db.Doubts(); n != b.doubts || b.listener == nil || !b.listener.hears() {
		b.doubts = n
		signal(b.observers.gaps)
	}
	if b.listener != nil {
		b.hints.ping()
	}
}

// scheduleBeat has the next renewal a fifth of a lease, or a little less, after one.
func (b *heartbeat) scheduleBeat(renewed time.Time) {
	beat := b.lease / beatsPerLease
	b.due = renewed.Add(beat - rand.N(beat/beatsPerLease)) //nolint:gosec // jitter
	b.failures, b.lost = 0, false
}

// beginAnew begins a new life after another node has ended the one with the number
// given. This node is alive again once everybody was told of it.
func (b *heartbeat) beginAnew(ctx context.Context, buried int64) error {
	number, began, err := b.enter(ctx)
	if err != nil {
		return err
	}
	b.life.Store(&life{number, began})
	b.scheduleBeat(began)
	b.log.WarnContext(ctx, "node_reborn", slog.Int64("node", number), slog.Int64("before", buried))
	b.feed.forget()
	_, err = b.look(ctx)
	b.Hint(nodesTopic, "")
	return err
}

// failed notes that the lease was not renewed. It is tried again soon.
func (b *heartbeat) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	wait := min(b.lease/firstRetry<<min(b.failures, 10), b.lease/longestRetry)
	b.due = time.Now().Add(wait/2 + rand.N(wait/2)) //nolint:gosec // jitter
	b.failures++
	b.waitForBeat()
	b.noteLoss(ctx, err)
}

// waitForBeat leaves the others alone until the next renewal.
func (b *heartbeat) waitForBeat() { b.patient = later(b.patient, b.due) }

// noteLoss logs once that the lease has run out.
func (b *heartbeat) noteLoss(ctx context.Context, cause error) {
	l := b.life.Load()
	if b.lost || b.leased(l) {
		return
	}
	b.lost = true
	attrs := []slog.Attr{slog.Int64("node", l.number)}
	if cause != nil {
		attrs = append(attrs, slog.String("error", cause.Error()))
	}
	b.log.LogAttrs(ctx, slog.LevelError, "node_lease_lost", attrs...)
}

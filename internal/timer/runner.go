package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const (
	maxFailures = 20          // in a row, after which a timer is parked
	firstWait   = time.Second // after a failure; doubles with each
	maxWait     = time.Hour   // after a failure

	// How often all tenants are looked at: what other processes have set, and where
	// there are none, in case the clock was set.
	sharedLook = time.Minute
	ownLook    = 15 * time.Minute

	elsewhereRest = 100 * time.Millisecond // while another process does a tenant's timers
	sharedWorkers = 4                      // tenants served at a time; a file has one writer
)

var errNotTaken = errors.New("timer: it was not taken: nothing does timers of its kind")

// Options are what a Runner needs. DB and Execute are required.
type Options struct {
	DB *db.DB

	// Execute does the due timers of one tenant, in order and in one transaction,
	// which takes them; see Each. It may leave some from the end untaken: they come
	// again. An error says that nothing was stored. It is called for several tenants
	// at a time, but not for one.
	Execute func(ctx context.Context, tenant id.ID, due []Timer) error

	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured
}

// Runner does the timers of all tenants, from Start to Stop, as they become due.
type Runner struct {
	db      *db.DB
	execute func(ctx context.Context, tenant id.ID, due []Timer) error
	log     *slog.Logger
	metrics *metrics

	agenda agenda
	asked  atomic.Bool   // to look at all tenants
	pokes  chan struct{} // one token: something has changed for the loop
	slots  chan struct{} // one token for each tenant that is served

	// alone is held whole by RunDue and shared by those who serve tenants.
	alone sync.RWMutex

	starting, stopping sync.Once
	stop               context.CancelFunc
	deaf               func() // hears of no timers any more
	running            sync.WaitGroup
}

// New returns a Runner that does nothing by itself until Start.
func New(opts Options) *Runner {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	workers := 1
	if opts.DB.Shared() {
		workers = sharedWorkers
	}
	return &Runner{
		db: opts.DB, execute: opts.Execute, log: opts.Logger, metrics: newMetrics(opts.DB, opts.Metrics),
		pokes: make(chan struct{}, 1), slots: make(chan struct{}, workers),
	}
}

// Start begins to do what is due, first what an earlier run has left. It may be
// called more than once.
func (r *Runner) Start() {
	r.starting.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		r.stop = cancel
		r.deaf = r.db.Hear(set{}, func(word any) {
			if e, ok := word.(expected); ok && r.agenda.expect(e) {
				r.poke()
			}
		})
		r.running.Go(func() { r.loop(ctx) })
	})
}

// Stop ends the work after what is under way. It may be called more than once, and
// is not followed by Start.
func (r *Runner) Stop() {
	r.stopping.Do(func() {
		if r.stop != nil {
			r.deaf()
			r.stop()
		}
	})
	r.running.Wait()
}

// Wake has the runner look for timers that it was not told of, such as those that
// another process has set.
func (r *Runner) Wake() {
	r.asked.Store(true)
	r.poke()
}

func (r *Runner) poke() {
	select {
	case r.pokes <- struct{}{}:
	default:
	}
}

// RunDue does everything that is due by now, each tenant's in order, with what that
// sets for now or before, until nothing is left, and returns how many timers were
// done. What fails is tried again by a later call. Until it has ended, the runner
// does nothing else.
func (r *Runner) RunDue(ctx context.Context, now time.Time) (int, error) {
	r.alone.Lock()
	defer r.alone.Unlock()
	total := 0
	for {
		waiting, err := r.first(ctx)
		if err != nil {
			return total, err
		}
		found := false
		for _, e := range waiting {
			if e.tryAt.After(now) {
				continue
			}
			found = true
			n, err := r.exhaust(ctx, e.tenant, now)
			total += n
			if err != nil {
				return total, err
			}
		}
		if !found {
			return total, nil
		}
	}
}

// exhaust does what is due of a tenant until nothing is left.
func (r *Runner) exhaust(ctx context.Context, tenant id.ID, now time.Time) (int, error) {
	var p pace
	total := 0
	for ctx.Err() == nil {
		did, err := r.batch(ctx, tenant, &p, now)
		total += did.ran
		if err != nil {
			return total, err
		}
		if did.next.IsZero() || did.next.After(now) {
			return total, nil
		}
		if did.elsewhere {
			wait(ctx, elsewhereRest, nil)
		}
	}
	return total, ctx.Err()
}

// loop serves tenants as their timers become due, and sleeps meanwhile.
func (r *Runner) loop(ctx context.Context) {
	every := ownLook
	if r.db.Shared() {
		every = sharedLook
	}
	lookAt := time.Now()
	for ctx.Err() == nil {
		if r.asked.Swap(false) || !time.Now().Before(lookAt) {
			if err := r.look(ctx); err != nil {
				r.interrupted(ctx, err)
				r.asked.Store(true)
				continue
			}
			lookAt = time.Now().Add(every)
		}
		nap := time.Until(lookAt)
		if next := r.begin(ctx); !next.IsZero() {
			nap = min(nap, time.Until(next))
		}
		wait(ctx, nap, r.pokes)
	}
}

// look learns when the first timer of each tenant is due.
func (r *Runner) look(ctx context.Context) error {
	waiting, err := r.first(ctx)
	for _, e := range waiting {
		r.agenda.expect(e)
	}
	return err
}

func (r *Runner) first(ctx context.Context) ([]expected, error) {
	var waiting []expected
	err := r.db.Read(ctx, func(q db.Queryer) error {
		var err error
		waiting, err = firstOfEach(q)
		return err
	})
	return waiting, err
}

// begin has the tenants served whose timers are due, and returns when there will be
// more to do; zero: when it is poked.
func (r *Runner) begin(ctx context.Context) time.Time {
	for {
		select {
		case r.slots <- struct{}{}:
		default:
			return time.Time{}
		}
		tenant, p, next := r.agenda.begin(time.Now())
		if p == nil {
			<-r.slots
			return next
		}
		r.running.Go(func() {
			r.serve(ctx, tenant, p)
			<-r.slots
			r.poke()
		})
	}
}

// serve does one batch of a tenant's timers, and rests for as long as that took, so
// that others can write at least half of the time.
func (r *Runner) serve(ctx context.Context, tenant id.ID, p *pace) {
	began := time.Now()
	r.alone.RLock()
	did, err := r.batch(ctx, tenant, p, began)
	r.alone.RUnlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.interrupted(ctx, err)
	case did.elsewhere:
		wait(ctx, elsewhereRest, nil)
	default:
		wait(ctx, time.Since(began), nil)
	}
	r.agenda.end(tenant, did.next)
}

// interrupted says that the database could not be asked, and rests.
func (r *Runner) interrupted(ctx context.Context, err error) {
	if ctx.Err() == nil {
		r.log.ErrorContext(ctx, "timers_interrupted", slog.String("error", err.Error()))
		wait(ctx, firstWait, nil)
	}
}

// done is what came of a batch.
type done struct {
	ran       int
	next      time.Time // when the tenant's next timer may be tried; zero: none waits
	elsewhere bool      // another process does them now
}

// batch does the first of a tenant's due timers. What fails about one of them is
// noted in it; an error says that the database can't be used.
func (r *Runner) batch(ctx context.Context, tenant id.ID, p *pace, now time.Time) (done, error) {
	again := done{next: now}
	var timers []Timer
	var next time.Time
	err := r.db.Read(ctx, func(q db.Queryer) error {
		var err error
		timers, next, err = dueBy(q, tenant, now, p.limit())
		return err
	})
	if err != nil {
		return again, err
	}
	if len(timers) == 0 {
		return done{next: next}, nil
	}
	came := new(outcome)
	for i := range timers {
		timers[i].outcome = came
	}
	began := time.Now()
	err = r.try(ctx, tenant, timers)
	switch {
	case err == nil && came.elsewhere:
		again.elsewhere = true
		return again, nil
	case err == nil && came.settled > 0:
		p.went(came.settled, len(timers))
		r.metrics.did(came.ran, time.Since(began))
		again.ran = len(came.ran)
		return again, nil
	case err == nil:
		err = errNotTaken
	}
	if ctx.Err() != nil || errors.Is(err, db.ErrUnavailable) {
		p.met()
		return again, err
	}
	p.failed()
	if len(timers) > 1 {
		return again, nil
	}
	return again, r.failed(ctx, timers[0], now, err)
}

// try runs what does the timers, and turns a panic in it into an error: one bad
// timer must not end the server.
func (r *Runner) try(ctx context.Context, tenant id.ID, timers []Timer) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("timer: its handler panicked: %v", cause)
		}
	}()
	return r.execute(ctx, tenant, timers)
}

// failed notes that a timer failed, and when it is tried again.
func (r *Runner) failed(ctx context.Context, t Timer, now time.Time, cause error) error {
	t.Failures++
	t.Error = db.Storable(cause.Error())
	t.TryAt = db.FromMicro(db.Micro(now.Add(backOff(t.Failures))))
	if t.Failures >= maxFailures {
		t.ParkedAt = now
	}
	noted := false
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		noted, err = noteFailure(tx, &t)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w, and could not be noted: %w", cause, err)
	}
	if !noted { // it was cancelled meanwhile, or another process has tried it too
		return nil
	}
	r.metrics.failures.WithLabelValues(t.Kind).Inc()
	attrs := []slog.Attr{
		slog.String("tenant_id", id.Tenant.Format(t.TenantID)), slog.String("timer_id", t.ID.String()), slog.String("kind", t.Kind),
		slog.Int("failures", t.Failures), slog.String("error", t.Error),
	}
	if !t.ParkedAt.IsZero() {
		r.log.LogAttrs(ctx, slog.LevelError, "timer_parked", attrs...)
		return nil
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, "timer_failed", attrs...)
	return nil
}

// backOff is how long a timer waits after so many failures in a row.
func backOff(failures int) time.Duration {
	return min(firstWait<<min(failures-1, maxFailures), maxWait)
}

// wait waits so long, or until it is woken.
func wait(ctx context.Context, long time.Duration, wakes <-chan struct{}) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wakes:
	case <-ctx.Done():
	}
}

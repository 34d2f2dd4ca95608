package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const (
	maxFailures = 20               // in a row, after which a job is parked
	firstWait   = time.Second      // after a failure; doubles with each
	maxWait     = time.Minute      // after a failure
	longestNap  = 15 * time.Minute // the wall clock may be set while a timer runs
	keep        = 30 * 24 * time.Hour
	deleteStep  = 500
	elsewhere   = 20 * time.Millisecond // the rest after a step that another node is making
)

// Options are what a Runner needs. DB is required.
type Options struct {
	DB      *db.DB
	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured
}

// Runner does the jobs, from Start to Stop. Its other methods work before and
// after as well: what is stored then is done later.
type Runner struct {
	db      *db.DB
	log     *slog.Logger
	metrics *metrics
	kinds   map[string]Kind

	wakes    chan struct{} // one token: a job may have become due
	starting sync.Once
	stop     context.CancelFunc
	running  sync.WaitGroup

	// Of the loop alone: whose turn it was last.
	tenant id.ID
	last   map[id.ID]id.ID // the job, by tenant
}

// NewRunner returns a Runner that knows no kinds and does nothing until Start.
func NewRunner(opts Options) *Runner {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{
		db: opts.DB, log: opts.Logger, kinds: make(map[string]Kind), wakes: make(chan struct{}, 1), last: make(map[id.ID]id.ID),
	}
	r.metrics = newMetrics(opts.DB, opts.Metrics)
	return r
}

// Register says how jobs of a kind are done. It is called before Start, once for
// each kind.
func (r *Runner) Register(kind Kind) { r.kinds[kind.Name] = kind }

// Start begins to work, first on what an earlier run left. It may be called more
// than once.
func (r *Runner) Start() {
	r.starting.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		r.stop = cancel
		r.running.Go(func() { r.loop(ctx) })
	})
}

// Stop ends the work after the step that is under way. What is left is done
// after the next start of the program. It may be called more than once.
func (r *Runner) Stop() {
	if r.stop != nil {
		r.stop()
	}
	r.running.Wait()
}

// Wake has the runner look for work that it was not told of, such as what another
// process of the same database has left.
func (r *Runner) Wake() {
	select {
	case r.wakes <- struct{}{}:
	default:
	}
}

// loop makes step after step, and sleeps while there is none to make.
func (r *Runner) loop(ctx context.Context) {
	for ctx.Err() == nil {
		worked, err := r.turn(ctx)
		if err == nil && !worked {
			err = r.sleep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "jobs_interrupted", slog.String("error", err.Error()))
			r.wait(ctx, firstWait, nil)
		}
	}
}

// turn makes the step whose turn it is, and where none is due deletes what has
// been kept long enough. It reports whether there was something to do. Then it
// has rested for as long as that took, so that others can write at least half of
// the time.
func (r *Runner) turn(ctx context.Context) (bool, error) {
	next, err := r.next(ctx)
	if err != nil {
		return false, err
	}
	var took time.Duration
	if !next.IsZero() {
		took, err = r.step(ctx, next)
	} else {
		var n int64
		if n, took, err = r.deleteEnded(ctx); err == nil && n == 0 {
			return false, nil
		}
	}
	if err == nil {
		r.wait(ctx, took, nil)
	}
	return true, err
}

// next returns the job whose turn it is, or zero if none is due: the tenants take
// turns, and the jobs of each.
func (r *Runner) next(ctx context.Context) (id.ID, error) {
	var tenant, next id.ID
	err := r.db.Read(ctx, func(q db.Queryer) error {
		now := time.Now()
		var err error
		if tenant, err = nextAfter(dueTenant(q, now), r.tenant); err != nil {
			return err
		}
		next, err = nextAfter(dueJob(q, tenant, now), r.last[tenant])
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		clear(r.last)
		return id.ID{}, nil
	}
	if err == nil {
		r.tenant, r.last[tenant] = tenant, next
	}
	return next, err
}

// step makes one step of a job and returns how long its transaction took. What
// fails about the job itself is noted in it.
func (r *Runner) step(ctx context.Context, of id.ID) (time.Duration, error) {
	var kind string
	began, took := time.Now(), time.Duration(0)
	err := r.try(ctx, func(tx *db.Tx) error {
		began, kind = time.Now(), "" // it may have waited for others, or have run before
		j, err := scanJob(tx.QueryRow(selectByID, of[:]))
		if errors.Is(err, db.ErrNoRows) || err == nil && j.State != Running {
			return nil // paused or cancelled since it was its turn
		}
		if err != nil {
			return err
		}
		if mine, err := tx.TryLock("job " + of.String()); err != nil || !mine {
			took = elsewhere
			return err
		}
		kind = j.Kind
		how, known := r.kinds[j.Kind]
		if !known {
			return fmt.Errorf("job: this program does not know the kind %q", j.Kind)
		}
		j.failures, j.problem = 0, ""
		if err := how.Step(tx, &j); err != nil {
			return err
		}
		err = r.store(tx, &j)
		took = time.Since(began)
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, db.ErrUnavailable) {
		return time.Since(began), r.failed(ctx, of, err)
	}
	if err == nil && kind != "" {
		r.metrics.steps.WithLabelValues(kind).Observe(took.Seconds())
	}
	return took, err
}

// try runs a transaction and turns a panic in it, which the database has logged
// and raised again, into an error: one bad job must not end the server.
func (r *Runner) try(ctx context.Context, fn func(tx *db.Tx) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("job: a step panicked: %v", cause)
		}
	}()
	return r.db.Write(ctx, fn)
}

// failed notes that a job's step failed, and when it is tried again.
func (r *Runner) failed(ctx context.Context, of id.ID, cause error) error {
	var j Job
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if j, err = scanJob(tx.QueryRow(selectByID, of[:])); err != nil || j.State != Running {
			return err
		}
		j.failures++
		j.problem, j.dueAt = db.Storable(cause.Error()), tx.Now().Add(backOff(j.failures))
		if j.failures >= maxFailures && !r.kinds[j.Kind].NeverParked {
			j.State = Failed
		}
		return r.store(tx, &j)
	})
	if err != nil {
		return fmt.Errorf("%w, and could not be noted: %w", cause, err)
	}
	attrs := []slog.Attr{
		slog.String("tenant_id", id.Tenant.Format(j.TenantID)), slog.String("job_id", id.Job.Format(j.ID)), slog.String("kind", j.Kind),
		slog.Int("failures", j.failures), slog.String("error", cause.Error()),
	}
	if j.State == Failed {
		r.log.LogAttrs(ctx, slog.LevelError, "job_parked", attrs...)
		return nil
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, "job_step_failed", attrs...)
	return nil
}

// backOff is how long a job waits after so many failures in a row.
func backOff(failures int) time.Duration {
	return min(firstWait<<min(failures-1, maxFailures), maxWait)
}

// deleteEnded deletes some of the jobs that have been kept long enough, and
// returns how many and how long that took.
func (r *Runner) deleteEnded(ctx context.Context) (int64, time.Duration, error) {
	var due time.Time
	err := r.db.Read(ctx, func(q db.Queryer) error {
		var err error
		_, due, err = selectWake(q)
		return err
	})
	if err != nil || due.IsZero() || time.Now().Before(due) {
		return 0, 0, err
	}
	var n int64
	began := time.Now()
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		began = time.Now()
		var err error
		n, err = deleteEnded(tx, tx.Now().Add(-keep), deleteStep)
		return err
	})
	return n, time.Since(began), err
}

// sleep waits until a step is due, a job that has ended is to be deleted, or
// something has changed.
func (r *Runner) sleep(ctx context.Context) error {
	var due, expiry time.Time
	err := r.db.Read(ctx, func(q db.Queryer) error {
		var err error
		due, expiry, err = selectWake(q)
		return err
	})
	if err != nil {
		return err
	}
	if due.IsZero() || !expiry.IsZero() && expiry.Before(due) {
		due = expiry
	}
	if due.IsZero() { // there are no jobs
		select {
		case <-r.wakes:
		case <-ctx.Done():
		}
		return nil
	}
	r.wait(ctx, min(time.Until(due), longestNap), r.wakes)
	return nil
}

// wait waits so long, or until it is woken.
func (r *Runner) wait(ctx context.Context, long time.Duration, wakes <-chan struct{}) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wakes:
	case <-ctx.Done():
	}
}

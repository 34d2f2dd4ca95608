// Package job does what is too much for one transaction: a step at a time, each
// step in the transaction that moves the job's cursor. So whatever is killed in
// between, no step is made twice and none is left out.
//
// A package that has such work registers a [Kind], and stores a job in the
// transaction that calls for it ([Runner.Add]). From the commit on the job is
// as certain as what it was stored with. Steps are short, so that nobody who
// writes waits for long, and after each the runner rests for as long as it took.
// Tenants take turns, and so do the jobs of one tenant: a large job delays a
// small one by a step at a time.
//
// A step that fails is tried again, after one second, two, four, up to a minute.
// After twenty failures in a row the job is parked as [Failed], from where it can
// be resumed, unless its kind is never parked. Nothing polls: a job begins when its transaction is committed, and
// the runner sleeps until the next step is due.
//
// Jobs that have ended are deleted after 30 days.
package job

import (
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// State is where a job stands.
type State string

// The states of a job. It has ended when it is completed or cancelled.
const (
	Running   State = "running"
	Paused    State = "paused"
	Cancelled State = "cancelled"
	Completed State = "completed"
	Failed    State = "failed" // its step failed too often; it waits to be resumed
)

// Uncounted is the total of a job of which nobody knows how much it is.
const Uncounted = -1

// Job is a piece of work as it stands.
type Job struct {
	ID       id.ID
	TenantID id.ID
	Kind     string
	State    State
	Spec     json.RawMessage // what the kind has to know; never changes

	// What a step changes.
	Cursor  []byte // how far it has come; nil: it has not begun
	Done    int64
	Skipped int64 // passed over
	Total   int64 // Done and Skipped when it is over, or Uncounted

	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time // zero: it has not ended

	failures int // of its step, in a row
	problem  string
	dueAt    time.Time
}

// Complete is what a step calls when nothing is left to do.
func (j *Job) Complete() { j.State = Completed }

// Kind is how one sort of job is done.
type Kind struct {
	Name string

	// Step does a part of the work in tx, a few milliseconds of it, and notes in
	// the job how far it has come; see Job.Complete. Like every closure of the
	// database it may be run again if tx is not committed. An error takes back
	// what it did, and it is tried again later.
	Step func(tx *db.Tx, j *Job) error

	// NeverParked has a step tried again until it succeeds, however often it fails:
	// for work that was promised, and that nobody watches.
	NeverParked bool

	// Ended runs in the transaction in which a job is completed or cancelled. nil:
	// there is nothing to do then.
	Ended func(tx *db.Tx, j *Job) error
}

// New is a job to store.
type New struct {
	TenantID id.ID
	Kind     string
	Spec     any   // encoded as JSON
	Total    int64 // see Job
}

// Add stores a job. It begins once tx is committed.
func (r *Runner) Add(tx *db.Tx, n New) (Job, error) {
	spec, err := json.Marshal(n.Spec)
	if err != nil {
		return Job{}, err
	}
	now := tx.Now()
	j := Job{
		ID: id.New(now), TenantID: n.TenantID, Kind: n.Kind, State: Running, Spec: spec, Total: n.Total,
		CreatedAt: now, UpdatedAt: now, dueAt: now,
	}
	tx.After(r.Wake)
	return j, insertJob(tx, &j)
}

// Pause stops a job after the step that is under way. One that is paused already
// stays so.
func (r *Runner) Pause(tx *db.Tx, j *Job) error {
	switch j.State {
	case Paused:
		return nil
	case Running:
		return r.change(tx, j, Paused)
	case Failed, Completed, Cancelled:
	}
	return conflict(j)
}

// Resume lets a job go on that was paused, or parked after its step had failed
// too often.
func (r *Runner) Resume(tx *db.Tx, j *Job) error {
	switch j.State {
	case Running:
		return nil
	case Paused, Failed:
		j.failures, j.problem, j.dueAt = 0, "", tx.Now()
		tx.After(r.Wake)
		return r.change(tx, j, Running)
	case Completed, Cancelled:
	}
	return conflict(j)
}

// Cancel ends a job where it stands. What it has done stays done.
func (r *Runner) Cancel(tx *db.Tx, j *Job) error {
	switch j.State {
	case Cancelled:
		return nil
	case Running, Paused, Failed:
		return r.change(tx, j, Cancelled)
	case Completed:
	}
	return conflict(j)
}

func conflict(j *Job) error { return problem.Conflict.New("the job is %s", j.State) }

// change brings a job into another state.
func (r *Runner) change(tx *db.Tx, j *Job, to State) error {
	j.State = to
	return r.store(tx, j)
}

// store stores how a job stands now, and ends it where it has come to its end.
func (r *Runner) store(tx *db.Tx, j *Job) error {
	j.UpdatedAt = tx.Now()
	if j.State == Completed || j.State == Cancelled {
		j.EndedAt = tx.Now()
	}
	if err := updateJob(tx, j); err != nil {
		return err
	}
	if ended := r.kinds[j.Kind].Ended; ended != nil && !j.EndedAt.IsZero() {
		return ended(tx, j)
	}
	return nil
}

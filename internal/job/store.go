package job

import (
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const jobColumns = `id, tenant_id, kind, state, spec, cursor, done, skipped, total, failures, error, due_at, created_at, updated_at, ended_at`

func insertJob(tx *db.Tx, j *Job) error {
	_, err := tx.Exec(`INSERT INTO job (`+jobColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, NULL)`,
		j.ID[:], j.TenantID[:], j.Kind, string(j.State), string(j.Spec), j.Cursor, j.Done, j.Skipped, j.Total, j.failures, j.problem,
		db.Micro(j.dueAt), db.Micro(j.CreatedAt), db.Micro(j.UpdatedAt))
	return err
}

func updateJob(tx *db.Tx, j *Job) error {
	_, err := tx.Exec(`UPDATE job SET state = $2, cursor = $3, done = $4, skipped = $5, total = $6, failures = $7, error = $8, due_at = $9,
		updated_at = $10, ended_at = $11 WHERE id = $1`,
		j.ID[:], string(j.State), j.Cursor, j.Done, j.Skipped, j.Total, j.failures, j.problem, db.Micro(j.dueAt),
		db.Micro(j.UpdatedAt), db.NullMicro{Time: j.EndedAt})
	return err
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scanJob(row scanner) (Job, error) {
	var j Job
	var spec string
	var due, created, updated int64
	var ended db.NullMicro
	err := row.Scan(&j.ID, &j.TenantID, &j.Kind, &j.State, &spec, &j.Cursor, &j.Done, &j.Skipped, &j.Total, &j.failures, &j.problem,
		&due, &created, &updated, &ended)
	j.Spec, j.dueAt, j.CreatedAt, j.UpdatedAt, j.EndedAt = []byte(spec), db.FromMicro(due), db.FromMicro(created), db.FromMicro(updated), ended.Time
	return j, err
}

const selectByID = `SELECT ` + jobColumns + ` FROM job WHERE id = $1`

// Get returns one of the tenant's jobs of a kind.
func Get(q db.Queryer, tenant id.ID, kind string, of id.ID) (Job, error) {
	j, err := scanJob(q.QueryRow(selectByID+` AND tenant_id = $2 AND kind = $3`, of[:], tenant[:], kind))
	if errors.Is(err, db.ErrNoRows) {
		return Job{}, problem.NotFound.New("there is no such job")
	}
	return j, err
}

const selectOfKind = `SELECT ` + jobColumns + ` FROM job WHERE tenant_id = $1 AND kind = $2 AND id < $3 ORDER BY id DESC LIMIT $4`

// List returns the tenant's jobs of a kind, the newest first; before is the last
// one of the page before, zero for the first page.
func List(q db.Queryer, tenant id.ID, kind string, before id.ID, limit int) ([]Job, error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	rows, err := q.Query(selectOfKind, tenant[:], kind, before[:], limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		j, err := scanJob(rows)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

const countOpen = `SELECT count(*) FROM job WHERE tenant_id = $1 AND kind = $2 AND ended_at IS NULL`

// Open counts the tenant's jobs of a kind that have not ended.
func Open(q db.Queryer, tenant id.ID, kind string) (int, error) {
	n := 0
	err := q.QueryRow(countOpen, tenant[:], kind).Scan(&n)
	return n, err
}

// The statements that find whose turn it is.
const (
	selectTenant = `SELECT tenant_id FROM job WHERE state = 'running' AND tenant_id > $1 AND due_at <= $2 ORDER BY tenant_id LIMIT 1`
	selectNext   = `SELECT id FROM job WHERE state = 'running' AND tenant_id = $1 AND id > $2 AND due_at <= $3 ORDER BY id LIMIT 1`
	selectDue    = `SELECT min(due_at) FROM job WHERE state = 'running'`
	selectEnded  = `SELECT min(ended_at) FROM job WHERE ended_at IS NOT NULL`
)

// nextAfter returns what a statement finds after an id, or from the beginning if
// there is nothing: whose turn it is of those who take turns.
func nextAfter(find func(after id.ID) (id.ID, error), last id.ID) (id.ID, error) {
	next, err := find(last)
	if errors.Is(err, db.ErrNoRows) && !last.IsZero() {
		next, err = find(id.ID{})
	}
	return next, err
}

func dueTenant(q db.Queryer, now time.Time) func(id.ID) (id.ID, error) {
	return func(after id.ID) (id.ID, error) {
		var next id.ID
		err := q.QueryRow(selectTenant, after[:], db.Micro(now)).Scan(&next)
		return next, err
	}
}

func dueJob(q db.Queryer, tenant id.ID, now time.Time) func(id.ID) (id.ID, error) {
	return func(after id.ID) (id.ID, error) {
		var next id.ID
		err := q.QueryRow(selectNext, tenant[:], after[:], db.Micro(now)).Scan(&next)
		return next, err
	}
}

// selectWake returns when a step is due and when the first job that has ended is
// to be deleted; zero where there is none.
func selectWake(q db.Queryer) (time.Time, time.Time, error) {
	var due, ended db.NullMicro
	if err := q.QueryRow(selectDue).Scan(&due); err != nil {
		return time.Time{}, time.Time{}, err
	}
	if err := q.QueryRow(selectEnded).Scan(&ended); err != nil || ended.IsZero() {
		return due.Time, time.Time{}, err
	}
	return due.Time, ended.Add(keep), nil
}

const deleteSome = `DELETE FROM job WHERE id IN (SELECT id FROM job WHERE ended_at <= $1 AND ended_at IS NOT NULL ORDER BY ended_at LIMIT $2)`

// deleteEnded deletes jobs that ended so long ago, at most limit of them, and
// returns how many it found.
func deleteEnded(tx *db.Tx, until time.Time, limit int) (int64, error) {
	return tx.Exec(deleteSome, db.Micro(until), limit)
}

const countStates = `SELECT kind, state, count(*) FROM job GROUP BY kind, state`

// count is how many jobs of a kind stand in a state.
type count struct {
	kind, state string
	jobs        int64
}

func selectCounts(q db.Queryer) ([]count, error) {
	rows, err := q.Query(countStates)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var counts []count
	for rows.Next() {
		var c count
		if err := rows.Scan(&c.kind, &c.state, &c.jobs); err != nil {
			return nil, err
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

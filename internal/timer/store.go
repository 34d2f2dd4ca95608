package timer

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const (
	columns = `id, tenant_id, kind, ref, due_at, try_at, data, failures, error, parked_at`

	insertTimer = `INSERT INTO timer (` + columns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL)`
)

// insert stores a timer that waits. Those that a transaction sets go to a server
// together.
func insert(tx *db.Tx, t *Timer) error {
	return tx.Later(insertTimer, []any{
		t.ID[:], t.TenantID[:], t.Kind, t.Ref[:], db.Micro(t.DueAt), db.Micro(t.TryAt), t.Data, t.Failures, t.Error,
	}, nil)
}

// exec runs a statement that has to see the timers that the transaction has set.
func exec(tx *db.Tx, query string, args ...any) (int64, error) {
	if err := tx.Flush(); err != nil {
		return 0, err
	}
	return tx.Exec(query, args...)
}

func deleteOf(tx *db.Tx, tenant id.ID, kind string, ref id.ID) (int64, error) {
	return exec(tx, `DELETE FROM timer WHERE tenant_id = $1 AND kind = $2 AND ref = $3`, tenant[:], kind, ref[:])
}

func deleteOne(tx *db.Tx, t *Timer) (int64, error) {
	return exec(tx, `DELETE FROM timer WHERE tenant_id = $1 AND kind = $2 AND ref = $3 AND id = $4`, t.TenantID[:], t.Kind, t.Ref[:], t.ID[:])
}

// between is true of a tenant's timers from one position to another.
const between = ` FROM timer WHERE tenant_id = $1 AND parked_at IS NULL AND (try_at, id) >= ($2, $3) AND (try_at, id) <= ($4, $5)`

func betweenArgs(tenant id.ID, first, last position) []any {
	return []any{tenant[:], db.Micro(first.tryAt), first.id[:], db.Micro(last.tryAt), last.id[:]}
}

// selectBetween returns where the tenant's timers stand from one position to another.
func selectBetween(tx *db.Tx, tenant id.ID, first, last position) ([]position, error) {
	if err := tx.Flush(); err != nil {
		return nil, err
	}
	rows, err := tx.Query(`SELECT try_at, id`+between+` ORDER BY try_at, id`, betweenArgs(tenant, first, last)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var there []position
	for rows.Next() {
		var p position
		var tryAt int64
		if err := rows.Scan(&tryAt, &p.id); err != nil {
			return nil, err
		}
		p.tryAt = db.FromMicro(tryAt)
		there = append(there, p)
	}
	return there, rows.Err()
}

// deleteBetween deletes the tenant's timers from one position to another.
func deleteBetween(tx *db.Tx, tenant id.ID, first, last position) error {
	_, err := tx.Exec(`DELETE`+between, betweenArgs(tenant, first, last)...)
	return err
}

// noteFailure stores what came of trying a timer, unless somebody else has tried it
// too. It reports whether it did.
func noteFailure(tx *db.Tx, t *Timer) (bool, error) {
	n, err := tx.Exec(`UPDATE timer SET failures = $5, error = $6, try_at = $7, parked_at = $8
		WHERE tenant_id = $1 AND kind = $2 AND ref = $3 AND id = $4 AND failures = $9 AND parked_at IS NULL`,
		t.TenantID[:], t.Kind, t.Ref[:], t.ID[:], t.Failures, t.Error, db.Micro(t.TryAt), db.NullMicro{Time: t.ParkedAt}, t.Failures-1)
	return n > 0, err
}

// selectOneParked asks for a range, since SQLite would go through all of the tenant's
// timers to find an equal one.
const selectOneParked = `SELECT ` + columns + ` FROM timer WHERE tenant_id = $1 AND parked_at IS NOT NULL AND id >= $2 AND id <= $2 ORDER BY id LIMIT 1`

// oneParked returns one of the tenant's timers that are parked, or ErrNoRows.
func oneParked(q db.Queryer, tenant, of id.ID) (Timer, error) {
	return scan(q.QueryRow(selectOneParked, tenant[:], of[:]))
}

func unpark(tx *db.Tx, t *Timer) error {
	_, err := tx.Exec(`UPDATE timer SET failures = 0, error = '', try_at = due_at, parked_at = NULL
		WHERE tenant_id = $1 AND kind = $2 AND ref = $3 AND id = $4`, t.TenantID[:], t.Kind, t.Ref[:], t.ID[:])
	return err
}

const (
	selectDue = `SELECT ` + columns + ` FROM timer WHERE tenant_id = $1 AND parked_at IS NULL AND try_at <= $2 ORDER BY try_at, id LIMIT $3`

	selectWaiting = `SELECT ` + columns + ` FROM timer WHERE tenant_id = $1 AND parked_at IS NULL AND (try_at, id) > ($2, $3) ORDER BY try_at, id LIMIT $4`

	selectParked = `SELECT ` + columns + ` FROM timer WHERE tenant_id = $1 AND parked_at IS NOT NULL AND id > $2 ORDER BY id LIMIT $3`
)

// List returns the tenant's timers that wait, in the order in which they are done.
// after is the last one of the page before, of which ID and TryAt count; the zero
// Timer for the first page.
func List(q db.Queryer, tenant id.ID, after Timer, limit int) ([]Timer, error) {
	from := int64(-1) << 63
	if !after.ID.IsZero() {
		from = db.Micro(after.TryAt)
	}
	return query(q, selectWaiting, tenant[:], from, after.ID[:], limit)
}

// ListParked returns the tenant's timers that have failed too often, in the order in
// which they were set. after is the last one of the page before, zero for the first
// page.
func ListParked(q db.Queryer, tenant, after id.ID, limit int) ([]Timer, error) {
	return query(q, selectParked, tenant[:], after[:], limit)
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Timer, error) {
	var t Timer
	var dueAt, tryAt int64
	var parkedAt db.NullMicro
	err := row.Scan(&t.ID, &t.TenantID, &t.Kind, &t.Ref, &dueAt, &tryAt, &t.Data, &t.Failures, &t.Error, &parkedAt)
	t.DueAt, t.TryAt, t.ParkedAt = db.FromMicro(dueAt), db.FromMicro(tryAt), parkedAt.Time
	return t, err
}

func query(q db.Queryer, text string, args ...any) ([]Timer, error) {
	if tx, ok := q.(*db.Tx); ok { // it may have set some
		if err := tx.Flush(); err != nil {
			return nil, err
		}
	}
	rows, err := q.Query(text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var timers []Timer
	for rows.Next() {
		t, err := scan(rows)
		if err != nil {
			return nil, err
		}
		timers = append(timers, t)
	}
	return timers, rows.Err()
}

// dueBy returns the tenant's first timers that may be tried by now, at most limit;
// where there are none, when the next one may be, zero if none waits.
func dueBy(q db.Queryer, tenant id.ID, now time.Time, limit int) ([]Timer, time.Time, error) {
	timers, err := query(q, selectDue, tenant[:], db.Micro(now), limit)
	if err != nil || len(timers) > 0 {
		return timers, time.Time{}, err
	}
	var next db.NullMicro
	err = q.QueryRow(`SELECT min(try_at) FROM timer WHERE tenant_id = $1 AND parked_at IS NULL`, tenant[:]).Scan(&next)
	return nil, next.Time, err
}

// selectFirst finds the first timer of each tenant, by a step in the index for each.
const selectFirst = `WITH RECURSIVE waiting (tenant_id) AS (
	SELECT (SELECT tenant_id FROM timer WHERE parked_at IS NULL ORDER BY tenant_id LIMIT 1)
	UNION ALL
	SELECT (SELECT t.tenant_id FROM timer t WHERE t.parked_at IS NULL AND t.tenant_id > waiting.tenant_id ORDER BY t.tenant_id LIMIT 1)
	FROM waiting WHERE waiting.tenant_id IS NOT NULL
)
SELECT waiting.tenant_id, (SELECT min(t.try_at) FROM timer t WHERE t.tenant_id = waiting.tenant_id AND t.parked_at IS NULL)
FROM waiting WHERE waiting.tenant_id IS NOT NULL`

// firstOfEach returns when the first timer of each tenant that has any may be tried.
func firstOfEach(q db.Queryer) ([]expected, error) {
	rows, err := q.Query(selectFirst)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []expected
	for rows.Next() {
		var e expected
		var tryAt int64
		if err := rows.Scan(&e.tenant, &tryAt); err != nil {
			return nil, err
		}
		e.tryAt = db.FromMicro(tryAt)
		all = append(all, e)
	}
	return all, rows.Err()
}

// countParked counts the timers that are parked, all tenants'.
func countParked(q db.Queryer) (int64, error) {
	n := int64(0)
	err := q.QueryRow(`SELECT count(*) FROM timer WHERE parked_at IS NOT NULL`).Scan(&n)
	return n, err
}

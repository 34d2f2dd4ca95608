package webhook

import (
	"database/sql"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
)

// unheld is the condition that a delivery is held by nobody or by a dead node, and
// its arguments, which stand from the given place on.
func unheld(now node.Membership, from int) (string, []any) {
	text, args := fmt.Sprintf(` AND (owner = 0 OR owner <= $%d`, from), []any{now.Latest}
	for i, member := range now.Members {
		text += fmt.Sprintf(` AND owner <> $%d`, from+1+i)
		args = append(args, member)
	}
	return text + `)`, args
}

// selectUnheld returns what is due and held by nobody, and lets nobody else have it
// meanwhile.
func selectUnheld(tx *db.Tx, query DueQuery, now node.Membership) ([]Job, error) {
	const first = 5
	condition, args := unheld(now, first)
	rows, err := tx.Query(`SELECT `+jobColumns+` FROM delivery
		WHERE subscription_id = $1 AND status = $2 AND status <= 1 AND next_at <= $3`+condition+`
		ORDER BY next_at, tenant_id, event_id LIMIT $4`+tx.SkipLocked(),
		append([]any{query.Sub.ID[:], int(query.Lane), db.Micro(query.Now), query.Limit}, args...)...)
	if err != nil {
		return nil, err
	}
	return collectJobs(rows, query.Sub)
}

// jobColumns are what collectJobs reads.
const jobColumns = `tenant_id, event_id, status, attempts, step, epoch, owner, next_at`

// collectJobs reads deliveries to a subscription without what they send.
func collectJobs(rows *sql.Rows, sub *Subscription) ([]Job, error) {
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		j := Job{Sub: sub}
		var due int64
		if err := rows.Scan(&j.TenantID, &j.EventID, &j.Status, &j.Attempts, &j.Step, &j.Epoch, &j.Owner, &due); err != nil {
			return nil, err
		}
		j.DueAt = db.FromMicro(due)
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// claim makes a delivery the node's, if it still is as it was read. lost, unless it
// is nil, is called if it is not.
func claim(tx *db.Tx, j *Job, self int64, lost func()) error {
	was, epoch := j.Owner, j.Epoch
	if was != 0 && was != self {
		j.Epoch++
	}
	j.Owner = self
	var check func(rows int64) error
	if lost != nil {
		check = func(rows int64) error {
			if rows == 0 {
				lost()
			}
			return nil
		}
	}
	return tx.Later(`UPDATE delivery SET owner = $4, epoch = $5
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND owner = $6 AND epoch = $7 AND status <= 1`,
		[]any{j.TenantID[:], j.EventID[:], j.Sub.ID[:], self, j.Epoch, was, epoch}, check)
}

// release gives a delivery back, if it still is as its job says.
func release(tx *db.Tx, j *Job) error {
	return tx.Later(`UPDATE delivery SET owner = 0
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND owner = $4 AND epoch = $5 AND status <= 1`,
		[]any{j.TenantID[:], j.EventID[:], j.Sub.ID[:], j.Owner, j.Epoch}, nil)
}

// selectHeld returns what a node holds of a subscription's deliveries.
func selectHeld(q db.Queryer, sub *Subscription, owner int64) ([]Job, error) {
	rows, err := q.Query(`SELECT `+jobColumns+` FROM delivery
		WHERE subscription_id = $1 AND status IN (0, 1) AND status <= 1 AND owner = $2`, sub.ID[:], owner)
	if err != nil {
		return nil, err
	}
	return collectJobs(rows, sub)
}

// messagesAtOnce is how many messages one statement reads at most.
const messagesAtOnce = 16

// selectMessages reads what jobs of one tenant send, of the first of them up to a few
// megabytes together, and returns those.
func selectMessages(q db.Queryer, jobs []Job) ([]Job, error) {
	size, from := 0, 0
	for from < len(jobs) && size < maxDueBytes {
		n := min(messagesAtOnce, len(jobs)-from)
		if size > 0 { // as many as there is room for, and one, if they are like those before
			n = min(n, 1+(maxDueBytes-size)*from/size)
		}
		some := jobs[from : from+n]
		if err := selectSome(q, some); err != nil {
			return nil, err
		}
		for i := range some {
			size += len(some[i].Body)
		}
		from += n
	}
	return jobs[:from], nil
}

// selectSome reads what at most messagesAtOnce jobs send.
func selectSome(q db.Queryer, jobs []Job) error {
	args := []any{jobs[0].TenantID[:]}
	byEvent := make(map[id.ID]*Job, len(jobs))
	for i := range messagesAtOnce { // the last one stands for those that are missing
		j := &jobs[min(i, len(jobs)-1)]
		args, byEvent[j.EventID] = append(args, j.EventID[:]), j
	}
	rows, err := q.Query(`SELECT id, type, traceparent, subject_version, body FROM event
		WHERE tenant_id = $1 AND id IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for rows.Next() {
		var event id.ID
		var read Job
		if err := rows.Scan(&event, &read.Type, &read.Traceparent, &read.Version, &read.Body); err != nil {
			return err
		}
		j := byEvent[event]
		j.Type, j.Traceparent, j.Version, j.Body = read.Type, read.Traceparent, read.Version, read.Body
		found++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if found < len(byEvent) {
		return fmt.Errorf("webhook: read %d events: %d are missing", len(byEvent), len(byEvent)-found)
	}
	return nil
}

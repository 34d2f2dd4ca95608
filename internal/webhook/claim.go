package webhook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
)

// claimDue reads deliveries that are due and that nobody holds, and makes them this
// node's. What a dead node held it takes over; then the epoch changes, so that what
// that node still records decides nothing.
func (s *Service) claimDue(ctx context.Context, query DueQuery) (Due, error) {
	now := s.node.Membership()
	query.Room = cmp.Or(query.Room, query.Limit)
	var due Due
	err := s.claims.Write(ctx, func(tx *db.Tx) error {
		due = Due{}
		if query.Sub.Policy.Ordered {
			return claimInOrder(tx, query, now, &due)
		}
		jobs, err := selectUnheld(tx, query, now)
		if err != nil {
			return err
		}
		due.More = len(jobs) == query.Room
		jobs = slices.DeleteFunc(jobs, func(j Job) bool { _, known := query.Known[j.EventID]; return known })
		if due.Jobs, err = selectMessages(tx, jobs); err != nil {
			return err
		}
		due.More = due.More || len(due.Jobs) < len(jobs)
		for i := range due.Jobs {
			if err := claim(tx, &due.Jobs[i], now.Self, nil); err != nil {
				return err
			}
		}
		if !due.More {
			due.Next, err = selectNextDue(tx, query)
		}
		return err
	})
	if err != nil {
		return Due{}, err
	}
	return due, nil
}

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

// isUnheld is that condition of a delivery that was read.
func isUnheld(j *Job, now node.Membership) bool {
	return j.Owner == 0 || j.Owner <= now.Latest && !slices.Contains(now.Members, j.Owner)
}

// selectUnheld returns what is due and held by nobody, and lets nobody else have it
// meanwhile.
func selectUnheld(tx *db.Tx, query DueQuery, now node.Membership) ([]Job, error) {
	const first = 5
	condition, args := unheld(now, first)
	rows, err := tx.Query(`SELECT tenant_id, event_id, status, attempts, step, epoch, owner, next_at FROM delivery
		WHERE subscription_id = $1 AND status = $2 AND status <= 1 AND next_at <= $3`+condition+`
		ORDER BY next_at, tenant_id, event_id LIMIT $4`+tx.SkipLocked(),
		append([]any{query.Sub.ID[:], int(query.Lane), db.Micro(query.Now), query.Room}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		j, err := scanHeld(rows, query.Sub)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

func scanHeld(row scanner, sub *Subscription) (Job, error) {
	j := Job{Sub: sub}
	var due int64
	err := row.Scan(&j.TenantID, &j.EventID, &j.Status, &j.Attempts, &j.Step, &j.Epoch, &j.Owner, &due)
	j.DueAt = db.FromMicro(due)
	return j, err
}

// claim makes a delivery the node's, if it still is as it was read. lost, unless it
// is nil, is called if it is not.
func claim(tx *db.Tx, j *Job, self int64, lost func()) error {
	was, epoch := j.Owner, j.Epoch
	if was != 0 && was != self {
		j.Epoch++
	}
	j.Owner = self
	return tx.Later(`UPDATE delivery SET owner = $4, epoch = $5
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND owner = $6 AND epoch = $7 AND status <= 1`,
		[]any{j.TenantID[:], j.EventID[:], j.Sub.ID[:], self, j.Epoch, was, epoch}, func(rows int64) error {
			if rows == 0 && lost != nil {
				lost()
			}
			return nil
		})
}

// claimInOrder claims what comes next of an ordered subscription. It ends before the
// first delivery that another node holds: nothing may overtake it.
func claimInOrder(tx *db.Tx, query DueQuery, now node.Membership, due *Due) error {
	if behind, err := hasSpool(tx, query.Sub.TenantID, query.Sub.ID); err != nil || behind {
		return err
	}
	jobs, err := selectInOrder(tx, query)
	if err != nil {
		return err
	}
	due.More = len(jobs) == query.Limit
	taken := jobs[:0]
	for _, j := range jobs {
		if _, known := query.Known[j.EventID]; known {
			due.Last = j.EventID
			continue
		}
		if j.Owner != now.Self && !isUnheld(&j, now) {
			due.More, due.Held = true, true
			break
		}
		taken = append(taken, j)
	}
	whole := len(taken)
	if taken, err = selectMessages(tx, taken); err != nil {
		return err
	}
	due.More = due.More || len(taken) < whole
	lost := len(taken) // the first that somebody else was faster with
	for i := range taken {
		if taken[i].Owner == now.Self {
			continue
		}
		if err := claim(tx, &taken[i], now.Self, func() { lost = min(lost, i) }); err != nil {
			return err
		}
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	if lost < len(taken) {
		due.More, due.Held = true, true
	}
	due.Jobs = taken[:lost]
	if lost > 0 {
		due.Last = taken[lost-1].EventID
	}
	return nil
}

// messagesAtOnce is how many messages one statement reads.
const messagesAtOnce = 16

// selectMessages reads what jobs of one tenant send, of the first of them up to a few
// megabytes together, and returns those.
func selectMessages(q db.Queryer, jobs []Job) ([]Job, error) {
	size := 0
	for from := 0; from < len(jobs); from += messagesAtOnce {
		if size >= maxDueBytes {
			return jobs[:from], nil
		}
		some := jobs[from:min(from+messagesAtOnce, len(jobs))]
		if err := selectSome(q, some); err != nil {
			return nil, err
		}
		for i := range some {
			size += len(some[i].Body)
		}
	}
	return jobs, nil
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

// Release gives back deliveries that this node holds and will not send, so that
// others can claim them.
func (s *Service) Release(ctx context.Context, held []Job) error {
	return s.claims.Write(ctx, func(tx *db.Tx) error {
		for i := range held {
			j := &held[i]
			err := tx.Later(`UPDATE delivery SET owner = 0
				WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND owner = $4 AND epoch = $5 AND status <= 1`,
				[]any{j.TenantID[:], j.EventID[:], j.Sub.ID[:], j.Owner, j.Epoch}, nil)
			if err != nil {
				return err
			}
		}
		subs := make(map[id.ID]*Subscription)
		for i := range held {
			subs[held[i].Sub.ID] = held[i].Sub
		}
		tx.After(func() {
			for _, sub := range subs {
				s.hint(topicDue, sub)
			}
		})
		return nil
	})
}

// Held returns what a node holds of a subscription's deliveries and has held
// unchanged since a time, without what it sends. It reads everything that is
// pending for the subscription.
func (s *Service) Held(ctx context.Context, sub *Subscription, owner int64, since time.Time) ([]Job, error) {
	var held []Job
	err := s.db.Read(ctx, func(q db.Queryer) error {
		held = nil
		rows, err := q.Query(`SELECT tenant_id, event_id, status, attempts, step, epoch, owner, next_at FROM delivery
			WHERE subscription_id = $1 AND status IN (0, 1) AND status <= 1 AND owner = $2 AND updated_at < $3`, sub.ID[:], owner, db.Micro(since))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			j, err := scanHeld(rows, sub)
			if err != nil {
				return err
			}
			held = append(held, j)
		}
		return rows.Err()
	})
	return held, err
}

package webhook

import (
	"database/sql"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// What a replay reads: the deliveries behind ($2, $3), in the order of an index
// that names tenant, event and subscription, so that finding the end of a stretch
// reads no row. Without statistics the planner would read all of a tenant's
// deliveries where one subscription's are meant, unless the tenant is compared as
// an expression.
const (
	ofTenant       = ` FROM delivery d WHERE d.tenant_id = $1 AND (d.event_id, d.subscription_id) > ($2, $3)`
	ofStatus       = ofTenant + ` AND d.status = $4 AND d.status > 2`
	ofSubscription = ` FROM delivery d WHERE coalesce(d.tenant_id, d.tenant_id) = $1 AND d.event_id > $2 AND d.subscription_id = $3`
)

// selectEnd returns the last delivery of a stretch that has so many, if it has,
// and sets its end to that.
func selectEnd(q db.Queryer, part *stretch, most int) (bool, error) {
	const pair = `SELECT d.event_id, d.subscription_id`
	tenant, event, sub, last := part.tenant[:], part.from.event[:], part.from.sub[:], part.to.event[:]
	var row *sql.Row
	switch {
	case part.status != Pending:
		row = q.QueryRow(pair+ofStatus+` AND d.event_id <= $5 ORDER BY d.event_id, d.subscription_id LIMIT 1 OFFSET $6`,
			tenant, event, sub, int(part.status), last, most-1)
	case !part.sub.IsZero():
		row = q.QueryRow(pair+ofSubscription+` AND d.event_id <= $4 ORDER BY d.event_id LIMIT 1 OFFSET $5`,
			tenant, event, part.sub[:], last, most-1)
	default:
		row = q.QueryRow(pair+ofTenant+` AND d.event_id <= $4 ORDER BY d.event_id, d.subscription_id LIMIT 1 OFFSET $5`,
			tenant, event, sub, last, most-1)
	}
	var to place
	err := row.Scan(&to.event, &to.sub)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	if err == nil {
		part.to = to
	}
	return true, err
}

// selectReplayed returns the deliveries of a stretch that belong to its replay, in
// the order of their events.
func selectReplayed(q db.Queryer, part stretch, most int) ([]found, error) {
	// First the keys, which the indexes hold, then their rows.
	const (
		keys = `SELECT k.event_id, k.subscription_id, e.type, e.body IS NOT NULL AND s.status = 'enabled' AND s.deleted_at IS NULL
			FROM (SELECT d.tenant_id, d.event_id, d.subscription_id`
		rowsOf = `) k JOIN delivery r ON r.tenant_id = k.tenant_id AND r.event_id = k.event_id AND r.subscription_id = k.subscription_id
			JOIN event e ON e.tenant_id = k.tenant_id AND e.id = k.event_id
			JOIN subscription s ON s.id = k.subscription_id WHERE r.updated_at <= `
		byPair = ` ORDER BY d.event_id, d.subscription_id LIMIT `
	)
	tenant, event, sub, toEvent, toSub := part.tenant[:], part.from.event[:], part.from.sub[:], part.to.event[:], part.to.sub[:]
	var rows *sql.Rows
	var err error
	switch {
	case part.status != Pending:
		first, last := part.subscriptions()
		rows, err = q.Query(keys+ofStatus+` AND (d.event_id, d.subscription_id) <= ($5, $6)`+byPair+`$7`+rowsOf+`$8 AND k.subscription_id >= $9 AND k.subscription_id <= $10
			ORDER BY k.event_id, k.subscription_id`,
			tenant, event, sub, int(part.status), toEvent, toSub, most, part.changed, first[:], last[:])
	case !part.sub.IsZero():
		rows, err = q.Query(keys+ofSubscription+` AND d.event_id <= $4 ORDER BY d.event_id LIMIT $5`+rowsOf+`$6 AND r.status IN ($7, $8, $9, $10)
			ORDER BY k.event_id`,
			append([]any{tenant, event, part.sub[:], toEvent, most, part.changed}, part.four()...)...)
	default:
		rows, err = q.Query(keys+ofTenant+` AND (d.event_id, d.subscription_id) <= ($4, $5)`+byPair+`$6`+rowsOf+`$7 AND r.status IN ($8, $9, $10, $11)
			ORDER BY k.event_id, k.subscription_id`,
			append([]any{tenant, event, sub, toEvent, toSub, most, part.changed}, part.four()...)...)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var deliveries []found
	for rows.Next() {
		var d found
		if err := rows.Scan(&d.event, &d.sub, &d.eventType, &d.sendable); err != nil {
			return nil, err
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, rows.Err()
}

// subscriptions returns the first and the last that may belong to a stretch.
func (part *stretch) subscriptions() (id.ID, id.ID) {
	if part.sub.IsZero() {
		return id.ID{}, id.Last()
	}
	return part.sub, part.sub
}

// four returns the states that are looked for, which are one to four, as four
// arguments.
func (part *stretch) four() []any {
	args := make([]any, 4)
	for i := range args {
		args[i] = int(part.statuses[min(i, len(part.statuses)-1)])
	}
	return args
}

// replayDelivery makes a delivery that has ended due now, in the lane of the
// retries, with its schedule from the beginning.
func replayDelivery(tx *db.Tx, tenant, event, sub id.ID) error {
	_, err := tx.Exec(`UPDATE delivery SET status = 1, step = 0, epoch = epoch + 1, owner = 0, next_at = $4, updated_at = $4,
		reason = CASE WHEN status IN (4, 5) THEN '' ELSE reason END
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3`, tenant[:], event[:], sub[:], db.Micro(tx.Now()))
	return err
}

// selectMissed counts what failed and what is held of a subscription's
// deliveries, as far as Missed says.
func selectMissed(q db.Queryer, tenant, sub id.ID) (Missed, error) {
	var m Missed
	var err error
	m.Failed, err = m.count(q.Query(`SELECT k.event_id FROM (
			SELECT d.event_id, d.subscription_id FROM delivery d WHERE d.tenant_id = $1 AND d.status = 3 AND d.status > 2
			ORDER BY d.event_id DESC LIMIT $3) k WHERE k.subscription_id = $2`, tenant[:], sub[:], maxCounted))
	if err != nil {
		return Missed{}, err
	}
	m.Held, err = m.count(q.Query(`SELECT d.event_id FROM delivery d
			WHERE coalesce(d.tenant_id, d.tenant_id) = $1 AND d.subscription_id = $2 AND d.status = 5 LIMIT $3`,
		tenant[:], sub[:], maxCounted))
	return m, err
}

// count counts events and notes the first of them.
func (m *Missed) count(rows *sql.Rows, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := int64(0)
	for ; rows.Next(); n++ {
		var event id.ID
		if err := rows.Scan(&event); err != nil {
			return 0, err
		}
		if at := event.Time(); m.Since.IsZero() || at.Before(m.Since) {
			m.Since = at
		}
	}
	return n, rows.Err()
}

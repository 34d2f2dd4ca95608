package webhook

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// nextTenantWithEvents returns the tenant after the given one that has events,
// or an error that matches db.ErrNoRows.
func nextTenantWithEvents(q db.Queryer, after id.ID) (id.ID, error) {
	var tenant id.ID
	err := q.QueryRow(`SELECT tenant_id FROM event WHERE tenant_id > $1 ORDER BY tenant_id LIMIT 1`, after[:]).Scan(&tenant)
	return tenant, err
}

// firstEventFrom returns the oldest event that is not before the given id, or an
// error that matches db.ErrNoRows.
func firstEventFrom(q db.Queryer, tenant, from id.ID) (id.ID, error) {
	var event id.ID
	err := q.QueryRow(`SELECT id FROM event WHERE tenant_id = $1 AND id >= $2 ORDER BY id LIMIT 1`, tenant[:], from[:]).Scan(&event)
	return event, err
}

// aged is an event that is old, and whether its body is kept.
type aged struct {
	event   id.ID
	hasBody bool
}

// selectAged returns a tenant's events after one id and before another, the
// oldest first.
func selectAged(q db.Queryer, tenant, after, before id.ID, limit int) ([]aged, error) {
	rows, err := q.Query(`SELECT id, body IS NOT NULL FROM event WHERE tenant_id = $1 AND id > $2 AND id < $3 ORDER BY id LIMIT $4`,
		tenant[:], after[:], before[:], limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []aged
	for rows.Next() {
		var e aged
		if err := rows.Scan(&e.event, &e.hasBody); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}

// eventOfDelivery returns the event of the delivery that so many others of the
// span stand before, or an error that matches db.ErrNoRows if there are no more
// than that.
func eventOfDelivery(q db.Queryer, of span, before int) (id.ID, error) {
	var event id.ID
	err := q.QueryRow(`SELECT event_id FROM delivery WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3
		ORDER BY event_id, subscription_id LIMIT 1 OFFSET $4`, of.tenant[:], of.first[:], of.last[:], before).Scan(&event)
	return event, err
}

// awaitedEvents returns those events of the span that are still to be sent to a
// subscription that is not disabled. The tables are joined in this order, so that
// only the span's deliveries are read.
func awaitedEvents(q db.Queryer, of span) (map[id.ID]bool, error) {
	rows, err := q.Query(`SELECT d.event_id FROM delivery d CROSS JOIN subscription s
		WHERE d.tenant_id = $1 AND d.event_id >= $2 AND d.event_id <= $3 AND d.status IN (0, 1)
		AND s.id = d.subscription_id AND s.status <> 'disabled' AND s.deleted_at IS NULL`, of.tenant[:], of.first[:], of.last[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	awaited := make(map[id.ID]bool)
	for rows.Next() {
		var event id.ID
		if err := rows.Scan(&event); err != nil {
			return nil, err
		}
		awaited[event] = true
	}
	return awaited, rows.Err()
}

// deleteAttempts deletes at most limit attempts of the span's events.
func deleteAttempts(tx *db.Tx, of span, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM attempt WHERE (tenant_id, event_id, subscription_id, number) IN (
		SELECT tenant_id, event_id, subscription_id, number FROM attempt
		WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 LIMIT $4)`, of.tenant[:], of.first[:], of.last[:], limit)
}

// deleteDeliveries deletes at most limit deliveries of the span's events.
func deleteDeliveries(tx *db.Tx, of span, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM delivery WHERE (tenant_id, event_id, subscription_id) IN (
		SELECT tenant_id, event_id, subscription_id FROM delivery
		WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 LIMIT $4)`, of.tenant[:], of.first[:], of.last[:], limit)
}

func deleteIdempotencyKeys(tx *db.Tx, of span) (int64, error) {
	return tx.Exec(`DELETE FROM idempotency_key WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3`, of.tenant[:], of.first[:], of.last[:])
}

func deleteEvents(tx *db.Tx, of span) (int64, error) {
	return tx.Exec(`DELETE FROM event WHERE tenant_id = $1 AND id >= $2 AND id <= $3`, of.tenant[:], of.first[:], of.last[:])
}

// clearResponses removes what at most limit attempts of the span's events have
// kept of the answers, which may repeat the events.
func clearResponses(tx *db.Tx, of span, limit int) (int64, error) {
	n, err := tx.Exec(`UPDATE attempt SET headers = '', body = NULL WHERE (tenant_id, event_id, subscription_id, number) IN (
		SELECT tenant_id, event_id, subscription_id, number FROM attempt
		WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND (body IS NOT NULL OR headers <> '') LIMIT $4)`,
		of.tenant[:], of.first[:], of.last[:], limit)
	if err != nil || n >= int64(limit) {
		return n, err
	}
	first, err := tx.Exec(`UPDATE delivery SET first_headers = '', first_body = NULL WHERE (tenant_id, event_id, subscription_id) IN (
		SELECT tenant_id, event_id, subscription_id FROM delivery
		WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND (first_body IS NOT NULL OR first_headers <> '') LIMIT $4)`,
		of.tenant[:], of.first[:], of.last[:], int64(limit)-n)
	return n + first, err
}

// cancelWaiting cancels at most limit deliveries of the span's events that have
// not ended or are held.
func cancelWaiting(tx *db.Tx, of span, limit int) (int64, error) {
	return tx.Exec(`UPDATE delivery SET status = 4, epoch = epoch + 1, next_at = NULL, updated_at = $4, reason = $5
		WHERE (tenant_id, event_id, subscription_id) IN (
			SELECT tenant_id, event_id, subscription_id FROM delivery
			WHERE tenant_id = $1 AND event_id >= $2 AND event_id <= $3 AND status IN (0, 1, 5) LIMIT $6)`,
		of.tenant[:], of.first[:], of.last[:], db.Micro(tx.Now()), ReasonExpired, limit)
}

func clearBodies(tx *db.Tx, of span) (int64, error) {
	return tx.Exec(`UPDATE event SET body = NULL WHERE tenant_id = $1 AND id >= $2 AND id <= $3 AND body IS NOT NULL`,
		of.tenant[:], of.first[:], of.last[:])
}

// bodyIsGone reports whether an event has no body any more.
func bodyIsGone(q db.Queryer, tenant, event id.ID) (bool, error) {
	gone := false
	err := q.QueryRow(`SELECT NOT EXISTS (SELECT 1 FROM event WHERE tenant_id = $1 AND id = $2 AND body IS NOT NULL)`, tenant[:], event[:]).Scan(&gone)
	return gone, err
}

// deletedSubscriptions returns the deleted subscriptions after the given one, in
// the order of their ids.
func deletedSubscriptions(q db.Queryer, after id.ID, limit int) ([]id.ID, error) {
	rows, err := q.Query(`SELECT id FROM subscription WHERE deleted_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`, after[:], limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var subs []id.ID
	for rows.Next() {
		var sub id.ID
		if err := rows.Scan(&sub); err != nil {
			return nil, err
		}
		subs = append(subs, sub)
	}
	return subs, rows.Err()
}

// forgetSubscriptions deletes the deleted subscriptions from one to another that
// no delivery names any more, and no fan-out.
func forgetSubscriptions(tx *db.Tx, first, last id.ID) (int64, error) {
	return tx.Exec(`DELETE FROM subscription WHERE id >= $1 AND id <= $2 AND deleted_at IS NOT NULL AND NOT cancelling
		AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.subscription_id = subscription.id)
		AND NOT EXISTS (SELECT 1 FROM spool p WHERE p.tenant_id = subscription.tenant_id AND p.subscription_id = subscription.id)`, first[:], last[:])
}

package webhook

import (
	"bytes"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func compareIDs(a, b id.ID) int { return bytes.Compare(a[:], b[:]) }

func insertSpool(tx *db.Tx, tenant, of id.ID, row spooled) error {
	_, err := tx.Exec(`INSERT INTO spool (tenant_id, job_id, subscription_id, events) VALUES ($1, $2, $3, $4)`,
		tenant[:], of[:], row.sub[:], []byte(row.events))
	return err
}

// selectSpool returns the first spool rows that a job has left.
func selectSpool(q db.Queryer, tenant, of id.ID, limit int) ([]spooled, error) {
	rows, err := q.Query(`SELECT subscription_id, events FROM spool WHERE tenant_id = $1 AND job_id = $2 ORDER BY subscription_id LIMIT $3`,
		tenant[:], of[:], limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var left []spooled
	for rows.Next() {
		var row spooled
		if err := rows.Scan(&row.sub, (*[]byte)(&row.events)); err != nil {
			return nil, err
		}
		left = append(left, row)
	}
	return left, rows.Err()
}

// hasSpool reports whether deliveries to a subscription are still to be made of a
// fan-out.
func hasSpool(q db.Queryer, tenant, sub id.ID) (bool, error) {
	var has bool
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM spool WHERE tenant_id = $1 AND subscription_id = $2)`, tenant[:], sub[:]).Scan(&has)
	return has, err
}

func deleteSpool(tx *db.Tx, tenant, of, sub id.ID) error {
	_, err := tx.Exec(`DELETE FROM spool WHERE tenant_id = $1 AND job_id = $2 AND subscription_id = $3`, tenant[:], of[:], sub[:])
	return err
}

// selectBodies returns, of the events from the first to the last that are still
// there, whether they have a body.
func selectBodies(q db.Queryer, tenant, first, last id.ID) (map[id.ID]bool, error) {
	rows, err := q.Query(`SELECT id, body IS NOT NULL FROM event WHERE tenant_id = $1 AND id >= $2 AND id <= $3`, tenant[:], first[:], last[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	bodies := make(map[id.ID]bool)
	for rows.Next() {
		var event id.ID
		var has bool
		if err := rows.Scan(&event, &has); err != nil {
			return nil, err
		}
		bodies[event] = has
	}
	return bodies, rows.Err()
}

// selectStanding says whether a subscription, which is there, takes deliveries.
func selectStanding(q db.Queryer, tenant, sub id.ID) (standing, error) {
	var now standing
	err := q.QueryRow(`SELECT status = 'enabled' AND deleted_at IS NULL, deleted_at IS NOT NULL FROM subscription WHERE id = $1 AND tenant_id = $2`,
		sub[:], tenant[:]).Scan(&now.enabled, &now.deleted)
	if errors.Is(err, db.ErrNoRows) { // there is no record of it any more
		return standing{deleted: true}, nil
	}
	return now, err
}

// insertExpanded stores a delivery that a publish left to a job.
func insertExpanded(tx *db.Tx, d Delivery, tenant id.ID, as beginning) error {
	var next any
	if as.status == Pending {
		next = db.Micro(tx.Now())
	}
	_, err := tx.Exec(`INSERT INTO delivery (tenant_id, event_id, subscription_id, status, attempts, step, epoch, next_at, updated_at, response_status, reason)
		VALUES ($1, $2, $3, $4, 0, 0, 0, $5, $6, 0, $7)`,
		tenant[:], d.EventID[:], d.SubscriptionID[:], int(as.status), next, db.Micro(tx.Now()), as.reason)
	return err
}

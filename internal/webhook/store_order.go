package webhook

import (
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// selectInOrder reads what is pending in the order of the events, due or not, from
// the first one that is asked for, unless fan-outs have left some to be made. It reads the index that has the subscription's
// deliveries in that order, and passes over those that have ended. These are few
// after the first one that is pending, and so that is where it begins.
func selectInOrder(q db.Queryer, query DueQuery) ([]Job, error) {
	from := query.From
	if from.IsZero() {
		first, err := selectFirstPending(q, query.Sub.ID)
		if err != nil || first == nil {
			return nil, err
		}
		from = *first
	}
	rows, err := q.Query(`SELECT `+jobColumns+` FROM delivery
		WHERE subscription_id = $1 AND event_id >= $2 AND status <= 1
		AND NOT EXISTS (SELECT 1 FROM spool p WHERE p.tenant_id = $4 AND p.subscription_id = $1)
		ORDER BY event_id LIMIT $3`, query.Sub.ID[:], from[:], query.Limit, query.Sub.TenantID[:])
	if err != nil {
		return nil, err
	}
	return collectJobs(rows, query.Sub)
}

// selectFirstPending returns the first event that is pending for a subscription,
// or nil. The index of what is due has all of them, and nothing else; the one in the
// order of the events, which the planner would take for a bare event_id, has those
// that have ended as well.
func selectFirstPending(q db.Queryer, sub id.ID) (*id.ID, error) {
	var first id.ID
	err := q.QueryRow(`SELECT event_id FROM (
		SELECT event_id FROM delivery WHERE subscription_id = $1 AND status = 0 AND status <= 1
		UNION ALL SELECT event_id FROM delivery WHERE subscription_id = $1 AND status = 1 AND status <= 1) waits
		ORDER BY coalesce(event_id, event_id) LIMIT 1`, sub[:]).Scan(&first)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return &first, err
}

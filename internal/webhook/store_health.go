package webhook

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// selectHealth returns what is stored of the health of a job's endpoint. It
// reports whether the subscription still is what its health was judged of.
func selectHealth(q db.Queryer, j *Job, generation int) (Health, bool, error) {
	var text string
	err := q.QueryRow(`SELECT coalesce((SELECT health FROM endpoint_health WHERE subscription_id = $1), '') FROM subscription
		WHERE id = $1 AND tenant_id = $2 AND generation = $3 AND deleted_at IS NULL`,
		j.Sub.ID[:], j.TenantID[:], generation).Scan(&text)
	if errors.Is(err, db.ErrNoRows) {
		return Health{}, false, nil
	}
	if err != nil {
		return Health{}, false, err
	}
	h, err := readHealth(text)
	return h, true, err
}

// readHealth reads what upsertHealth stored; nothing is a healthy endpoint.
func readHealth(text string) (Health, error) {
	var h Health
	if text == "" {
		return h, nil
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return Health{}, fmt.Errorf("webhook: read the health of an endpoint: %w", err)
	}
	return h, nil
}

func upsertHealth(tx *db.Tx, sub id.ID, h Health) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO endpoint_health (subscription_id, failing, health) VALUES ($1, $2, $3)
		ON CONFLICT (subscription_id) DO UPDATE SET failing = excluded.failing, health = excluded.health`,
		sub[:], h.State == Failing, string(text))
	return err
}

func deleteHealth(tx *db.Tx, sub id.ID) error {
	_, err := tx.Exec(`DELETE FROM endpoint_health WHERE subscription_id = $1`, sub[:])
	return err
}

func bumpGeneration(tx *db.Tx, tenant, sub id.ID) error {
	_, err := tx.Exec(`UPDATE subscription SET generation = generation + 1 WHERE id = $1 AND tenant_id = $2`, sub[:], tenant[:])
	return err
}

// countEndpoints returns how many subscriptions are enabled and disabled, and how
// many of the enabled ones have a failing endpoint.
func countEndpoints(q db.Queryer) (map[string]int, error) {
	rows, err := q.Query(`SELECT status, count(*) FROM subscription WHERE deleted_at IS NULL GROUP BY status
		UNION ALL SELECT 'failing', count(*) FROM endpoint_health h JOIN subscription s ON s.id = h.subscription_id
		WHERE h.failing AND s.status = 'enabled' AND s.deleted_at IS NULL`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := make(map[string]int)
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		counts[state] = n
	}
	return counts, rows.Err()
}

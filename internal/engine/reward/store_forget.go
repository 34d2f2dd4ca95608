package reward

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Forget removes from some of a person's rewards, limit at most, what the tenant gave
// with them, which may say anything, and returns which they are; none: nothing is left.
// What was given, and how much, stays.
func Forget(tx *db.Tx, tenant, person id.ID, limit int) ([]id.ID, error) {
	detailed, err := selectDetailed(tx, tenant, person, limit)
	if err != nil {
		return nil, err
	}
	for _, of := range detailed {
		forget(tx, of)
		if _, err := tx.Exec(`UPDATE reward SET details = '' WHERE tenant_id = $1 AND id = $2`, tenant, of); err != nil {
			return nil, fmt.Errorf("reward: forget what was given with a reward: %w", err)
		}
	}
	return detailed, nil
}

func selectDetailed(q db.Queryer, tenant, person id.ID, limit int) ([]id.ID, error) {
	rows, err := q.Query(`SELECT id FROM reward WHERE tenant_id = $1 AND person_id = $2 AND details <> '' ORDER BY id LIMIT $3`, tenant, person, limit)
	if err != nil {
		return nil, fmt.Errorf("reward: look for what was given with rewards: %w", err)
	}
	defer rows.Close()
	var found []id.ID
	for rows.Next() {
		var of id.ID
		if err := rows.Scan(&of); err != nil {
			return nil, fmt.Errorf("reward: look for what was given with rewards: %w", err)
		}
		found = append(found, of)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reward: look for what was given with rewards: %w", err)
	}
	return found, nil
}

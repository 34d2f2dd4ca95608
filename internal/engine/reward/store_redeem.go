package reward

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// insertRedemption keeps under which reference a reward was redeemed as a whole.
func insertRedemption(tx *db.Tx, r *Reward, ref string) error {
	if _, err := tx.Exec(`INSERT INTO reward_redemption (tenant_id, ref, reward_id) VALUES ($1, $2, $3)`, r.TenantID, ref, r.ID); err != nil {
		return fmt.Errorf("reward: store a redemption: %w", err)
	}
	return nil
}

// selectRedeemed returns which reward was redeemed as a whole under a reference; zero:
// none.
func selectRedeemed(q db.Queryer, tenant id.ID, ref string) (id.ID, error) {
	var of id.ID
	err := q.QueryRow(`SELECT reward_id FROM reward_redemption WHERE tenant_id = $1 AND ref = $2`, tenant, ref).Scan(&of)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return id.ID{}, fmt.Errorf("reward: read a redemption: %w", err)
	}
	return of, nil
}

// wasRedeemed reports whether a reward was redeemed as a whole.
func wasRedeemed(q db.Queryer, r *Reward) (bool, error) {
	n := 0
	err := q.QueryRow(`SELECT COUNT(*) FROM reward_redemption WHERE tenant_id = $1 AND reward_id = $2`, r.TenantID, r.ID).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("reward: read a redemption: %w", err)
	}
	return n > 0, nil
}

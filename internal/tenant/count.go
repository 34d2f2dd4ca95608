package tenant

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Count returns how many tenants there are, in a copy of the database too.
func Count(q db.Queryer) (int, error) {
	var n int
	if err := q.QueryRow(`SELECT count(*) FROM tenant WHERE deleted_at IS NULL`).Scan(&n); err != nil {
		return 0, fmt.Errorf("tenant: count the tenants: %w", err)
	}
	return n, nil
}

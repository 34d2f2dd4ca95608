package referral

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// selectPageLink returns the hash of somebody's latest link, or nil where it was used,
// and when it was made; the zero time: there is none.
func selectPageLink(q db.Queryer, tenant, person id.ID) ([]byte, time.Time, error) {
	var hash []byte
	var created int64
	err := q.QueryRow(`SELECT hash, created_at FROM page_link WHERE tenant_id = $1 AND person_id = $2`, tenant, person).Scan(&hash, &created)
	if errors.Is(err, db.ErrNoRows) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("referral: read a link to a page: %w", err)
	}
	return hash, db.FromMicro(created), nil
}

func upsertPageLink(tx *db.Tx, tenant, person id.ID, hash []byte) error {
	_, err := tx.Exec(`INSERT INTO page_link (tenant_id, person_id, hash, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, person_id) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at`,
		tenant, person, hash, db.Micro(tx.Now()))
	if err != nil {
		return fmt.Errorf("referral: keep a link to a page: %w", err)
	}
	return nil
}

// usePageLink uses a link up, and reports whether it was good.
func usePageLink(tx *db.Tx, tenant, person id.ID, hash []byte, after time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE page_link SET hash = NULL WHERE tenant_id = $1 AND person_id = $2 AND hash = $3 AND created_at > $4`,
		tenant, person, hash, db.Micro(after))
	if err != nil {
		return false, fmt.Errorf("referral: use a link to a page: %w", err)
	}
	return n == 1, nil
}

func deletePageLink(tx *db.Tx, tenant, person id.ID) error {
	if _, err := tx.Exec(`DELETE FROM page_link WHERE tenant_id = $1 AND person_id = $2`, tenant, person); err != nil {
		return fmt.Errorf("referral: forget a link to a page: %w", err)
	}
	return nil
}

package webhook

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Counts is how much of everything there is, over all tenants.
type Counts struct {
	Subscriptions int
	Events        int
	Pending       int       // deliveries
	Due           int       // of those, the ones that are due
	Newest        time.Time // when the newest event was published; zero: there is none
}

// Count counts what there is, in a copy of the database too. It reads whole
// indexes.
func Count(q db.Queryer, now time.Time) (Counts, error) {
	var c Counts
	if err := q.QueryRow(`SELECT count(*) FROM subscription WHERE deleted_at IS NULL`).Scan(&c.Subscriptions); err != nil {
		return Counts{}, fmt.Errorf("webhook: count the subscriptions: %w", err)
	}
	if err := q.QueryRow(`SELECT count(*) FROM event`).Scan(&c.Events); err != nil {
		return Counts{}, fmt.Errorf("webhook: count the events: %w", err)
	}
	if err := q.QueryRow(`SELECT count(*), count(CASE WHEN next_at <= $1 THEN 1 END) FROM delivery WHERE status <= 1`,
		db.Micro(now)).Scan(&c.Pending, &c.Due); err != nil {
		return Counts{}, fmt.Errorf("webhook: count the deliveries: %w", err)
	}
	var newest id.ID
	err := q.QueryRow(`SELECT id FROM event ORDER BY id DESC LIMIT 1`).Scan(&newest)
	if errors.Is(err, db.ErrNoRows) {
		return c, nil
	}
	if err != nil {
		return Counts{}, fmt.Errorf("webhook: find the newest event: %w", err)
	}
	c.Newest = newest.Time()
	return c, nil
}

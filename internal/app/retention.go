package app

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// keepOf returns how long a tenant wants its records kept.
func keepOf(q db.Queryer, of id.ID) (webhook.Periods, error) {
	const day = 24 * time.Hour
	chosen, err := tenant.RetentionOf(q, of)
	return webhook.Periods{Records: time.Duration(chosen.Days) * day, Bodies: time.Duration(chosen.BodyDays) * day}, err
}

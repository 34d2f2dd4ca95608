package tenant

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Retention is for how many days a tenant wants its records kept, at most as long
// as the server keeps them. Zero: as long as that.
type Retention struct {
	Days     int // events with their deliveries and attempts
	BodyDays int // the bodies of events, and what receivers answered
}

// MaxRetentionDays is the most days that a tenant can ask for.
const MaxRetentionDays = 3650

// Kept is for how long the server keeps what tenants have. Zero: for ever.
type Kept struct {
	Records time.Duration // events with their deliveries and attempts
	Bodies  time.Duration // the bodies of events, and what receivers answered
}

// allow refuses days that a tenant asks for, and that are more than the server
// keeps things for.
func allow(c *problem.Checks, field string, asked *int, kept time.Duration) {
	const day = 24 * time.Hour
	if asked == nil || kept == 0 || time.Duration(*asked)*day <= kept {
		return
	}
	period := kept.String()
	if kept%day == 0 {
		period = strconv.Itoa(int(kept/day)) + " days"
	}
	c.Add(field, "must not be more than the %s for which the server keeps them", period)
}

// retain makes the change to a retention. What a tenant has from before, when the
// server may have kept things for longer, does not stand in its way.
func (p Patch) retain(r *Retention, kept Kept) error {
	if p.RetentionDays != nil {
		r.Days = *p.RetentionDays
	}
	if p.BodyRetentionDays != nil {
		r.BodyDays = *p.BodyRetentionDays
	}
	var c problem.Checks
	for name, days := range map[string]int{"retention_days": r.Days, "body_retention_days": r.BodyDays} {
		if days < 0 || days > MaxRetentionDays {
			c.Add(name, "must be 1 to %d days, or 0 for as long as the server keeps them", MaxRetentionDays)
		}
	}
	if err := c.Err(); err != nil {
		return err
	}
	allow(&c, "retention_days", p.RetentionDays, kept.Records)
	allow(&c, "body_retention_days", p.BodyRetentionDays, cmp.Or(kept.Bodies, kept.Records))
	if r.Days > 0 && r.BodyDays > r.Days {
		c.Add("body_retention_days", "must not be more than retention_days, with which the bodies go")
	}
	return c.Err()
}

// RetentionOf returns for how long a tenant wants its records kept, also if it was
// deleted; of a tenant that never was, the zero Retention.
func RetentionOf(q db.Queryer, tenant id.ID) (Retention, error) {
	var r Retention
	err := q.QueryRow(`SELECT retention_days, body_retention_days FROM tenant WHERE id = $1`, tenant).Scan(&r.Days, &r.BodyDays)
	if errors.Is(err, db.ErrNoRows) {
		return Retention{}, nil
	}
	return r, wrapped("read a tenant's retention", err)
}

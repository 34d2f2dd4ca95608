package app

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// Timers is what the API asks about the timers of a database.
func Timers(d *db.DB) api.Timers {
	return api.Timers{
		Waiting: func(ctx context.Context, tenant id.ID, after api.Timer, limit int) ([]api.Timer, error) {
			return readTimers(ctx, d, func(q db.Queryer) ([]timer.Timer, error) {
				return timer.List(q, tenant, timer.Timer{ID: after.ID, TryAt: after.TryAt}, limit)
			})
		},
		Parked: func(ctx context.Context, tenant, after id.ID, limit int) ([]api.Timer, error) {
			return readTimers(ctx, d, func(q db.Queryer) ([]timer.Timer, error) { return timer.ListParked(q, tenant, after, limit) })
		},
		Resume: func(ctx context.Context, tenant, of id.ID) error {
			return d.Write(ctx, func(tx *db.Tx) error {
				if err := timer.Resume(tx, tenant, of); err != nil {
					return err
				}
				return audit.Write(ctx, tx, audit.Change{TenantID: tenant, Action: audit.TimerResumed, ObjectID: api.TimerID.Format(of)})
			})
		},
	}
}

func readTimers(ctx context.Context, d *db.DB, read func(q db.Queryer) ([]timer.Timer, error)) ([]api.Timer, error) {
	var shown []api.Timer
	err := d.Read(ctx, func(q db.Queryer) error {
		timers, err := read(q)
		shown = make([]api.Timer, len(timers))
		for i, t := range timers {
			shown[i] = api.Timer{
				ID: t.ID, Kind: t.Kind, DueAt: t.DueAt, TryAt: t.TryAt, Failures: t.Failures, Error: t.Error, ParkedAt: t.ParkedAt,
			}
		}
		return err
	})
	return shown, err
}

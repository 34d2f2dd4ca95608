package blocklist

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
)

const (
	deleteAllJob  = "blocklist.delete_all"
	deletedAtOnce = 200 // in one transaction, a few milliseconds' work
)

// DeleteTenant deletes the list of a tenant: tx ends what calls for it, a job does the
// rest. Where there is none it does nothing.
func (s *Service) DeleteTenant(tx *db.Tx, tenant id.ID) error {
	shapes, err := selectShapes(tx, tenant)
	if err != nil || len(shapes) == 0 {
		return err
	}
	if open, err := job.Open(tx, tenant, deleteAllJob); err != nil || open > 0 {
		return err
	}
	_, err = s.jobs.Add(tx, job.New{TenantID: tenant, Kind: deleteAllJob, Spec: struct{}{}, Total: job.Uncounted})
	return err
}

// deleteAllStep deletes some of a tenant's entries.
func deleteAllStep(tx *db.Tx, j *job.Job) error {
	n, err := deleteSomeOfTenant(tx, j.TenantID)
	if err != nil {
		return err
	}
	j.Done += n
	if n == 0 {
		j.Total = j.Done
		j.Complete()
	}
	return nil
}

// Prune removes the entries of all tenants that have expired, and returns how many.
// It does so in small transactions, and rests after each for as long as it took.
// Several processes may do it at once.
func (s *Service) Prune(ctx context.Context, now time.Time) (int64, error) {
	var total int64
	for {
		begun := time.Now()
		n := 0
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			expired, err := selectExpired(tx, now, deletedAtOnce)
			for _, e := range expired {
				if err := remove(tx, e.tenant, e.Entry); err != nil {
					return err
				}
			}
			n = len(expired)
			return err
		})
		if err != nil {
			return total, err
		}
		if total += int64(n); n < deletedAtOnce {
			return total, nil
		}
		select {
		case <-time.After(time.Since(begun)):
		case <-ctx.Done():
			return total, ctx.Err()
		}
	}
}

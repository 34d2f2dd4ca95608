package export

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
)

// DeleteTenant deletes all exports of a tenant, with their files and those that are
// being written: tx ends what calls for it, a job does the rest. Where there are none it
// does nothing.
func (s *Service) DeleteTenant(tx *db.Tx, tenant id.ID) error {
	n, err := countExports(tx, tenant)
	if err != nil || n == 0 {
		return err
	}
	pending, err := selectPending(tx, tenant)
	if err != nil {
		return err
	}
	for _, e := range pending {
		doing, err := job.Get(tx, tenant, writeJob, e.job)
		if err != nil {
			return err
		}
		if err := s.jobs.Cancel(tx, &doing); err != nil {
			return err
		}
	}
	if open, err := job.Open(tx, tenant, deleteAllJob); err != nil || open > 0 {
		return err
	}
	_, err = s.jobs.Add(tx, job.New{TenantID: tenant, Kind: deleteAllJob, Spec: struct{}{}, Total: job.Uncounted})
	return err
}

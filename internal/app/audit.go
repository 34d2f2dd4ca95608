package app

import (
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/config"
)

// startAudit begins to remove old audit entries.
func (a *App) startAudit(cfg config.Server) error {
	var err error
	if a.audit, err = audit.New(a.db, audit.Options{Retention: cfg.AuditRetention, Logger: a.log}); err != nil {
		return err
	}
	a.audit.Start()
	return nil
}

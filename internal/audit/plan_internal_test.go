package audit

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// explained is a snapshot that keeps the plans of what is asked of it.
type explained struct {
	db.Queryer
	steps []string
}

func (e *explained) Query(query string, args ...any) (*sql.Rows, error) {
	rows, err := e.Queryer.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var step string
		if err := rows.Scan(&node, &parent, &unused, &step); err != nil {
			return nil, err
		}
		e.steps = append(e.steps, step)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return e.Queryer.Query(query, args...) //nolint:sqlclosecheck // whoever asked closes them
}

// The planner has no statistics here, as in production: ANALYZE is never run.
func TestEveryListReadsTheIndexOfItsFilterInItsOrder(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some, now := id.New(time.Now()), time.Now()
	for name, c := range map[string]struct {
		filter Filter
		index  string
	}{
		"all":                     {Filter{}, "sqlite_autoindex_audit_entry_1"},
		"a tenant's":              {Filter{TenantID: some}, "audit_entry_tenant (tenant_id=?"},
		"a tenant's, since":       {Filter{TenantID: some, Since: now, Until: now}, "audit_entry_tenant (tenant_id=? AND id>? AND id<?"},
		"an action":               {Filter{Action: TenantCreated}, "audit_entry_action (action=?"},
		"a tenant's action":       {Filter{TenantID: some, Action: TenantCreated}, "audit_entry_tenant_action (tenant_id=? AND action=?"},
		"a tenant's action since": {Filter{TenantID: some, Action: TenantCreated, Since: now}, "audit_entry_tenant_action (tenant_id=? AND action=? AND id>?"},
		"an object":               {Filter{TenantID: some, ObjectID: "x"}, "audit_entry_object (object_id=?"},
		"an object and all else":  {Filter{TenantID: some, ObjectID: "x", Action: TenantCreated, KeyID: some, Since: now}, "audit_entry_object (object_id=? AND id>?"},
		"a key":                   {Filter{TenantID: some, KeyID: some}, "audit_entry_key (key_id=?"},
		"a key's action":          {Filter{TenantID: some, KeyID: some, Action: TenantCreated}, "audit_entry_key (key_id=?"},
	} {
		for _, before := range []id.ID{{}, some} {
			t.Run(name, func(t *testing.T) {
				e := &explained{}
				err := d.Read(t.Context(), func(q db.Queryer) error {
					e.Queryer = q
					_, err := list(e, c.filter, before, 50)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				steps := strings.Join(e.steps, "\n")
				if !strings.Contains(steps, c.index) || strings.Contains(steps, "TEMP B-TREE") {
					t.Errorf("want %s, got:\n%s", c.index, steps)
				}
			})
		}
	}
}

package counter

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// explained answers with the plan of what it is asked.
type explained struct {
	db.Queryer
	steps []string
}

func (e *explained) explain(query string, args []any) {
	rows, err := e.Queryer.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return // whoever asks is told the same
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var step string
		if rows.Scan(&node, &parent, &unused, &step) == nil {
			e.steps = append(e.steps, step)
		}
	}
	if rows.Err() != nil {
		e.steps = nil
	}
}

func (e *explained) Query(query string, args ...any) (*sql.Rows, error) {
	e.explain(query, args)
	return e.Queryer.Query(query, args...)
}

func (e *explained) QueryRow(query string, args ...any) *sql.Row {
	e.explain(query, args)
	return e.Queryer.QueryRow(query, args...)
}

func TestEveryQueryReadsAnIndexInItsOrder(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	c, err := at(nil, Key{Tenant: id.New(time.Now()), Scope: "rule", Window: Rolling(time.Hour), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	const key = "PRIMARY KEY (tenant_id=? AND scope=? AND period=? AND "
	for name, ask := range map[string]struct {
		query func(q db.Queryer) error
		index string
	}{
		"a counter":          {func(q db.Queryer) error { _, err := selectUsed(q, c); return err }, key + "window_start=?)"},
		"takes of a time":    {func(q db.Queryer) error { _, err := selectTakes(q, c); return err }, key + "at=?)"},
		"takes after a time": {func(q db.Queryer) error { _, err := sumTakesAfter(q, c, 0); return err }, key + "at>?)"},
		"takes until a time": {func(q db.Queryer) error { _, err := sumTakesUntil(q, c, 0); return err }, key + "at<?)"},
	} {
		e := &explained{}
		err := d.Read(t.Context(), func(q db.Queryer) error {
			e.Queryer = q
			return ask.query(e)
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(e.steps, "\n")
		if !strings.Contains(plan, ask.index) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s is found by\n%s\nwant %s", name, plan, ask.index)
		}
	}
}

package program

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// explained is a snapshot that keeps the plans of what is asked of it.
type explained struct {
	db.Queryer
	steps []string
}

func (e *explained) explain(query string, args []any) error {
	rows, err := e.Queryer.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var step string
		if err := rows.Scan(&node, &parent, &unused, &step); err != nil {
			return err
		}
		e.steps = append(e.steps, step)
	}
	return rows.Err()
}

func (e *explained) Query(query string, args ...any) (*sql.Rows, error) {
	if err := e.explain(query, args); err != nil {
		return nil, err
	}
	return e.Queryer.Query(query, args...)
}

func (e *explained) QueryRow(query string, args ...any) *sql.Row {
	if err := e.explain(query, args); err != nil {
		e.steps = append(e.steps, err.Error())
	}
	return e.Queryer.QueryRow(query, args...)
}

// The planner has no statistics here, as in production: ANALYZE is never run.
func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some := id.New(time.Now())
	s := NewService(d)
	p := &Program{ID: some, TenantID: some, rulesSince: time.Now().Add(time.Hour)}
	for name, c := range map[string]struct {
		index string
		ask   func(q db.Queryer) error
	}{
		"one":               {"(tenant_id=? AND id=?)", func(q db.Queryer) error { _, err := s.Get(q, some, some); return ignoreMissing(err) }},
		"by its key":        {"program_key (tenant_id=? AND key=?)", func(q db.Queryer) error { _, err := s.ByKey(q, some, "k"); return ignoreMissing(err) }},
		"all":               {"(tenant_id=?)", func(q db.Queryer) error { _, err := s.List(q, some); return err }},
		"the rules of then": {"(tenant_id=? AND program_id=?)", func(q db.Queryer) error { _, _, err := s.RulesAt(q, p, time.Now()); return err }},
		"versions of rules": {"(tenant_id=? AND program_id=?)", func(q db.Queryer) error { _, err := s.RuleSets(q, some, some, 10); return err }},
		"a membership":      {"(tenant_id=? AND person_id=? AND program_id=?)", func(q db.Queryer) error { _, err := MembershipOf(q, some, some, some); return ignoreMissing(err) }},
	} {
		t.Run(name, func(t *testing.T) { wantIndex(t, d, c.index, c.ask) })
	}
}

func ignoreMissing(err error) error {
	if problem.NotFound.Has(err) {
		return nil
	}
	return err
}

// wantIndex checks that what is asked is found by an index, and is in its order there.
func wantIndex(t *testing.T, d *db.DB, index string, ask func(q db.Queryer) error) {
	t.Helper()
	e := &explained{}
	err := d.Read(t.Context(), func(q db.Queryer) error {
		e.Queryer = q
		return ask(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	steps := strings.Join(e.steps, "\n")
	harmless := strings.NewReplacer("SCAN CONSTANT ROW", "", "SCAN counted", "").Replace(steps)
	if !strings.Contains(steps, index) || strings.Contains(harmless, "SCAN") || strings.Contains(steps, "TEMP B-TREE FOR ORDER BY") {
		t.Errorf("want %s, got:\n%s", index, steps)
	}
}

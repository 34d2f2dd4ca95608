package testkit

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Explained is a snapshot that keeps the plans of what is asked of it.
type Explained struct {
	db.Queryer

	steps []string
}

// Explain keeps the plan of a statement, which is not run.
func (e *Explained) Explain(query string, args ...any) error {
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

// Query keeps the plan of a query, and asks it.
func (e *Explained) Query(query string, args ...any) (*sql.Rows, error) {
	if err := e.Explain(query, args...); err != nil {
		return nil, err
	}
	return e.Queryer.Query(query, args...)
}

// QueryRow keeps the plan of a query, and asks it.
func (e *Explained) QueryRow(query string, args ...any) *sql.Row {
	if err := e.Explain(query, args...); err != nil {
		e.steps = append(e.steps, err.Error())
	}
	return e.Queryer.QueryRow(query, args...)
}

// Plans is an empty database on SQLite, whichever one the tests run on, to ask for
// plans. The planner has no statistics there, as in production: ANALYZE is never run.
type Plans struct{ db *db.DB }

// OpenPlans opens such a database for the test.
func OpenPlans(t testing.TB) *Plans {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return &Plans{d}
}

// WantIndex demands that what is asked is found by an index, and is in its order
// there.
func (p *Plans) WantIndex(t testing.TB, index string, ask func(q *Explained) error) {
	t.Helper()
	e := &Explained{}
	err := p.db.Read(t.Context(), func(q db.Queryer) error {
		e.Queryer = q
		return ask(e)
	})
	if err != nil && !problem.NotFound.Has(err) { // the database is empty
		t.Fatal(err)
	}
	steps := strings.Join(e.steps, "\n")
	harmless := strings.NewReplacer("SCAN CONSTANT ROW", "", "SCAN counted", "").Replace(steps)
	if !strings.Contains(steps, index) || strings.Contains(harmless, "SCAN") || strings.Contains(steps, "TEMP B-TREE FOR ORDER BY") {
		t.Errorf("want %s, got:\n%s", index, steps)
	}
}

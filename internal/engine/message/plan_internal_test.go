package message

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
	e.explain(query, args)
	return e.Queryer.Query(query, args...)
}

func (e *explained) QueryRow(query string, args ...any) *sql.Row {
	e.explain(query, args)
	return e.Queryer.QueryRow(query, args...)
}

func (e *explained) explain(query string, args []any) {
	rows, err := e.Queryer.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		e.steps = append(e.steps, err.Error())
		return
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var step string
		if err := rows.Scan(&node, &parent, &unused, &step); err != nil {
			step = err.Error()
		}
		e.steps = append(e.steps, step)
	}
	if err := rows.Err(); err != nil {
		e.steps = append(e.steps, err.Error())
	}
}

// The planner has no statistics here, as in production: ANALYZE is never run.
func TestWhatIsReadOfAPersonOrOfASubjectIsFoundByAnIndex(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some := id.New(time.Now())
	for want, read := range map[string]func(q db.Queryer){
		"(tenant_id=? AND person_id=? AND id<?)":        func(q db.Queryer) { _, _ = List(q, some, some, Page{Limit: 10}) },
		"INDEX message_about (tenant_id=? AND about=?)": func(q db.Queryer) { _, _ = selectAbout(q, some, some) },
		"theme USING PRIMARY KEY (tenant_id=?)":         func(q db.Queryer) { _, _ = Version(q, some) },
		"theme_draft USING PRIMARY KEY (tenant_id=?)":   func(q db.Queryer) { _, _ = Locales(q, some) },
	} {
		e := &explained{}
		err := d.Read(t.Context(), func(q db.Queryer) error {
			e.Queryer = q
			read(e)
			return nil
		})
		steps := strings.Join(e.steps, "\n")
		if err != nil || !strings.Contains(steps, want) || strings.Contains(steps, "TEMP B-TREE") || strings.Contains(steps, "SCAN") {
			t.Errorf("want %s, got:\n%s\n%v", want, steps, err)
		}
	}
}

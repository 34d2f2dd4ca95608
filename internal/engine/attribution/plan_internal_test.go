package attribution

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

func (e *explained) explain(query string, args ...any) error {
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
	if err := e.explain(query, args...); err != nil {
		return nil, err
	}
	return e.Queryer.Query(query, args...)
}

// The planner has no statistics here, as in production: ANALYZE is never run.
func TestEveryQueryReadsAnIndexInItsOrder(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some, now := id.New(time.Now()), time.Now()
	ask := Question{TenantID: some, ProgramID: some, PersonID: some}
	next := Page{Before: Touch{ID: some, At: now}}
	for name, c := range map[string]struct {
		index string
		ask   func(e *explained) error
	}{
		"a browser's": {"touch_cookie (tenant_id=? AND cookie_id=? AND (at,id)<(?,?)", func(e *explained) error {
			_, err := OfCookie(e, some, "browser", next)
			return err
		}},
		"a person's": {"touch_person (tenant_id=? AND person_id=? AND (at,id)<(?,?)", func(e *explained) error {
			_, err := OfPerson(e, some, some, next)
			return err
		}},
		"a person's, as evidence": {"touch_person (tenant_id=? AND person_id=?", func(e *explained) error {
			_, err := selectPersons(e, ask, now)
			return err
		}},
		"a browser's, as evidence": {"touch_cookie (tenant_id=? AND cookie_id=?", func(e *explained) error {
			_, err := selectCookies(e, ask, "browser", now)
			return err
		}},
		"those to become a person's": {"touch_cookie (tenant_id=? AND cookie_id=?", func(e *explained) error {
			return e.explain(identify, some, "browser", some, 1)
		}},
		"a person's, to forget": {"touch_person (tenant_id=? AND person_id=?", func(e *explained) error {
			return e.explain(forgetOwn, some, some, 10)
		}},
		"nobody's of a person's browsers, to forget": {"touch_cookie (tenant_id=? AND cookie_id=?", func(e *explained) error {
			return e.explain(forgetNobodys, some, "browser", 10)
		}},
		"the next tenant that has nobody's": {"touch_nobody (tenant_id>?", func(e *explained) error {
			return e.explain(nextTenant, some)
		}},
		"those to be pruned": {"touch_nobody (tenant_id=? AND at<?", func(e *explained) error {
			return e.explain(prune, some, 1, 1)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &explained{}
			err := d.Read(t.Context(), func(q db.Queryer) error {
				e.Queryer = q
				return c.ask(e)
			})
			if err != nil {
				t.Fatal(err)
			}
			steps := strings.Join(e.steps, "\n")
			if !strings.Contains(steps, c.index) || strings.Contains(steps, "TEMP B-TREE") || strings.Contains(steps, "SCAN") {
				t.Errorf("want %s, got:\n%s", c.index, steps)
			}
		})
	}
}

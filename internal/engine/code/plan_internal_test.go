package code

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
func TestEveryCodeIsFoundByAnIndex(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some := id.New(time.Now())
	several := []id.ID{some, id.New(time.Now()), id.New(time.Now())}
	for name, c := range map[string]struct {
		index string
		ask   func(q db.Queryer)
	}{
		"by what was typed": {"sqlite_autoindex_code_1 (tenant_id=? AND folded=?)", func(q db.Queryer) { _, _ = Lookup(q, some, "mike") }},
		"many people's":     {"code_person (tenant_id=? AND person_id=?)", func(q db.Queryer) { _, _ = PrimaryOf(q, some, several) }},
		"several":           {"code_short (short=?)", func(q db.Queryer) { _, _ = ByShort(q, some, []string{newShort(), newShort()}) }},
		"by a link":         {"code_short (short=?)", func(q db.Queryer) { _, _ = LookupShort(q, newShort()) }},
		"a primary one":     {"code_membership (tenant_id=? AND membership_id=?)", func(q db.Queryer) { _, _ = Primary(q, some, some) }},
		"a membership's":    {"code_membership (tenant_id=? AND membership_id=?)", func(q db.Queryer) { _, _ = ByMembership(q, some, some) }},
		"their number":      {"code_membership (tenant_id=? AND membership_id=?)", func(q db.Queryer) { _, _ = count(q, some, some) }},
		"a person's":        {"code_person (tenant_id=? AND person_id=?)", func(q db.Queryer) { _, _ = ByPerson(q, some, some) }},
		"those to forget":   {"code_person (tenant_id=? AND person_id=?)", func(q db.Queryer) { _, _ = Known(q, some, some, 10) }},
		"whether it is had": {"sqlite_autoindex_code_1 (tenant_id=? AND folded=?)", func(q db.Queryer) { _, _ = isTaken(q, some, "MIKE") }},
	} {
		t.Run(name, func(t *testing.T) {
			e := &explained{}
			err := d.Read(t.Context(), func(q db.Queryer) error {
				e.Queryer = q
				c.ask(e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if steps := strings.Join(e.steps, "\n"); !strings.Contains(steps, c.index) || strings.Contains(steps, "SCAN") {
				t.Errorf("want %s, got:\n%s", c.index, steps)
			}
		})
	}
}

package reward

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
	some, page := id.New(time.Now()), Page{Limit: 10}
	limited := &taken{Scope: "s"}
	for name, c := range map[string]struct {
		index string
		ask   func(q db.Queryer) error
	}{
		"one":                     {"(tenant_id=? AND id=?)", func(q db.Queryer) error { _, err := Get(q, some, some); return ignoreMissing(err) }},
		"by its effect":           {"reward_effect (tenant_id=? AND effect=?)", func(q db.Queryer) error { _, err := selectByEffect(q, some, "e"); return ignoreMissing(err) }},
		"of a person":             {"reward_person (tenant_id=? AND person_id=? AND id<?)", func(q db.Queryer) error { _, err := OfPerson(q, some, some, page); return err }},
		"what a person waits for": {"reward_person (tenant_id=? AND person_id=?)", func(q db.Queryer) error { _, err := WaitingOf(q, some, some); return err }},
		"of a referral":           {"reward_referral (tenant_id=? AND referral_id=?)", func(q db.Queryer) error { _, err := OfReferral(q, some, some); return err }},
		"all":                     {"(tenant_id=? AND id<?)", func(q db.Queryer) error { _, err := List(q, some, page); return err }},
		"what a limit refused":    {"reward_refused (tenant_id=? AND limit_scope=? AND limit_window=?)", func(q db.Queryer) error { _, err := selectRefused(q, some, limited, 10); return err }},
		"what a limit allowed":    {"reward_limited (tenant_id=? AND limit_scope=? AND limit_window=? AND placed>?)", func(q db.Queryer) error { _, err := selectAllowed(q, some, limited, some, 10); return err }},
		"of a rule":               {"reward_person (tenant_id=? AND person_id=?)", func(q db.Queryer) error { _, err := OfRule(q, some, some, some, "r"); return err }},
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

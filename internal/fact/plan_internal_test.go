package fact

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some, page := id.New(time.Now()), Page{Limit: 10}
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":                 {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := Get(q, some, some); return err }},
		"what it led to":      {"fact_cause (tenant_id=? AND cause=?)", func(q *testkit.Explained) error { _, err := CausedBy(q, some, some); return err }},
		"about a subject":     {"fact_subject (tenant_id=? AND subject_id=? AND id<?)", func(q *testkit.Explained) error { _, err := Of(q, some, some, page); return err }},
		"all":                 {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := List(q, some, page); return err }},
		"what was taken back": {"fact_undone (tenant_id=? AND undone_by=?)", func(q *testkit.Explained) error { _, err := undoneBy(q, some, some); return err }},
		"what is redacted":    {"fact_subject (tenant_id=? AND subject_id=?)", func(q *testkit.Explained) error { return q.Explain(redactSubject, some, some) }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

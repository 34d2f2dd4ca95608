package program

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some := id.New(time.Now())
	s := NewService(nil)
	p := &Program{ID: some, TenantID: some, rulesSince: time.Now().Add(time.Hour)}
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":               {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := s.Get(q, some, some); return err }},
		"by its key":        {"program_key (tenant_id=? AND key=?)", func(q *testkit.Explained) error { _, err := s.ByKey(q, some, "k"); return err }},
		"all":               {"(tenant_id=?)", func(q *testkit.Explained) error { _, err := s.List(q, some); return err }},
		"the rules of then": {"(tenant_id=? AND program_id=?)", func(q *testkit.Explained) error { _, _, err := s.RulesAt(q, p, time.Now()); return err }},
		"versions of rules": {"(tenant_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := s.RuleSets(q, some, some, 10); return err }},
		"a membership": {"(tenant_id=? AND person_id=? AND program_id=?)", func(q *testkit.Explained) error {
			_, err := MembershipOf(q, some, some, some)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

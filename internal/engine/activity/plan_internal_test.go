package activity

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some, until := id.New(time.Now()), time.Now()
	history := func(q db.Queryer) History { return History{Queryer: q, Tenant: some, Person: some} }
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":        {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := Get(q, some, some); return err }},
		"by its key": {"activity_key (tenant_id=? AND key=?)", func(q *testkit.Explained) error { _, err := ByKey(q, some, "k"); return err }},
		"since one":  {"activity_person (tenant_id=? AND person_id=? AND id>?)", func(q *testkit.Explained) error { _, err := Since(q, some, some, Page{Limit: 10}); return err }},
		"the last":   {"activity_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := Last(q, some, some); return err }},
		"the latest": {"activity_person (tenant_id=? AND person_id=? AND id<?)", func(q *testkit.Explained) error { _, err := Latest(q, some, some, id.ID{}, 10); return err }},
		"before one": {"activity_of_type (tenant_id=? AND person_id=? AND type=? AND occurred_at<?)", func(q *testkit.Explained) error {
			_, err := Before(q, Earlier{Than: &Activity{TenantID: some, PersonID: some, ID: some}, Type: "a", Limit: 10})
			return err
		}},
		"how many":      {"activity_of_type (tenant_id=? AND person_id=? AND type=? AND occurred_at>? AND occurred_at<?)", func(q *testkit.Explained) error { _, err := history(q).count("a", until, until); return err }},
		"between times": {"activity_of_type (tenant_id=? AND person_id=? AND type=? AND occurred_at>? AND occurred_at<?)", func(q *testkit.Explained) error { _, err := history(q).between("a", until, until); return err }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

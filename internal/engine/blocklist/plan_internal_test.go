package blocklist

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some := id.New(time.Now())
	const byName = "sqlite_autoindex_blocklist_1 (tenant_id=? AND name=?)"
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":              {"blocklist_id (tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := selectEntry(q, some, some); return err }},
		"by its name":      {byName, func(q *testkit.Explained) error { _, err := selectByName(q, some, "x"); return err }},
		"by several names": {byName, func(q *testkit.Explained) error { _, err := selectNamed(q, some, []string{"x", "y"}); return err }},
		"all":              {"blocklist_id (tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := selectBefore(q, some, some, 10); return err }},
		"those of a kind": {"blocklist_kind (tenant_id=? AND kind=? AND id<?)", func(q *testkit.Explained) error {
			_, err := selectOfKind(q, some, Choice{Kind: IP, Before: some, Limit: 10})
			return err
		}},
		"what there is to look for": {"blocklist_shape USING PRIMARY KEY (tenant_id=?)", func(q *testkit.Explained) error { _, err := selectShapes(q, some); return err }},
		"what has expired":          {"blocklist_expiry (expires_at<?)", func(q *testkit.Explained) error { _, err := selectExpired(q, time.Now(), 10); return err }},
		"what goes with its tenant": {"blocklist_id (tenant_id=? AND id=?)", func(q *testkit.Explained) error { return q.Explain(deleteSome, some, 10) }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

package referral

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
		"by who was referred": {"referral_referred (tenant_id=? AND referred_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := byReferred(q, some, some, some); return err }},
		"a referrer":          {"referral_referred (tenant_id=? AND referred_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := referrerOf(q, some, some, some); return err }},
		"whether anybody was referred": {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=? AND id<?)", func(q *testkit.Explained) error {
			_, err := hasReferred(q, some, some, happening{person: some})
			return err
		}},
		"of the referred":           {"referral_referred (tenant_id=? AND referred_id=?)", func(q *testkit.Explained) error { _, err := OfReferred(q, some, some); return err }},
		"recent ones of a referrer": {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := recentOf(q, some, some, some, 10); return err }},
		"of a referrer":             {"referral_sent (tenant_id=? AND referrer_id=? AND id<?)", func(q *testkit.Explained) error { _, err := OfReferrer(q, some, some, page); return err }},
		"all":                       {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := List(q, some, page); return err }},
		"their number":              {"referral_count USING PRIMARY KEY (tenant_id=?)", func(q *testkit.Explained) error { _, err := Count(q, some); return err }},
		"whom somebody sent":        {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := sentIn(q, some, some, some, 10); return err }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

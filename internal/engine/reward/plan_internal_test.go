package reward

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some, page := id.New(time.Now()), Page{Limit: 10}
	several := []id.ID{some, id.New(time.Now()), id.New(time.Now())}
	limited := &taken{Scope: "s"}
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":                     {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := Get(q, some, some); return err }},
		"some":                    {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := selectRewards(q, some, []id.ID{some}); return err }},
		"by its effect":           {"reward_effect (tenant_id=? AND effect=?)", func(q *testkit.Explained) error { _, err := selectByEffect(q, some, "e"); return err }},
		"of a person":             {"reward_person (tenant_id=? AND person_id=? AND id<?)", func(q *testkit.Explained) error { _, err := OfPerson(q, some, some, page); return err }},
		"what a person waits for": {"reward_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := WaitingOf(q, some, some); return err }},
		"of a referral":           {"reward_referral (tenant_id=? AND referral_id=?)", func(q *testkit.Explained) error { _, err := OfReferral(q, some, some); return err }},
		"of a referral to one":    {"reward_referral (tenant_id=? AND referral_id=?)", func(q *testkit.Explained) error { _, err := OfReferralTo(q, some, some, some); return err }},
		"of many people":          {"reward_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := OfPeople(q, some, several, 10); return err }},
		"of many referrals":       {"reward_referral (tenant_id=? AND referral_id=?)", func(q *testkit.Explained) error { _, err := OfReferrals(q, some, several); return err }},
		"those before one":        {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := Before(q, some, page); return err }},
		"a person's before one":   {"reward_person (tenant_id=? AND person_id=? AND id<?)", func(q *testkit.Explained) error { _, err := BeforeOf(q, some, some, page); return err }},
		"those that follow one":   {"(tenant_id=? AND id>?)", func(q *testkit.Explained) error { _, err := After(q, some, some, 10); return err }},
		"all":                     {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := List(q, some, page); return err }},
		"what a limit refused": {"reward_refused (tenant_id=? AND limit_scope=? AND limit_window=? AND placed>?)", func(q *testkit.Explained) error {
			_, err := selectRefused(q, some, refusals{of: limited, limit: 10})
			return err
		}},
		"what a limit allowed": {"reward_limited (tenant_id=? AND limit_scope=? AND limit_window=? AND placed>? AND placed<?)", func(q *testkit.Explained) error {
			_, err := selectAllowed(q, some, allowances{of: limited, after: some, limit: 10})
			return err
		}},
		"redeemed under a reference": {"(tenant_id=? AND ref=?)", func(q *testkit.Explained) error { _, err := selectRedeemed(q, some, "r"); return err }},
		"redeemed as a whole": {"reward_redemption_reward (tenant_id=? AND reward_id=?)", func(q *testkit.Explained) error {
			_, err := wasRedeemed(q, &Reward{TenantID: some, ID: some})
			return err
		}},
		"of a rule":                {"reward_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := OfRule(q, some, some, some, "r"); return err }},
		"the latest":               {"reward_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := RecentOf(q, some, some, 10); return err }},
		"what was given with them": {"reward_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, err := selectDetailed(q, some, some, 10); return err }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

package referral

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEveryQuestionIsAnsweredByAnIndex(t *testing.T) {
	plans := testkit.OpenPlans(t)
	some, page := id.New(time.Now()), Page{Limit: 10}
	several := []id.ID{some, id.New(time.Now()), id.New(time.Now())}
	const inProgram = "referral_referrer (tenant_id=? AND referrer_id=? AND program_id=? AND id<?)"
	sent := sender{some, some, some}
	ofOne := Filter{ReferrerIDs: []id.ID{some}, Limit: 10}
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one":                 {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := Get(q, some, some); return err }},
		"by who was referred": {"referral_referred (tenant_id=? AND referred_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := byReferred(q, some, some, some); return err }},
		"a referrer":          {"referral_referred (tenant_id=? AND referred_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := referrerOf(q, some, some, some); return err }},
		"whether anybody was referred": {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=? AND id<?)", func(q *testkit.Explained) error {
			_, err := hasReferred(q, some, some, effect.Happening{Person: some})
			return err
		}},
		"of the referred":           {"referral_referred (tenant_id=? AND referred_id=?)", func(q *testkit.Explained) error { _, err := OfReferred(q, some, some); return err }},
		"recent ones of a referrer": {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := recentOf(q, some, some, some, 10); return err }},
		"a referrer's programs":     {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id>?)", func(q *testkit.Explained) error { _, err := programsOf(q, some, some); return err }},
		"of a referrer": {inProgram, func(q *testkit.Explained) error {
			_, err := ofReferrer(some, some, page).listIn(q, several, page)
			return err
		}},
		"of many who were referred": {"referral_referred (tenant_id=? AND referred_id=?)", func(q *testkit.Explained) error { _, err := ofReferredPeople(q, some, several); return err }},
		"those that follow one":     {"(tenant_id=? AND id>?)", func(q *testkit.Explained) error { _, err := After(q, some, some, 10); return err }},
		"chosen ones":               {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := Filter{}.choice(some).list(q, page); return err }},
		"how many are chosen":       {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := Filter{}.choice(some).count(q); return err }},
		"chosen ones of a referrer": {inProgram, func(q *testkit.Explained) error { _, err := ofOne.choice(some).listIn(q, several, page); return err }},
		"how many those are":        {inProgram, func(q *testkit.Explained) error { _, err := ofOne.choice(some).countIn(q, several); return err }},
		"all":                       {"(tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := List(q, some, page); return err }},
		"their number":              {"referral_count USING PRIMARY KEY (tenant_id=?)", func(q *testkit.Explained) error { _, err := Count(q, some); return err }},
		"a link to a page":          {"page_link USING PRIMARY KEY (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { _, _, err := selectPageLink(q, some, some); return err }},
		"how many began": {"COVERING INDEX referral_started (tenant_id=? AND referrer_id=? AND program_id=? AND id>? AND id<?)", func(q *testkit.Explained) error {
			_, err := countStarted(q, sent, some, place{some, some}, 5)
			return err
		}},
		"how many were converted": {"COVERING INDEX referral_converted (tenant_id=? AND referrer_id=? AND program_id=? AND converted_by>? AND (converted_by,id)<(?,?))", func(q *testkit.Explained) error {
			_, err := countConverted(q, sent, some, place{some, some}, 5)
			return err
		}},
		"those that began after one": {"referral_started (tenant_id=? AND referrer_id=? AND program_id=? AND id>?)", func(q *testkit.Explained) error {
			_, err := startedAfter(q, sent, place{some, some}, 5)
			return err
		}},
		"those that were converted after one": {"referral_converted (tenant_id=? AND referrer_id=? AND program_id=? AND (converted_by,id)>(?,?))", func(q *testkit.Explained) error {
			_, err := convertedAfter(q, sent, place{some, some}, 5)
			return err
		}},
		"whom somebody sent": {"referral_referrer (tenant_id=? AND referrer_id=? AND program_id=?)", func(q *testkit.Explained) error { _, err := sentIn(q, some, some, some, 10); return err }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

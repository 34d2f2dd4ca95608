package person

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
	for name, c := range map[string]struct {
		index string
		ask   func(q *testkit.Explained) error
	}{
		"one": {"(tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := Get(q, some, some); return err }},
		"by an identity": {"sqlite_autoindex_identity_1 (tenant_id=? AND scheme=? AND key=?)", func(q *testkit.Explained) error {
			_, err := Find(q, some, Identity{Native, "x"})
			return err
		}},
		"whose an identity is": {"sqlite_autoindex_identity_1 (tenant_id=? AND scheme=? AND key=?)", func(q *testkit.Explained) error {
			_, err := Holder(q, some, Identity{Native, "x"})
			return err
		}},
		"of an account":           {"person_account (tenant_id=? AND account=? AND id>?)", func(q *testkit.Explained) error { _, err := OfAccount(q, some, "a", some, 10); return err }},
		"all":                     {"person_listed (tenant_id=? AND id<?)", func(q *testkit.Explained) error { _, err := List(q, some, page); return err }},
		"those who follow one":    {"sqlite_autoindex_person_1 (tenant_id=? AND id>?)", func(q *testkit.Explained) error { _, err := After(q, some, some, 10); return err }},
		"many":                    {"sqlite_autoindex_person_1 (tenant_id=? AND id=?)", func(q *testkit.Explained) error { _, err := ByIDs(q, some, several); return err }},
		"their number":            {"person_count USING PRIMARY KEY (tenant_id=?)", func(q *testkit.Explained) error { _, err := Count(q, some); return err }},
		"by an address":           {"person_email (tenant_id=? AND email_folded>? AND email_folded<?)", func(q *testkit.Explained) error { _, err := Search(q, some, "a"); return err }},
		"by the last name":        {"person_name (tenant_id=? AND name_folded>? AND name_folded<?)", func(q *testkit.Explained) error { _, err := Search(q, some, "a"); return err }},
		"by the first name":       {"person_called (tenant_id=? AND called_folded>? AND called_folded<?)", func(q *testkit.Explained) error { _, err := Search(q, some, "a"); return err }},
		"in whatever account":     {"identity_in_account (tenant_id=? AND in_account=?)", func(q *testkit.Explained) error { _, err := InAccounts(q, some, "a", 10); return err }},
		"an account":              {"account USING PRIMARY KEY (tenant_id=? AND key=?)", func(q *testkit.Explained) error { _, err := AccountOf(q, some, "a"); return err }},
		"identities to forget":    {"identity_person (tenant_id=? AND person_id=?)", func(q *testkit.Explained) error { return q.Explain(deleteIdentities, some, some) }},
		"an identity to remove":   {"sqlite_autoindex_identity_1 (tenant_id=? AND scheme=? AND key=?)", func(q *testkit.Explained) error { return q.Explain(deleteIdentity, some, Native, "x", some) }},
		"how many an account has": {"person_account (tenant_id=? AND account=?)", func(q *testkit.Explained) error { _, err := CountOfAccount(q, some, "a", 10); return err }},
	} {
		t.Run(name, func(t *testing.T) { plans.WantIndex(t, c.index, c.ask) })
	}
}

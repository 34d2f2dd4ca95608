package referral_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// wantRefused checks that a problem names these fields and no others.
func wantRefused(t *testing.T, err error, fields ...string) {
	t.Helper()
	refusal, _ := errors.AsType[*problem.Error](err)
	var got []string
	if refusal != nil {
		for _, f := range refusal.Fields {
			got = append(got, f.Name)
		}
	}
	if !slices.Equal(got, fields) {
		t.Errorf("%v names %q, not %q", err, got, fields)
	}
}

const unitless = `[{"key":"a","on":"purchase","give":{"kind":"points","amount":100}}]`

func TestPointsHaveAUnitOfTheirRuleOrOfTheProgram(t *testing.T) {
	w := mustWorld(t)
	n := program.New{Key: "referral", Kind: referral.KindName, Rules: json.RawMessage(unitless)}
	_, err := w.programs.Create(t.Context(), w.tenant, n)
	wantRefused(t, err, "rules[0].give.unit")
	n.Unit = "points"
	p, err := w.programs.Create(t.Context(), w.tenant, n)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Unit: new("")})
	wantRefused(t, err, "unit")
	if _, err := w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage(giveAndGet)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Unit: new("")}); err != nil {
		t.Error(err)
	}
	_, err = w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage(unitless))
	wantRefused(t, err, "rules[0].give.unit")
}

func TestAShareThatIsMoreThanCanBeGivenGivesNothingAndTheReportIsTaken(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"share","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":10000,"of":"event.amount"},"unit":"cents"}}]`, "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 1_000_000_000_000_001), purchase("2", 700))
	if got := w.balance(second.Person); got != 700 {
		t.Errorf("%d", got)
	}
}

func TestRulesThatNothingInAReferralProgramSetsOffAreRefused(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram("[]", "")
	const points = `"give":{"kind":"points","amount":1,"unit":"p"}`
	for text, field := range map[string]string{
		`"on":"referral.ended"`:                         "on",
		`"on":"reward.available"`:                       "on",
		`"on":"a:b"`:                                    "on",
		`"on":"account.closed"`:                         "on",
		`"on":"x","if":{"gt":["transaction.amount",1]}`: "if.gt[0]",
		`"on":"x","if":{"member_of":"regulars"}`:        "if.member_of",
		`"on":"referral.converted","if":{"gte":[{"count":"referral.ended"},3]}`: "if.gte[0].count",
		`"on":"x","to":"partner"`: "to",
		`"on":"account.paid","undo_on":{"event":"refund","match":{"exists":["event.id"]}}`: "undo_on",
	} {
		_, err := w.programs.ReadRules(p, json.RawMessage(`[{"key":"a",`+points+`,`+text+`}]`))
		wantRefused(t, err, "rules[0]."+field)
	}
	for _, on := range []string{"person.created", "referral.started", "referral.converted", "account.trial", "account.cancelled", "purchase", "shop.visit"} {
		if _, err := w.programs.ReadRules(p, json.RawMessage(`[{"key":"a",`+points+`,"on":"`+on+`"}]`)); err != nil {
			t.Errorf("%s: %v", on, err)
		}
	}
}

func TestAProgramWhoseStoredRulesWouldBeRefusedGoesOn(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(giveAndGet, "")
	old := `[{"key":"never","on":"referral.ended","to":"partner","give":{"kind":"points","amount":1}},` + giveAndGet[1:]
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE rule_set SET rules = $1 WHERE tenant_id = $2`, old, w.tenant)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	if one, two := w.balance(first.Person), w.balance(second.Person); one != 2000 || two != 1000 {
		t.Errorf("%d and %d", one, two)
	}
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Name: new("New")}); err != nil {
		t.Error(err)
	}
	if p, err := w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage(" "+old)); err != nil || p.RulesVersion != 1 {
		t.Errorf("the same rules: %v", err)
	}
}

func TestARuleAboutACancelledAccountIsAskedBeforeTheReferralEnds(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[
		{"key":"stay","on":"account.cancelled","actor":"referred","to":"referrer","give":{"kind":"credit","amount":5,"unit":"cents"}},
		{"key":"later","on":"account.cancelled","actor":"referred","to":"referrer","give":{"kind":"credit","amount":70,"unit":"cents","pending":"1d"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	second := w.mustRegister(referral.Registration{
		Identity: who("bert"), Patch: person.Patch{Account: new("acme")}, ReferredBy: []string{first.Codes[0].Text},
	})
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Cancelled})
	if got := w.balance(first.Person); got != 5 {
		t.Errorf("the referrer has %d", got)
	}
	if r := w.referralOf(second.Person); r.State != referral.IsEnded || r.EndReason != referral.EndedByAccount {
		t.Errorf("%s, %s", r.State, r.EndReason)
	}
}

// try asks the program's rules about what somebody would do.
func (w *world) try(p *program.Program, of *person.Person, what activity.New) ([]referral.Tried, error) {
	return w.Try(w.t.Context(), referral.Tryout{Program: p, Person: of.ID, New: what})
}

func TestADryRunShowsHowTheLimitStands(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(`[
		{"key":"times","on":"purchase","give":{"kind":"credit","amount":1,"unit":"cents"},"limit":{"per":"person","count":2,"window":"month"}},
		{"key":"amount","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":10000,"of":"event.amount"},"unit":"cents"},
		 "limit":{"per":"program","amount":250,"window":"30d"}},
		{"key":"clamp","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":10000,"of":"event.amount"},"unit":"cents"},
		 "limit":{"per":"tenant","amount":250,"over":"clamp"}},
		{"key":"free","on":"purchase","give":{"kind":"credit","amount":1,"unit":"cents"}}]`, "")
	anna := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	var bought []activity.Result
	for i, want := range []string{"0/2 0/250 0/250", "1/2 100/250 100/250", "2/2! 200/250! 200/250"} {
		tried, err := w.try(p, anna, purchase(fmt.Sprint("try", i), 100))
		if err != nil || len(tried) != 4 || tried[3].Limit != nil {
			t.Fatalf("%+v, %v", tried, err)
		}
		if got := limits(tried[:3]); got != want {
			t.Errorf("after %d purchases %s, not %s", i, got, want)
		}
		bought = append(bought, w.mustTrack(anna, purchase(fmt.Sprint(i), 100))...)
	}
	tried, err := w.try(p, anna, purchase("more", 1))
	if got := limits(tried[:3]); err != nil || got != "2/2! 200/250 250/250!" {
		t.Errorf("%s, %v", got, err)
	}
	for i, want := range []string{"1/2 100/250 150/250", "1/2 100/250 150/250", "2/2! 200/250! 200/250"} {
		tried, err = w.Try(t.Context(), referral.Tryout{Program: p, Activity: bought[i].Activity.ID})
		if got := limits(tried[:3]); err != nil || got != want {
			t.Errorf("of purchase %d: %s, not %s, %v", i, got, want, err)
		}
	}
}

// limits writes limits as used/cap, with a mark where they refuse.
func limits(tried []referral.Tried) string {
	text := ""
	for i, one := range tried {
		if i > 0 {
			text += " "
		}
		text += fmt.Sprintf("%d/%d", one.Limit.Used, one.Limit.Cap)
		if one.Limit.Refuses {
			text += "!"
		}
	}
	return text
}

func TestALimitOfAMonthFollowsTheCalendarOfTheProgram(t *testing.T) {
	w := mustWorld(t)
	anna := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	month, err := rule.ParseWindow("1mo")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		at   time.Time
		want reward.State
	}{
		{time.Date(2026, 2, 10, 12, 0, 0, 0, time.UTC), reward.IsAvailable},
		{time.Date(2026, 3, 10, 11, 59, 0, 0, time.UTC), reward.IsRefused},
		{time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), reward.IsAvailable},
	} {
		err := w.log.Do(t.Context(), fact.Order{Tenant: w.tenant, Key: "a"}, func(c *fact.Command) error {
			given, _, err := w.rewards.Give(c, reward.Award{
				Effect: step.at.String(), PersonID: anna.ID, Kind: rule.Credit, Amount: 1, Unit: "cents",
				Limit: &reward.Allowance{Scope: "s", Window: month, Count: 1, At: step.at},
			})
			if err == nil && given.State != step.want {
				t.Errorf("at %s it is %s", step.at, given.State)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestADryRunTriesRulesOnFacts(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(`[
		{"key":"new","on":"person.created","give":{"kind":"credit","amount":1,"unit":"cents"}},
		{"key":"done","on":"referral.converted","actor":"referred","to":"referrer","if":{"eq":["referral.state","converted"]},
		 "give":{"kind":"credit","amount":1,"unit":"cents"}},
		{"key":"left","on":"account.cancelled","actor":"referred","to":"referrer","if":{"all":[{"eq":["event.account","acme"]},{"eq":["event.state","cancelled"]}]},
		 "give":{"kind":"credit","amount":1,"unit":"cents"}}]`, "")
	first, second := w.mustPair()
	for on, rules := range map[string][]string{"person.created": {"new"}, "referral.converted": {"done"}, "referral.started": nil} {
		tried, err := w.try(p, second.Person, activity.New{Type: on})
		var matched []string
		for _, one := range tried {
			if one.Reason == rule.Matches {
				matched = append(matched, one.Rule.Key)
			}
		}
		if err != nil || !slices.Equal(matched, rules) {
			t.Errorf("%s: %q, %v", on, matched, err)
		}
	}
	_, err := w.try(p, first.Person, activity.New{Type: "referral.converted"})
	wantRefused(t, err, "type")
	_, err = w.try(p, second.Person, activity.New{Type: "account.cancelled"})
	wantRefused(t, err, "type")
	_, err = w.try(p, second.Person, activity.New{Type: "person.created", Fields: json.RawMessage(`{"a":1}`)})
	wantRefused(t, err, "fields")
	_, err = w.try(p, second.Person, activity.New{Type: "reward.available"})
	wantRefused(t, err, "type")
	w.mustRegister(referral.Registration{Identity: who("bert"), Patch: person.Patch{Account: new("acme")}})
	tried, err := w.try(p, second.Person, activity.New{Type: "account.cancelled"})
	if err != nil || len(tried) != 1 || !tried[0].Matched || tried[0].PersonID != first.Person.ID {
		t.Errorf("%+v, %v", tried, err)
	}
}

package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// giveAndGet gives the referrer 20 and the referred 10 when that one first buys for
// 50 or more.
const giveAndGet = `[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":2000,"unit":"cents"}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":1000,"unit":"cents"}}
]`

// MustPair reports Anna, and Bert who came by her code.
func (a account) MustPair(t testing.TB) (client.Profile, client.Profile) {
	t.Helper()
	first, err := a.ReportPerson(t.Context(), "anna", client.PersonReport{FirstName: new("Anna"), LastName: new("Adams"), Email: new("anna@example.com")})
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.ReportPerson(t.Context(), "bert", client.PersonReport{FirstName: new("Bert"), LastName: new("Olsen"), ReferredBy: []string{first.Codes[0].Text}})
	if err != nil {
		t.Fatal(err)
	}
	return first, second
}

func (a account) MustReport(t testing.TB, person string, activities ...client.NewActivity) []client.ReportedActivity {
	t.Helper()
	reported, err := a.ReportActivities(t.Context(), person, activities)
	if err != nil {
		t.Fatal(err)
	}
	return reported
}

func purchase(key, fields string) client.NewActivity {
	return client.NewActivity{Key: key, Type: "purchase", Fields: json.RawMessage(fields)}
}

// MustRun is a tenant with a program in which Bert came by Anna's code.
func (w *world) MustRun() (account, client.Program, client.Profile, client.Profile) {
	w.t.Helper()
	a := w.MustAccount("acme")
	p, err := a.CreateProgram(w.t.Context(), client.NewProgram{Key: "give-and-get", Rules: json.RawMessage(giveAndGet)})
	if err != nil {
		w.t.Fatal(err)
	}
	first, second := a.MustPair(w.t)
	return a, p, first, second
}

// available is what somebody can spend of a unit.
func (a account) available(t testing.TB, person string) int64 {
	t.Helper()
	balances, err := a.Balances(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range balances {
		if b.Unit == "cents" {
			return b.Available
		}
	}
	return 0
}

func TestAReferralProgramRunsFromItsRulesToWhatIsSpent(t *testing.T) {
	w := MustWorld(t, nil)
	a, p, first, second := w.MustRun()
	if first.Codes[0].Text != "ANNAADAMS" || first.Codes[0].ProgramKey != p.Key || len(second.Referrals) != 1 || second.Referrals[0].ReferrerID != first.ID {
		t.Fatalf("%+v\n%+v", first, second)
	}
	reported := a.MustReport(t, "bert", purchase("order-1", `{"amount":4999}`), purchase("order-2", `{"amount":5000}`))
	if len(reported) != 2 || reported[0].Key != "order-1" || reported[1].Replayed || reported[1].PersonID != second.ID {
		t.Errorf("%+v", reported)
	}
	again := a.MustReport(t, second.ID, purchase("order-2", `{"amount":5000}`))
	if !again[0].Replayed || again[0].ID != reported[1].ID {
		t.Errorf("%+v", again)
	}
	if one, two := a.available(t, "anna"), a.available(t, "bert"); one != 2000 || two != 1000 {
		t.Errorf("Anna has %d, Bert %d", one, two)
	}
	full, err := a.Referral(t.Context(), second.Referrals[0].ID)
	if err != nil || full.State != client.ReferralConverted || full.Referrer.ExternalID != "anna" || full.Referred.ID != second.ID || len(full.Rewards) != 2 {
		t.Errorf("%+v, %v", full, err)
	}
	spent, err := a.Spend(t.Context(), "anna", client.Spending{Key: "order-9", Amount: 1500, Unit: "cents"})
	if err != nil || spent.Left != 500 {
		t.Errorf("%+v, %v", spent, err)
	}
	_, err = a.Spend(t.Context(), "anna", client.Spending{Amount: 501, Unit: "cents"})
	wantCode(t, err, problem.Conflict)
	redeemed, err := a.RedeemReward(t.Context(), full.Rewards[0].ID, client.Redemption{})
	if err != nil || redeemed.State != client.RewardRedeemed || redeemed.Redeemed != 2000 {
		t.Errorf("%+v, %v", redeemed, err)
	}
}

func TestWhatWasSpentOrRedeemedUnderAKeyIsTakenOnceHoweverLittleIsLeft(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	for _, key := range []string{"g1", "g2"} {
		if _, err := a.GiveReward(t.Context(), "anna", client.NewReward{Key: key, Kind: "credit", Amount: 500, Unit: "cents"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		spent, err := a.Spend(t.Context(), "anna", client.Spending{Key: "order-1", Amount: 700, Unit: "cents"})
		if err != nil || spent.Left != 300 {
			t.Fatalf("%+v, %v", spent, err)
		}
	}
	_, err := a.Spend(t.Context(), "anna", client.Spending{Key: "order-1", Amount: 100, Unit: "cents"})
	wantCode(t, err, problem.IdempotencyConflict)
	rewards, err := a.Rewards(t.Context(), client.RewardFilter{Person: "anna"}, client.Page{})
	if err != nil || len(rewards.Data) != 2 {
		t.Fatalf("%+v, %v", rewards, err)
	}
	half, gone := rewards.Data[0], rewards.Data[1]
	for range 2 {
		redeemed, err := a.RedeemReward(t.Context(), half.ID, client.Redemption{Key: "order-2", Amount: 300})
		if err != nil || redeemed.State != client.RewardRedeemed {
			t.Fatalf("%+v, %v", redeemed, err)
		}
	}
	_, err = a.RedeemReward(t.Context(), gone.ID, client.Redemption{Key: "order-2", Amount: 300})
	wantCode(t, err, problem.IdempotencyConflict)
	_, err = a.RedeemReward(t.Context(), half.ID, client.Redemption{Key: "order-3"})
	if fields := wantCode(t, err, problem.Invalid); fields[0].Name != "amount" {
		t.Errorf("%+v", fields)
	}
	if left := a.available(t, "anna"); left != 0 {
		t.Errorf("Anna has %d", left)
	}
}

func TestARewardWithoutPartsIsRedeemedAsAWholeUnderAKey(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	given, err := a.GiveReward(t.Context(), "anna", client.NewReward{Kind: "percent", Amount: 1500})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.RedeemReward(t.Context(), given.ID, client.Redemption{Key: "order-1", Amount: 500})
	wantCode(t, err, problem.Conflict)
	for range 2 {
		redeemed, err := a.RedeemReward(t.Context(), given.ID, client.Redemption{Key: "order-1"})
		if err != nil || redeemed.State != client.RewardRedeemed || redeemed.Version != 2 {
			t.Fatalf("%+v, %v", redeemed, err)
		}
	}
	_, err = a.RedeemReward(t.Context(), given.ID, client.Redemption{})
	wantCode(t, err, problem.Conflict)
	_, err = a.CancelReward(t.Context(), given.ID)
	wantCode(t, err, problem.Conflict)
}

func TestWhatAnActivityLedToIsTracedUndoneAndBroughtBack(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	reported := a.MustReport(t, "bert", purchase("order-1", `{"amount":6000}`))
	trace, err := a.Fact(t.Context(), reported[0].FactID)
	if err != nil {
		t.Fatal(err)
	}
	var led []string
	for _, f := range trace.Effects {
		led = append(led, f.Type)
	}
	if want := []string{"referral.converted", "reward.available", "reward.available"}; !slices.Equal(led, want) || trace.Subject.ID != reported[0].ID {
		t.Errorf("%s of %+v led to %q", trace.Type, trace.Subject, led)
	}
	undone, err := a.UndoFact(t.Context(), trace.ID, client.Undoing{Reason: "a test"})
	if err != nil || undone.Type != "fact.undone" || undone.Subject.ID != trace.ID {
		t.Fatalf("%+v, %v", undone, err)
	}
	if one := a.available(t, "anna"); one != 0 {
		t.Errorf("Anna still has %d", one)
	}
	_, err = a.UndoFact(t.Context(), trace.ID, client.Undoing{})
	wantCode(t, err, problem.Conflict)
	if _, err := a.UndoFact(t.Context(), undone.ID, client.Undoing{}); err != nil {
		t.Fatal(err)
	}
	if one := a.available(t, "anna"); one != 2000 {
		t.Errorf("Anna has %d again", one)
	}
	facts, err := a.Facts(t.Context(), reported[0].ID, client.Page{})
	if err != nil || len(facts.Data) != 1 || facts.Data[0].ID != trace.ID {
		t.Errorf("about the activity: %+v, %v", facts, err)
	}
}

func TestADryRunSaysWhatEachRuleWouldDoAndWhyAndDoesNothing(t *testing.T) {
	w := MustWorld(t, nil)
	a, p, first, second := w.MustRun()
	before := w.send(http.MethodGet, "/v1/facts?limit=250", a.Key, "").body
	tried, err := a.DryRunRules(t.Context(), p.Key, client.DryRun{Activity: &client.DryRunActivity{Person: "bert", Type: "purchase", Fields: json.RawMessage(`{"amount":6000}`)}})
	if err != nil || len(tried) != 2 {
		t.Fatalf("%+v, %v", tried, err)
	}
	if got := tried[0]; !got.Matched || got.PersonID != first.ID || got.ReferralID != second.Referrals[0].ID || !got.Effect.Convert || got.Effect.Amount != 2000 || got.GaveBefore {
		t.Errorf("%+v", got)
	}
	tried, err = a.DryRunRules(t.Context(), p.ID, client.DryRun{
		Activity: &client.DryRunActivity{Person: "bert", Type: "purchase", Fields: json.RawMessage(`{"amount":10}`)},
		Rules: json.RawMessage(`[{"key":"a","on":"purchase","actor":"referred","if":{"gte":["event.amount",5000]},"give":{"kind":"points","amount":1,"unit":"p"}},
			{"key":"first","on":"purchase","if":{"eq":[{"count":"purchase"},1]},"give":{"kind":"points","amount":1,"unit":"p"}},
			{"key":"sum","on":"purchase","if":{"eq":[{"sum":"purchase.amount"},10]},"give":{"kind":"points","amount":1,"unit":"p"}},
			{"key":"other","on":"visit","give":{"kind":"points","amount":1,"unit":"p"}}]`),
	})
	if err != nil || len(tried) != 3 {
		t.Fatalf("%+v, %v", tried, err)
	}
	if got := tried[0]; got.Matched || got.Reason != "if_false" || got.If == nil || string(got.If.Found) != "10" || got.If.Left != "event.amount" {
		t.Errorf("%+v %+v", got, got.If)
	}
	if !tried[1].Matched || !tried[2].Matched {
		t.Errorf("the activity that is tried does not count: %+v %+v", tried[1].If, tried[2].If)
	}
	if after := w.send(http.MethodGet, "/v1/facts?limit=250", a.Key, "").body; after != before {
		t.Errorf("something was written:\n%s", after)
	}
	reported := a.MustReport(t, "bert", purchase("order-1", `{"amount":6000}`), purchase("order-2", `{"amount":6000}`))
	for i, want := range []bool{false, true} {
		tried, err = a.DryRunRules(t.Context(), p.Key, client.DryRun{ActivityID: reported[i].ID})
		if err != nil || len(tried) != 2 || !tried[0].Matched || tried[0].GaveBefore != want {
			t.Errorf("purchase %d: %+v, %v", i, tried, err)
		}
	}
}

func TestRulesAreVersionsOfWhichTheLatestHolds(t *testing.T) {
	w := MustWorld(t, nil)
	a, p, _, _ := w.MustRun()
	set, err := a.SetRules(t.Context(), p.Key, json.RawMessage(`[]`))
	if err != nil || set.Version != 2 {
		t.Fatalf("%+v, %v", set, err)
	}
	if set, err = a.SetRules(t.Context(), p.Key, json.RawMessage(` [ ] `)); err != nil || set.Version != 2 {
		t.Errorf("the same rules: %+v, %v", set, err)
	}
	versions, err := a.RuleVersions(t.Context(), p.ID)
	if err != nil || len(versions) != 2 || versions[0].Version != 2 || !strings.Contains(string(versions[1].Rules), "advocate") {
		t.Errorf("%+v, %v", versions, err)
	}
	if set, err = a.Rules(t.Context(), p.ID, 1); err != nil || !jsonEqual(t, set.Rules, giveAndGet) {
		t.Errorf("%+v, %v", set, err)
	}
	_, err = a.Rules(t.Context(), p.ID, 3)
	wantCode(t, err, problem.NotFound)
	checked, err := a.ValidateRules(t.Context(), p.Key, json.RawMessage(`[{"key":"a b","on":"purchase","give":{"kind":"gold"}},{"key":"x"}]`))
	if err != nil || checked.Valid || len(checked.Errors) < 3 || !strings.HasPrefix(checked.Errors[0].Name, "rules[0].") {
		t.Errorf("%+v, %v", checked, err)
	}
	checked, err = a.ValidateRules(t.Context(), p.Key, json.RawMessage(giveAndGet))
	if err != nil || !checked.Valid || len(checked.Errors) > 0 {
		t.Errorf("%+v, %v", checked, err)
	}
}

func TestAProgramIsChangedPausedAndFoundByItsKey(t *testing.T) {
	w := MustWorld(t, nil)
	a, p, _, _ := w.MustRun()
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	changed, err := a.UpdateProgram(t.Context(), "give-and-get", client.ProgramChange{Name: new("Give and get"), EndsAt: &ends, Status: new(client.ProgramPaused), Settings: json.RawMessage(`{"accounts":"ignore"}`)})
	if err != nil || changed.ID != p.ID || !changed.EndsAt.Equal(ends) || changed.Status != client.ProgramPaused || !jsonEqual(t, changed.Settings, `{"accounts":"ignore"}`) {
		t.Errorf("%+v, %v", changed, err)
	}
	if changed, err = a.UpdateProgram(t.Context(), p.ID, client.ProgramChange{EndsAt: &time.Time{}}); err != nil || !changed.EndsAt.IsZero() || changed.Name != "Give and get" {
		t.Errorf("%+v, %v", changed, err)
	}
	carl, err := a.ReportPerson(t.Context(), "carl", client.PersonReport{})
	if err != nil || len(carl.Codes) != 0 {
		t.Errorf("in a program that is paused: %+v, %v", carl, err)
	}
	_, err = a.CreateProgram(t.Context(), client.NewProgram{Key: "give-and-get"})
	wantCode(t, err, problem.Conflict)
}

func TestReferralsAreListedByWhoAndHowTheyStand(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, second := w.MustRun()
	third, err := a.ReportPerson(t.Context(), "carl", client.PersonReport{ReferredBy: []string{first.Codes[0].Text}})
	if err != nil {
		t.Fatal(err)
	}
	one, two := second.Referrals[0].ID, third.Referrals[0].ID
	if _, err := a.ConvertReferral(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	moderated, err := a.ModerateReferrals(t.Context(), []client.ModerationAction{{ReferralID: two, Side: "referred", To: client.ModerationDenied}})
	if err != nil || moderated[0].Moderation.Referred != client.ModerationDenied || moderated[0].Moderation.Referrer != client.ModerationApproved || !moderated[0].Moderation.ByHand {
		t.Errorf("%+v, %v", moderated, err)
	}
	for name, c := range map[string]struct {
		filter client.ReferralFilter
		want   []string
	}{
		"all, the newest first": {client.ReferralFilter{}, []string{two, one}},
		"of a referrer":         {client.ReferralFilter{Referrer: "anna"}, []string{two, one}},
		"of nobody's":           {client.ReferralFilter{Referrer: "bert"}, nil},
		"of a referred":         {client.ReferralFilter{Referred: second.ID}, []string{one}},
		"that are started":      {client.ReferralFilter{State: client.ReferralStarted}, []string{two}},
		"with a denied side":    {client.ReferralFilter{Moderation: client.ModerationDenied}, []string{two}},
		"of a program":          {client.ReferralFilter{Program: "give-and-get", State: client.ReferralConverted}, []string{one}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for page := (client.Page{Limit: 1}); ; {
				l, err := a.Referrals(t.Context(), c.filter, page)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range l.Data {
					got = append(got, r.ID)
				}
				if page.Cursor = l.NextCursor; page.Cursor == "" {
					break
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	ended, err := a.EndReferral(t.Context(), two)
	if err != nil || ended.State != client.ReferralEnded || ended.EndReason != "cancelled" {
		t.Errorf("%+v, %v", ended, err)
	}
	_, err = a.ConvertReferral(t.Context(), two)
	wantCode(t, err, problem.Conflict)
}

func TestARewardByHandIsGivenOnceUnderItsKeyAndTakenBack(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	n := client.NewReward{Key: "goodwill-1", Kind: "credit", Amount: 500, Unit: "cents", Name: "Sorry", Details: json.RawMessage(`{"ticket":7}`)}
	given, err := a.GiveReward(t.Context(), "anna", n)
	if err != nil || given.State != client.RewardAvailable || given.Left != 500 || !jsonEqual(t, given.Details, `{"ticket":7}`) {
		t.Fatalf("%+v, %v", given, err)
	}
	again, err := a.GiveReward(t.Context(), "anna", n)
	if err != nil || again.ID != given.ID || a.available(t, "anna") != 500 {
		t.Errorf("%+v, %v", again, err)
	}
	cancelled, err := a.CancelReward(t.Context(), given.ID)
	if err != nil || cancelled.State != client.RewardCancelled || a.available(t, "anna") != 0 {
		t.Errorf("%+v, %v", cancelled, err)
	}
	available, err := a.Rewards(t.Context(), client.RewardFilter{Person: "anna", State: client.RewardAvailable}, client.Page{})
	if err != nil || len(available.Data) != 0 {
		t.Errorf("%+v, %v", available, err)
	}
}

func TestWhatIsDecidedByHandIsAuditedOnceWithWhatItWas(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, second := w.MustRun()
	of := second.Referrals[0].ID
	for range 2 {
		_, deciding := a.ModerateReferrals(t.Context(), []client.ModerationAction{{ReferralID: of, Side: "referrer", To: client.ModerationDenied}})
		_, converting := a.ConvertReferral(t.Context(), of)
		_, blocking := a.BlockPerson(t.Context(), "bert")
		_, giving := a.GiveReward(t.Context(), "anna", client.NewReward{Key: "g", Kind: "percent", Amount: 100})
		for _, err := range []error{deciding, blocking, giving} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if converting != nil { // the second time the referral has ended
			wantCode(t, converting, problem.Conflict)
		}
	}
	if diff := cmp.Diff([]audit.Field{{Name: "referrer", Before: "approved", After: "denied"}}, w.fieldsOf(of, audit.ReferralModerated)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for _, action := range []audit.Action{audit.ReferralModerated, audit.ReferralConverted, audit.PersonBlocked, audit.RewardGiven} {
		if entries := w.MustAudit(audit.Filter{Action: action}); len(entries) != 1 || entries[0].Actor.Kind != audit.Key {
			t.Errorf("%s: %+v", action, entries)
		}
	}
}

func TestADecisionAboutWhatIsAnotherTenantsDecidesNothing(t *testing.T) {
	w := MustWorld(t, nil)
	v, stranger := w.MustVictim(), w.MustAccount("stranger")
	before := v.MustSee(w)
	for _, of := range []string{v.ids["referrals"], "ref_000000000000000000000000", "x"} {
		_, err := stranger.ModerateReferrals(t.Context(), []client.ModerationAction{{ReferralID: of, To: client.ModerationDenied}})
		wantCode(t, err, problem.NotFound)
	}
	_, err := stranger.SetAccount(t.Context(), v.ids["account"], client.AccountReport{State: client.AccountCancelled})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, v.MustSee(w)); diff != "" {
		t.Errorf("the victim's things have changed (-before +after):\n%s", diff)
	}
}

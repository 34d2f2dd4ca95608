package referral_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestARewardThatAnEarlierOneTakesThePlaceOfAgainSaysSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 6000))
	w.mustTrack(second.Person, purchase("2", 7000))
	refunded := w.mustTrack(second.Person, refund("1"))
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: refunded[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	story := mustStory(t, w.mustExplain(first.Person, referral.Question{}), "advocate")
	if len(story.Outcomes) != 2 || story.Verdict != referral.Given {
		t.Fatalf("%+v", story)
	}
	wantWhy(t, story.Outcomes[0], reward.IsCancelled, referral.ByRules)
	wantWhy(t, story.Outcomes[1], reward.IsAvailable)
}

func TestRulesThatListenToFactsAreExplainedToo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"welcome","on":"person.created","give":{"kind":"points","amount":1,"unit":"points"}},
		{"key":"began","on":"referral.started","actor":"referred","to":"referrer","give":{"kind":"points","amount":2,"unit":"points"}},
		{"key":"turns","on":"purchase","actor":"referred","convert":true,"if":{"gte":["event.amount",50]}},
		{"key":"done","on":"referral.converted","actor":"referred","to":"referrer","give":{"kind":"points","amount":3,"unit":"points"}},
		{"key":"paid","on":"account.paid","actor":"referred","to":"referred","give":{"kind":"points","amount":4,"unit":"points"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}})
	second := w.mustRegister(referral.Registration{
		Identity: who("bert"), Patch: person.Patch{Account: new("acme")}, ReferredBy: []string{first.Codes[0].Text},
	})
	w.wantVerdict(t, first.Person, "welcome", referral.Given)
	w.wantVerdict(t, second.Person, "welcome", referral.Given)
	w.wantVerdict(t, first.Person, "began", referral.Given)
	w.wantVerdict(t, first.Person, "done", referral.NotTriggered)
	w.mustTrack(second.Person, purchase("1", 49))
	w.wantVerdict(t, first.Person, "turns", referral.NotMatched)
	w.mustTrack(second.Person, purchase("2", 50))
	w.wantVerdict(t, first.Person, "turns", referral.ConvertedByThis)
	o := w.wantVerdict(t, first.Person, "done", referral.Given)
	if got := stepTypes(o.Facts); !slices.Equal(got, []string{"activity.tracked", "referral.converted", "reward.available"}) {
		t.Errorf("the chain is %q", got)
	}
	w.wantVerdict(t, second.Person, "paid", referral.NotTriggered)
	if _, err := w.SetAccount(t.Context(), w.tenant, person.AccountPatch{Key: "acme", State: person.Paid}); err != nil {
		t.Fatal(err)
	}
	if o := w.wantVerdict(t, second.Person, "paid", referral.Given); o.On == nil || o.On.Type != "account.paid" {
		t.Errorf("it was given for %+v", o.On)
	}
	x := w.mustExplain(second.Person, referral.Question{Rule: "welcome"})
	if n := len(x.Programs[0].Rules) + len(x.Programs[0].Referrals[0].Rules); n != 1 {
		t.Errorf("the rule is told of %d times", n)
	}
}

func TestARuleAboutAnybodyIsToldOfOnceWhetherTheReferralIsUnderWayOrNot(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"each","on":"purchase","if":{"gte":["event.amount",50]},"give":{"kind":"points","amount":1,"unit":"points"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}})
	second := w.mustRegister(referral.Registration{Identity: who("bert")})
	w.mustTrack(second.Person, purchase("1", 1))
	r, err := w.Refer(t.Context(), w.tenant, second.Person.ID, first.Codes[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("2", 2))
	if _, err := w.End(t.Context(), w.tenant, r.ID); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("3", 60))
	told := w.mustExplain(second.Person, referral.Question{}).Programs[0]
	if len(told.Rules) != 1 || len(told.Referrals[0].Rules) != 1 {
		t.Fatalf("%+v", told)
	}
	outside, inside := told.Rules[0].Outcomes, told.Referrals[0].Rules[0].Outcomes
	if len(outside) != 2 || outside[0].Verdict != referral.Given || outside[1].Verdict != referral.NotMatched {
		t.Errorf("outside of the referral: %+v", outside)
	}
	if len(inside) != 1 || inside[0].Verdict != referral.NotMatched || inside[0].On.Key != "purchase-2" {
		t.Errorf("in the referral: %+v", inside)
	}
}

func TestATouchThatGotNoCreditSaysWhy(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}})
	other := w.mustRegister(referral.Registration{Identity: who("carl"), Patch: person.Patch{FirstName: new("Carl")}})
	if _, err := w.Visit(t.Context(), referral.Visit{Short: other.Codes[0].Short, Cookie: "browser"}); err != nil {
		t.Fatal(err)
	}
	second := w.mustRegister(referral.Registration{Identity: who("bert"), Device: "browser", ReferredBy: []string{first.Codes[0].Text}})
	told := w.mustExplain(second.Person, referral.Question{}).Programs[0].Referrals[0].Attribution
	if told.Method != string(attribution.ByCode) || told.TouchID != second.Referrals[0].TouchID || !told.Credited {
		t.Errorf("%+v", told)
	}
	t.Log(told.Sentence, told.Passed)
	if len(told.Passed) != 1 {
		t.Errorf("passed are %+v", told.Passed)
	}
}

func TestAQuestionAboutOneReferralTellsOfThatAlone(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	third := w.mustRegister(referral.Registration{Identity: who("dora"), ReferredBy: []string{first.Codes[0].Text}})
	x := w.mustExplain(first.Person, referral.Question{Referral: second.Referrals[0].ID, Rule: "advocate"})
	if len(x.Programs) != 1 || len(x.Programs[0].Referrals) != 1 || len(x.Programs[0].Rules) != 0 || len(x.Programs[0].Referrals[0].Rules) != 1 {
		t.Errorf("%+v", x)
	}
	for name, ask := range map[string]func() error{
		"a person that there is not": func() error {
			_, err := w.Explain(t.Context(), w.tenant, id.New(time.Now()), referral.Question{})
			return err
		},
		"somebody of another tenant": func() error {
			_, err := w.Explain(t.Context(), id.New(time.Now()), first.Person.ID, referral.Question{})
			return err
		},
		"a referral of others": func() error {
			_, err := w.Explain(t.Context(), w.tenant, third.Person.ID, referral.Question{Referral: second.Referrals[0].ID})
			return err
		},
		"a program that there is not": func() error {
			_, err := w.Explain(t.Context(), w.tenant, first.Person.ID, referral.Question{Program: id.New(time.Now())})
			return err
		},
		"a rule that there is not": func() error {
			_, err := w.Explain(t.Context(), w.tenant, first.Person.ID, referral.Question{Rule: "hunter2"})
			return err
		},
	} {
		if err := ask(); !problem.NotFound.Has(err) {
			t.Errorf("asked about %s it returned %v", name, err)
		}
	}
}

func TestManyReferralsAndPurchasesAreExplainedInPartAndSaidSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}})
	for i := range 55 {
		one := w.mustRegister(referral.Registration{Identity: who("friend" + string(rune('a'+i%26)) + string(rune('a'+i/26))), ReferredBy: []string{first.Codes[0].Text}})
		if i >= 50 {
			var all []activity.New
			for j := range 30 {
				all = append(all, activity.New{Type: "purchase", Fields: []byte(`{"amount":` + string(rune('1'+j%9)) + `}`)})
			}
			w.mustTrack(one.Person, all...)
		}
	}
	began := time.Now()
	x := w.mustExplain(first.Person, referral.Question{})
	t.Log(time.Since(began), x.Cut)
	if n := len(x.Programs[0].Referrals); n != 50 || len(x.Cut) < 2 {
		t.Errorf("%d referrals are told of, and it says that it left out %q", n, x.Cut)
	}
	for _, r := range x.Programs[0].Referrals {
		for _, story := range r.Rules {
			if len(story.Outcomes) > 5 {
				t.Errorf("%d outcomes are told of", len(story.Outcomes))
			}
		}
	}
}

func TestARewardThatExpiredAndOneThatWaitedAreExplainedAfterTheirTimeToo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"short","on":"purchase","give":{"kind":"points","amount":5,"unit":"points","pending":"2d","expires":"10d"}},
		{"key":"kept","on":"purchase","unless":{"event":"return","within":"3d"},"give":{"kind":"points","amount":7,"unit":"points"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustTrack(first.Person, purchase("1", 10))
	if _, err := w.timers.RunDue(t.Context(), time.Now().Add(5*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantWhy(t, w.wantVerdict(t, first.Person, "short", referral.Given), reward.IsAvailable)
	wantWhy(t, w.wantVerdict(t, first.Person, "kept", referral.Given), reward.IsAvailable)
	if _, err := w.timers.RunDue(t.Context(), time.Now().Add(20*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	o := w.wantVerdict(t, first.Person, "short", referral.Given)
	wantWhy(t, o, reward.IsExpired, referral.ByExpiry)
	want := []string{"activity.tracked", "reward.pending", "reward.available", "reward.expired"}
	if got := stepTypes(o.Facts); !slices.Equal(got, want) || o.Facts[3].Actor != fact.ByTimer {
		t.Errorf("the chain is %q", got)
	}
}

func TestARewardByHandIsToldOfBesideThePrograms(t *testing.T) {
	w := mustWorld(t)
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	given, err := w.GiveReward(t.Context(), w.tenant, reward.Award{PersonID: first.Person.ID, Kind: rule.Points, Amount: 50, Unit: "points"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CancelReward(t.Context(), w.tenant, given.ID); err != nil {
		t.Fatal(err)
	}
	x := w.mustExplain(first.Person, referral.Question{})
	if len(x.ByHand) != 1 || x.ByHand[0].Reward.ID != given.ID {
		t.Fatalf("%+v", x.ByHand)
	}
	wantWhy(t, x.ByHand[0], reward.IsCancelled, referral.ByCommand)
}

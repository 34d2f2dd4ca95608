package referral_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func (w *world) mustExplain(of *person.Person, about referral.Question) referral.Explanation {
	w.t.Helper()
	x, err := w.Explain(w.t.Context(), w.tenant, of.ID, about)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := json.Marshal(x); err != nil {
		w.t.Fatal(err)
	}
	return x
}

// mustStory returns what a rule made of what happened, in the first referral, or
// outside of any, that tells of it.
func mustStory(t *testing.T, x referral.Explanation, key string) referral.RuleStory {
	t.Helper()
	for _, p := range x.Programs {
		all := slices.Clone(p.Rules)
		for _, r := range p.Referrals {
			all = append(r.Rules, all...)
		}
		for _, story := range all {
			if story.Rule == key {
				t.Log(story.Sentence)
				return story
			}
		}
	}
	t.Fatalf("nothing is told of the rule %s", key)
	return referral.RuleStory{}
}

// wantVerdict asks about a rule.
func (w *world) wantVerdict(t *testing.T, of *person.Person, key string, want referral.Verdict) referral.Outcome {
	t.Helper()
	story := mustStory(t, w.mustExplain(of, referral.Question{}), key)
	if story.Verdict != want {
		t.Fatalf("the verdict is %s, not %s: %s", story.Verdict, want, story.Sentence)
	}
	for _, o := range story.Outcomes {
		if o.Verdict == want {
			return o
		}
	}
	t.Fatalf("no outcome is %s", want)
	return referral.Outcome{}
}

func wantWhy(t *testing.T, o referral.Outcome, state reward.State, why ...referral.Why) {
	t.Helper()
	if o.Reward == nil || o.Reward.State != string(state) || !slices.Equal(o.Reward.Why, why) {
		t.Fatalf("the reward is %+v", o.Reward)
	}
}

func stepTypes(steps []referral.Step) []string {
	var types []string
	for _, s := range steps {
		types = append(types, s.Type)
	}
	return types
}

func TestWhatWasGivenIsExplainedFromWhatWasReportedToWhatIsNow(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	tracked := w.mustTrack(second.Person, purchase("1", 6000))
	for key, of := range map[string]*person.Person{"advocate": first.Person, "friend": second.Person} {
		o := w.wantVerdict(t, of, key, referral.Given)
		wantWhy(t, o, reward.IsAvailable)
		if o.On == nil || o.On.ActivityID != tracked[0].Activity.ID || o.On.Type != "purchase" {
			t.Errorf("%s was given for %+v", key, o.On)
		}
		if got := stepTypes(o.Facts); !slices.Equal(got, []string{"activity.tracked", "reward.available"}) {
			t.Errorf("the chain of %s is %q", key, got)
		}
		if o.Facts[0].Actor != fact.ByKey || o.Facts[1].Actor != fact.ByRule || o.Facts[1].Cause != o.Facts[0].ID {
			t.Errorf("the chain of %s is %+v", key, o.Facts)
		}
	}
	x := w.mustExplain(first.Person, referral.Question{})
	told := x.Programs[0].Referrals[0]
	if told.Side != referral.ReferrerSide || told.State != referral.IsConverted || !told.Attribution.Credited || told.Attribution.Code == "" {
		t.Errorf("the referral is told as %+v", told)
	}
	if got := stepTypes(told.Facts); !slices.Contains(got, "referral.started") || !slices.Contains(got, "referral.converted") {
		t.Errorf("the referral's facts are %q", got)
	}
}

func TestTooSmallAPurchaseIsExplainedByTheConditionThatDoesNotHold(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 4999))
	o := w.wantVerdict(t, first.Person, "advocate", referral.NotMatched)
	if o.Reason != rule.IfFalse || o.If == nil || o.If.Holds || string(o.If.Found) != "4999" || o.RulesVersion != 1 {
		t.Errorf("%+v", o)
	}
	if !strings.Contains(o.Sentence, "event.amount is 4999, and must be 5000 or more") {
		t.Errorf("it says %q", o.Sentence)
	}
}

func TestAWrongCurrencyIsExplainedBesideWhatDoesHold(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"friend","on":"purchase","actor":"referred","to":"referred",
		"if":{"all":[{"gte":["event.amount",5000]},{"eq":["event.currency","USD"]}]},"give":{"kind":"points","amount":10,"unit":"points"}}]`, "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, activity.New{Type: "purchase", Fields: []byte(`{"amount":7000,"currency":"EUR"}`)})
	o := w.wantVerdict(t, second.Person, "friend", referral.NotMatched)
	if len(o.If.Parts) != 2 || !o.If.Parts[0].Holds || o.If.Parts[1].Holds {
		t.Errorf("%+v", o.If)
	}
	if !strings.HasSuffix(o.Sentence, `event.currency is "EUR", and must be "USD".`) {
		t.Errorf("it says %q", o.Sentence)
	}
}

const onceForEachPerson = `[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":500,"unit":"cents"},
	"limit":{"per":"person","count":1},"undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}]`

func TestWhatALimitRefusedIsExplainedByWhoTookItAndIsGivenWhenThatIsTakenBack(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(onceForEachPerson, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 100))
	w.mustTrack(second.Person, purchase("2", 200))
	story := mustStory(t, w.mustExplain(first.Person, referral.Question{}), "advocate")
	if len(story.Outcomes) != 2 || story.Verdict != referral.Given {
		t.Fatalf("%+v", story)
	}
	refused, given := story.Outcomes[0], story.Outcomes[1]
	wantWhy(t, refused, reward.IsRefused, referral.ByLimit)
	l := refused.Reward.Limit
	if refused.Verdict != referral.RefusedByLimit || l.Used != 1 || l.Cap != 1 || l.Others != 0 || l.Ahead != 0 || !l.Reopens || l.Per != rule.PerPerson {
		t.Errorf("the limit is told as %+v", l)
	}
	if !slices.Equal(l.TakenBy, []id.ID{given.Reward.ID}) {
		t.Errorf("the limit was taken by %v", l.TakenBy)
	}
	w.mustTrack(second.Person, refund("1"))
	wantWhy(t, w.wantVerdict(t, first.Person, "advocate", referral.Given), reward.IsAvailable)
}

func TestARewardOfADeniedSideIsExplainedByTheDenial(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 6000))
	_, err := w.Moderate(t.Context(), w.tenant, []referral.Decision{{Referral: second.Referrals[0].ID, Side: referral.ReferrerSide, To: referral.Denied}})
	if err != nil {
		t.Fatal(err)
	}
	o := w.wantVerdict(t, first.Person, "advocate", referral.Given)
	wantWhy(t, o, reward.IsCancelled, referral.ByDenial)
	if got := stepTypes(o.Facts); !slices.Contains(got, "referral.moderated") || !strings.Contains(o.Sentence, "denied by hand") {
		t.Errorf("it says %q, by %q", o.Sentence, got)
	}
	wantWhy(t, w.wantVerdict(t, second.Person, "friend", referral.Given), reward.IsAvailable)
}

func TestARewardThatASignalOfFraudHoldsIsExplainedByTheSignal(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"fraud":{"ip":{"action":"hold"}}}`)
	home := netip.MustParseAddr("203.0.113.7")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}, IP: home})
	second := w.mustRegister(referral.Registration{Identity: who("bert"), IP: home, ReferredBy: []string{first.Codes[0].Text}})
	w.mustTrack(second.Person, purchase("1", 6000))
	o := w.wantVerdict(t, first.Person, "advocate", referral.Given)
	wantWhy(t, o, reward.IsPending, referral.ForModeration)
	if !strings.Contains(o.Sentence, "signals of fraud (ip)") {
		t.Errorf("it says %q", o.Sentence)
	}
	m := w.mustExplain(second.Person, referral.Question{}).Programs[0].Referrals[0].Moderation
	if m.Referrer != referral.Undecided || len(m.Signals) != 1 || m.ByHand {
		t.Errorf("the moderation is told as %+v", m)
	}
}

func TestARewardOfWhoIsBlockedIsExplainedByThat(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	if _, err := w.Block(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("1", 6000))
	wantWhy(t, w.wantVerdict(t, first.Person, "advocate", referral.Given), reward.IsPending, referral.ForPerson)
	if x := w.mustExplain(first.Person, referral.Question{}); x.Standing != referral.IsBlocked {
		t.Errorf("the person is %s", x.Standing)
	}
}

func TestARewardThatARefundTookBackIsExplainedByTheRefund(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 6000))
	w.mustTrack(second.Person, refund("1"))
	o := w.wantVerdict(t, first.Person, "advocate", referral.Given)
	wantWhy(t, o, reward.IsCancelled, referral.ByUndoing)
	if !strings.Contains(o.Sentence, "the activity refund was reported") || o.On == nil || o.On.UndoneAt.IsZero() {
		t.Errorf("it says %q of %+v", o.Sentence, o.On)
	}
	want := []string{"activity.tracked", "reward.available", "activity.tracked", "fact.undone", "reward.cancelled"}
	if got := stepTypes(o.Facts); !slices.Equal(got, want) {
		t.Errorf("the chain is %q", got)
	}
	if o.Facts[0].UndoneBy != o.Reward.UndoneBy || o.Facts[3].ID != o.Reward.UndoneBy {
		t.Errorf("it was undone by %s", o.Reward.UndoneBy)
	}
}

func TestARewardThatWasUndoneByHandSaysSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	tracked := w.mustTrack(second.Person, purchase("1", 6000))
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: tracked[0].Activity.FactID, Reason: "a mistake"}); err != nil {
		t.Fatal(err)
	}
	o := w.wantVerdict(t, first.Person, "advocate", referral.Given)
	wantWhy(t, o, reward.IsCancelled, referral.ByUndoing)
	if !strings.Contains(o.Sentence, "taken back by a call of the API") {
		t.Errorf("it says %q", o.Sentence)
	}
}

func TestAPurchaseAfterTheOneThatGaveIsExplainedByTheReward(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 6000))
	w.mustTrack(second.Person, purchase("2", 7000))
	story := mustStory(t, w.mustExplain(first.Person, referral.Question{}), "advocate")
	if len(story.Outcomes) != 2 || story.Outcomes[0].Verdict != referral.Given || story.Outcomes[1].Verdict != referral.GivenBefore {
		t.Fatalf("%+v", story)
	}
	if story.Outcomes[1].GivenBefore != story.Outcomes[0].Reward.ID {
		t.Errorf("given before by %s", story.Outcomes[1].GivenBefore)
	}
}

func TestAPurchaseWhileTheProgramIsPausedIsExplainedByThatOnlyWhereItWouldCount(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(`[{"key":"big","on":"purchase","if":{"gte":["event.amount",5000]},"give":{"kind":"points","amount":1,"unit":"p"}},`+giveAndGet[1:], "")
	first, second := w.mustPair()
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Status: new(program.Paused)}); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(first.Person, purchase("1", 10))
	w.wantVerdict(t, first.Person, "big", referral.NotMatched)
	w.mustTrack(first.Person, purchase("2", 6000))
	w.wantVerdict(t, first.Person, "big", referral.ProgramNotOn)
	w.mustTrack(second.Person, purchase("3", 6000))
	w.wantVerdict(t, second.Person, "big", referral.ProgramNotOn)
	w.wantVerdict(t, first.Person, "advocate", referral.Given)
	late := w.mustRegister(referral.Registration{Identity: who("carl")})
	told := w.mustExplain(late.Person, referral.Question{}).Programs[0]
	if told.Status != referral.ProgramPaused || told.NotJoined != referral.ForProgram || !told.JoinedAt.IsZero() {
		t.Errorf("the program is told as %+v", told)
	}
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Status: new(program.Active)}); err != nil {
		t.Fatal(err)
	}
	w.wantVerdict(t, first.Person, "big", referral.NotGiven)
}

func TestWhatHappenedIsJudgedByTheRulesOfThen(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 4000))
	edited := strings.ReplaceAll(giveAndGet, "5000", "3000")
	edited = strings.Replace(edited, "[", `[{"key":"extra","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"points","amount":1,"unit":"points"}},`, 1)
	if _, err := w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage(edited)); err != nil {
		t.Fatal(err)
	}
	o := w.wantVerdict(t, first.Person, "advocate", referral.NotMatched)
	if o.RulesVersion != 1 || string(o.If.Wanted) != "5000" {
		t.Errorf("%+v", o)
	}
	w.wantVerdict(t, first.Person, "extra", referral.NoRule)
	w.mustTrack(second.Person, purchase("2", 4000))
	if o := w.wantVerdict(t, first.Person, "advocate", referral.Given); o.RulesVersion != 2 {
		t.Errorf("it was given by version %d", o.RulesVersion)
	}
	if _, err := w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage("[]")); err != nil {
		t.Fatal(err)
	}
	if story := mustStory(t, w.mustExplain(first.Person, referral.Question{}), "advocate"); story.Verdict != referral.Given || story.Version != 2 {
		t.Errorf("the rule that is gone is told as %+v", story)
	}
}

func TestSomebodyInNoReferralIsToldWhyRulesForReferralsGiveNothing(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustTrack(first.Person, purchase("1", 6000))
	w.wantVerdict(t, first.Person, "advocate", referral.NoReferral)
	w.wantVerdict(t, first.Person, "friend", referral.NoReferral)
}

func TestAPurchaseOfTheReferrerIsNotOneOfTheReferred(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, _ := w.mustPair()
	tracked := w.mustTrack(first.Person, purchase("1", 6000))
	told := w.mustExplain(first.Person, referral.Question{Rule: "advocate"}).Programs[0]
	if len(told.Rules) != 1 || told.Rules[0].Verdict != referral.WrongActor || told.Rules[0].Outcomes[0].On.ActivityID != tracked[0].Activity.ID {
		t.Errorf("%+v", told.Rules)
	}
	if told.Referrals[0].Rules[0].Verdict != referral.NotTriggered {
		t.Errorf("%+v", told.Referrals[0].Rules)
	}
}

func TestAReferralOfWhomNothingWasReportedSaysSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, _ := w.mustPair()
	w.wantVerdict(t, first.Person, "advocate", referral.NotTriggered)
}

func TestWhatCameBeforeOrAfterAReferralIsExplainedByThat(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna")}})
	second := w.mustRegister(referral.Registration{Identity: who("bert")})
	w.mustTrack(second.Person, purchase("1", 6000))
	r, err := w.Refer(t.Context(), w.tenant, second.Person.ID, first.Codes[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	w.wantVerdict(t, first.Person, "advocate", referral.BeforeReferral)
	if _, err := w.End(t.Context(), w.tenant, r.ID); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("2", 6000))
	w.wantVerdict(t, first.Person, "advocate", referral.AfterReferral)
}

func TestARewardThatIsPendingSaysUntilWhenAndARuleThatWaitsDoesToo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"later","on":"purchase","to":"self","give":{"kind":"points","amount":5,"unit":"points","pending":"14d"}},
		{"key":"kept","on":"purchase","to":"self","unless":{"event":"return","within":"30d"},"give":{"kind":"points","amount":7,"unit":"points"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustTrack(first.Person, purchase("1", 10))
	o := w.wantVerdict(t, first.Person, "later", referral.Given)
	wantWhy(t, o, reward.IsPending, referral.ForTime)
	if got := o.Reward.DueAt.Sub(o.Reward.GivenAt).Round(24 * time.Hour); got != 14*24*time.Hour {
		t.Errorf("it waits for %s", got)
	}
	if o := w.wantVerdict(t, first.Person, "kept", referral.Waiting); o.Until.Sub(o.On.At).Round(24*time.Hour) != 30*24*time.Hour {
		t.Errorf("it waits until %s", o.Until)
	}
}

func TestARuleThatSomethingPreventedSaysSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"kept","on":"purchase","to":"self","unless":{"event":"return","within":"1d"},"give":{"kind":"points","amount":7,"unit":"points"}}]`, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	before := time.Now().Add(-72 * time.Hour)
	w.mustTrack(first.Person,
		activity.New{Type: "return", OccurredAt: before.Add(time.Hour)},
		activity.New{Type: "purchase", OccurredAt: before})
	w.wantVerdict(t, first.Person, "kept", referral.Prevented)
}

func TestWhoIsUnreferableIsToldSo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{Unreferable: new(true)}})
	x := w.mustExplain(first.Person, referral.Question{})
	if x.Standing != referral.IsUnreferable || x.Programs[0].NotJoined != referral.ForUnreferable {
		t.Errorf("%+v", x)
	}
}

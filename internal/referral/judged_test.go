package referral_test

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// held gives the referrer 20 two weeks after the referral has converted, unless there
// is a refund meanwhile.
const held = `[{"key":"buys","on":"purchase","actor":"referred","convert":true},
	{"key":"hold","on":"referral.converted","actor":"referred","to":"referrer","unless":{"event":"refund","within":"14d"},
	 "give":{"kind":"credit","amount":2000,"unit":"cents"}}]`

const afterTheHold = 15 * 24 * time.Hour

func TestARuleThatWaitsBecauseOfAFactGivesWhenTheWaitIsOver(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(held, "")
	first, second := w.mustPair()
	bought := w.mustTrack(second.Person, purchase("1", 1))[0].Activity
	w.runTimers(time.Now().Add(13 * 24 * time.Hour))
	w.wantBalances(first.Person, second.Person, 0, 0)
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(first.Person, second.Person, 2000, 0)
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought.FactID}); err != nil {
		t.Fatal(err)
	}
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestARuleThatWaitsBecauseOfAFactGivesNothingWhereThatIsPrevented(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(held, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 1))
	w.mustTrack(second.Person, refund("1"))
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestARuleThatWaitsBecauseOfAFactGivesNothingWhereThatWasUndoneUntilItIsRedone(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(held, "")
	first, second := w.mustPair()
	bought := w.mustTrack(second.Person, purchase("1", 1))[0].Activity
	undoing, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought.FactID})
	if err != nil {
		t.Fatal(err)
	}
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(first.Person, second.Person, 0, 0)
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: undoing.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantBalances(first.Person, second.Person, 0, 0)
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(first.Person, second.Person, 2000, 0)
}

func TestARuleThatWaitsBecauseOfAFactGivesNothingInAReferralThatHasEndedUntilThatGoesOn(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(held, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 1))
	r, err := w.End(t.Context(), w.tenant, w.referralOf(second.Person).ID)
	if err != nil {
		t.Fatal(err)
	}
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(first.Person, second.Person, 0, 0)
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: w.mustFact(r.ID, referral.Ended).ID}); err != nil {
		t.Fatal(err)
	}
	w.wantBalances(first.Person, second.Person, 2000, 0)
}

func TestOnlyTheRuleThatHasWaitedIsAskedAboutAFactAgain(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[
		{"key":"wait","on":"account.paid","if":{"eq":["event.account","acme"]},"unless":{"event":"refund","within":"14d"},"give":{"kind":"credit","amount":1,"unit":"cents"}},
		{"key":"home","on":"account.paid","if":{"eq":["person.country","DE"]},"give":{"kind":"credit","amount":10,"unit":"cents"}},
		{"key":"away","on":"account.paid","if":{"eq":["person.country","FR"]},"give":{"kind":"credit","amount":100,"unit":"cents"}}]`, "")
	of := func(country string) *person.Person {
		return w.mustRegister(referral.Registration{Identity: who("bert"), Patch: person.Patch{Account: new("acme"), Country: new(country)}}).Person
	}
	bert := of("DE")
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid})
	of("FR")
	w.runTimers(time.Now().Add(afterTheHold))
	if got := w.balance(bert); got != 11 {
		t.Errorf("%d", got)
	}
}

func TestWhatWasBegunGoesOnWhileAProgramIsPausedOrEnded(t *testing.T) {
	for _, status := range []program.Status{program.Paused, program.Ended} {
		t.Run(string(status), func(t *testing.T) {
			w := mustWorld(t)
			p := w.mustProgram(`[{"key":"own","on":"purchase","give":{"kind":"credit","amount":1,"unit":"cents"}},`+giveAndGet[1:], "")
			first, second := w.mustPair()
			if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Status: &status}); err != nil {
				t.Fatal(err)
			}
			w.mustTrack(first.Person, purchase("1", 5000))
			w.mustTrack(second.Person, purchase("2", 5000))
			w.wantBalances(first.Person, second.Person, 2000, 1000)
			if r := w.referralOf(second.Person); r.State != referral.IsConverted {
				t.Errorf("the referral is %s", r.State)
			}
		})
	}
}

func TestInADraftNothingGoesOn(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Status: new(program.Draft)}); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("1", 5000))
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestWhoTakesPartInNoProgramGetsWhatReferralsThatHaveBegunLeadToAndNothingElse(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"own","on":"purchase","give":{"kind":"credit","amount":1,"unit":"cents"}},`+giveAndGet[1:], "")
	first, second := w.mustPair()
	for _, key := range []string{"anna", "bert"} {
		w.mustRegister(referral.Registration{Identity: who(key), Patch: person.Patch{Unreferable: new(true)}})
	}
	w.mustTrack(first.Person, purchase("1", 5000))
	w.mustTrack(second.Person, purchase("2", 5000))
	w.wantBalances(first.Person, second.Person, 2000, 1000)
}

func TestWhatOccurredBeforeTheReferralDoesNotConvertItWheneverItIsReported(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	at := func(n activity.New, ago time.Duration) activity.New {
		n.OccurredAt = time.Now().Add(-ago)
		return n
	}
	w.mustTrack(second.Person, at(purchase("1", 5000), 25*time.Hour))
	w.wantBalances(first.Person, second.Person, 0, 0)
	o := w.wantVerdict(t, first.Person, "advocate", referral.BeforeReferral)
	if !strings.Contains(o.Sentence, "occurred") {
		t.Error(o.Sentence)
	}
	w.mustTrack(second.Person, at(purchase("2", 5000), 23*time.Hour))
	w.wantBalances(first.Person, second.Person, 2000, 1000)
}

func TestARuleThatGivesWhatNoRewardCanBeDoesNotMatchAndTheReportIsTaken(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	stored := `[{"key":"new","on":"person.created","give":{"kind":"points","amount":1}},
		{"key":"empty","on":"purchase","actor":"referred","convert":true,"give":{"kind":"points","amount":1}},` +
		strings.Replace(giveAndGet, `"convert":true,`, "", 1)[1:]
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE rule_set SET rules = $1 WHERE tenant_id = $2`, stored, w.tenant)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	w.wantBalances(first.Person, second.Person, 2000, 1000)
	if r := w.referralOf(second.Person); r.State != referral.IsStarted {
		t.Errorf("the referral is %s by a rule that does not match", r.State)
	}
	o := w.wantVerdict(t, second.Person, "empty", referral.NotMatched)
	if !strings.Contains(o.Sentence, "unit") {
		t.Error(o.Sentence)
	}
}

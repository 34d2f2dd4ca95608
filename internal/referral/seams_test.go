package referral_test

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestEachOfAnAccountsPeopleWaitsByThemselves(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"wait","on":"account.paid","unless":{"event":"refund","within":"14d"},"give":{"kind":"credit","amount":1,"unit":"cents"}}]`, "")
	anna, bert := w.mustRegister(inAccount("anna", "acme")), w.mustRegister(inAccount("bert", "acme"))
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid})
	w.runTimers(time.Now().Add(afterTheHold))
	w.wantBalances(anna.Person, bert.Person, 1, 1)
}

// A rule that still waits is asked again when nobody knows any more what was done.
func TestAWaitForWhoWasForgottenTakesNothingFromOthers(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[
		{"key":"part","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":{"pct_bp":1000,"of":"event.amount"},"unit":"cents"}},
		{"key":"converts","on":"purchase","actor":"referred","convert":true,"if":{"gte":["event.amount",5000]}},
		{"key":"wait","on":"purchase","actor":"referred","to":"referred","unless":{"event":"refund","within":"14d"},"give":{"kind":"credit","amount":1,"unit":"cents"}}
	]`, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	if err := w.Forget(t.Context(), w.tenant, second.Person.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	w.runTimers(time.Now().Add(afterTheHold))
	if has := w.balance(first.Person); has != 500 {
		t.Errorf("the referrer has %d", has)
	}
	if r := w.referralOf(second.Person); r.ConvertedAt.IsZero() {
		t.Error("the referral has not converted any more")
	}
}

func TestACodeThatIsDisabledRefusesNobodyWhomItHasReferred(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna := w.mustRegister(inAccount("anna", ""))
	bert := inAccount("bert", "acme")
	bert.ReferredBy = []string{anna.Codes[0].Text}
	came := w.mustRegister(bert)
	if _, _, err := w.DisableCode(t.Context(), w.tenant, anna.Codes[0].Text); err != nil {
		t.Fatal(err)
	}
	bert.Patch.Email = new("bert@example.com")
	if done := w.mustRegister(bert); done.Person.Email != "bert@example.com" {
		t.Errorf("the address is %q", done.Person.Email)
	}
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid, ReferredBy: anna.Codes[0].Text})
	if r := w.referralOf(came.Person); r.State != referral.IsConverted {
		t.Errorf("the referral is %s", r.State)
	}
	if done := w.mustRegister(inAccount("carl", "acme")); len(done.Referrals) != 0 {
		t.Error("a code that is disabled has referred somebody")
	}
}

package referral_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func (w *world) mustSetAccount(a person.AccountPatch) {
	w.t.Helper()
	if _, err := w.SetAccount(w.t.Context(), w.tenant, a); err != nil {
		w.t.Fatal(err)
	}
}

func inAccount(key, account string) referral.Registration {
	return referral.Registration{Identity: who(key), Patch: person.Patch{Account: new(account), FirstName: new(key)}}
}

func TestTheCodeOfAnAccountRefersThoseWhoComeToItLater(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Trial, ReferredBy: anna.Codes[0].Text})
	bert := w.mustRegister(inAccount("bert", "acme"))
	if len(bert.Referrals) != 1 || bert.Referrals[0].ReferrerID != anna.Person.ID || bert.Referrals[0].State != referral.IsStarted {
		t.Fatalf("referrals: %+v", bert.Referrals)
	}
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid})
	if r := w.referralOf(bert.Person); r.State != referral.IsConverted {
		t.Errorf("after the account has paid the referral is %s", r.State)
	}
}

func TestAnAccountThatPaidBeforeItsFirstUserConvertsWhatTheyAreReferredBy(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"paid","on":"account.paid","actor":"referred","to":"referrer","once":true,"give":{"kind":"credit","amount":500,"unit":"cents"}}]`, "")
	anna := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid, ReferredBy: anna.Codes[0].Text})
	for range 2 { // repeated, it changes nothing
		bert := w.mustRegister(inAccount("bert", "acme"))
		if r := w.referralOf(bert.Person); r.State != referral.IsConverted || w.balance(anna.Person) != 500 {
			t.Fatalf("the referral is %s, and the referrer has %d", r.State, w.balance(anna.Person))
		}
	}
}

func TestWhatCannotBeReferredAnyMoreDoesNotKeepAnAccountFromChanging(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna, carl := w.mustRegister(inAccount("anna", "")), w.mustRegister(inAccount("carl", ""))
	bert := inAccount("bert", "acme")
	bert.ReferredBy = []string{anna.Codes[0].Text}
	came := w.mustRegister(bert)
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid, ReferredBy: carl.Codes[0].Text})
	if r := w.referralOf(came.Person); r.State != referral.IsConverted || r.ReferrerID != anna.Person.ID {
		t.Errorf("the referral is %s", r.State)
	}
	w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Cancelled, ReferredBy: carl.Codes[0].Text})
	if r := w.referralOf(came.Person); r.State != referral.IsEnded {
		t.Errorf("after the account was cancelled the referral is %s", r.State)
	}
	_, err := w.SetAccount(t.Context(), w.tenant, person.AccountPatch{Key: "empty", State: person.Trial, ReferredBy: "NOSUCH"})
	if !errors.Is(err, referral.ErrNoCode) {
		t.Errorf("a code that there is not is answered with %v", err)
	}
}

func TestSomebodyWhoBringsACodeTakesNoOtherOne(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	jane := func(key, code string) referral.Registration {
		return referral.Registration{
			Identity: who(key), Patch: person.Patch{FirstName: new("Jane"), LastName: new("Doe")}, Codes: map[string]string{"referral": code},
		}
	}
	first := w.mustRegister(jane("one", "JANEDOE7"))
	if types := w.told(); len(slices.DeleteFunc(types, func(of string) bool { return of != referral.CodeIssued })) != 1 {
		t.Errorf("codes were issued more than once: %v", types)
	}
	second := w.mustRegister(jane("two", "JANEDOE"))
	if first.Codes[0].Text != "JANEDOE7" || second.Codes[0].Text != "JANEDOE" {
		t.Errorf("the codes are %v and %v", first.Codes, second.Codes)
	}
	if _, err := w.Register(t.Context(), w.tenant, jane("three", "JANEDOE")); !errors.Is(err, code.ErrTaken) {
		t.Errorf("a code that is taken is answered with %v", err)
	}
}

func TestWhoTakesPartInNoProgramNeitherRefersNorIsReferred(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna := w.mustRegister(referral.Registration{Identity: who("anna")})
	apart := referral.Registration{Identity: who("bert"), Patch: person.Patch{Unreferable: new(true)}, ReferredBy: []string{anna.Codes[0].Text}}
	if _, err := w.Register(t.Context(), w.tenant, apart); !errors.Is(err, referral.ErrApart) {
		t.Errorf("who takes part in nothing is referred: %v", err)
	}
	apart.ReferredBy, apart.Cookies = nil, []string{anna.Codes[0].Text}
	if done := w.mustRegister(apart); len(done.Referrals) != 0 || len(done.Codes) != 0 {
		t.Errorf("a cookie has referred who takes part in nothing: %+v", done)
	}
	w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{Unreferable: new(true)}})
	_, err := w.Register(t.Context(), w.tenant, referral.Registration{Identity: who("carl"), ReferredBy: []string{anna.Codes[0].Text}})
	if !errors.Is(err, referral.ErrNoCode) {
		t.Errorf("the code of who takes part in nothing any more refers: %v", err)
	}
}

func TestAccountsThatChangeAtOnceAllKeepTheCodeByWhichTheirPeopleCame(t *testing.T) {
	const accounts = 24
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna := w.mustRegister(referral.Registration{Identity: who("anna")})
	for i := range accounts {
		w.mustRegister(inAccount(fmt.Sprint("friend-", i), fmt.Sprint("account-", i)))
	}
	errs := atOnce(accounts, 8, func(i int) error {
		a, err := w.SetAccount(t.Context(), w.tenant, person.AccountPatch{
			Key: fmt.Sprint("account-", i), State: person.Paid, ReferredBy: anna.Codes[0].Text,
		})
		if err == nil && a.ReferredBy != anna.Codes[0].Text {
			t.Errorf("the account has the code %q", a.ReferredBy)
		}
		return err
	})
	if len(errs) != 0 {
		t.Fatal(errs)
	}
	if _, n, err := w.Referrals(t.Context(), w.tenant, referral.Filter{State: referral.IsConverted, Limit: 1}); err != nil || n != accounts {
		t.Errorf("%d are converted, %v", n, err)
	}
}

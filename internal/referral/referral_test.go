package referral_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestWhoComesByACodeIsReferredAndBothAreRewardedWhenThatOneBuys(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	if first.Codes[0].Text != "ANNAADAMS" || !first.Created || len(second.Referrals) != 1 {
		t.Fatalf("%+v, %+v", first, second)
	}
	want := []string{
		"person.created", "code.created",
		"person.created", "code.created", "referral.started", "referral.moderated",
	}
	if got := w.told(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
	w.mustTrack(second.Person, purchase("1", 4999))
	if got := w.told(); !slices.Equal(got, []string{"activity.tracked"}) {
		t.Errorf("told %q", got)
	}
	w.mustTrack(second.Person, purchase("2", 5000))
	want = []string{"activity.tracked", "referral.converted", "reward.available", "wallet.credited", "reward.available", "wallet.credited"}
	if got := w.told(); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
	if a, b := w.balance(first.Person), w.balance(second.Person); a != 2000 || b != 1000 {
		t.Errorf("the referrer has %d, the referred %d", a, b)
	}
	w.mustTrack(second.Person, purchase("3", 9000))
	if a, b := w.balance(first.Person), w.balance(second.Person); a != 2000 || b != 1000 {
		t.Errorf("after another purchase the referrer has %d, the referred %d", a, b)
	}
}

func TestARefundTakesBackWhatThePurchaseLedToAndTheNextPurchaseCounts(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 6000))
	w.mustTrack(second.Person, purchase("2", 7000))
	w.told()
	w.mustTrack(second.Person, refund("1"))
	t.Log(w.told())
	if a, b, r := w.balance(first.Person), w.balance(second.Person), w.referralOf(second.Person); a != 2000 || b != 1000 || r.State != referral.IsConverted {
		t.Errorf("the referrer has %d, the referred %d, the referral is %s", a, b, r.State)
	}
	w.mustTrack(second.Person, refund("2"))
	if a, b, r := w.balance(first.Person), w.balance(second.Person), w.referralOf(second.Person); a != 0 || b != 0 || r.State != referral.IsStarted {
		t.Errorf("after both refunds the referrer has %d, the referred %d, the referral is %s", a, b, r.State)
	}
}

func TestWhoIsForgottenIsInNoFactAndNoMessage(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	if err := w.Forget(t.Context(), w.tenant, second.Person.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	w.read(func(q db.Queryer) error {
		facts, err := fact.List(q, w.tenant, fact.Page{Limit: 100})
		for _, f := range facts {
			raw, err := f.Raw()
			if err != nil {
				return err
			}
			if f.Subject.ID == second.Person.ID && f.Type != person.Deleted && string(raw) != "{}" || strings.Contains(string(raw), "Olsen") {
				t.Errorf("%s says %s", f.Type, raw)
			}
		}
		forgotten, getErr := person.Get(q, w.tenant, second.Person.ID)
		if getErr != nil {
			return getErr
		}
		if forgotten.Key == "bert" || forgotten.Name() != "" {
			t.Errorf("%+v", forgotten)
		}
		return err
	})
	again := w.mustRegister(referral.Registration{Identity: who("bert")})
	if !again.Created || again.Person.ID == second.Person.ID {
		t.Error("who comes again is not somebody new")
	}
}

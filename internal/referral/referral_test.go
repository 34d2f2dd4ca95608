package referral_test

import (
	"slices"
	"testing"

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

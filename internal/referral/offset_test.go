package referral_test

import (
	"errors"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// mustGive gives somebody cents by hand.
func (w *world) mustGive(to *person.Person, a reward.Award) *reward.Reward {
	w.t.Helper()
	a.PersonID, a.Kind, a.Unit = to.ID, rule.Credit, "cents"
	r, err := w.GiveReward(w.t.Context(), w.tenant, a)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) mustSpend(of *person.Person, amount int64) {
	w.t.Helper()
	if _, err := w.Spend(w.t.Context(), w.tenant, []id.ID{of.ID}, reward.Redemption{Amount: amount, Unit: "cents"}); err != nil {
		w.t.Fatal(err)
	}
}

// wantLeft checks what can be redeemed of a reward, and that so much can be, and no more.
func (w *world) wantLeft(of *reward.Reward, want int64) {
	w.t.Helper()
	r, err := w.Reward(w.t.Context(), w.tenant, of.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := r.Left(); got != want {
		w.t.Errorf("of %d %d is left, not %d: %s", r.Amount, got, want, r.State)
	}
	if _, err := w.RedeemReward(w.t.Context(), w.tenant, r.ID, reward.Redemption{Amount: r.Left() + 1, Unit: r.Unit}); !errors.Is(err, reward.ErrInsufficient) {
		w.t.Errorf("redeeming more than is left: %v", err)
	}
	if r.Left() == 0 {
		return
	}
	if _, err := w.RedeemReward(w.t.Context(), w.tenant, r.ID, reward.Redemption{Amount: r.Left(), Unit: r.Unit}); err != nil {
		w.t.Errorf("redeeming what is left: %v", err)
	}
}

func TestWhatPaysForASpentRewardThatIsTakenBackIsNotLeftOfOthers(t *testing.T) {
	for policy, want := range map[ledger.Policy]struct{ before, after int64 }{
		ledger.Keep:       {500, 1000},
		ledger.ToZero:     {0, 1000},
		ledger.Negative:   {0, 700},   // 300 were debt
		ledger.OffsetNext: {500, 200}, // 800 were kept back
	} {
		t.Run(string(policy), func(t *testing.T) {
			w := mustWorld(t)
			of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
			spent := w.mustGive(of, reward.Award{Amount: 1000, Clawback: policy})
			before := w.mustGive(of, reward.Award{Amount: 500})
			w.mustSpend(of, 800)
			if _, err := w.CancelReward(t.Context(), w.tenant, spent.ID); err != nil {
				t.Fatal(err)
			}
			after := w.mustGive(of, reward.Award{Amount: 1000})
			w.wantBooksInOrder()
			w.wantLeft(before, want.before)
			w.wantLeft(after, want.after)
			w.wantBooksInOrder()
		})
	}
}

func TestWhatPaidForARewardComesBackWithItAndCanBeRedeemed(t *testing.T) {
	for name, c := range map[string]struct {
		other    reward.Award
		spent    int64 // of the reward that is denied
		redeemed int64 // of the other one, before and after
		then     int64
		left     int64
	}{
		"as it was":                        {reward.Award{Amount: 500}, 800, 0, 0, 500},
		"in part":                          {reward.Award{Amount: 500}, 800, 200, 0, 300},
		"though the rest was all redeemed": {reward.Award{Amount: 500}, 100, 0, 400, 100},
		"not if it has expired":            {reward.Award{Amount: 500, ExpiresAt: time.Now().Add(100 * 24 * time.Hour)}, 100, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t)
			w.mustProgram(giveAndGet, "")
			_, second := w.mustPair()
			w.mustTrack(second.Person, purchase("1", 5000))
			w.mustSpend(second.Person, c.spent)
			other := w.mustGive(second.Person, c.other)
			w.mustRedeem(other, c.redeemed)
			r := w.referralOf(second.Person)
			w.mustModerate(r.ID, referral.ReferredSide, referral.Denied)
			w.mustRedeem(other, c.then)
			w.wantBooksInOrder()
			w.runTimers(time.Now().Add(200 * 24 * time.Hour))
			w.mustModerate(r.ID, referral.ReferredSide, referral.Approved)
			w.wantBooksInOrder()
			w.wantLeft(other, c.left)
			w.wantBooksInOrder()
		})
	}
}

func (w *world) mustRedeem(of *reward.Reward, amount int64) {
	w.t.Helper()
	if amount == 0 {
		return
	}
	if _, err := w.RedeemReward(w.t.Context(), w.tenant, of.ID, reward.Redemption{Amount: amount, Unit: of.Unit}); err != nil {
		w.t.Fatal(err)
	}
}

// wantLotsAsRewards checks that what is left of each reward is what its lot has.
func (w *world) wantLotsAsRewards(q db.Queryer) error {
	given, err := reward.List(q, w.tenant, reward.Page{Limit: 10_000})
	for _, r := range given {
		lot, err := ledger.ReadLot(q, w.tenant, r.ID)
		if !r.Spendable() || r.State == reward.IsPending || err != nil {
			continue
		}
		if lot.Remaining != r.Left() {
			w.t.Errorf("of a reward that is %s %d is left, of its lot %d", r.State, r.Left(), lot.Remaining)
		}
	}
	return err
}

func TestWhatALaterRewardHasPaidComesBackToTheOneThatIsReinstated(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	w.mustSpend(second.Person, 800)
	r := w.referralOf(second.Person)
	w.mustModerate(r.ID, referral.ReferredSide, referral.Denied)
	later := w.mustGive(second.Person, reward.Award{Amount: 600})
	w.mustModerate(r.ID, referral.ReferredSide, referral.Approved)
	w.wantBooksInOrder()
	w.wantLeft(later, 0)
	w.read(func(q db.Queryer) error {
		given, err := reward.OfReferral(q, w.tenant, r.ID)
		for _, g := range given {
			if g.PersonID == second.Person.ID && (g.State != reward.IsAvailable || g.Left() != 800) {
				t.Errorf("the reinstated one is %s with %d left", g.State, g.Left())
			}
		}
		return err
	})
}

func TestRewardsOfOnePersonThatAreDueTogetherAreBookedOneAfterTheOther(t *testing.T) {
	w := mustWorld(t)
	anna := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	spent := w.mustGive(anna, reward.Award{Amount: 400, Clawback: ledger.Negative})
	w.mustSpend(anna, 250)
	if _, err := w.CancelReward(t.Context(), w.tenant, spent.ID); err != nil {
		t.Fatal(err)
	}
	expires, err := rule.ParseDuration("3h")
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(24 * time.Hour)
	var given []*reward.Reward
	for i := range 5 {
		given = append(given, w.mustGive(anna, reward.Award{Amount: 100, DueAt: due.Add(time.Duration(i) * time.Hour), Expires: expires}))
	}
	w.runTimers(due.Add(4*time.Hour + time.Minute))
	w.wantBooksInOrder()
	if got := w.balance(anna); got != 250 { // of 500, 250 paid the debt
		t.Errorf("there is %d", got)
	}
	w.wantLeft(given[0], 0)
	w.wantLeft(given[2], 50)
	w.wantLeft(given[3], 100)
	w.wantLeft(given[4], 100)
	w.wantBooksInOrder()
}

func TestARewardIsDueAsWhatWasDueBeforeHasLeftIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[
		{"key":"both","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,"give":{"kind":"credit","amount":2000,"unit":"cents","pending":"73h"}},
		{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,"give":{"kind":"credit","amount":1000,"unit":"cents","pending":"73h"}}
	]`, `{"moderation":{"referrer":"pending","referred":"pending","approve_after":"3d"}}`)
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	w.runTimers(time.Now().Add(100 * time.Hour)) // both sides are approved, and then the rewards are due, in one transaction
	w.wantBalances(first.Person, second.Person, 2000, 1000)
}

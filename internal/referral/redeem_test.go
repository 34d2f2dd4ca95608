package referral_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// mustGiveWhole gives somebody by hand what has no parts; of no kind: a webhook's.
func (w *world) mustGiveWhole(to *person.Person, a reward.Award) *reward.Reward {
	w.t.Helper()
	a.PersonID, a.Kind = to.ID, cmp.Or(a.Kind, rule.Webhook)
	r, err := w.GiveReward(w.t.Context(), w.tenant, a)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) redeem(of *reward.Reward, what reward.Redemption) (*reward.Reward, error) {
	return w.RedeemReward(w.t.Context(), w.tenant, of.ID, what)
}

// wantNotRedeemed checks that something is refused with a code and words, and changes
// nothing.
func (w *world) wantNotRedeemed(of *reward.Reward, what reward.Redemption, code *problem.Code, words string) {
	w.t.Helper()
	before, err := w.Reward(w.t.Context(), w.tenant, of.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.redeem(of, what); !code.Has(err) || !strings.Contains(err.Error(), words) {
		w.t.Errorf("%+v of a reward that is %s: %v", what, before.State, err)
	}
	if after, err := w.Reward(w.t.Context(), w.tenant, of.ID); err != nil || after.Version != before.Version || after.State != before.State {
		w.t.Errorf("it has changed: %s, %v", after.State, err)
	}
}

func TestARewardWithoutPartsIsRedeemedOnceAsAWhole(t *testing.T) {
	for name, a := range map[string]reward.Award{
		"a percentage":          {Kind: rule.Percent, Amount: 1500},
		"a code":                {Kind: rule.CodePool, Code: "TANK-1"},
		"a webhook's":           {Amount: 25, Unit: "cards"},
		"a webhook's of 0":      {Def: "gift-card"},
		"one that would expire": {ExpiresAt: time.Now().Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t)
			of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
			given := w.mustGiveWhole(of, a)
			w.told()
			for range 2 {
				r, err := w.redeem(given, reward.Redemption{Ref: "order-1"})
				if err != nil || r.State != reward.IsRedeemed || r.Redeemed != a.Amount || r.Left() != 0 || r.Version != given.Version+1 {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			if told := w.told(); !slices.Equal(told, []string{reward.Redeemed}) {
				t.Errorf("told %v", told)
			}
			w.wantNotRedeemed(given, reward.Redemption{Ref: "order-2"}, problem.Conflict, "is redeemed")
			w.wantNotRedeemed(given, reward.Redemption{}, problem.Conflict, "is redeemed")
			if _, err := w.CancelReward(t.Context(), w.tenant, given.ID); !problem.Conflict.Has(err) {
				t.Errorf("cancelling it: %v", err)
			}
			w.runTimers(time.Now().Add(2 * time.Hour))
			if r, err := w.Reward(t.Context(), w.tenant, given.ID); err != nil || r.State != reward.IsRedeemed {
				t.Errorf("it is %s afterwards, %v", r.State, err)
			}
			w.wantBooksInOrder()
		})
	}
}

func TestOnlyARewardThatIsAvailableIsRedeemedAsAWhole(t *testing.T) {
	w := mustWorld(t)
	of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	available := w.mustGiveWhole(of, reward.Award{Kind: rule.Percent, Amount: 1500})
	w.wantNotRedeemed(available, reward.Redemption{Amount: 1500}, problem.Conflict, "leave out the amount")
	w.wantNotRedeemed(available, reward.Redemption{Unit: "cents"}, problem.Invalid, "unit")
	pending := w.mustGiveWhole(of, reward.Award{DueAt: time.Now().Add(time.Hour)})
	w.wantNotRedeemed(pending, reward.Redemption{}, problem.Conflict, "is pending")
	cancelled := w.mustGiveWhole(of, reward.Award{})
	if _, err := w.CancelReward(t.Context(), w.tenant, cancelled.ID); err != nil {
		t.Fatal(err)
	}
	w.wantNotRedeemed(cancelled, reward.Redemption{Ref: "order-1"}, problem.Conflict, "is cancelled")
	// What was refused has used up no reference.
	if r, err := w.redeem(available, reward.Redemption{Ref: "order-1"}); err != nil || r.State != reward.IsRedeemed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestARewardWhoseTimeIsOverIsNotRedeemedThoughItsTimerIsStillToRun(t *testing.T) {
	n := mustNodes(t)
	var given *reward.Reward
	n.at(0, func(w *world) {
		of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
		given = w.mustGiveWhole(of, reward.Award{ExpiresAt: time.Now().Add(time.Hour)})
	})
	n.at(time.Hour, func(w *world) { w.wantNotRedeemed(given, reward.Redemption{}, problem.Conflict, "is expired") })
}

func TestAReferenceRedeemsOneRewardWhateverItsKind(t *testing.T) {
	w := mustWorld(t)
	of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	credit := w.mustGive(of, reward.Award{Amount: 500})
	whole, other := w.mustGiveWhole(of, reward.Award{}), w.mustGiveWhole(of, reward.Award{})
	if _, err := w.redeem(whole, reward.Redemption{Ref: "order-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.redeem(credit, reward.Redemption{Ref: "order-2", Amount: 100, Unit: "cents"}); err != nil {
		t.Fatal(err)
	}
	w.wantNotRedeemed(other, reward.Redemption{Ref: "order-1"}, problem.IdempotencyConflict, "")
	w.wantNotRedeemed(other, reward.Redemption{Ref: "order-2"}, problem.IdempotencyConflict, "")
	w.wantNotRedeemed(credit, reward.Redemption{Ref: "order-1", Amount: 100, Unit: "cents"}, problem.IdempotencyConflict, "")
	if got := w.balance(of); got != 400 {
		t.Errorf("there is %d", got)
	}
}

func TestManyWhoRedeemOneRewardAtOnceGetItOnce(t *testing.T) {
	w := mustWorld(t)
	of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	first, second := w.mustGiveWhole(of, reward.Award{}), w.mustGiveWhole(of, reward.Award{})
	errs := atOnce(8, 8, func(int) error {
		_, err := w.RedeemReward(context.Background(), w.tenant, first.ID, reward.Redemption{})
		return err
	})
	if len(errs) != 7 || slices.ContainsFunc(errs, func(err error) bool { return !problem.Conflict.Has(err) }) {
		t.Errorf("of eight redemptions of one reward are refused: %v", errs)
	}
	third := w.mustGiveWhole(of, reward.Award{})
	errs = atOnce(8, 8, func(i int) error {
		_, err := w.RedeemReward(context.Background(), w.tenant, []*reward.Reward{second, third}[i%2].ID, reward.Redemption{Ref: "order-1"})
		return err
	})
	if len(errs) != 4 || slices.ContainsFunc(errs, func(err error) bool { return !problem.IdempotencyConflict.Has(err) }) {
		t.Errorf("of eight redemptions of two rewards under one reference are refused: %v", errs)
	}
}

// gift gives the buyer what the tenant hands over itself.
const gift = `[{"key":"gift","on":"purchase","give":{"kind":"webhook","def":"gift-card"},"limit":{"per":"program","count":1},
	"undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}]`

// latestOf returns what somebody was given last, or refused.
func (w *world) latestOf(p *person.Person) *reward.Reward {
	w.t.Helper()
	var latest []*reward.Reward
	w.read(func(q db.Queryer) error {
		var err error
		latest, err = reward.RecentOf(q, w.tenant, p.ID, 1)
		return err
	})
	if len(latest) == 0 {
		w.t.Fatal("there is no reward")
	}
	return latest[0]
}

// wantState checks how the latest reward of somebody stands.
func (w *world) wantState(of *person.Person, want reward.State) {
	w.t.Helper()
	if got := w.latestOf(of).State; got != want {
		w.t.Errorf("the reward is %s, not %s", got, want)
	}
}

func TestARewardThatWasRedeemedIsTakenBackWithItsCauseAndComesBackAsRedeemed(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(gift, "")
	of := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	bought := w.mustTrack(of, purchase("1", 1))
	given := w.latestOf(of)
	if _, err := w.redeem(given, reward.Redemption{Ref: "order-1"}); err != nil {
		t.Fatal(err)
	}
	redeemed := w.mustFact(given.ID, reward.Redeemed)
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: redeemed.ID}); !problem.Conflict.Has(err) {
		t.Errorf("undoing that it was redeemed: %v", err)
	}
	undone, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought[0].Activity.FactID})
	if err != nil {
		t.Fatal(err)
	}
	w.wantState(of, reward.IsCancelled)
	w.wantNotRedeemed(given, reward.Redemption{}, problem.Conflict, "is cancelled")
	if r, err := w.redeem(given, reward.Redemption{Ref: "order-1"}); err != nil || r.State != reward.IsCancelled { // it was, under that
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: undone.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantState(of, reward.IsRedeemed)
}

func TestARewardThatWasRedeemedKeepsItsPlaceInALimit(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(gift, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")}).Person
	second := w.mustRegister(referral.Registration{Identity: who("bert")}).Person
	bought := w.mustTrack(first, purchase("1", 1))
	w.mustTrack(second, purchase("2", 1))
	w.wantState(second, reward.IsRefused)
	undone, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought[0].Activity.FactID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.redeem(w.latestOf(second), reward.Redemption{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: undone.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantState(first, reward.IsRefused)
	w.wantState(second, reward.IsRedeemed)
}

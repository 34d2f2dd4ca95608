package referral_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func (w *world) mustModerate(of id.ID, side referral.Side, to referral.Moderation) {
	w.t.Helper()
	if _, err := w.Moderate(w.t.Context(), w.tenant, []referral.Decision{{Referral: of, Side: side, To: to}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantBalances(referrer, referred *person.Person, a, b int64) {
	w.t.Helper()
	if x, y := w.balance(referrer), w.balance(referred); x != a || y != b {
		w.t.Errorf("the referrer has %d, the referred %d; want %d and %d", x, y, a, b)
	}
}

func TestEachSideIsModeratedByItselfAndMayBeFlipped(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"moderation":{"referrer":"pending"}}`)
	first, second := w.mustPair()
	r := w.referralOf(second.Person)
	w.mustTrack(second.Person, purchase("1", 5000))
	w.wantBalances(first.Person, second.Person, 0, 1000)
	w.mustModerate(r.ID, referral.ReferrerSide, referral.Approved)
	w.wantBalances(first.Person, second.Person, 2000, 1000)
	w.mustModerate(r.ID, referral.ReferredSide, referral.Denied)
	w.wantBalances(first.Person, second.Person, 2000, 0)
	w.mustModerate(r.ID, referral.BothSides, referral.Denied)
	w.wantBalances(first.Person, second.Person, 0, 0)
	w.mustModerate(r.ID, referral.BothSides, referral.Approved)
	w.wantBalances(first.Person, second.Person, 2000, 1000)
	w.wantBooksInOrder()
}

func TestARewardThatWasDeniedBeforeItWasAvailableCanBeSpentOnceItIsApproved(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"moderation":{"referrer":"pending"}}`)
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	r := w.referralOf(second.Person)
	w.mustModerate(r.ID, referral.ReferrerSide, referral.Denied)
	w.mustModerate(r.ID, referral.ReferrerSide, referral.Approved)
	left, err := w.Spend(t.Context(), w.tenant, []id.ID{first.Person.ID}, reward.Redemption{Amount: 1500, Unit: "cents"})
	if err != nil || left != 500 {
		t.Errorf("left %d, %v", left, err)
	}
}

func TestASideThatIsDeniedBeforeThereIsARewardIsToldOfNoneThatIsAvailable(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustModerate(w.referralOf(second.Person).ID, referral.BothSides, referral.Denied)
	w.told()
	w.mustTrack(second.Person, purchase("1", 5000))
	for _, what := range w.told() {
		if what == reward.Available || what == reward.Credited {
			t.Errorf("told %s", what)
		}
	}
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestWhatWasRefundedStaysTakenBackWhenItsSideIsApprovedAfterAll(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	r := w.referralOf(second.Person)
	w.mustTrack(second.Person, purchase("1", 5000))
	w.mustModerate(r.ID, referral.BothSides, referral.Denied)
	w.mustTrack(second.Person, refund("1"))
	w.mustModerate(r.ID, referral.BothSides, referral.Approved)
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestWhatWasSpentOfADeniedRewardIsAsTheProgramSays(t *testing.T) {
	for policy, want := range map[string]int64{"keep": 0, "to_zero": 0, "negative": -800, "offset_next": 0} {
		t.Run(policy, func(t *testing.T) {
			w := mustWorld(t)
			w.mustProgram(giveAndGet, `{"clawback":"`+policy+`"}`)
			_, second := w.mustPair()
			w.mustTrack(second.Person, purchase("1", 5000))
			if _, err := w.Spend(t.Context(), w.tenant, []id.ID{second.Person.ID}, reward.Redemption{Amount: 800, Unit: "cents"}); err != nil {
				t.Fatal(err)
			}
			r := w.referralOf(second.Person)
			w.mustModerate(r.ID, referral.ReferredSide, referral.Denied)
			if got := w.balance(second.Person); got != want {
				t.Errorf("denied, the referred has %d, not %d", got, want)
			}
			w.mustModerate(r.ID, referral.ReferredSide, referral.Approved)
			if got := w.balance(second.Person); got != 200 {
				t.Errorf("approved again, the referred has %d", got)
			}
			w.wantBooksInOrder()
		})
	}
}

func TestWhatNobodyHasDecidedIsApprovedWhenItsTimeHasComeUnlessASignalHoldsIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"moderation":{"referrer":"pending","referred":"pending","approve_after":"3d"},"fraud":{"ip":{"action":"hold","count":1}}}`)
	first, second := w.mustPair()
	w.mustRegister(referral.Registration{Identity: who("carl"), ReferredBy: []string{first.Codes[0].Text}, IP: netip.MustParseAddr("93.184.216.34")})
	alike := w.mustRegister(referral.Registration{Identity: who("dora"), ReferredBy: []string{first.Codes[0].Text}, IP: netip.MustParseAddr("93.184.216.34")})
	w.runTimers(time.Now().Add(71 * time.Hour))
	if r := w.referralOf(second.Person); r.Referrer != referral.Undecided || r.Referred != referral.Undecided {
		t.Errorf("too early it is %s/%s", r.Referrer, r.Referred)
	}
	w.runTimers(time.Now().Add(73 * time.Hour))
	if r := w.referralOf(second.Person); r.Referrer != referral.Approved || r.Referred != referral.Approved {
		t.Errorf("in time it is %s/%s", r.Referrer, r.Referred)
	}
	if r := w.referralOf(alike.Person); r.Referrer != referral.Undecided || len(r.Signals) == 0 {
		t.Errorf("what a signal holds is %s with %+v", r.Referrer, r.Signals)
	}
}

func TestAThousandReferralsAreModeratedAtOnceOrNone(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"fraud":{"rate":{"action":"off"}},"moderation":{"referrer":"pending"}}`)
	first := w.mustRegister(referral.Registration{Identity: who("first")})
	n := 1000
	if testing.Short() || testkit.RaceDetector {
		n = 50
	}
	decisions := make([]referral.Decision, n)
	errs := atOnce(n, 20, func(i int) error {
		done, err := w.Register(t.Context(), w.tenant, referral.Registration{Identity: who(fmt.Sprint("friend", i)), ReferredBy: []string{first.Codes[0].Text}})
		if err == nil {
			decisions[i] = referral.Decision{Referral: done.Referrals[0].ID, Side: referral.BothSides, To: referral.Denied}
		}
		return err
	})
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	broken := append([]referral.Decision{}, decisions...)
	broken[n-1].Referral = id.New(time.Now())
	if _, err := w.Moderate(t.Context(), w.tenant, broken); err == nil {
		t.Error("one that is not there is moderated")
	}
	if _, total, err := w.Referrals(t.Context(), w.tenant, referral.Filter{Referrer: referral.Denied, Limit: 1}); err != nil || total != 0 {
		t.Errorf("%d are denied, %v", total, err)
	}
	done, err := w.Moderate(t.Context(), w.tenant, decisions)
	if err != nil || len(done) != n {
		t.Fatalf("%d, %v", len(done), err)
	}
	if _, total, err := w.Referrals(t.Context(), w.tenant, referral.Filter{Referrer: referral.Denied, Limit: 1}); err != nil || total != int64(n) {
		t.Errorf("%d are denied, %v", total, err)
	}
}

func TestSomebodyWhoIsBlockedIsGivenNothingUntilThatIsTakenBack(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[
		{"key":"later","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":2000,"unit":"cents","pending":"1d"}},
		{"key":"now","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":300,"unit":"cents"}}]`, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	if _, err := w.Block(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("2", 5000))
	w.wantBalances(first.Person, second.Person, 300, 0)
	if _, err := w.Unblock(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	w.wantBalances(first.Person, second.Person, 600, 0)
	w.runTimers(time.Now().Add(48 * time.Hour))
	w.wantBalances(first.Person, second.Person, 4600, 0)
}

func TestWhatIsDueToSomebodyWhoIsBlockedWaits(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"later","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":2000,"unit":"cents","pending":"1d"}}]`, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	if _, err := w.Block(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	w.runTimers(time.Now().Add(48 * time.Hour))
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestACookieOfSomebodyWhoIsBlockedIsPassedOverAndTheirCodeRefused(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, _ := w.mustPair()
	if _, err := w.Block(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	done := w.mustRegister(referral.Registration{Identity: who("carl"), Cookies: []string{first.Codes[0].Text}, Device: "browser-1"})
	if len(done.Referrals) != 0 {
		t.Errorf("%d referrals", len(done.Referrals))
	}
	_, err := w.Register(t.Context(), w.tenant, referral.Registration{Identity: who("dora"), ReferredBy: []string{first.Codes[0].Text}})
	if err == nil {
		t.Error("the code of somebody who is blocked counts")
	}
}

func TestAnUndoingThatIsUndoneTwiceTakesBackOnceMore(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	of := w.mustTrack(second.Person, purchase("1", 5000))[0].Activity.FactID
	for turn := range 6 {
		f, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: of})
		if err != nil {
			t.Fatal(err)
		}
		if turn%2 == 0 {
			w.wantBalances(first.Person, second.Person, 0, 0)
		} else {
			w.wantBalances(first.Person, second.Person, 2000, 1000)
		}
		if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: of}); err == nil {
			t.Error("the same is undone twice")
		}
		of = f.ID
	}
	w.wantBooksInOrder()
}

func TestASecondRefundOfOneOrderHoldsWhereTheFirstIsUndone(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	one := w.mustTrack(second.Person, refund("1"))
	again := refund("1")
	again.Key = "refund-1-again"
	two := w.mustTrack(second.Person, again)
	for i, of := range []id.ID{one[0].Activity.FactID, two[0].Activity.FactID} {
		w.wantBalances(first.Person, second.Person, 0, 0)
		if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: of}); err != nil {
			t.Fatal(i, err)
		}
	}
	w.wantBalances(first.Person, second.Person, 2000, 1000)
}

func TestAFourthReferralInAShortTimeFlagsAllFour(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"fraud":{"rate":{"action":"flag","count":3}}}`)
	first := w.mustRegister(referral.Registration{Identity: who("first")})
	var friends []*person.Person
	for i := range 4 {
		done := w.mustRegister(referral.Registration{Identity: who(fmt.Sprint("friend", i)), ReferredBy: []string{first.Codes[0].Text}})
		friends = append(friends, done.Person)
		for _, of := range friends {
			flagged := false
			for _, signal := range w.referralOf(of).Signals {
				flagged = flagged || signal.Kind == fraud.Rate
			}
			if want := i == 3; flagged != want {
				t.Errorf("after %d referrals, flagged is %t", i+1, flagged)
			}
		}
	}
}

func TestWhatAProgramIsPausedAfterIsTakenBackAndWhatWasBegunIsGivenInItsPlace(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	w.mustTrack(second.Person, purchase("2", 5000))
	paused := program.Paused
	if _, err := w.programs.Update(t.Context(), w.tenant, p.ID, program.Patch{Status: &paused}); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, refund("1"))
	w.wantBalances(first.Person, second.Person, 2000, 1000)
	w.mustTrack(second.Person, refund("2"))
	w.wantBalances(first.Person, second.Person, 0, 0)
}

func TestWhatWasToBeApprovedWhileAPersonWasBlockedIsApprovedAfterwards(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"moderation":{"referrer":"pending","approve_after":"7d"}}`)
	_, second := w.mustPair()
	if _, err := w.Block(t.Context(), w.tenant, second.Person.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.timers.RunDue(t.Context(), time.Now().Add(8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Unblock(t.Context(), w.tenant, second.Person.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.timers.RunDue(t.Context(), time.Now().Add(8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r := w.referralOf(second.Person); r.Referrer != referral.Approved {
		t.Errorf("the referrer's side is %s", r.Referrer)
	}
}

func TestWhoWasForgottenGetsNothingThatWasStillToCome(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","give":{"kind":"credit","amount":2000,"unit":"cents","pending":"14d"}}]`, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 1))
	if err := w.Forget(t.Context(), w.tenant, first.Person.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.timers.RunDue(t.Context(), time.Now().Add(20*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if has := w.balance(first.Person); has != 0 {
		t.Errorf("who was forgotten has %d", has)
	}
}

package referral_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// turned is what is undone, and undone again: the activity's fact, or the latest undoing.
type turned struct {
	last   id.ID
	undone bool
}

func (w *world) mustTurn(of *turned) {
	w.t.Helper()
	f, err := w.Undo(w.t.Context(), w.tenant, fact.Undoing{Fact: of.last})
	if err != nil {
		w.t.Fatal(err)
	}
	of.last, of.undone = f.ID, !of.undone
}

func TestAReferralIsConvertedAsLongAsOneOfTwoPurchasesHolds(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+"]", "")
	_, second := w.mustPair()
	var of [2]turned
	for i := range of {
		of[i].last = w.mustTrack(second.Person, purchase(fmt.Sprint(i), 1))[0].Activity.FactID
	}
	for n, i := range []int{0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1} {
		w.mustTurn(&of[i])
		want := referral.IsConverted
		if of[0].undone && of[1].undone {
			want = referral.IsStarted
		}
		if got := w.referralOf(second.Person).State; got != want {
			t.Fatalf("after %d turns, with %+v, the referral is %s, not %s", n+1, of, got, want)
		}
	}
}

// What another undoing had taken back comes back with that only if what it follows from
// was not undone meanwhile.
func TestAConversionDoesNotComeBackByAnActivityThatWasUndoneMeanwhile(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"alone","on":"purchase","actor":"referred","convert":true,"if":{"eq":[{"count":"visit"},0]}},
		{"key":"trial","on":"trial","actor":"referred","convert":true}]`, "")
	_, second := w.mustPair()
	of := make(map[string]*turned)
	for _, did := range []string{"visit", "purchase", "trial"} {
		a := w.mustTrack(second.Person, activity.New{Type: did})[0].Activity
		of[did] = &turned{last: a.FactID}
	}
	for i, c := range []struct {
		turn string
		want referral.State
	}{
		{"visit", referral.IsConverted}, // by the purchase, and not by the trial any more
		{"trial", referral.IsConverted},
		{"purchase", referral.IsStarted},
		{"visit", referral.IsStarted},
		{"trial", referral.IsConverted},
	} {
		w.mustTurn(of[c.turn])
		if got := w.referralOf(second.Person).State; got != c.want {
			t.Fatalf("after %d turns, the last of the %s, the referral is %s, not %s", i+1, c.turn, got, c.want)
		}
	}
}

func TestAFactOfAConversionThatIsNotTheLastSaysWhichOneToUndo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+"]", "")
	_, second := w.mustPair()
	bought := &turned{last: w.mustTrack(second.Person, purchase("1", 1))[0].Activity.FactID}
	r := w.referralOf(second.Person)
	first := w.mustFact(r.ID, referral.Converted)
	w.mustTurn(bought)
	w.mustTurn(bought)
	w.wantRefused(first.ID, fact.FactID.Format(w.mustFact(r.ID, referral.Converted).ID))
}

// whileEnded is what somebody does whose referral a block has ended, and who is unblocked.
var whileEnded = []step{
	{Do: "block", Who: 2},
	{Do: "visit", Who: 2, Order: "0"},
	{Do: "purchase", Who: 2, Order: "1", Amount: 100},
	{Do: "block", Who: 2},
	{Do: "moderate", Who: 2, Side: referral.BothSides, To: referral.Denied},
}

const forEach = `[{"key":"each","on":["purchase","visit"],"give":{"kind":"points","amount":7,"unit":"points"}}]`

func TestWhatWasGivenWhileAReferralHadEndedIsGivenInItWhenThatGoesOn(t *testing.T) {
	s := mustWorld(t).begin(forEach, 4)
	for _, st := range whileEnded[:4] {
		s.take(t, st)
	}
	of := s.people[2]
	want := func(states ...reward.State) {
		t.Helper()
		var got []reward.State
		s.read(func(q db.Queryer) error {
			rewards, err := reward.OfReferral(q, s.tenant, s.referralOf(of).ID)
			for _, r := range rewards {
				if r.Audience != rule.Referred {
					t.Errorf("it is given as %s", r.Audience)
				}
				got = append(got, r.State)
			}
			return err
		})
		if diff := cmp.Diff(states, got); diff != "" {
			t.Errorf("the referral's rewards are not as wanted (-) but (+):\n%s", diff)
		}
	}
	want(reward.IsAvailable, reward.IsAvailable)
	s.take(t, whileEnded[4])
	want(reward.IsCancelled, reward.IsCancelled)
}

func TestUndoingLeavesWhatAReplayGivesOfWhatWasDoneWhileAReferralHadEnded(t *testing.T) {
	w := mustWorld(t)
	lived, told := w.begin(forEach, 4), w.begin(forEach, 4)
	for i, st := range whileEnded {
		lived.take(t, st)
		if i != 1 {
			told.take(t, st)
		}
	}
	lived.turn(t, lived.tracked["visit-0"].FactID, 1)
	if diff := cmp.Diff(told.standing(), lived.standing()); diff != "" {
		t.Errorf("a replay gives (-), undoing leaves (+):\n%s", diff)
	}
}

// The refused of a program's limit are conformed too, by the referral that they are in.
func TestUndoingLeavesWhatAReplayGivesOfWhatALimitRefusedWhileAReferralHadEnded(t *testing.T) {
	w := mustWorld(t)
	set := "[" + someRules[3] + "]" // gives three of all
	lived, told := w.begin(set, 4), w.begin(set, 4)
	history := []step{
		{Do: "purchase", Who: 0, Order: "a", Amount: 100},
		{Do: "purchase", Who: 0, Order: "b", Amount: 100},
		{Do: "purchase", Who: 0, Order: "c", Amount: 100},
	}
	history = append(history, whileEnded[0], whileEnded[1], step{Do: "refund", Who: 0, Order: "c"})
	history = append(history, step{Do: "visit", Who: 1, Order: "d"})
	history = append(history, whileEnded[2:]...)
	for _, st := range history {
		lived.take(t, st)
		if st.key() != "visit-0" {
			told.take(t, st)
		}
	}
	lived.turn(t, lived.tracked["visit-0"].FactID, 1)
	if diff := cmp.Diff(told.standing(), lived.standing()); diff != "" {
		t.Errorf("a replay gives (-), undoing leaves (+):\n%s", diff)
	}
}

// What converts a referral in the place of what was undone did so before the referral
// ended, whenever it is that the undoing comes.
func TestUndoingWhatConvertedAReferralThatHasEndedSinceLeavesWhatFollowedFromItsConversion(t *testing.T) {
	w := mustWorld(t)
	set := "[" + someRules[0] + "," + someRules[9] + "]" // gives the referrer 50 points for a conversion
	lived, told := w.begin(set, 4), w.begin(set, 4)
	for _, st := range []step{
		{Do: "purchase", Who: 1, Amount: 800, Order: "0"},
		{Do: "purchase", Who: 1, Amount: 500, Order: "1"},
		{Do: "block", Who: 1},
	} {
		lived.take(t, st)
		if st.Order != "0" {
			told.take(t, st)
		}
	}
	lived.turn(t, lived.tracked["purchase-0"].FactID, 1)
	if diff := cmp.Diff(told.standing(), lived.standing()); diff != "" {
		t.Errorf("a replay gives (-), undoing leaves (+):\n%s", diff)
	}
}

// Whether a reward had once been allowed, while something earlier was undone, is nothing
// that a block should find.
func TestWhatALimitRefusesAgainIsLikeWhatItHasAlwaysRefused(t *testing.T) {
	w := mustWorld(t)
	const people = 3
	histories := make(map[bool][]string)
	for _, turns := range []bool{false, true} {
		s := w.begin(`[{"key":"one","on":["purchase","visit"],"to":"self","give":{"kind":"points","amount":7,"unit":"points"},"limit":{"per":"program","count":1}}]`, people)
		s.take(t, step{Do: "visit", Who: 0, Order: "1"})
		s.take(t, step{Do: "purchase", Who: 1, Amount: 100, Order: "2"})
		s.take(t, step{Do: "account", Who: 1, State: person.Cancelled}) // its referral ends
		if turns {
			visit := &turned{last: s.tracked[step{Do: "visit", Who: 0, Order: "1"}.key()].FactID}
			s.mustTurn(visit)
			if got := s.standing(); !slices.Contains(got, "p1 has one: 7 points, available  held false") {
				t.Fatalf("without the visit there is room: %q", got)
			}
			s.mustTurn(visit)
		}
		s.take(t, step{Do: "block", Who: 1})
		s.decide(t)
		histories[turns] = s.standing()
	}
	if diff := cmp.Diff(histories[false], histories[true]); diff != "" {
		t.Errorf("without turning (-), with it (+):\n%s", diff)
	}
}

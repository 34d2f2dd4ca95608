package referral_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// wantRefused fails the test unless undoing the fact is refused by a sentence that has
// the words, and nothing comes of it.
func (w *world) wantRefused(of id.ID, words string) {
	w.t.Helper()
	before := w.facts()
	_, err := w.Undo(w.t.Context(), w.tenant, fact.Undoing{Fact: of})
	if !problem.Conflict.Has(err) || !strings.Contains(err.Error(), words) {
		w.t.Errorf("undone: %v; want a conflict that says %q", err, words)
	}
	if after := w.facts(); after != before {
		w.t.Errorf("%d facts came of it", after-before)
	}
}

// rewardOf returns the one reward that somebody has.
func (w *world) rewardOf(p *person.Person) *reward.Reward {
	w.t.Helper()
	var r *reward.Reward
	w.read(func(q db.Queryer) error {
		all, err := reward.OfReferral(q, w.tenant, w.referralOf(p).ID)
		for _, one := range all {
			if one.PersonID == p.ID {
				r = one
			}
		}
		return err
	})
	if r == nil {
		w.t.Fatal("there is no reward")
	}
	return r
}

func TestAFactThatIsNotAGivingSaysWhichOneToUndo(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(strings.Replace(giveAndGet, `"amount":1000,"unit":"cents"`, `"amount":1000,"unit":"cents","pending":"1d","expires":"1d"`, 1), "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	r := w.rewardOf(second.Person)
	pending := w.mustFact(r.ID, reward.Pending)
	for _, after := range []time.Duration{25 * time.Hour, 50 * time.Hour} { // first it is available, and then it expires
		if _, err := w.timers.RunDue(t.Context(), time.Now().Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	for _, happened := range []string{reward.Available, reward.Expired} {
		w.wantRefused(w.mustFact(r.ID, happened).ID, fact.FactID.Format(pending.ID))
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: pending.ID}); err != nil {
		t.Errorf("the giving itself is not undone: %v", err)
	}
	if got := w.rewardOf(second.Person); got.State != reward.IsCancelled {
		t.Errorf("the reward is %s", got.State)
	}
}

func TestAFactThatCannotBeUndoneSaysWhatLedToIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	bought := w.mustTrack(second.Person, purchase("1", 5000))
	// A wallet is credited because of the reward, which is what can be undone.
	w.wantRefused(w.mustFact(second.Person.ID, reward.Credited).ID, fact.FactID.Format(w.mustFact(w.rewardOf(second.Person).ID, reward.Available).ID))
	w.wantRefused(w.mustFact(second.Person.ID, person.Created).ID, "nothing that led to it can")
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	w.wantRefused(bought[0].Activity.FactID, "undone already")
}

func TestWhatIsNotSoAnyMoreIsNotUndone(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	r := w.referralOf(second.Person)
	first := w.mustFact(r.ID, referral.Converted)
	undone, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: first.ID})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: undone.ID}); err != nil {
		t.Fatal(err)
	}
	again := w.mustFact(r.ID, referral.Converted)
	if again.ID == first.ID {
		t.Fatal("that it was converted again is no fact")
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: again.ID}); err != nil {
		t.Fatal(err)
	}
	w.wantRefused(first.ID, "not converted any more")
}

func TestAReferralGoesOnOnlyWhereItCan(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(w *world, of *person.Person) error
		words string
	}{
		"of somebody who is blocked": {func(w *world, of *person.Person) error {
			_, err := w.Block(w.t.Context(), w.tenant, of.ID)
			return err
		}, "unblock"},
		"of somebody who was forgotten": {func(w *world, of *person.Person) error {
			return w.Forget(w.t.Context(), w.tenant, of.ID, person.Deletion{})
		}, "forgotten"},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t)
			w.mustProgram(giveAndGet, "")
			_, second := w.mustPair()
			r := w.referralOf(second.Person)
			if err := c.end(w, second.Person); err != nil {
				t.Fatal(err)
			}
			w.wantRefused(w.mustFact(r.ID, referral.Ended).ID, c.words)
		})
	}
	t.Run("which goes on already", func(t *testing.T) {
		w := mustWorld(t)
		w.mustProgram(giveAndGet, "")
		_, second := w.mustPair()
		r, err := w.End(t.Context(), w.tenant, w.referralOf(second.Person).ID)
		if err != nil {
			t.Fatal(err)
		}
		first := w.mustFact(r.ID, referral.Ended)
		undone, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: first.ID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: undone.ID}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: w.mustFact(r.ID, referral.Ended).ID}); err != nil {
			t.Fatal(err)
		}
		w.wantRefused(first.ID, "goes on already")
	})
}

// letters returns the types of the messages that somebody was written.
func (w *world) letters(to *person.Person) []string {
	w.t.Helper()
	var types []string
	w.read(func(q db.Queryer) error {
		all, err := message.List(q, w.tenant, to.ID, message.Page{Limit: 100})
		for _, m := range all {
			types = append(types, string(m.Type))
		}
		return err
	})
	slices.Sort(types)
	return types
}

func TestACorrectionThatLeavesAReferralConvertedTellsNobodyAgain(t *testing.T) {
	w := mustLetterWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	bought := w.mustTrack(second.Person, purchase("1", 5000), purchase("2", 6000))
	wrote, got := w.letters(first.Person), w.letters(second.Person)
	if n := count(w.told(), referral.Converted); n != 1 {
		t.Fatalf("told %d times of the conversion", n)
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	if r := w.referralOf(second.Person); r.State != referral.IsConverted {
		t.Fatalf("the referral is %s", r.State)
	}
	told := w.told()
	for _, what := range []string{referral.Converted, referral.Retracted, referral.MessageSent} {
		if slices.Contains(told, what) {
			t.Errorf("told of %s", what)
		}
	}
	if !slices.Equal(w.letters(first.Person), wrote) || !slices.Equal(w.letters(second.Person), got) {
		t.Errorf("written are %v and %v", w.letters(first.Person), w.letters(second.Person))
	}
	// What nobody is told of is on record.
	if kept := w.mustFact(w.referralOf(second.Person).ID, referral.Retracted); kept.ID.IsZero() {
		t.Error("the log does not say so")
	}
}

func TestAReferralThatWasNotConvertedForAWhileIsToldToConvertAgainAndWrittenOfOnce(t *testing.T) {
	w := mustLetterWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	wrote := w.letters(first.Person)
	w.told()
	w.mustTrack(second.Person, refund("1"))
	if told := w.told(); count(told, referral.Retracted) != 1 {
		t.Errorf("told of %v", told)
	}
	w.mustTrack(second.Person, purchase("2", 5000))
	if told := w.told(); count(told, referral.Converted) != 1 {
		t.Errorf("told of %v", told)
	}
	if got := w.letters(first.Person); !slices.Equal(got, wrote) {
		t.Errorf("the referrer was written %v, and then %v", wrote, got)
	}
}

func TestEachRewardOfARuleThatGivesOftenIsWrittenOf(t *testing.T) {
	w := mustLetterWorld(t)
	w.mustProgram(`[{"key":"each","on":"purchase","actor":"referred","to":"referred","give":{"kind":"credit","amount":10,"unit":"cents"}}]`, "")
	_, second := w.mustPair()
	bought := w.mustTrack(second.Person, purchase("1", 1), purchase("2", 1))
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	w.mustTrack(second.Person, purchase("3", 1))
	if n := count(w.letters(second.Person), string(message.ReferredRewardEarned)); n != 3 {
		t.Errorf("%d letters of three rewards", n)
	}
}

func count(all []string, of string) int {
	n := 0
	for _, one := range all {
		if one == of {
			n++
		}
	}
	return n
}

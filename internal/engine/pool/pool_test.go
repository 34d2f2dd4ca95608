package pool_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestCodesAreGivenInTheOrderInWhichTheyWereAdded(t *testing.T) {
	w := mustWorld(t)
	w.mustAdd("zebra", " apple ")
	w.mustAdd("mango")
	for n, want := range []string{"zebra", "apple", "mango"} {
		w.wantCode(w.mustGive(fmt.Sprint(n)), want)
	}
	w.wantPool(3, 3)
}

func TestACodeThatThePoolHasOrHadIsPassedOverAndReturned(t *testing.T) {
	w := mustWorld(t)
	w.mustAdd("a", "b")
	w.mustGive("first")
	done := w.mustAdd("c", "a", "d", "c", "b")
	if diff := cmp.Diff([]string{"a", "c", "b"}, done.Duplicates); diff != "" || done.Count != 2 || done.Added != 4 {
		t.Errorf("added %+v\n%s", done, diff)
	}
	if again := w.mustAdd("a", "c"); again.Count != 0 || len(again.Duplicates) != 2 {
		t.Errorf("added again: %+v", again)
	}
	var got []string
	for n := range 3 {
		got = append(got, w.mustGive(fmt.Sprint(n)).Code)
	}
	if diff := cmp.Diff([]string{"b", "c", "d"}, got); diff != "" {
		t.Errorf("given (-want +got):\n%s", diff)
	}
	w.wantPool(4, 4)
}

func TestManyAtOnceGetEachCodeOnce(t *testing.T) {
	w := mustWorld(t)
	w.mustAdd(codes("c", 0, 60)...)
	const people, each = 8, 10
	given := make([][]*reward.Reward, people)
	var giving sync.WaitGroup
	for n := range people {
		giving.Go(func() {
			for m := range each {
				r, err := w.give(fmt.Sprint(n, "-", m), false)
				if err != nil {
					t.Error(err)
					return
				}
				given[n] = append(given[n], r)
			}
		})
	}
	giving.Wait()
	seen, waiting := map[string]int{}, 0
	for _, of := range given {
		for _, r := range of {
			if r.Code == "" {
				waiting++
			} else {
				seen[r.Code]++
			}
		}
	}
	if len(seen) != 60 || waiting != people*each-60 {
		t.Errorf("%d codes were given and %d rewards wait", len(seen), waiting)
	}
	w.wantPool(60, 60)
}

func TestThoseWhoFoundThePoolEmptyGetWhatIsAddedTheEarliestFirst(t *testing.T) {
	w := mustWorld(t)
	var given []*reward.Reward
	for n := range 250 {
		given = append(given, w.mustGive(fmt.Sprint(n)))
	}
	w.wantCode(given[0], "")
	w.mustCatchUp()
	w.mustAdd(codes("c", 0, 220)...)
	late := w.mustGive("late") // who waits already comes first
	w.wantCode(late, "")
	w.mustCatchUp()
	for n, r := range given {
		want := ""
		if n < 220 {
			want = fmt.Sprintf("c-%03d", n)
		}
		w.wantCode(r, want)
	}
	w.mustAdd(codes("c", 220, 251)...)
	w.mustCatchUp()
	w.wantCode(given[249], "c-249")
	w.wantCode(late, "c-250")
	w.wantPool(251, 251)
}

func TestACodeIsNobodyElsesOnceItsRewardIsTakenBack(t *testing.T) {
	w := mustWorld(t)
	w.mustAdd("a", "b")
	first := w.mustGive("first")
	w.mustDo(func(c *fact.Command) error { return w.rewards.Withdraw(c, "first") })
	w.wantCode(w.mustGive("second"), "b")
	third := w.mustGive("third")
	if _, err := w.give("first", false); err != nil { // it has come about again
		t.Fatal(err)
	}
	w.wantCode(first, "a")
	w.mustDo(func(c *fact.Command) error { return w.rewards.Withdraw(c, "third") })
	fourth := w.mustGive("fourth")
	w.mustAdd("c")
	w.mustCatchUp()
	w.wantCode(fourth, "c")
	if got := w.mustGet(third); got.State != reward.IsCancelled || got.Code != "" {
		t.Errorf("one that was taken back while it waited is %s with %q", got.State, got.Code)
	}
}

func TestARewardThatSomebodyHasToDecideOnTakesNoCodeBefore(t *testing.T) {
	w := mustWorld(t)
	w.mustAdd("a")
	held, err := w.give("held", true)
	if err != nil {
		t.Fatal(err)
	}
	w.wantCode(held, "")
	w.wantCode(w.mustGive("other"), "a")
	release := func(c *fact.Command) error { return w.rewards.Conform(c, w.mustGet(held), reward.Terms{}) }
	w.mustDo(release)
	w.wantCode(held, "")
	w.mustDo(func(c *fact.Command) error { return w.rewards.Conform(c, w.mustGet(held), reward.Terms{Held: true}) })
	w.mustAdd("b")
	w.mustCatchUp()
	w.wantCode(held, "")
	w.mustDo(release)
	w.wantCode(held, "b")
}

func TestWhatIsNoCodeIsRefusedAndNothingIsAdded(t *testing.T) {
	w := mustWorld(t)
	for name, c := range map[string]struct {
		key   string
		codes []string
	}{
		"no key":              {"", []string{"a"}},
		"a key with a space":  {"a b", []string{"a"}},
		"no codes":            {"shop", nil},
		"too many codes":      {"shop", make([]string, 10_001)},
		"an empty code":       {"shop", []string{"a", " "}},
		"a long code":         {"shop", []string{strings.Repeat("x", 201)}},
		"a code of two lines": {"shop", []string{"a\nb"}},
		"a code of no text":   {"shop", []string{"a\xff"}},
	} {
		if _, err := w.Add(t.Context(), w.tenant, c.key, c.codes); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if pools, err := w.List(t.Context(), w.tenant); len(pools) != 0 || err != nil {
		t.Errorf("there are %v, %v", pools, err)
	}
	w.mustAdd(codes("c", 0, 10_000)...)
	w.wantPool(10_000, 0)
	if _, err := w.Get(t.Context(), id.New(time.Now()), "shop"); !problem.NotFound.Has(err) {
		t.Errorf("another tenant: %v", err)
	}
}

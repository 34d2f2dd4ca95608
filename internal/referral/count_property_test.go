package referral_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// What rules that count have given is a function of all that holds: whoever converts as
// the third of those that count has the bonus, however that came about.
func TestABonusIsAlwaysForWhoeverIsTheThirdByWhatHolds(t *testing.T) {
	fewer(t)
	const friends = 5
	for _, bonus := range []string{third, fromThirdOn, strings.Replace(third, `converted"},`, `converted","in":"30d"},`, 1)} {
		w, rules := mustWorld(t), "["+buys+","+bonus+"]"
		rapid.Check(t, func(t *rapid.T) {
			of := *w
			of.tenant = id.New(time.Now())
			of.mustProgram(rules, `{"fraud":`+noFraud+`}`)
			h := &milestoneHistory{circle: of.mustCircle(friends), t: t, denied: make(map[int]bool)}
			for range rapid.IntRange(5, 25).Draw(t, "steps") {
				h.step()
				h.want()
			}
		})
	}
}

// milestoneHistory is what happens in a circle, and what counts of it.
type milestoneHistory struct {
	*circle

	t         *rapid.T
	purchases []*madePurchase // in their order
	denied    map[int]bool    // by friend: the referrer's side is
}

type madePurchase struct {
	friend int
	last   id.ID // the activity's fact, or the latest undoing
	undone bool
}

func (h *milestoneHistory) step() {
	friend := rapid.IntRange(0, len(h.friends)-1).Draw(h.t, "friend")
	do := rapid.SampledFrom([]string{"buy", "buy", "turn", "moderate"}).Draw(h.t, "do")
	switch {
	case do == "buy":
		a := h.mustTrack(h.friends[friend], purchase(fmt.Sprint(len(h.purchases)), 1))[0].Activity
		h.purchases = append(h.purchases, &madePurchase{friend: friend, last: a.FactID})
	case do == "turn" && len(h.purchases) > 0:
		of := rapid.SampledFrom(h.purchases).Draw(h.t, "of")
		undoing, err := h.Undo(h.circle.t.Context(), h.tenant, fact.Undoing{Fact: of.last})
		if err != nil {
			h.t.Fatal(err)
		}
		of.last, of.undone = undoing.ID, !of.undone
	case do == "moderate":
		to := rapid.SampledFrom([]referral.Moderation{referral.Approved, referral.Denied, referral.Undecided}).Draw(h.t, "to")
		d := []referral.Decision{{Referral: h.referralOf(h.friends[friend]).ID, Side: referral.ReferrerSide, To: to}}
		if _, err := h.Moderate(h.circle.t.Context(), h.tenant, d); err != nil {
			h.t.Fatal(err)
		}
		h.denied[friend] = to != referral.Approved
	}
}

// want checks who has the bonus, and who has converted: each friend converts by the first
// purchase that holds.
func (h *milestoneHistory) want() {
	var converted []int
	for _, p := range h.purchases {
		if !p.undone && !h.denied[p.friend] && !slices.Contains(converted, p.friend) {
			converted = append(converted, p.friend)
		}
	}
	want := []string{}
	if len(converted) >= 3 {
		want = append(want, h.referralOf(h.friends[converted[2]]).ID.String())
	}
	if got := h.bonuses(); !slices.Equal(got, want) {
		h.t.Fatalf("there is a bonus for %q, not %q", got, want)
	}
	for i, friend := range h.friends {
		state := referral.IsStarted
		if slices.ContainsFunc(h.purchases, func(p *madePurchase) bool { return p.friend == i && !p.undone }) {
			state = referral.IsConverted
		}
		if got := h.referralOf(friend).State; got != state {
			h.t.Fatalf("friend %d is %s, not %s", i, got, state)
		}
	}
}

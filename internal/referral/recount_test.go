package referral_test

import (
	"fmt"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// To undo an undoing brings back the bonus that the undoing had moved away, whoever
// should have it since.
func TestABonusThatAnUndoingBringsBackGoesToWhoeverIsTheThirdByThen(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+","+third+"]", `{"fraud":`+noFraud+`}`)
	c := w.mustCircle(5)
	buy := func(friend, n int) id.ID {
		return c.mustTrack(c.friends[friend], purchase(fmt.Sprint(n), 1))[0].Activity.FactID
	}
	turn := func(of id.ID) id.ID {
		t.Helper()
		undoing, err := c.Undo(t.Context(), c.tenant, fact.Undoing{Fact: of})
		if err != nil {
			t.Fatal(err)
		}
		return undoing.ID
	}
	buy(0, 0)
	first := buy(3, 1)
	buy(1, 2)
	second := buy(3, 3)
	c.wantBonus(1)
	first = turn(first) // the friend converts by the second purchase, and is the third
	c.wantBonus(3)
	buy(2, 4)
	second = turn(second)
	c.wantBonus(2)
	buy(4, 5)
	turn(first)
	c.wantBonus(1)
	d := []referral.Decision{{Referral: c.referralOf(c.friends[3]).ID, Side: referral.ReferrerSide, To: referral.Undecided}}
	if _, err := c.Moderate(t.Context(), c.tenant, d); err != nil {
		t.Fatal(err)
	}
	c.wantBonus(2)
	turn(second) // the friend has converted by the first since, and does not count
	c.wantBonus(2)
}

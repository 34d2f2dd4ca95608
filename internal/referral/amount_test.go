package referral_test

import (
	"fmt"
	"testing"
)

func TestAShareOfAnAmountIsRoundedOnceHalfAwayFromZero(t *testing.T) {
	for amount, want := range map[int]int64{100: 3, 99: 2, 20: 1, 19: 0, 1_000_000_000_001: 25_000_000_000, 1_000_000_000_020: 25_000_000_001} {
		t.Run(fmt.Sprint(amount), func(t *testing.T) {
			w := mustWorld(t)
			w.mustProgram(`[{"key":"share","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":250,"of":"event.amount"},"unit":"cents"}}]`, "")
			_, second := w.mustPair()
			w.mustTrack(second.Person, purchase("1", amount))
			if got := w.balance(second.Person); got != want {
				t.Errorf("2.5 %% of %d is %d, not %d", amount, got, want)
			}
			w.mustTrack(second.Person, purchase("2", amount))
			if got := w.balance(second.Person); got != 2*want {
				t.Errorf("twice that is %d", got)
			}
		})
	}
}

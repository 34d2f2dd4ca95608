package app

import "testing"

func TestASmallHeapMayGrowByTheHeadroomAndALargeOneDoubles(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 8 << 20: 400, 32 << 20: 100, 1 << 30: 100} {
		if got := percentFor(live); got != want {
			t.Errorf("%d live bytes: %d, want %d", live, got, want)
		}
	}
}

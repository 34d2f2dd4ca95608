package bench

import (
	"slices"
	"testing"
	"time"
)

func TestEverythingIsStruckAsOftenAsWasAskedFor(t *testing.T) {
	b := &bench{opts: Options{Kills: 5, Restarts: 3}}
	count := make(map[strike]int)
	next := b.strikes()
	for what, more := next(); more; what, more = next() {
		count[what]++
	}
	if count[strikeNode] != 5 || count[strikeDatabase] != 3 {
		t.Errorf("nodes were struck %d times, the database %d times", count[strikeNode], count[strikeDatabase])
	}
}

func TestWhatANodeHeldIsWhatItHadAcceptedAndNotSent(t *testing.T) {
	const moment = 100
	posted := []publication{
		{ID: "sent before", Answered: 50},
		{ID: "held", Answered: 100},
		{ID: "held and sent twice", Answered: 90},
		{ID: "in flight", Answered: 80},
		{ID: "accepted by the other", Answered: 101},
		{ID: "lost", Answered: 60},
	}
	arrivals := []Arrival{
		{ID: "sent before", At: 60},
		{ID: "held", At: 150},
		{ID: "held and sent twice", At: 170},
		{ID: "held and sent twice", At: 130},
		{ID: "in flight", At: 100},
		{ID: "in flight", At: 160},
		{ID: "accepted by the other", At: 110},
	}
	got := heldAt(moment, posted, arrivals)
	if want := (latencies{50, 30}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", []time.Duration(got), []time.Duration(want))
	}
}

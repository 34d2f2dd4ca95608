package bench

import "testing"

func TestADuplicateIsExplainedByAKillInBetweenOnly(t *testing.T) {
	arrived := func(id string, at int64) Arrival { return Arrival{ID: id, At: at} }
	kills := []outage{{100, 110}, {200, 210}}
	for _, c := range []struct {
		name     string
		arrivals []Arrival
		want     int
	}{
		{"nothing twice", []Arrival{arrived("a", 50), arrived("b", 150)}, 0},
		{"before and after a kill", []Arrival{arrived("a", 150), arrived("a", 90)}, 0},
		{"sent before a kill and read after it", []Arrival{arrived("a", 105), arrived("a", 120)}, 0},
		{"twice before any kill", []Arrival{arrived("a", 50), arrived("a", 60)}, 1},
		{"twice between two kills", []Arrival{arrived("a", 120), arrived("a", 190)}, 1},
		{"again after one kill, and once more without", []Arrival{arrived("a", 50), arrived("a", 150), arrived("a", 160)}, 1},
		{"once for each kill", []Arrival{arrived("a", 50), arrived("a", 150), arrived("a", 250)}, 0},
		{"at two endpoints", []Arrival{arrived("a", 50), at(1, arrived("a", 60))}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := unexplained(c.arrivals, kills); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

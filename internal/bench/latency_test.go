package bench

import (
	"math"
	"testing"
	"time"
)

func TestAPercentileIsTheLeastThatSoManyDoNotExceed(t *testing.T) {
	hundred := make(latencies, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i) // 100 down to 1
	}
	for _, c := range []struct {
		name string
		of   latencies
		p    float64
		want time.Duration
	}{
		{"the median of a hundred", hundred, 50, 50},
		{"the 99th of a hundred", hundred, 99, 99},
		{"the most", hundred, 100, 100},
		{"the least", hundred, 0, 1},
		{"a rank between two is rounded up", latencies{1, 2, 3}, 50, 2},
		{"of one", latencies{7}, 99, 7},
		{"of none", nil, 99, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.of.percentile(c.p); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestALatencyThatNothingHadIsNotANumber(t *testing.T) {
	if got := latencies(nil).inMilliseconds(99); !math.IsNaN(got) {
		t.Errorf("got %v", got)
	}
	if got := (latencies{1500 * time.Microsecond}).inMilliseconds(99); got != 1.5 {
		t.Errorf("1.5 ms are %v ms", got)
	}
}

func TestLatenciesCountFromWhenAnEventWasDue(t *testing.T) {
	posted := []publication{{N: 1, ID: "a", Due: 100, Answered: 150}, {N: 2, ID: "b", Due: 200, Answered: 900}}
	if got := answering(posted).percentile(100); got != 700 {
		t.Errorf("the slowest answer took %d", got)
	}
	arrivals := []Arrival{{ID: "b", At: 1_000}, {ID: "a", At: 130}, {ID: "unknown", At: 5_000}}
	if got := arriving(posted, arrivals).percentile(100); got != 800 {
		t.Errorf("the slowest arrival took %d", got)
	}
}

func TestARateCountsFromTheFirstEventDueToTheLastArrival(t *testing.T) {
	second := int64(time.Second)
	f := flow{
		posted: []publication{{Due: 5 * second, Answered: 6 * second}, {Due: 4 * second, Answered: 5 * second}},
		noted:  Noted{Arrivals: []Arrival{{At: 8 * second}, {At: 5 * second}, {At: 6 * second}, {At: 7 * second}}},
	}
	if got := f.publishing(); got != 1 {
		t.Errorf("published %v a second, want 2 in 2 s", got)
	}
	if got := f.delivering(); got != 1 {
		t.Errorf("delivered %v a second, want 4 in 4 s", got)
	}
	if got := f.steadily(2 * time.Second); got != 1.5 {
		t.Errorf("delivered %v a second after two, want 3 in 2 s", got)
	}
}

package bench

import (
	"testing"
	"time"
)

func TestSignUpsASecondCountFromTheFirstRequestToTheLastAnswer(t *testing.T) {
	second := int64(time.Second)
	run := signUpRun{
		done: []signUp{
			{member: member{newcomer: 2}, posted: 5 * second, answered: 6 * second},
			{member: member{newcomer: 1}, posted: 4 * second, answered: 8 * second},
		},
		noted: Noted{Arrivals: []Arrival{
			{ID: "1", Type: userCreated, About: "u00000001", At: 7 * second},
			{ID: "2", Type: couponCreated, At: 8 * second},
			{ID: "3", Type: userCreated, About: "u00000002", At: 9 * second},
			{ID: "4", Type: couponCreated, At: 5 * second},
		}},
	}
	var seen seenSignUps
	seen.add(run)
	if got := seen.rates[0]; got != 0.5 {
		t.Errorf("signed up %v a second, want 2 in 4 s", got)
	}
	if got := seen.sent[0]; got != 0.75 {
		t.Errorf("sent %v events a second, want 3 in 4 s", got)
	}
	if got := seen.left[0]; got != 1 {
		t.Errorf("%v events were left to send, want the one of 9 s", got)
	}
	if got := seen.took.percentile(100); got != 4*time.Second {
		t.Errorf("the slowest took %s", got)
	}
	if i := seen.integrity; i.Accepted != 4 || i.Lost != 0 || i.Foreign != 0 {
		t.Errorf("integrity is %+v", i)
	}
}

func TestTheMedianOfThreeRunsCounts(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{9, 9, 1}, 9}, {[]float64{4}, 4}} {
		if got := median(c.of); got != c.want {
			t.Errorf("the median of %v is %v", c.of, got)
		}
	}
}

package bench

import (
	"cmp"
	"slices"
	"time"
)

// flow is what came of a number of events.
type flow struct {
	posted    []publication
	endpoints int // that each of them goes to
	noted     Noted
	used      usage
}

// publishing is how many of the events were accepted a second.
func (f flow) publishing() float64 {
	last := slices.MaxFunc(f.posted, func(a, b publication) int { return cmp.Compare(a.Answered, b.Answered) })
	return perSecond(len(f.posted), time.Duration(last.Answered-f.begin()))
}

// delivering is how many webhooks arrived a second, from when the first event
// was due to the last arrival.
func (f flow) delivering() float64 { return f.deliveringSince(f.begin()) }

func (f flow) deliveringSince(start int64) float64 {
	if len(f.noted.Arrivals) == 0 {
		return 0
	}
	return perSecond(len(f.noted.Arrivals), time.Duration(slices.Max(f.times())-start))
}

// steadily is delivering without what happened in the beginning, and zero if
// that was all.
func (f flow) steadily(beginning time.Duration) float64 {
	times := f.times()
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	from := f.begin() + int64(beginning)
	i, _ := slices.BinarySearch(times, from)
	return perSecond(len(times)-i, time.Duration(times[len(times)-1]-from))
}

// times are when the webhooks arrived.
func (f flow) times() []int64 {
	times := make([]int64, len(f.noted.Arrivals))
	for i, a := range f.noted.Arrivals {
		times[i] = a.At
	}
	return times
}

// begin is when the first event was due.
func (f flow) begin() int64 {
	return slices.MinFunc(f.posted, func(a, b publication) int { return cmp.Compare(a.Due, b.Due) }).Due
}

// perSecond is a rate.
func perSecond(n int, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

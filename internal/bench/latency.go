package bench

import (
	"math"
	"slices"
	"time"
)

// latencies are how long each of many things took.
type latencies []time.Duration

// percentile returns the least latency that p percent of all do not exceed
// (nearest rank), and zero if there are none: see inMilliseconds.
func (l latencies) percentile(p float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// inMilliseconds is a percentile, and not a number if there are no latencies, so
// that nothing passes a bar by not having happened.
func (l latencies) inMilliseconds(p float64) float64 {
	if len(l) == 0 {
		return math.NaN()
	}
	return milliseconds(l.percentile(p))
}

// answering is how long each publication took, from when it was due.
func answering(posted []publication) latencies {
	l := make(latencies, 0, len(posted))
	for _, p := range posted {
		l = append(l, time.Duration(p.Answered-p.Due))
	}
	return l
}

// arriving is how long each webhook took, from when the publication of its event
// was due to its arrival. What is lost is not among them: integrity counts that.
func arriving(posted []publication, arrivals []Arrival) latencies {
	due := make(map[string]int64, len(posted))
	for _, p := range posted {
		due[p.ID] = p.Due
	}
	l := make(latencies, 0, len(arrivals))
	for _, a := range arrivals {
		if at, known := due[a.ID]; known {
			l = append(l, time.Duration(a.At-at))
		}
	}
	return l
}

// spread adds the percentiles that people compare.
func (r *Result) spread(name string, l latencies) {
	r.figure(name+"_p50", l.inMilliseconds(50), "ms")
	r.figure(name+"_p99", l.inMilliseconds(99), "ms")
	r.figure(name+"_most", l.inMilliseconds(100), "ms")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

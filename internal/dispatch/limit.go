package dispatch

import "time"

// Bounds of what an adaptive limit allows.
const (
	firstLimit = 8
	mostLimit  = 128
)

// limit is how many attempts to one endpoint may be under way at once. An
// adaptive one begins at 8, doubles with each round of successes until the
// first setback, and then grows by one a round; a setback halves it.
type limit struct {
	fixed     int // zero: adaptive
	most      int // what an adaptive one may grow to
	n         int
	starting  bool // no setback yet
	successes int  // in this round
	cutAt     time.Time
}

func newLimit(fixed int) limit {
	return limit{fixed: fixed, most: mostLimit, n: firstLimit, starting: true}
}

// allowed is the limit now, at least 1.
func (l *limit) allowed() int {
	if l.fixed > 0 {
		return l.fixed
	}
	return l.n
}

// succeeded counts a success towards a round of as many as are allowed.
func (l *limit) succeeded() {
	l.successes++
	if l.successes < l.n {
		return
	}
	l.successes = 0
	if l.starting {
		l.n *= 2
	} else {
		l.n++
	}
	l.n = min(l.n, l.most)
}

// setBack halves the limit, unless the attempt began before it was last halved:
// what was under way together says one thing, not many.
func (l *limit) setBack(started, now time.Time) {
	if !started.After(l.cutAt) {
		return
	}
	l.n = max(1, l.n/2)
	l.starting, l.successes, l.cutAt = false, 0, now
}

package db

import (
	"sync/atomic"
	"time"
)

// patience is how long a group waits for callers who may be about to come back.
const patience = 2 * time.Millisecond

// returning estimates how many callers are about to write again.
//
// A commit costs about as much as a dozen small writes, so that it pays to begin
// a group a little later if it gets larger by that. Whoever has just been let go
// often writes again at once: a publisher its next event, the dispatcher the
// next outcomes. So a group waits until no more of them are missing than others
// are there already, and not longer than patience. One half then writes while the
// other half is on its way. A caller who is alone never waits.
type returning struct {
	arrived atomic.Int64  // callers so far
	wanted  atomic.Int64  // at which number of them enough are here
	enough  chan struct{} // says so
	timer   *time.Timer

	// Of the writer alone.
	expected int64     // at which number of arrivals all who were let go are back
	until    time.Time // when they are given up
}

func newReturning() *returning {
	r := &returning{enough: make(chan struct{}, 1), timer: time.NewTimer(patience)}
	r.timer.Stop()
	return r
}

// arrive counts a caller who has begun to wait.
func (r *returning) arrive() {
	if r.arrived.Add(1) == r.wanted.Load() {
		select {
		case r.enough <- struct{}{}:
		default:
		}
	}
}

// letGo notes that so many callers have been answered.
func (r *returning) letGo(callers int) {
	now := time.Now()
	arrived := r.arrived.Load()
	late := max(r.expected-arrived, 0)
	if now.After(r.until) {
		late = 0
	}
	r.expected, r.until = arrived+late+int64(callers), now.Add(patience)
}

// await returns when no more of those who are expected are missing than there are
// callers here, as the group is about to begin; or when they are given up.
func (r *returning) await(here int) {
	enough := r.expected - int64(here)
	wait := time.Until(r.until)
	if r.arrived.Load() >= enough || wait <= 0 {
		return
	}
	select {
	case <-r.enough: // of an earlier wait
	default:
	}
	r.wanted.Store(enough)
	if r.arrived.Load() >= enough {
		return
	}
	r.timer.Reset(wait)
	select {
	case <-r.enough:
	case <-r.timer.C:
	}
	r.timer.Stop()
}

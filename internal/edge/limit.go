package edge

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// maxLimited bounds the keys whose rates are kept in memory.
const maxLimited = 10_000

// Limiter counts the requests of each key.
type Limiter struct {
	rate  float64 // a second
	burst int
	keys  *Buckets[id.ID] // the operator's under the zero ID
}

// NewLimiter allows so many requests a second, and as many at once. It returns
// nil, which limits nothing, where that is zero.
func NewLimiter(perSecond float64) *Limiter {
	if perSecond <= 0 {
		return nil
	}
	return &Limiter{rate: perSecond, burst: max(1, int(math.Ceil(perSecond))), keys: NewBuckets[id.ID](maxLimited)}
}

// Standing is how a key stands after a request. The zero Standing is that of a
// key that is not limited.
type Standing struct {
	Limit     int // how many requests it may make at once
	Remaining int // how many it may make now
	Reset     int // in how many seconds it may make all of them again
	Wait      int // how many seconds a request that was refused should wait; at least 1 then
}

// Take counts a request against its key's rate. It returns problem.RateLimited
// for one too many.
func (l *Limiter) Take(key id.ID, now time.Time) (Standing, error) {
	if l == nil {
		return Standing{}, nil
	}
	r := l.keys.Of(key, rate.Limit(l.rate), l.burst)
	allowed := r.AllowN(now, 1)
	tokens := max(r.TokensAt(now), 0)
	s := Standing{Limit: l.burst, Remaining: int(tokens), Reset: l.seconds(float64(l.burst) - tokens)}
	if allowed {
		return s, nil
	}
	s.Wait = max(1, l.seconds(1-tokens))
	return s, problem.RateLimited.New("the key may make %v requests a second", l.rate)
}

// seconds is how long so many requests take to come back.
func (l *Limiter) seconds(missing float64) int {
	return int(math.Ceil(min(missing/l.rate, math.MaxInt32)))
}

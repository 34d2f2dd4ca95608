package api

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// maxLimited bounds the keys whose rates are kept in memory.
const maxLimited = 10_000

// limiter counts the requests of each key.
type limiter struct {
	rate  float64 // a second
	burst int

	mu   sync.Mutex
	keys map[id.ID]*rate.Limiter // the operator's under the zero ID
}

// newLimiter allows so many requests a second, and as many at once.
func newLimiter(perSecond float64) *limiter {
	return &limiter{rate: perSecond, burst: max(1, int(math.Ceil(perSecond))), keys: make(map[id.ID]*rate.Limiter)}
}

// of returns the limiter of a key.
func (l *limiter) of(key id.ID) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := l.keys[key]; ok {
		return r
	}
	if len(l.keys) >= maxLimited {
		l.forget()
	}
	r := rate.NewLimiter(rate.Limit(l.rate), l.burst)
	l.keys[key] = r
	return r
}

// forget drops the keys that have not asked lately, whose limiters are as good
// as new, and everything if that is not enough.
func (l *limiter) forget() {
	for key, r := range l.keys {
		if r.Tokens() >= float64(l.burst) {
			delete(l.keys, key)
		}
	}
	if len(l.keys) > maxLimited/2 {
		clear(l.keys)
	}
}

// limit counts a request against its key's rate and says in headers how that
// stands.
func (s *server) limit(w http.ResponseWriter, c *call) error {
	if s.limiter == nil {
		return nil
	}
	r := s.limiter.of(c.principal.KeyID)
	now := time.Now()
	allowed := r.AllowN(now, 1)
	tokens := max(r.TokensAt(now), 0)
	seconds := func(missing float64) string {
		return strconv.Itoa(int(math.Ceil(min(missing/s.limiter.rate, math.MaxInt32))))
	}
	h := w.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(s.limiter.burst))
	h.Set("RateLimit-Remaining", strconv.Itoa(int(tokens)))
	h.Set("RateLimit-Reset", seconds(float64(s.limiter.burst)-tokens))
	if allowed {
		return nil
	}
	wait := seconds(1 - tokens)
	if wait == "0" {
		wait = "1"
	}
	h.Set("Retry-After", wait)
	return problem.RateLimited.New("the key may make %v requests a second", s.limiter.rate)
}

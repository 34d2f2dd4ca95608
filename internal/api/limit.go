package api

import (
	"net/http"
	"strconv"
	"time"
)

// limit counts a request against its key's rate and says in headers how that
// stands.
func (s *server) limit(w http.ResponseWriter, c *call) error {
	if s.limiter == nil {
		return nil
	}
	standing, err := s.limiter.Take(c.principal.KeyID, time.Now())
	h := w.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(standing.Limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(standing.Remaining))
	h.Set("RateLimit-Reset", strconv.Itoa(standing.Reset))
	if err != nil {
		h.Set("Retry-After", strconv.Itoa(standing.Wait))
	}
	return err
}

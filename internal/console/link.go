package console

import (
	"crypto/sha256"
	"net/url"
	"sync"
	"time"
)

// Limits of links.
const (
	linkLife = 15 * time.Minute
	maxLinks = 64
)

// links are the one-time links that were handed out: the hashes of their tokens,
// and until when each is valid.
type links struct {
	mu    sync.Mutex
	until map[hashed]time.Time
}

func newLinks() *links { return &links{until: make(map[hashed]time.Time)} }

// NewLink returns a URL at which the operator signs in, once and within 15
// minutes. Opening it only shows a button, since programs that preview links
// open them too. It is as good as the operator's key: show it to nobody else.
func (c *Console) NewLink() string {
	query := url.Values{"token": {c.links.add(time.Now())}}
	return c.url + signInPath + "?" + query.Encode()
}

// add returns the token of a new link. Where there are too many, the oldest
// ends.
func (l *links) add(now time.Time) string {
	token := newToken()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.until) >= maxLinks {
		var oldest hashed
		for h, until := range l.until {
			if first, ok := l.until[oldest]; !ok || until.Before(first) {
				oldest = h
			}
		}
		delete(l.until, oldest)
	}
	l.until[sha256.Sum256([]byte(token))] = now.Add(linkLife)
	return token
}

// redeem reports whether the token is that of a valid link, which it no longer
// is from then on. Tokens have 256 random bits, so guesses need no limit.
func (l *links) redeem(token string, now time.Time) bool {
	h := sha256.Sum256([]byte(token))
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[h]
	delete(l.until, h)
	return ok && now.Before(until)
}

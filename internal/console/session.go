package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// Limits of sessions.
const (
	idle           = 12 * time.Hour // a session ends that was not used for so long
	maxSessions    = 4096
	maxSessionsKey = 64 // of one key, so that nobody with a key pushes out the others
)

// session stands for somebody who has signed in with a key. The key itself is
// not kept.
type session struct {
	admin       bool
	tenant, key id.ID // zero for the operator
	usedAt      time.Time

	// unseen is a webhook that was just made, whose secret is still to be shown.
	unseen id.ID

	// notice says what was just done, on the page of the thing it was done to.
	notice   string
	noticeOf id.ID
}

// hashed is the SHA-256 of a text of 256 random bits.
type hashed [sha256.Size]byte

// newToken returns 256 random bits as text.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process first
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// sessions are those of this process, under the hashes of their cookies.
type sessions struct {
	mu     sync.Mutex
	byHash map[hashed]*session
}

func newSessions() *sessions { return &sessions{byHash: make(map[hashed]*session)} }

// begin opens a session and returns its cookie. Where there are too many, it
// ends the one that has rested longest, of the same key first.
func (s *sessions) begin(p tenant.Principal, now time.Time) string {
	cookie := newToken()
	fresh := &session{admin: p.Admin, tenant: p.Tenant.ID, key: p.KeyID, usedAt: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.makeRoom(fresh.key, now)
	s.byHash[sha256.Sum256([]byte(cookie))] = fresh
	return cookie
}

// makeRoom ends what has expired, and as many as have to be for one more.
func (s *sessions) makeRoom(key id.ID, now time.Time) {
	var oldest, oldestOfKey hashed
	ofKey := 0
	for h, other := range s.byHash {
		if now.Sub(other.usedAt) >= idle {
			delete(s.byHash, h)
			continue
		}
		if first, ok := s.byHash[oldest]; !ok || other.usedAt.Before(first.usedAt) {
			oldest = h
		}
		if other.key != key {
			continue
		}
		ofKey++
		if first, ok := s.byHash[oldestOfKey]; !ok || other.usedAt.Before(first.usedAt) {
			oldestOfKey = h
		}
	}
	switch {
	case ofKey >= maxSessionsKey:
		delete(s.byHash, oldestOfKey)
	case len(s.byHash) >= maxSessions:
		delete(s.byHash, oldest)
	}
}

// find returns the session that has the cookie, or nil.
func (s *sessions) find(cookie string, now time.Time) *session {
	h := sha256.Sum256([]byte(cookie))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byHash[h]
	if !ok {
		return nil
	}
	if now.Sub(found.usedAt) >= idle {
		delete(s.byHash, h)
		return nil
	}
	return found
}

// touch notes that the session was used.
func (s *sessions) touch(cookie string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.byHash[sha256.Sum256([]byte(cookie))]; ok {
		found.usedAt = now
	}
}

// end closes the session that has the cookie, if there is one.
func (s *sessions) end(cookie string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byHash, sha256.Sum256([]byte(cookie)))
}

// made notes that the webhook's secret is to be shown once.
func (s *sessions) made(in *session, sub id.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.unseen = sub
}

// takeUnseen reports whether the webhook's secret is to be shown now.
func (s *sessions) takeUnseen(in *session, sub id.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.unseen.IsZero() || in.unseen != sub {
		return false
	}
	in.unseen = id.ID{}
	return true
}

// leave keeps what the next page of a thing says.
func (s *sessions) leave(in *session, of id.ID, notice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.noticeOf, in.notice = of, notice
}

// takeNotice returns what is to be said on the page of a thing, once.
func (s *sessions) takeNotice(in *session, of id.ID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.noticeOf != of {
		return ""
	}
	notice := in.notice
	in.noticeOf, in.notice = id.ID{}, ""
	return notice
}

// Names of the cookies; see cookies.name.
const (
	sessionCookie = "grapevine_console"
	visitorCookie = "grapevine_visitor" // of those who are about to sign in
)

// cookies sets and reads them, and makes the tokens of forms from them.
type cookies struct {
	secure bool     // browsers come over https
	key    [32]byte // of the tokens; the process's own
}

// name adds the prefix that makes browsers refuse a cookie which another host of
// the same domain sets. It demands https.
func (c *cookies) name(name string) string {
	if c.secure {
		return "__Host-" + name
	}
	return name
}

func (c *cookies) read(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.name(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// set sends a cookie that lasts until the browser is closed.
func (c *cookies) set(w http.ResponseWriter, name, value string) { c.send(w, name, value, 0) }

func (c *cookies) remove(w http.ResponseWriter, name string) { c.send(w, name, "", -1) }

func (c *cookies) send(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure where browsers come over http, where it would not be sent
		Name: c.name(name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	})
}

// formToken returns what the forms of whoever has the cookie carry.
func (c *cookies) formToken(cookie string) string {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte(cookie))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// visitorToken returns the token of somebody who has not signed in, and gives
// them the cookie that it comes from.
func (c *cookies) visitorToken(w http.ResponseWriter, r *http.Request) string {
	visitor := c.read(r, visitorCookie)
	if len(visitor) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		visitor = newToken()
		c.set(w, visitorCookie, visitor)
	}
	return c.formToken(visitor)
}

func sameToken(want, got string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}

package attribution

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
)

// Cookie is what a browser keeps for us, as a cookie of the page that it visits: a
// random ID, by which its touches are found, and the codes by which it came. It has
// no secret, and nothing rests on it alone that a browser must not choose for
// itself: it may as well name a code that somebody told its user. The zero Cookie is
// an empty one.
type Cookie struct {
	ID     string
	Visits []Visit // in their order, the newest last; one for each code
}

// Visit is that a browser came by a code.
type Visit struct {
	Code string    // folded
	At   time.Time // to the second
}

const (
	cookieVersion = "1"
	maxVisits     = 20
	// maxCookie is how long the value may be. Browsers keep 4,096 bytes, name and
	// attributes included.
	maxCookie = 3500
)

// Visit returns the cookie after one more visit by a folded code; an empty cookie
// gets an ID. A code that it has already becomes its newest. The oldest ones go
// where there is no room.
func (c Cookie) Visit(folded string, at time.Time) Cookie {
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if folded == "" || code.Fold(folded) != folded {
		return c // there is no such code
	}
	visits := slices.DeleteFunc(slices.Clone(c.Visits), func(v Visit) bool { return v.Code == folded })
	c.Visits = append(visits, Visit{folded, at.Truncate(time.Second).UTC()})
	for len(c.Visits) > maxVisits || len(c.Visits) > 1 && len(c.Value()) > maxCookie {
		c.Visits = c.Visits[1:]
	}
	return c
}

// Codes returns the folded codes, the newest first.
func (c Cookie) Codes() []string {
	codes := make([]string, 0, len(c.Visits))
	for _, v := range slices.Backward(c.Visits) {
		codes = append(codes, v.Code)
	}
	return codes
}

// Value returns the cookie's value: a version, the ID, and for each visit the second
// since 1970, to the base 36, and the code. An empty cookie has an empty value.
func (c Cookie) Value() string {
	if c.ID == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString(cookieVersion + "." + c.ID + ".")
	for i, v := range c.Visits {
		if i > 0 {
			b.WriteByte('~')
		}
		b.WriteString(strconv.FormatInt(v.At.Unix(), 36) + "-" + url.QueryEscape(v.Code))
	}
	return b.String()
}

// ParseCookie reads a cookie's value. What was not written by Value is an empty
// cookie.
func ParseCookie(value string) Cookie {
	if len(value) > maxCookie {
		return Cookie{}
	}
	parts := strings.SplitN(value, ".", 3)
	if len(parts) != 3 || parts[0] != cookieVersion {
		return Cookie{}
	}
	c := Cookie{ID: parts[1]}
	if parts[2] != "" {
		for visit := range strings.SplitSeq(parts[2], "~") {
			v, ok := parseVisit(visit)
			if !ok {
				return Cookie{}
			}
			c.Visits = append(c.Visits, v)
		}
	}
	if !isCookieID(c.ID) || len(c.Visits) > maxVisits || c.repeats() || c.Value() != value {
		return Cookie{}
	}
	return c
}

func parseVisit(text string) (Visit, bool) {
	second, escaped, ok := strings.Cut(text, "-")
	if !ok {
		return Visit{}, false
	}
	unix, err := strconv.ParseInt(second, 36, 64)
	if err != nil || unix < 0 || unix > maxUnix {
		return Visit{}, false
	}
	folded, err := url.QueryUnescape(escaped)
	if err != nil || folded == "" || code.Fold(folded) != folded {
		return Visit{}, false
	}
	return Visit{folded, time.Unix(unix, 0).UTC()}, true
}

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

// repeats reports whether a code has two visits.
func (c Cookie) repeats() bool {
	seen := map[string]bool{}
	for _, v := range c.Visits {
		if seen[v.Code] {
			return true
		}
		seen[v.Code] = true
	}
	return false
}

// isCookieID reports whether an ID may be one of ours: 26 characters of base32.
func isCookieID(text string) bool {
	if len(text) != 26 {
		return false
	}
	for _, r := range text {
		if (r < 'A' || r > 'Z') && (r < '2' || r > '7') {
			return false
		}
	}
	return true
}

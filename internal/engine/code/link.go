package code

import "strings"

// Engagement is where somebody was when they shared a link: the engagement medium.
type Engagement string

// The engagement media.
const (
	UnknownEngagement Engagement = "UNKNOWN"
	Embed             Engagement = "EMBED"
	Popup             Engagement = "POPUP"
	Hosted            Engagement = "HOSTED"
	Mobile            Engagement = "MOBILE"
	InEmail           Engagement = "EMAIL"
)

// Share is the way by which a link was sent: the share medium.
type Share string

// The share media.
const (
	UnknownShare  Share = "UNKNOWN"
	Direct        Share = "DIRECT"
	Facebook      Share = "FACEBOOK"
	Twitter       Share = "TWITTER"
	Email         Share = "EMAIL"
	LinkedIn      Share = "LINKEDIN"
	Pinterest     Share = "PINTEREST"
	WhatsApp      Share = "WHATSAPP"
	LineMessenger Share = "LINEMESSENGER"
	SMS           Share = "SMS"
	FBMessenger   Share = "FBMESSENGER"
)

// engagements and shares say what stands for each medium in a link. Links are out
// in the world for ever: a letter is never given to another medium. All letters are
// of the short code's alphabet.
var (
	engagements = []struct {
		medium Engagement
		letter byte
	}{
		{UnknownEngagement, 'u'}, {Embed, 'b'}, {Popup, 'p'}, {Hosted, 'h'}, {Mobile, 'm'}, {InEmail, 'e'},
	}
	shares = []struct {
		medium Share
		letter byte
	}{
		{UnknownShare, 'u'},
		{Direct, 'd'},
		{Facebook, 'f'},
		{Twitter, 't'},
		{Email, 'e'},
		{LinkedIn, 'k'},
		{Pinterest, 'p'},
		{WhatsApp, 'w'},
		{LineMessenger, 'n'},
		{SMS, 's'},
		{FBMessenger, 'g'},
	}
)

// Engagements returns all engagement media.
func Engagements() []Engagement {
	all := make([]Engagement, 0, len(engagements))
	for _, e := range engagements {
		all = append(all, e.medium)
	}
	return all
}

// Shares returns all share media.
func Shares() []Share {
	all := make([]Share, 0, len(shares))
	for _, s := range shares {
		all = append(all, s.medium)
	}
	return all
}

// Link is which of a code's share links it is. The zero Link says nothing, as
// UNKNOWN does.
//
// What SaaSquatch calls mobileShareLink, mobileFacebookShareLink and so on are the
// links of the engagement medium MOBILE: in its own sample they are the same.
type Link struct {
	Engagement Engagement
	Share      Share
}

const (
	linkFolder  = "/r/"
	shortLength = 9
	// base58 has neither 0, O, I nor l.
	base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
)

// Path returns the path of a code's share link: "/r/", the short code, and a letter
// for each medium. One that there is not counts as unknown.
func Path(short string, l Link) string {
	suffix := [2]byte{'u', 'u'}
	for _, e := range engagements {
		if e.medium == l.Engagement {
			suffix[0] = e.letter
		}
	}
	for _, s := range shares {
		if s.medium == l.Share {
			suffix[1] = s.letter
		}
	}
	return linkFolder + short + string(suffix[:])
}

// CleanPath returns the path of the link that names no medium.
func CleanPath(short string) string { return linkFolder + short }

// ParsePath reads the path of a share link, and reports whether it is one. The
// media are a guess at best, so letters that stand for none are read as unknown: a
// newer program may have made the link.
func ParsePath(path string) (string, Link, bool) {
	unknown := Link{UnknownEngagement, UnknownShare}
	rest, ok := strings.CutPrefix(path, linkFolder)
	if !ok || len(rest) < shortLength || !isShort(rest[:shortLength]) {
		return "", Link{}, false
	}
	short, suffix := rest[:shortLength], rest[shortLength:]
	if suffix == "" {
		return short, unknown, true
	}
	if len(suffix) != 2 || !isBase58(suffix) {
		return "", Link{}, false
	}
	l := unknown
	for _, e := range engagements {
		if e.letter == suffix[0] {
			l.Engagement = e.medium
		}
	}
	for _, s := range shares {
		if s.letter == suffix[1] {
			l.Share = s.medium
		}
	}
	return short, l, true
}

// newShort returns a short code: 52 random bits, so that nobody finds the codes of
// others by trying, and two meet once in a billion even among millions.
func newShort() string {
	b := make([]byte, shortLength)
	for i := range b {
		b[i] = base58[below(uint64(len(base58)))]
	}
	return string(b)
}

func isShort(s string) bool { return len(s) == shortLength && isBase58(s) }

func isBase58(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(base58, s[i]) < 0 {
			return false
		}
	}
	return true
}

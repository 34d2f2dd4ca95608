// Package email compares e-mail addresses: it says which of them reach the same
// mailbox, and what kind of domain a mailbox is at.
//
// A normal form is for comparing and for finding. Mail goes to the address as it
// was given.
package email

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// The longest address, and the longest part before its @, in bytes (RFC 5321,
// 4.5.3.1).
const (
	maxBytes      = 254
	maxLocalBytes = 64
)

// lookup turns a domain into the ASCII that is asked of the DNS. Hyphens may stand
// anywhere: some domains that receive mail have them in unusual places.
var lookup = idna.New(idna.MapForLookup(), idna.CheckHyphens(false), idna.BidiRule(), idna.VerifyDNSLength(true))

// Normalize returns the normal form of an address, and whether it is an address at
// all. Two addresses with the same form reach the same mailbox:
//
//   - Compatible characters become one (Unicode NFKC), letters become small, white
//     space around the address goes.
//   - A tag goes: what stands from the first + on that isn't at the very beginning.
//   - The domain becomes ASCII (IDNA 2008), without a full stop at its end.
//   - At gmail.com full stops go, and googlemail.com is gmail.com.
//
// What only one provider does, but for Google, is left as it is: two addresses with
// different forms may still be one mailbox. A domain needs a full stop within.
// Quoted parts ("a b"@example.com) and addresses of hosts (a@[192.0.2.1]) are not
// taken. The normal form of a normal form is itself.
func Normalize(address string) (string, bool) {
	if len(address) > 2*maxBytes || !utf8.ValidString(address) {
		return "", false
	}
	local, domain, ok := cut(fold(strings.TrimSpace(address)))
	if !ok {
		return "", false
	}
	domain, ok = NormalizeDomain(domain)
	if !ok {
		return "", false
	}
	if i := strings.IndexByte(local[1:], '+'); i >= 0 {
		local = local[:i+1]
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	if domain == "gmail.com" {
		local = strings.ReplaceAll(local, ".", "")
	}
	form := local + "@" + domain
	if local == "" || len(form) > maxBytes {
		return "", false
	}
	return form, true
}

// NormalizeDomain returns a domain in ASCII and small letters, and whether it is
// the name of a domain that can receive mail from anywhere.
func NormalizeDomain(domain string) (string, bool) {
	if len(domain) > 2*maxBytes {
		return "", false
	}
	domain = fold(domain)
	if isPlain(domain) {
		return domain, !numeric(domain)
	}
	ascii, err := lookup.ToASCII(domain)
	ascii = strings.TrimSuffix(ascii, ".")
	if err != nil || !strings.Contains(ascii, ".") || strings.HasSuffix(ascii, ".") || numeric(ascii) {
		return "", false
	}
	return ascii, true
}

// isPlain reports whether a folded domain has a full stop within, and nothing that
// the DNS would have otherwise: IDNA leaves it as it is.
func isPlain(domain string) bool {
	if len(domain) > 253 || strings.IndexByte(domain, '.') < 0 {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "xn--") || strings.Trim(label, "-abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// Split returns the two parts of a normal form. Both are empty for anything that
// has no @.
func Split(form string) (string, string) {
	i := strings.LastIndexByte(form, '@')
	if i < 0 {
		return "", ""
	}
	return form[:i], form[i+1:]
}

// fold makes compatible characters one and letters small. Small letters may be
// compatible with yet others, hence the second time.
func fold(s string) string {
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s)))
}

// cut returns the parts before and after the one @ of a folded address.
func cut(folded string) (string, string, bool) {
	local, domain, ok := strings.Cut(folded, "@")
	if !ok || local == "" || len(local) > maxLocalBytes {
		return "", "", false
	}
	for _, r := range local {
		if strings.ContainsRune(`"(),:;<>[\]`, r) || unicode.IsSpace(r) || !unicode.IsGraphic(r) {
			return "", "", false
		}
	}
	return local, domain, true
}

// numeric reports whether a domain is in truth the number of a host: no top-level
// domain begins with a digit (RFC 3696, 2).
func numeric(domain string) bool {
	top := domain[strings.LastIndexByte(domain, '.')+1:]
	return top != "" && top[0] >= '0' && top[0] <= '9'
}

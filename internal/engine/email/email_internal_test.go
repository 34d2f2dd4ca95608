package email

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAPlainDomainIsWhatTheDNSIsAsked(t *testing.T) {
	label := rapid.StringMatching(`(xn--)?[a-z0-9-]{0,4}(é|_|[a-z0-9-]{57,62})?`)
	rapid.Check(t, func(t *rapid.T) {
		domain := strings.Join(rapid.SliceOfN(label, 1, 6).Draw(t, "labels"), ".")
		if !isPlain(domain) {
			return
		}
		if asked, err := lookup.ToASCII(domain); err != nil || asked != domain {
			t.Errorf("%q is asked for as %q: %v", domain, asked, err)
		}
	})
}

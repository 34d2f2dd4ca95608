package email_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/email"
)

func TestAddressesOfOneMailboxHaveOneForm(t *testing.T) {
	for form, addresses := range map[string][]string{
		"ada@example.com":              {"ada@example.com", " Ada@EXAMPLE.com. ", "ada+news@example.com", "ada+a+b@example.com", "ａｄａ@example.com"},
		"adalovelace@gmail.com":        {"ada.lovelace@gmail.com", "A.d.a.lovelace+x@googlemail.com", "adalovelace@GMAIL.com"},
		"ada.lovelace@example.com":     {"ada.lovelace@example.com"}, // only Google ignores dots
		"+ada@example.com":             {"+ada@example.com", "+ada+x@example.com"},
		"ada@xn--bcher-kva.example":    {"ada@bücher.example", "ada@xn--bcher-kva.example", "ada@BÜCHER.example"},
		"ada@xn--fiqs8s.example":       {"ada@中国.example", "ada@中国。example"},
		"josé@example.com":             {"jose\u0301@example.com", "JOSÉ@example.com"},
		"o'brien@a--b.example":         {"o'brien@a--b.example"},
		"ada@sub.domain.co.uk":         {"ada@sub.domain.co.uk"},
		"ada_l!#$%&*/=?^`{|}~@b.co.uk": {"ada_l!#$%&*/=?^`{|}~@b.co.uk"},
	} {
		for _, address := range addresses {
			got, ok := email.Normalize(address)
			if !ok || got != form {
				t.Errorf("the form of %q is %q, %t; want %q", address, got, ok, form)
			}
		}
	}
}

func TestWhatIsNoAddressHasNoForm(t *testing.T) {
	for _, text := range []string{
		"", "ada", "@example.com", "ada@", "ada@example", "ada@@example.com", "a@b@example.com", "a b@example.com", "ada@exa mple.com",
		"ada@example..com", "ada@example。", "ada@example.com..", "ada@.com", "ada@192.0.2.1", "ada@[192.0.2.1]", `"a b"@example.com`, "a\x00b@example.com",
		"a\u200bb@example.com", "\xff@example.com", ".@gmail.com", ".+x@gmail.com", "Ada <ada@example.com>", "a,b@example.com",
		strings.Repeat("a", 65) + "@example.com", "ada@" + strings.Repeat("a", 64) + ".com", strings.Repeat("a", 1<<20) + "@example.com",
		"ada@" + strings.Repeat("a.", 200) + "com", "ada@xn--zz--.example",
	} {
		if got, ok := email.Normalize(text); ok || got != "" {
			t.Errorf("%q has the form %q, %t; want none", text, got, ok)
		}
	}
}

func TestAFormHasTwoParts(t *testing.T) {
	if local, domain := email.Split("ada@example.com"); local != "ada" || domain != "example.com" {
		t.Errorf("parts are %q and %q", local, domain)
	}
	if local, domain := email.Split("ada"); local != "" || domain != "" {
		t.Errorf("parts of what is no address are %q and %q", local, domain)
	}
}

func TestDomainsAreOfTheirKind(t *testing.T) {
	for domain, want := range map[string]struct{ free, disposable bool }{
		"gmail.com":           {true, false},
		"yahoo.co.uk":         {true, false},
		"acme.example":        {false, false},
		"notgmail.com":        {false, false},
		"mailinator.com":      {false, true},
		"abc.mailinator.com":  {false, true},
		"mailinator.com.evil": {false, false},
		"com":                 {false, false},
		"":                    {false, false},
	} {
		if free, disposable := email.Free(domain), email.Disposable(domain); free != want.free || disposable != want.disposable {
			t.Errorf("%q is free: %t, disposable: %t; want %+v", domain, free, disposable, want)
		}
	}
}

func TestDomainsOfTheListsAreInTheirNormalFormAndInOneList(t *testing.T) {
	free, disposable := email.Lists()
	if len(free) < 150 || len(disposable) < 150 {
		t.Errorf("the lists have %d and %d domains, want 150 at least", len(free), len(disposable))
	}
	for _, domain := range slices.Concat(free, disposable) {
		if form, ok := email.NormalizeDomain(domain); !ok || form != domain {
			t.Errorf("the normal form of %q is %q, %t", domain, form, ok)
		}
		if email.Free(domain) == email.Disposable(domain) {
			t.Errorf("%q is in both lists", domain)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{
		"ada@example.com", "A.+b@gmail.com", "İ@example.com", "ẞ@ß.example", "+@gmail.com", "\ufdfa@x.example", "a@\u202e.example", "ŉ@ﬀ.example", "a@a。b", "a@a。",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		form, ok := email.Normalize(s)
		if !ok {
			return
		}
		if again, ok := email.Normalize(form); !ok || again != form {
			t.Errorf("%q has the form %q, and that %q, %t", s, form, again, ok)
		}
	})
}

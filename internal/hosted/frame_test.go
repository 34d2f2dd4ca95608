package hosted_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestOnlyTheHostsThatAProgramNamesMayShowItsPageInAFrame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings, ancestors string
	}{
		"no frames":          {withLanding, "'none'"},
		"frames, but nobody": {`{"page":{"frame":true}}`, "'none'"},
		"frames": {
			`{"landing_url":"https://www.acme.example/","allowed_hosts":["Shop.acme.example","shop.acme.example:8443"],"page":{"frame":true}}`,
			"'self' https://shop.acme.example https://shop.acme.example:8443 https://www.acme.example",
		},
		"hosts that would say more in a policy": {
			`{"allowed_hosts":["*","a;script-src","b,c","'unsafe-inline'"],"page":{"frame":true}}`, "'none'",
		},
		"the machine itself": {`{"allowed_hosts":["localhost:3000"],"page":{"frame":true}}`, "'self' https://localhost:3000 http://localhost:3000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t, options{settings: c.settings})
			a := w.browser().get(ourPage + "?embed=1")
			mustStatus(t, a, http.StatusOK)
			policy := a.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.HasSuffix(policy, "; frame-ancestors "+c.ancestors) {
				t.Errorf("the policy is %q", policy)
			}
			if denied := a.Header.Get("X-Frame-Options") == "DENY"; denied != (c.ancestors == "'none'") {
				t.Errorf("X-Frame-Options is %q", a.Header.Get("X-Frame-Options"))
			}
			if other := w.browser().get("/p/acme/none").Header.Get("X-Frame-Options"); other != "DENY" {
				t.Errorf("a page that there is not has X-Frame-Options %q", other)
			}
		})
	}
}

func TestAFrameOverHTTPSGetsCookiesOfItsOwn(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: `{"allowed_hosts":["www.acme.example"],"page":{"frame":true}}`, url: "https://refer.example.com"})
	for path, partitioned := range map[string]bool{ourPage: false, ourPage + "?embed=1": true} {
		set := w.browser().registers(path, "Anna", "anna@example.com").Cookies()
		if len(set) != 2 {
			t.Fatalf("%s sets %v", path, set)
		}
		for _, c := range set {
			if c.Partitioned != partitioned || !c.Secure || !c.HttpOnly || !strings.HasPrefix(c.Name, "__Host-") ||
				(c.SameSite == http.SameSiteNoneMode) != partitioned {
				t.Errorf("%s sets %v", path, c)
			}
		}
	}
}

package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// open follows a link that the server has printed, and presses its button.
func (b *browser) open(link string) seen {
	b.w.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.submit(b.get(link), "/console/sign-in", url.Values{"token": {u.Query().Get("token")}})
}

func (b *browser) isSignedIn() bool {
	b.w.t.Helper()
	return b.get("/console/applications").path == "/console/applications"
}

func TestALinkSignsTheOperatorInOnce(t *testing.T) {
	w := MustWorld(t, "")
	w.MustAccount("acme")
	link := w.MustLink()
	b := w.MustBrowser()
	b.open(link).want(t, http.StatusOK, "Signed in as the operator", "acme")
	second := w.MustBrowser()
	second.open(link).want(t, http.StatusForbidden, "This link was used already")
	if second.isSignedIn() {
		t.Error("a link was good for two")
	}
}

func TestALinkThatIsOnlyLookedAtStaysGood(t *testing.T) {
	w := MustWorld(t, "")
	link := w.MustLink()
	preview := w.MustBrowser()
	for range 3 {
		preview.get(link).want(t, http.StatusOK, "Sign in as the operator")
	}
	if preview.isSignedIn() {
		t.Error("looking at a link has signed somebody in")
	}
	b := w.MustBrowser()
	b.open(link)
	if !b.isSignedIn() {
		t.Error("the link no longer works")
	}
}

func TestALinkIsGoodForAQuarterOfAnHour(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := MustWorld(t, "")
		late, inTime := w.MustLink(), w.MustLink()
		time.Sleep(15*time.Minute - time.Second)
		w.MustBrowser().open(inTime).want(t, http.StatusOK)
		time.Sleep(time.Second)
		w.MustBrowser().open(late).want(t, http.StatusForbidden, "older than 15 minutes")
	})
}

func TestAKeySignsInAsWhatItIs(t *testing.T) {
	w := MustWorld(t, "")
	a, b := w.MustAccount("acme"), w.MustAccount("bolt")
	own := w.MustSignIn(a.Key).get("/console/applications")
	own.want(t, http.StatusOK, "Signed in as acme", "acme")
	own.wantNot(t, b.Alias)
	w.MustSignIn(" "+adminKey+"\n").get("/console/applications").want(t, http.StatusOK, "Signed in as the operator", "acme", "bolt")
}

func TestAKeyThatIsNotAcceptedSignsNobodyIn(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	revoked, revokedText, err := w.tenants.CreateKey(t.Context(), a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tenants.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, blind, err := w.tenants.CreateKey(t.Context(), a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Publish, tenant.Manage}})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"nothing": "", "a word": "hunter22222", "unknown": "gv_live_" + strings.Repeat("0", 40),
		"revoked": revokedText, "without read": blind, "markup": `"><script>alert(1)</script>`, "a link's token": "x",
	} {
		b := w.MustBrowser()
		page := b.signIn(key)
		page.want(t, http.StatusForbidden, "This key")
		if len(key) > 5 {
			page.wantNot(t, key)
		}
		if b.isSignedIn() {
			t.Errorf("%s: somebody is signed in", name)
		}
	}
}

func TestASessionEndsWithItsKey(t *testing.T) {
	for name, end := range map[string]func(w *world, a account) error{
		"revoked":            func(w *world, a account) error { return w.tenants.RevokeKey(w.t.Context(), a.ID, a.keyID) },
		"the tenant deleted": func(w *world, a account) error { return w.tenants.Delete(w.t.Context(), a.ID) },
		"rolled over": func(w *world, a account) error {
			_, _, err := w.tenants.RollKey(w.t.Context(), a.ID, a.keyID, 0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := MustWorld(t, "")
			a, other := w.MustAccount("acme"), w.MustAccount("other")
			b, bystander := w.MustSignIn(a.Key), w.MustSignIn(other.Key)
			if err := end(w, a); err != nil {
				t.Fatal(err)
			}
			if b.isSignedIn() {
				t.Error("the session has outlived its key")
			}
			if !bystander.isSignedIn() {
				t.Error("another session has ended too")
			}
		})
	}
}

func TestASessionEndsWhenItsKeyExpires(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := MustWorld(t, "")
		a := w.MustAccount("acme")
		_, key, err := w.tenants.CreateKey(t.Context(), a.ID, tenant.NewKey{Scopes: tenant.AllScopes(), ExpiresAt: new(time.Now().Add(time.Hour))})
		if err != nil {
			t.Fatal(err)
		}
		b := w.MustSignIn(key)
		time.Sleep(time.Hour - time.Second)
		if !b.isSignedIn() {
			t.Error("the session has ended before its key")
		}
		time.Sleep(time.Second)
		if b.isSignedIn() {
			t.Error("the session has outlived its key")
		}
	})
}

func TestASessionEndsThatRestsForTwelveHours(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := MustWorld(t, "")
		a := w.MustAccount("acme")
		used, resting, watching := w.MustSignIn(a.Key), w.MustSignIn(a.Key), w.MustSignIn(a.Key)
		for range 12 {
			time.Sleep(time.Hour)
			if !used.isSignedIn() {
				t.Fatal("a session that is used has ended")
			}
			// An open page that asks for news by itself is nobody at work.
			watching.get(applicationPath(a) + "/deliveries?part=live")
			watching.get(applicationPath(a) + "/deliveries?refresh=5")
		}
		if resting.isSignedIn() {
			t.Error("a session has outlived twelve hours of rest")
		}
		watching.get(applicationPath(a)+"/deliveries?part=live").want(t, http.StatusUnauthorized)
		if watching.isSignedIn() {
			t.Error("a page that was left open keeps its session for ever")
		}
	})
}

func TestSigningOutEndsTheSessionForWhoeverHasItsCookie(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	thief := w.MustBrowser()
	base, _ := url.Parse(w.url)
	thief.client.Jar.SetCookies(base, b.client.Jar.Cookies(base))
	if !thief.isSignedIn() {
		t.Fatal("the cookie was not copied")
	}
	b.submit(b.get("/console/applications"), "/console/sign-out", nil).want(t, http.StatusOK, "Sign in")
	if b.isSignedIn() || thief.isSignedIn() {
		t.Error("the session goes on")
	}
}

func TestSigningInMakesANewSession(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	base, _ := url.Parse(w.url)
	first, fixed := w.MustSignIn(a.Key), w.MustBrowser()
	fixed.client.Jar.SetCookies(base, first.client.Jar.Cookies(base))
	first.signIn(a.Key)
	if fixed.isSignedIn() {
		t.Error("the cookie from before still works")
	}
	if !first.isSignedIn() {
		t.Error("nobody is signed in")
	}
}

func TestWrongKeysOfAnOperatorAreHeldBack(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := MustWorld(t, "")
		a := w.MustAccount("acme")
		w.MustAccount("other")
		guessing := w.MustBrowser()
		for range 10 {
			guessing.signIn("gv_admin_wrong").want(t, http.StatusForbidden)
		}
		page := guessing.signIn(adminKey)
		page.want(t, http.StatusTooManyRequests, "Too many keys of an operator were not accepted")
		if page.header.Get("Retry-After") == "" {
			t.Error("the answer does not say how long to wait")
		}
		elsewhere := w.MustBrowser()
		elsewhere.from = "[2001:db8::1]:99"
		elsewhere.signIn(adminKey).want(t, http.StatusOK)
		guessing.signIn(a.Key).want(t, http.StatusOK) // a tenant's key can't be guessed
		guessing.open(w.MustLink()).want(t, http.StatusOK)
		time.Sleep(time.Minute)
		guessing.signIn(adminKey).want(t, http.StatusOK)
	})
}

func TestRightKeysAreNotHeldBack(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	for range 30 {
		w.MustSignIn(a.Key)
		w.MustSignIn(adminKey)
	}
}

func TestNeighboursInOneIPv6NetworkAreHeldBackTogether(t *testing.T) {
	w := MustWorld(t, "")
	b := w.MustBrowser()
	for i := range 10 {
		b.from = "[2001:db8::" + string(rune('a'+i%6)) + "]:1"
		b.signIn("gv_admin_wrong").want(t, http.StatusForbidden)
	}
	b.from = "[2001:db8::ffff]:1"
	b.signIn("gv_admin_wrong").want(t, http.StatusTooManyRequests)
	b.from = "[2001:db8:0:1::1]:1"
	b.signIn("gv_admin_wrong").want(t, http.StatusForbidden)
}

func TestSigningInLeadsBackToThePageThatWasAskedFor(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustBrowser()
	asked := applicationPath(a) + "/deliveries?status=failed"
	page := b.get(asked)
	if !strings.HasPrefix(page.path, "/console/sign-in?") {
		t.Fatalf("an unknown visitor is shown %s", page.path)
	}
	next, _ := url.Parse(page.path)
	page = b.submit(page, "/console/sign-in", url.Values{"key": {a.Key}, "next": {next.Query().Get("next")}})
	if page.path != asked {
		t.Errorf("signing in leads to %s, want %s", page.path, asked)
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	for _, next := range []string{
		"https://evil.example.com/console/", "//evil.example.com/console/", `/\evil.example.com/console/`, "/console/../v1/tenants",
		"/console//evil.example.com", "javascript:alert(1)", "/v1/tenants", "/console/sign-in", "\x00", "/console/%2e%2e/x", "console/applications", "",
	} {
		b := w.MustBrowser()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		page := b.submit(b.get("/console/sign-in"), "/console/sign-in", url.Values{"key": {a.Key}, "next": {next}})
		if got := page.header.Get("Location"); page.status != http.StatusSeeOther || got != "/console/applications" {
			t.Errorf("next %q leads to %q with %d", next, got, page.status)
		}
	}
}

func TestTheCookieIsForTheConsoleAlone(t *testing.T) {
	for base, want := range map[string]string{
		"http://console.example.com":  "grapevine_console=; Path=/; HttpOnly; SameSite=Strict",
		"https://console.example.com": "__Host-grapevine_console=; Path=/; HttpOnly; Secure; SameSite=Strict",
	} {
		w := MustWorld(t, base)
		a := w.MustAccount("acme")
		b := w.MustBrowser()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		page := b.signIn(a.Key)
		var session string
		for _, line := range page.header.Values("Set-Cookie") {
			if strings.Contains(line, "grapevine_console=") {
				session = line
			}
		}
		name, rest, _ := strings.Cut(session, "=")
		value, attributes, _ := strings.Cut(rest, ";")
		if got := name + "=;" + attributes; got != want {
			t.Errorf("%s: got %s, want %s", base, got, want)
		}
		if len(value) < 43 { // 256 bits in base64
			t.Errorf("%s: the cookie has %d characters", base, len(value))
		}
		if strings.Contains(page.body+session, a.Key) {
			t.Errorf("%s: the answer has the key", base)
		}
		if !b.isSignedIn() {
			t.Errorf("%s: nobody is signed in", base)
		}
	}
}

func TestManySessionsOfOneKeyEndEachOtherOnly(t *testing.T) {
	w := MustWorld(t, "")
	a, other := w.MustAccount("acme"), w.MustAccount("other")
	bystander := w.MustSignIn(other.Key)
	first := w.MustSignIn(a.Key)
	for range 64 {
		w.MustSignIn(a.Key)
	}
	if first.isSignedIn() {
		t.Error("a key can have any number of sessions")
	}
	if !bystander.isSignedIn() {
		t.Error("one key's sessions have ended another's")
	}
}

func TestALinkLeadsToWhereBrowsersReachTheConsole(t *testing.T) {
	w := MustWorld(t, "https://console.example.com:8443")
	link, err := url.Parse(w.MustLink())
	if err != nil {
		t.Fatal(err)
	}
	if link.Scheme != "https" || link.Host != "console.example.com:8443" || link.Path != "/console/sign-in" {
		t.Errorf("the link is %s://%s%s", link.Scheme, link.Host, link.Path)
	}
	if token := link.Query().Get("token"); len(token) < 43 {
		t.Errorf("the token has %d characters", len(token))
	}
}

func TestAConsoleThatCouldNotWorkIsNotMade(t *testing.T) {
	w := MustWorld(t, "")
	for _, base := range []string{"", "example.com", "ftp://example.com", "https://", "https://u:p@example.com", "https://example.com/path", "https://example.com?x=1", "\x00"} {
		if _, err := console.New(console.Options{Tenants: w.tenants, Webhooks: w.webhooks, Audit: w.audit, Sessions: w.sessions, URL: base}); err == nil {
			t.Errorf("%q is accepted as a URL", base)
		}
	}
	if _, err := console.New(console.Options{URL: "https://example.com"}); err == nil {
		t.Error("a console without tenants and webhooks was made")
	}
}

package hosted_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

const withLanding = `{"landing_url":"https://www.acme.example/join?utm=1","allowed_hosts":["shop.acme.example","xn--bcher-kva.example"]}`

func TestALinkLeadsToTheLandingPageWithItsCodeAndRecordsATouch(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding})
	_, made := w.mustMember("anna")
	b := w.browser()
	path := code.Path(made.Short, code.Link{Engagement: code.Hosted, Share: code.WhatsApp})
	a := b.get(path, "Referer", "https://chat.example/")
	mustStatus(t, a, http.StatusFound)
	if want := "https://www.acme.example/join?rsCode=" + made.Text + "&utm=1"; a.location() != want {
		t.Errorf("leads to %s, not to %s", a.location(), want)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("it has the headers %v", a.Header)
	}
	cookies := a.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].MaxAge != 90*24*60*60 || cookies[0].Secure {
		t.Fatalf("it sets the cookies %v", cookies)
	}
	b.get(path)
	touches := w.touches(made)
	if len(touches) != 2 {
		t.Fatalf("there are %d touches", len(touches))
	}
	first := touches[1]
	if first.Link != (code.Link{Engagement: code.Hosted, Share: code.WhatsApp}) || first.CookieID == "" || first.IP.String() != "127.0.0.1" ||
		first.UserAgent != aBrowser || first.URL != "https://chat.example/" {
		t.Errorf("the touch is %+v", first)
	}
	if touches[0].CookieID != first.CookieID {
		t.Error("the same browser has two cookies")
	}
}

func TestALinkOfAProgramWithoutALandingPageLeadsToItsOwnPage(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	_, made := w.mustMember("anna")
	a := w.browser().get(code.CleanPath(made.Short))
	mustStatus(t, a, http.StatusFound)
	if want := ourPage + "?rsCode=" + made.Text; a.location() != want {
		t.Errorf("leads to %s, not to %s", a.location(), want)
	}
}

func TestALinkLeadsOnlyToHostsThatTheProgramAllows(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding})
	_, made := w.mustMember("anna")
	b := w.browser()
	const landing = "www.acme.example"
	for to, want := range map[string]string{
		"https://shop.acme.example/sale?x=1#top":       "shop.acme.example",
		"https://SHOP.acme.EXAMPLE/sale":               "shop.acme.example",
		"https://www.acme.example/other":               landing,
		"https://xn--bcher-kva.example/":               "xn--bcher-kva.example",
		"https://bücher.example/":                      landing, // it is written in another way than it is allowed
		"//evil.example":                               landing,
		"///evil.example":                              landing,
		`\\evil.example`:                               landing,
		`/\evil.example`:                               landing,
		`https:\\evil.example`:                         landing,
		`https:/\evil.example`:                         landing,
		"https:evil.example":                           landing,
		"https:///evil.example":                        landing,
		"https://evil.example":                         landing,
		"https://evil.example/shop.acme.example":       landing,
		"https://shop.acme.example.evil.example":       landing,
		"https://evilshop.acme.example":                landing,
		"https://shop.acme.example@evil.example":       landing,
		"https://user@shop.acme.example/":              landing,
		"https://u:p@shop.acme.example/":               landing,
		`https://evil.example\@shop.acme.example`:      landing,
		`https://shop.acme.example\.evil.example`:      landing,
		"https://shop.acme.example:8443/":              landing,
		"https://shop.acme.example./":                  landing,
		"https://shop.acme.example%2eevil.example":     landing,
		"https://shop.acme.example%00.evil.example":    landing,
		"https://evil.example#@shop.acme.example":      landing,
		"https://evil.example?@shop.acme.example":      landing,
		"https://shop。acme.example":                    landing,
		"https://xn--80ak6aa92e.com":                   landing,
		"ftp://shop.acme.example/":                     landing,
		"javascript:alert(1)":                          landing,
		"JaVaScRiPt://shop.acme.example/%0aalert(1)":   landing,
		"data:text/html,<script>alert(1)</script>":     landing,
		" https://evil.example":                        landing,
		"\thttps://evil.example":                       landing,
		"https://shop.acme.example/\r\nSet-Cookie:a=b": landing,
		"": landing,
	} {
		a := b.get(code.CleanPath(made.Short) + "?" + url.Values{"to": {to}}.Encode())
		mustStatus(t, a, http.StatusFound)
		u, err := url.Parse(a.location())
		if err != nil || !strings.EqualFold(u.Host, want) || u.Scheme != "https" || u.User != nil || u.Query().Get("rsCode") != made.Text {
			t.Errorf("%q leads to %s", to, a.location())
		}
	}
}

func TestALinkThatThereIsNotSaysSo(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding})
	_, made := w.mustMember("anna")
	b := w.browser()
	for _, path := range []string{
		"/r/", "/r/abc", "/r/" + strings.Repeat("1", 9), "/r/" + strings.Repeat("1", 9) + "hw", "/r/" + made.Short + "x", "/r/" + made.Short + "hw/",
		"/r//" + made.Short, "/r/..%2f" + made.Short, "/r/%00", "/r/" + made.Short + "%0a",
	} {
		a := b.get(path)
		if a.StatusCode != http.StatusNotFound || !strings.Contains(a.text, "This link leads nowhere") {
			t.Errorf("%s answered %d: %s", path, a.StatusCode, a.text)
		}
	}
	if a := b.post(code.CleanPath(made.Short), nil); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a form sent to a link answered %d", a.StatusCode)
	}
	if err := w.tenants.Delete(t.Context(), w.tenant.ID); err != nil {
		t.Fatal(err)
	}
	mustStatus(t, b.get(code.CleanPath(made.Short)), http.StatusNotFound)
}

func TestOnlySomebodyWhoFollowsALinkCounts(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding})
	_, made := w.mustMember("anna")
	path := code.CleanPath(made.Short)
	for _, agent := range []string{
		"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "facebookexternalhit/1.1", "WhatsApp/2.23.20.0", "Twitterbot/1.0",
		"LinkedInBot/1.0 (compatible; Mozilla/5.0)", "TelegramBot (like TwitterBot)", "Mozilla/5.0 (compatible; Discordbot/2.0)", "",
	} {
		b := w.browser()
		b.agent = agent
		a := b.get(path)
		if a.StatusCode != http.StatusFound || !strings.HasPrefix(a.location(), "https://www.acme.example/") || len(a.Cookies()) != 0 {
			t.Errorf("%q is led to %d %s with cookies %v", agent, a.StatusCode, a.location(), a.Cookies())
		}
	}
	b := w.browser()
	mustStatus(t, b.do(http.MethodHead, path, nil), http.StatusFound)
	for _, header := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		mustStatus(t, b.get(path, header, "prefetch"), http.StatusServiceUnavailable)
	}
	if n := len(w.touches(made)); n != 0 {
		t.Fatalf("there are %d touches of nobody", n)
	}
	b.agent = "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
	b.get(path)
	if n := len(w.touches(made)); n != 1 {
		t.Fatalf("there are %d touches of somebody", n)
	}
}

func TestOneAddressThatFollowsTooManyLinksIsLedOnUncountedAndThenRefused(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding})
	_, made := w.mustMember("anna")
	led, refused := 0, 0
	for range 400 {
		switch a := w.browser().get(code.CleanPath(made.Short)); a.StatusCode {
		case http.StatusFound:
			led++
		case http.StatusTooManyRequests:
			refused++
		}
	}
	touches := len(w.touches(made))
	if led < 100 || refused == 0 || touches < 60 || touches >= led {
		t.Errorf("%d were led on, %d counted, %d refused", led, touches, refused)
	}
}

func TestCookiesAreATenantsAndOfHTTPS(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: withLanding, url: "https://refer.example.com"})
	_, made := w.mustMember("anna")
	b := w.browser()
	first := b.get(code.CleanPath(made.Short)).Cookies()
	other, _, _, err := w.tenants.Create(t.Context(), tenant.NewTenant{Alias: "other"})
	if err != nil {
		t.Fatal(err)
	}
	w.tenant = other
	w.mustProgram("friends", withLanding)
	_, second := w.mustMember("bert")
	set := b.get(code.CleanPath(second.Short)).Cookies()
	if len(first) != 1 || len(set) != 1 || first[0].Name == set[0].Name || !strings.HasPrefix(first[0].Name, "__Host-") || !first[0].Secure {
		t.Errorf("the tenants' cookies are %v and %v", first, set)
	}
}

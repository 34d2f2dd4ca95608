package app_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestSaaSquatchsAnswersHaveTheLinksThatItsEventsHave(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.PublicURL = "https://refer.example.com/"
	cfg.DialectListen = []config.DialectName{{Dialect: "saasquatch", Name: "127.0.0.1:0"}}
	a := mustStart(t, cfg)
	s := mustSite(t, a.URL(), "acme")
	s.mustListen()
	s.mustUser("mike", `{"firstName":"Mike"}`)
	made := s.mustHear("saasquatch", map[string]int{"user.created": 1})["user.created"][0]
	const begin = `"shareLink":"https://refer.example.com/r/`
	if !strings.Contains(string(made.Data), begin) {
		t.Errorf("an event: %s", made.Data)
	}
	for _, path := range []string{"/open" + of("mike"), of("mike"), of("mike") + "/shareurls"} {
		if got := s.must(http.MethodGet, path, "").text; !strings.Contains(got, "https://refer.example.com/r/") || strings.Contains(got, s.url) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestTheLinksThatADialectsOwnAddressShowsAreFollowedThere(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.DialectListen = []config.DialectName{{Dialect: "saasquatch", Name: "127.0.0.1:0"}}
	a := mustStart(t, cfg)
	s := mustSite(t, a.URL(), "acme")
	s.mustUser("mike", `{"firstName":"Mike"}`)
	alone := "http://" + a.DialectAddresses()[0]
	visitor := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(address string, by auth) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		by(r)
		resp, err := visitor.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, string(body) + resp.Header.Get("Location")}
	}
	nobody := func(*http.Request) {}
	link := get(alone+"/api/v1/acme/open"+of("mike"), byKey(s.key)).member(t, "shareLinks").(map[string]any)["shareLink"].(string)
	if !strings.HasPrefix(link, alone+"/r/") {
		t.Fatalf("the link is %s", link)
	}
	if got := get(link, nobody); got.status != http.StatusFound || !strings.Contains(got.text, "https://www.example.com") {
		t.Errorf("the link: %d %s", got.status, got.text)
	}
	if got := get(alone+"/p/acme/friends", nobody); got.status != http.StatusOK || !strings.Contains(got.text, `name="email"`) {
		t.Errorf("the page: %d %s", got.status, got.text)
	}
	if got := get(alone+"/r/../v1/tenants", byKey(adminKey)); got.status != http.StatusNotFound {
		t.Errorf("by way of links to the native API: %d %s", got.status, got.text)
	}
}

func TestALinkToTheOwnPageIsToldToTheMailerAndShownByNoFact(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.PublicURL = "https://refer.example.com"
	s := mustSite(t, mustStart(t, cfg).URL(), "acme")
	s.mustListen()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for range 2 {
		form := strings.NewReader(url.Values{"first_name": {"Anna"}, "email": {"anna@example.com"}}.Encode())
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/p/acme/friends", form)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("registering is answered %d", resp.StatusCode)
		}
	}
	told := s.mustHear("standard", map[string]int{"message.created": 1})["message.created"][0]
	found := regexp.MustCompile(`https://refer\.example\.com/p/acme/friends/back\?token=(\w+)`).FindSubmatch(told.Data)
	if found == nil {
		t.Fatalf("the mailer is told %s", told.Data)
	}
	facts := s.mustGet("/v1/facts?limit=100")
	if !strings.Contains(facts, referral.SecretLink) || strings.Contains(facts, string(found[1][24:])) {
		t.Errorf("the facts are %s", facts)
	}
}

func TestWhoFollowedAShareLinkIsReferredWhenSaaSquatchsClientReportsThem(t *testing.T) {
	a, _ := mustServe(t)
	s := mustSite(t, a.URL(), "shop")
	s.mustListen()
	mikes := s.mustUser("mike", `{"firstName":"Mike"}`)
	links := s.must(http.MethodGet, "/open"+of("mike"), "").member(t, "shareLinks").(map[string]any)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, links["shareLink"].(string), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || !strings.HasPrefix(to, "https://www.example.com") {
		t.Fatalf("%d to %q", resp.StatusCode, to)
	}
	visited := func(r *http.Request) {
		for _, c := range jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
	}
	if got := s.ask(visited, http.MethodGet, "/a/shop/widgets/squatchcookiejson", ""); got.text != `{"codes":["`+mikes+`"]}` {
		t.Errorf("the visitor's codes: %d %s", got.status, got.text)
	}
	said := map[string]any{"user": map[string]any{"id": "susy", "accountId": "susy-inc"}}
	byBrowser := func(r *http.Request) {
		visited(r)
		byToken(token("HS256", s.key, said))(r)
	}
	if got := s.ask(byBrowser, http.MethodPut, "/api/v1/shop/open"+of("susy"), `{}`); !strings.Contains(got.text, `"referredByCodes":["`+mikes+`"]`) {
		t.Errorf("whom the visitor came by: %d %s", got.status, got.text)
	}
	s.mustHear("saasquatch", map[string]int{"referral.started": 1})
}

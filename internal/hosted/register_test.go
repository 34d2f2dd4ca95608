package hosted_test

import (
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestWhoComesByALinkAndRegistersIsReferredByTheCookieWithTheShareMedium(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	anna := w.browser()
	mustStatus(t, anna.registers(ourPage, "Anna", "anna@example.com"), http.StatusSeeOther)
	sent := mustShare(t, anna.get(ourPage), "WhatsApp")

	bert := w.browser()
	landing := bert.get(sent)
	mustStatus(t, landing, http.StatusFound)
	mustStatus(t, bert.registers(landing.location(), "Bert", "bert@example.com"), http.StatusSeeOther)

	referrals := w.mustFind("bert@example.com").Referrals
	if len(referrals) != 1 {
		t.Fatalf("there are %d referrals", len(referrals))
	}
	got := referrals[0]
	if got.ReferrerID != w.mustFind("anna@example.com").ID || got.Method != attribution.ByCookie ||
		got.Link != (code.Link{Engagement: code.Hosted, Share: code.WhatsApp}) || got.State != referral.IsStarted {
		t.Errorf("the referral is %+v", got)
	}
}

func TestWhoComesWithACodeAndNoCookieIsReferredByTheCode(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	anna, made := w.mustMember("anna")
	w.browser().registers(ourPage+"?embed=1&rsCode="+made.Text, "Bert", "bert@example.com")
	referrals := w.mustFind("bert@example.com").Referrals
	if len(referrals) != 1 || referrals[0].ReferrerID != anna.ID || referrals[0].Method != attribution.ByCode {
		t.Errorf("the referrals are %+v", referrals)
	}
}

func TestACodeThatIsNotGoodKeepsNobodyFromRegistering(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	anna, made := w.mustMember("anna")
	byCookie := w.browser()
	byCookie.get(code.CleanPath(made.Short))
	if _, err := w.Block(t.Context(), w.tenant.ID, anna.ID); err != nil {
		t.Fatal(err)
	}
	for address, query := range map[string]string{
		"a@example.com": "?rsCode=NOBODYS", "b@example.com": "?rsCode=" + made.Text, "c@example.com": "?rsCode=" + strings.Repeat("A", 4000),
		"d@example.com": "?rsCode=%00%ff", "e@example.com": "?rsCode=",
	} {
		mustStatus(t, w.browser().registers(ourPage+query, "Bert", address), http.StatusSeeOther)
	}
	mustStatus(t, byCookie.registers(ourPage, "Bert", "f@example.com"), http.StatusSeeOther)
	for _, address := range []string{"a@example.com", "b@example.com", "f@example.com"} {
		if n := len(w.mustFind(address).Referrals); n != 0 {
			t.Errorf("%s has %d referrals", address, n)
		}
	}
}

func TestThePageShowsTheLinkForEachMediumAndTheRewards(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: `{"page":{"title":"Acme & friends","text":"Bring a friend.\n\nBoth get 10 €."}}`, url: "own"})
	b := w.browser()
	b.registers(ourPage, "Anna", "anna@example.com")
	w.mustReward("anna@example.com")
	a := b.get(ourPage)
	mustStatus(t, a, http.StatusOK)
	short := w.mustFind("anna@example.com").Codes[0].Short
	for _, want := range []string{
		"<h1><bdi>Acme &amp; friends</bdi></h1>", `<p class="text">Both get 10 €.</p>`, "A mug", "available",
		w.server.URL + "/r/" + short + "hd", "https://www.facebook.com/sharer/sharer.php?u=" + url.QueryEscape(w.server.URL+"/r/"+short+"hf"),
		"https://x.com/intent/post?", short + "ht", "https://www.linkedin.com/sharing/share-offsite/?url=", short + "hk",
		"https://wa.me/?text=", short + "hw", "mailto:?", short + "he",
	} {
		if !strings.Contains(a.text, want) && !strings.Contains(html.UnescapeString(a.text), want) {
			t.Errorf("the page does not show %q:\n%s", want, a.text)
		}
	}
	if strings.Contains(a.text, "<form method=\"post\">") {
		t.Error("it asks to register again")
	}
	framed := b.get(ourPage + "?embed=1")
	if !strings.Contains(framed.text, short+"bd") {
		t.Error("in a frame the links are not those of the medium EMBED")
	}
}

// shorts are what differs between the pages of any two people.
var shorts = regexp.MustCompile(`/r/[1-9A-Za-z]{11}|%2Fr%2F[1-9A-Za-z]{11}`)

func TestRegisteringAKnownAddressLooksExactlyLikeRegisteringANewOne(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.mustReward("anna@example.com")

	known, fresh := w.browser(), w.browser()
	ofKnown := known.registers(ourPage, "Eve", "Anna+news@EXAMPLE.com")
	ofFresh := fresh.registers(ourPage, "Eve", "Nobody+news@EXAMPLE.com")
	if ofKnown.StatusCode != ofFresh.StatusCode || ofKnown.text != ofFresh.text || ofKnown.location() != ofFresh.location() {
		t.Errorf("the answers differ: %v and %v", ofKnown, ofFresh)
	}
	if a, b := cookiesOf(ofKnown), cookiesOf(ofFresh); !slices.Equal(a, b) {
		t.Errorf("the cookies differ: %v and %v", a, b)
	}
	a, b := known.get(ourPage), fresh.get(ourPage)
	mustStatus(t, a, http.StatusOK)
	if shorts.ReplaceAllString(a.text, "") != shorts.ReplaceAllString(b.text, "") {
		t.Errorf("the pages differ:\n%s\n%s", a.text, b.text)
	}
	anna := w.mustFind("anna@example.com")
	if strings.Contains(a.text, "A mug") || strings.Contains(a.text, anna.Codes[0].Short) || strings.Contains(a.text, "Anna") {
		t.Errorf("the page shows what is Anna's:\n%s", a.text)
	}
	if anna.FirstName != "Anna" || anna.Email != "anna@example.com" {
		t.Errorf("Anna was changed to %s, %s", anna.FirstName, anna.Email)
	}
}

// cookiesOf returns what can be seen of cookies, without their values.
func cookiesOf(a answer) []string {
	var all []string
	for _, c := range a.Cookies() {
		c.Value = strings.Repeat("x", len(c.Value))
		c.Raw = ""
		all = append(all, c.String())
	}
	return all
}

func TestWhoIsKnownAlreadyIsNotReferredAgain(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	_, made := w.mustMember("mike")
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	again := w.browser()
	again.get(code.CleanPath(made.Short))
	again.registers(ourPage+"?rsCode="+made.Text, "Anna", "anna@example.com")
	_, n, err := w.Referrals(t.Context(), w.tenant.ID, referral.Filter{Limit: 1})
	if err != nil || n != 0 {
		t.Errorf("there are %d referrals, %v", n, err)
	}
}

func TestWhoIsBlockedStaysBlockedInAnotherBrowser(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	if _, err := w.Block(t.Context(), w.tenant.ID, w.mustFind("anna@example.com").ID); err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	mustStatus(t, b.registers(ourPage, "Anna", "anna@example.com"), http.StatusSeeOther)
	friend := w.browser()
	friend.registers(friend.get(mustShare(t, b.get(ourPage), "X")).location(), "Bert", "bert@example.com")
	if n := len(w.mustFind("bert@example.com").Referrals); n != 0 {
		t.Errorf("Bert has %d referrals", n)
	}
}

func TestAFormThatIsSentTwiceRegistersOnePerson(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	for _, address := range []string{"anna@example.com", "anna@example.com"} { // new, and then known
		before := w.people()
		shown := formToken.FindStringSubmatch(w.browser().get(ourPage).text)
		fields := url.Values{"form": {shown[1]}, "first_name": {"Anna"}, "email": {address}}
		first, second := w.browser(), w.browser()
		mustStatus(t, first.post(ourPage, fields), http.StatusSeeOther)
		mustStatus(t, second.post(ourPage, fields), http.StatusSeeOther)
		if n := w.people() - before; n != 1 {
			t.Errorf("they are %d people more", n)
		}
		if a, b := first.get(ourPage), second.get(ourPage); a.text != b.text {
			t.Error("they see two pages")
		}
	}
}

func TestAFormThatIsSentManyTimesAtOnceRegistersOnePerson(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	shown := formToken.FindStringSubmatch(w.browser().get(ourPage).text)
	fields := url.Values{"form": {shown[1]}, "first_name": {"Anna"}, "email": {"anna@example.com"}}
	var sending sync.WaitGroup
	for range 8 {
		b := w.browser()
		sending.Go(func() {
			if a := b.post(ourPage, fields); a.StatusCode != http.StatusSeeOther {
				t.Errorf("answered %d: %s", a.StatusCode, a.text)
			}
		})
	}
	sending.Wait()
	if n := w.people(); n != 1 {
		t.Errorf("there are %d people", n)
	}
}

func TestWhatIsMissingOrWrongIsSaidBesideItsField(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	for name, c := range map[string]struct {
		first, address, says string
	}{
		"no name":             {" ", "anna@example.com", "First name is missing."},
		"no address":          {"Anna", "", "E-mail address is missing."},
		"no address at all":   {"Anna", "anna", "E-mail address must be one such as anna@example.com."},
		"two addresses":       {"Anna", "a@example.com,b@example.com", "E-mail address must be"},
		"a header":            {"Anna", "a@example.com\r\nBcc: b@example.com", "E-mail address must be"},
		"a control character": {"An\x00na", "anna@example.com", "First name has control characters."},
		"broken UTF-8":        {"An\xffna", "anna@example.com", "First name is not valid UTF-8."},
		"a long name":         {strings.Repeat("ä", 101), "anna@example.com", "First name is too long."},
	} {
		a := w.browser().post(ourPage, url.Values{"first_name": {c.first}, "email": {c.address}})
		if a.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(a.text, html.EscapeString(c.says)) {
			t.Errorf("%s: answered %d:\n%s", name, a.StatusCode, a.text)
		}
	}
	if n := w.people(); n != 0 {
		t.Errorf("%d people were registered", n)
	}
}

func TestWhatIsTypedIsShownAsText(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{settings: `{"page":{"title":"<script>alert(1)</script>","text":"<img src=x onerror=alert(1)>"}}`})
	const hostile = `"><script>alert(1)</script>{{.}}'`
	a := w.browser().post(ourPage+"?rsCode="+url.QueryEscape(hostile), url.Values{"first_name": {hostile}, "last_name": {hostile}, "email": {hostile}})
	mustStatus(t, a, http.StatusUnprocessableEntity)
	b := w.browser()
	b.registers(ourPage, hostile, "anna@example.com")
	for _, text := range []string{a.text, b.get(ourPage).text} {
		if strings.Contains(text, "<script>") || strings.Contains(text, "<img") {
			t.Errorf("it is markup:\n%s", text)
		}
	}
	if got := w.mustFind("anna@example.com").FirstName; got != hostile {
		t.Errorf("the name is kept as %q", got)
	}
}

func TestAFormThatAnotherSiteSendsIsRefused(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	fields := url.Values{"first_name": {"Anna"}, "email": {"anna@example.com"}}
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		for _, path := range []string{ourPage, ourPage + "/join", ourPage + "/leave", ourPage + "/back"} {
			mustStatus(t, w.browser().post(path, fields, headers...), http.StatusForbidden)
		}
	}
	if n := w.people(); n != 0 {
		t.Errorf("%d people were registered", n)
	}
	mustStatus(t, w.browser().post(ourPage, fields, "Sec-Fetch-Site", "same-origin"), http.StatusSeeOther)
}

func TestACookieThatIsNotOursIdentifiesNobody(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	b := w.browser()
	set := b.registers(ourPage, "Anna", "anna@example.com").Cookies()
	at, err := url.Parse(w.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	good := set[slices.IndexFunc(set, func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "grapevine_person_") })]
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	link := tokenOf(t, w.sink.pageLinks()[0]).Get("token")
	other, err := w.box.Seal([]byte("something else that was sealed for the tenant"), w.tenant.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"nothing": "", "no base64": "!!", "a person's id": w.mustFind("anna@example.com").ID.String(), "a changed letter": "B" + good.Value[1:],
		"a part": good.Value[:40], "the token of a message": link, "another sealed value": base64.RawURLEncoding.EncodeToString(other), "a long one": strings.Repeat("A", 4000),
	} {
		stranger := w.browser()
		stranger.http.Jar.SetCookies(at, []*http.Cookie{{Name: good.Name, Value: value, Path: "/"}})
		if a := stranger.get(ourPage); a.StatusCode != http.StatusOK || !strings.Contains(a.text, `name="email"`) {
			t.Errorf("%s: answered %d:\n%s", name, a.StatusCode, a.text)
		}
	}
	mustStatus(t, w.browser().post(ourPage+"/back", url.Values{"token": {good.Value}}), http.StatusForbidden)
	mustStatus(t, w.browser().get(ourPage+"/back?token=abc"), http.StatusForbidden)
}

func TestWhoLeavesOrIsForgottenIsAskedToRegister(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	b := w.browser()
	b.registers(ourPage, "Anna", "anna@example.com")
	mustStatus(t, b.post(ourPage+"/leave", nil), http.StatusSeeOther)
	if a := b.get(ourPage); !strings.Contains(a.text, `name="email"`) {
		t.Errorf("who left is shown:\n%s", a.text)
	}
	b.registers(ourPage, "Bert", "bert@example.com")
	if err := w.Forget(t.Context(), w.tenant.ID, w.mustFind("bert@example.com").ID, person.Deletion{Remember: true}); err != nil {
		t.Fatal(err)
	}
	if a := b.get(ourPage); !strings.Contains(a.text, `name="email"`) {
		t.Errorf("who was forgotten is shown:\n%s", a.text)
	}
	mustStatus(t, b.registers(ourPage, "Bert", "bert@example.com"), http.StatusSeeOther)
}

func TestOneAddressRegistersTwentyPeopleAtOnceAtMost(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	for i := range 22 {
		a := w.browser().post(ourPage, url.Values{"first_name": {"Anna"}, "email": {strings.Repeat("a", i+1) + "@example.com"}})
		if i < 20 {
			mustStatus(t, a, http.StatusSeeOther)
		}
		if i == 21 {
			mustStatus(t, a, http.StatusTooManyRequests)
		}
	}
	if a := w.browser().get(ourPage); a.StatusCode != http.StatusOK {
		t.Errorf("the page itself answers %d", a.StatusCode)
	}
}

func TestAFormThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	a := w.browser().post(ourPage, url.Values{"first_name": {strings.Repeat("a", 9<<10)}, "email": {"anna@example.com"}})
	mustStatus(t, a, http.StatusRequestEntityTooLarge)
}

func TestAProgramThatDoesNotRunRegistersNobodyAndShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	b := w.browser()
	b.registers(ourPage, "Anna", "anna@example.com")
	if _, err := w.programs.Update(t.Context(), w.tenant.ID, w.program.ID, program.Patch{Status: new(program.Paused)}); err != nil {
		t.Fatal(err)
	}
	if a := b.get(ourPage); !strings.Contains(a.text, "Your link") {
		t.Errorf("Anna is shown:\n%s", a.text)
	}
	stranger := w.browser()
	if a := stranger.get(ourPage); !strings.Contains(a.text, "Nobody can register here") || strings.Contains(a.text, `name="email"`) {
		t.Errorf("a stranger is shown:\n%s", a.text)
	}
	mustStatus(t, stranger.post(ourPage, url.Values{"first_name": {"Bert"}, "email": {"bert@example.com"}}), http.StatusConflict)
}

func TestWhoIsInAnotherProgramJoinsALaterOneWithAButton(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	b := w.browser()
	b.registers(ourPage, "Anna", "anna@example.com")
	w.mustProgram("later", "")
	if a := b.get("/p/acme/later"); !strings.Contains(a.text, "/p/acme/later/join") {
		t.Fatalf("there is no button:\n%s", a.text)
	}
	mustStatus(t, b.post("/p/acme/later/join", nil), http.StatusSeeOther)
	if a := b.get("/p/acme/later"); !strings.Contains(a.text, "/r/") {
		t.Errorf("there is no link:\n%s", a.text)
	}
}

func TestAPageThatThereIsNotIsNotFound(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	hidden := w.mustProgram("hidden", "")
	if _, err := w.programs.Update(t.Context(), w.tenant.ID, hidden.ID, program.Patch{Status: new(program.Draft)}); err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	for _, path := range []string{"/p/acme/none", "/p/none/friends", "/p/acme", "/p/-/none.css", "/p/acme/friends/none", "/p/acme/%2e%2e"} {
		mustStatus(t, b.get(path), http.StatusNotFound)
	}
	t.Run("a draft", func(t *testing.T) { mustStatus(t, b.get("/p/acme/hidden"), http.StatusNotFound) })
}

// mustReward gives who has registered with an address a mug.
func (w *world) mustReward(address string) {
	w.t.Helper()
	_, err := w.GiveReward(w.t.Context(), w.tenant.ID, reward.Award{
		PersonID: w.mustFind(address).ID, ProgramID: w.program.ID, Kind: rule.Points, Amount: 1, Unit: "mugs", Name: "A mug",
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// mustShare returns the path of the link that a page offers to send in a way.
func mustShare(t *testing.T, page answer, by string) string {
	t.Helper()
	found := regexp.MustCompile(`<a href="([^"]+)"[^>]*>` + regexp.QuoteMeta(by) + `</a>`).FindStringSubmatch(page.text)
	if found == nil {
		t.Fatalf("there is no link for %s:\n%s", by, page.text)
	}
	address, err := url.QueryUnescape(html.UnescapeString(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	path := regexp.MustCompile(`/r/[1-9A-Za-z]{11}`).FindString(address)
	if path == "" {
		t.Fatalf("%s has no link", address)
	}
	return path
}

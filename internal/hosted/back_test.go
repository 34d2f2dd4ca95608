package hosted_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhoIsKnownIsSentALinkToTheOwnPageOnceAnHour(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.mustReward("anna@example.com")
	second := w.browser()
	for range 3 {
		w.browser().registers(ourPage, "Anna", "anna@example.com")
	}
	messages := w.sink.pageLinks()
	if len(messages) != 1 || messages[0].PersonID != w.mustFind("anna@example.com").ID {
		t.Fatalf("the messages are %+v", messages)
	}
	link := regexp.MustCompile(`http://\S+`).FindString(messages[0].Told())
	path := strings.TrimPrefix(link, w.server.URL)
	if shown := second.get(path); len(shown.Cookies()) != 0 {
		t.Error("opening the link is enough, which programs do that look at mail")
	}
	u, err := url.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	mustStatus(t, second.post(u.Path, url.Values{"token": {u.Query().Get("token")}}), http.StatusSeeOther)
	if page := second.get(ourPage); !strings.Contains(page.text, "A mug") {
		t.Errorf("it is not Anna's page:\n%s", page.text)
	}
}

func TestALinkToTheOwnPageIsGoodOnceAndForItsTenantAlone(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	other, _, _, err := w.tenants.Create(t.Context(), tenant.NewTenant{Alias: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.programs.Create(t.Context(), other.ID, program.New{Key: "friends", Kind: referral.KindName, Rules: json.RawMessage(`[]`)}); err != nil {
		t.Fatal(err)
	}
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	good := tokenOf(t, w.sink.pageLinks()[0])
	text := good.Get("token")
	annas, secret := text[:24], text[24:]
	somebody := id.New(time.Now()).String()
	for name, bad := range map[string]string{
		"nothing": "", "half": annas, "another secret": annas + strings.Repeat("A", len(secret)), "another person's": somebody + secret,
		"no person's": strings.Repeat("z", 24) + secret, "longer": text + "A",
	} {
		mustStatus(t, w.browser().post(ourPage+"/back", url.Values{"token": {bad}}), http.StatusForbidden)
		if shown := w.browser().get(ourPage + "/back?token=" + bad); shown.StatusCode != http.StatusForbidden {
			t.Errorf("%s is answered %d", name, shown.StatusCode)
		}
	}
	mustStatus(t, w.browser().post("/p/other/friends/back", good), http.StatusForbidden)
	mustStatus(t, w.browser().get(ourPage+"/back?token="+text), http.StatusOK)

	var let atomic.Int32
	var opening sync.WaitGroup
	for range 8 {
		b := w.browser()
		opening.Go(func() {
			if b.post(ourPage+"/back", good).StatusCode == http.StatusSeeOther {
				let.Add(1)
			}
		})
	}
	opening.Wait()
	if let.Load() != 1 {
		t.Errorf("%d browsers are let in", let.Load())
	}
	mustStatus(t, w.browser().get(ourPage+"/back?token="+text), http.StatusForbidden)
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	if n := len(w.sink.pageLinks()); n != 1 {
		t.Errorf("once it was used another one is sent within the hour: %d", n)
	}
}

func TestWhoIsForgottenHasNoLinkToAPageAnyMore(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	if err := w.Forget(t.Context(), w.tenant.ID, w.mustFind("anna@example.com").ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	mustStatus(t, w.browser().post(ourPage+"/back", tokenOf(t, w.sink.pageLinks()[0])), http.StatusForbidden)
}

func TestTheLinkToTheOwnPageIsNowhereButInWhatIsTold(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{url: "own"})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	secret := tokenOf(t, w.sink.pageLinks()[0]).Get("token")[24:]
	facts, _, err := w.Facts(t.Context(), w.tenant.ID, id.ID{}, referral.Page{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, f := range facts {
		raw, err := f.Raw()
		if err != nil {
			t.Fatal(err)
		}
		told = told || strings.Contains(string(raw), "within an hour: {link}")
		if strings.Contains(string(raw), secret) {
			t.Errorf("a fact has it: %s", raw)
		}
	}
	if !told {
		t.Error("no fact says that there is such a message")
	}
	err = w.db.Read(t.Context(), func(q db.Queryer) error {
		written, err := message.List(q, w.tenant.ID, w.mustFind("anna@example.com").ID, message.Page{Limit: 10})
		if len(written) != 1 || strings.Contains(written[0].Message, secret) {
			t.Errorf("the messages are %+v", written)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tokenOf is the form that a message's link leads to.
func tokenOf(t *testing.T, m *referral.Message) url.Values {
	t.Helper()
	found := regexp.MustCompile(`token=(\S+)`).FindStringSubmatch(m.Told())
	if found == nil {
		t.Fatalf("there is no link in %q", m.Told())
	}
	return url.Values{"token": {found[1]}}
}

func TestABrowserIsKnownForNinetyDaysAndALinkToTheOwnPageForAnHour(t *testing.T) {
	t.Parallel()
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t, options{url: "own", direct: true})
		anna := w.browser()
		anna.registers(ourPage, "Anna", "anna@example.com")
		w.browser().registers(ourPage, "Anna", "anna@example.com")
		time.Sleep(time.Hour)
		mustStatus(t, w.browser().post(ourPage+"/back", tokenOf(t, w.sink.pageLinks()[0])), http.StatusForbidden)
		w.browser().registers(ourPage, "Anna", "anna@example.com")
		links := w.sink.pageLinks()
		if len(links) != 2 {
			t.Fatalf("there are %d messages after an hour", len(links))
		}
		time.Sleep(time.Hour - time.Minute)
		mustStatus(t, w.browser().post(ourPage+"/back", tokenOf(t, links[0])), http.StatusForbidden)
		mustStatus(t, w.browser().post(ourPage+"/back", tokenOf(t, links[1])), http.StatusSeeOther)

		at, err := url.Parse(w.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // each visit renews it
			time.Sleep(80 * 24 * time.Hour)
			if a := anna.get(ourPage); !strings.Contains(a.text, "Your link") {
				t.Fatalf("Anna is not known:\n%s", a.text)
			}
		}
		kept := anna.http.Jar.Cookies(at)
		time.Sleep(91 * 24 * time.Hour)
		anna.http.Jar.SetCookies(at, kept) // by a browser that forgets nothing
		if a := anna.get(ourPage); !strings.Contains(a.text, `name="email"`) {
			t.Errorf("Anna is known still:\n%s", a.text)
		}
	})
}

func TestNoMessageIsSentWithALinkThatTheRequestMakesUp(t *testing.T) {
	t.Parallel()
	w := mustWorld(t, options{})
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	w.browser().registers(ourPage, "Anna", "anna@example.com")
	if messages := w.sink.pageLinks(); len(messages) != 0 {
		t.Errorf("the messages are %+v", messages)
	}
}

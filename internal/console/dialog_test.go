package console_test

import (
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// typing is somebody before the dialog.
type typing struct {
	*browser
	account account
	page    seen
}

func (w *world) MustType() typing {
	w.t.Helper()
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	page := b.get(applicationPath(a) + "/webhooks/new")
	page.want(w.t, http.StatusOK, "End point URL")
	return typing{b, a, page}
}

// press sends what was typed with one of the buttons.
func (y typing) press(button string, typed url.Values) seen {
	y.w.t.Helper()
	form := url.Values{"do": {button}, "dialect": {"standard"}, "url": {""}, "user": {""}, "password": {""}, "header_name": {""}, "header_value": {""}, "scope": {"some"}, "own": {""}}
	maps.Copy(form, typed)
	return y.submit(y.page, applicationPath(y.account)+"/webhooks/new", form)
}

func (y typing) subscriptions() []*webhook.Subscription {
	y.w.t.Helper()
	subs, _, err := y.w.webhooks.Subscriptions(y.w.t.Context(), y.account.ID, webhook.Page{Limit: 10})
	if err != nil {
		y.w.t.Fatal(err)
	}
	return subs
}

func TestTheDialogOffersTheEventsOfTheDialectWithTheirMeaning(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for _, dialect := range dialects.All {
		page := y.press("events", url.Values{"dialect": {dialect.Name()}, "url": {"https://hooks.example.com/kept"}})
		page.want(t, http.StatusOK)
		if !strings.Contains(page.body, "https://hooks.example.com/kept") {
			t.Errorf("%s: what was typed is lost", dialect.Name())
		}
		for _, event := range dialect.Catalogue(nil) {
			if dialect.Name() != "standard" && event.Name == dialect.TestEvent(wire.Endpoint{}).Type {
				if strings.Contains(page.body, fmt.Sprintf("name=\"event\" value=%q", event.Name)) {
					t.Errorf("%s: %s, which is for tests, can be chosen", dialect.Name(), event.Name)
				}
				continue
			}
			if !strings.Contains(page.body, fmt.Sprintf("value=%q", event.Name)) || !strings.Contains(page.text(), strings.Join(strings.Fields(event.Description), " ")) {
				t.Errorf("%s: %s can't be chosen, or is not explained", dialect.Name(), event.Name)
			}
		}
	}
}

func TestAWebhookIsSavedAsItWasTyped(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	page := y.press("save", url.Values{
		"url": {" https://hooks.example.com/in?a=1&b=2 "}, "user": {"grape"}, "password": {"v1ne yard"},
		"header_name": {"X-Team", "", "x-region"}, "header_value": {"growth", "", "eu"},
		"event": {"webhook.test"}, "own": {"invoice.paid\r\n\r\n  invoice.voided  \r\n"},
	})
	page.want(t, http.StatusOK, "The webhook is saved", "https://hooks.example.com/in?a=1&b=2", "grape")
	subs := y.subscriptions()
	if len(subs) != 1 {
		t.Fatalf("there are %d webhooks", len(subs))
	}
	sub := subs[0]
	if page.path != webhookPath(y.account, sub) {
		t.Errorf("saving leads to %s", page.path)
	}
	got := webhook.Draft{URL: sub.URL, EventTypes: sub.EventTypes, Auth: sub.Auth}
	want := webhook.Draft{
		URL: "https://hooks.example.com/in?a=1&b=2", EventTypes: []string{"webhook.test", "invoice.paid", "invoice.voided"},
		Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "grape", Password: "v1ne yard"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the webhook (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]wire.Header{{Name: "X-Region", Value: "eu"}, {Name: "X-Team", Value: "growth"}}, sub.Headers); diff != "" {
		t.Errorf("its headers (-want +got):\n%s", diff)
	}
	page.wantNot(t, "v1ne yard", ">growth<")
	y.get(applicationPath(y.account)).want(t, http.StatusOK, "https://hooks.example.com/in?a=1&b=2", "Enabled")
}

func TestAllEventsIncludesThoseThatComeLater(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	y.press("save", url.Values{"url": {"https://hooks.example.com/in"}, "scope": {"all"}, "event": {"webhook.test"}, "own": {"not a type"}}).want(t, http.StatusOK, "All events")
	if got := y.subscriptions()[0].EventTypes; !slices.Equal(got, []string{webhook.AllTypes}) {
		t.Errorf("it is subscribed to %q", got)
	}
}

func TestASecretIsShownOnceUnlessItIsAskedFor(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	page := y.press("save", url.Values{"url": {"https://hooks.example.com/in"}, "scope": {"all"}})
	sub := y.subscriptions()[0]
	secret := sub.Secrets[0].Value
	page.want(t, http.StatusOK, secret)
	again := y.get(webhookPath(y.account, sub))
	again.want(t, http.StatusOK, "Show the secret")
	again.wantNot(t, secret)
	y.submit(again, webhookPath(y.account, sub)+"/secret", nil).want(t, http.StatusOK, secret)
	y.get(webhookPath(y.account, sub)).wantNot(t, secret)
}

func TestMistakesStandBesideTheirFields(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for name, c := range map[string]struct {
		typed url.Values
		field string // the id of what describes it
		words string
	}{
		"no URL":              {url.Values{"scope": {"all"}}, "url", "URL"},
		"an address inside":   {url.Values{"url": {"https://127.0.0.1/"}, "scope": {"all"}}, "url", "--allow-network"},
		"http":                {url.Values{"url": {"http://hooks.example.com/"}, "scope": {"all"}}, "url", "--allow-http"},
		"no events":           {url.Values{"url": {"https://hooks.example.com/"}}, "events", "Choose at least one event"},
		"a user alone":        {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "user": {"grape"}}, "password", "The password is required"},
		"a password alone":    {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "password": {"secret-of-mine"}}, "user", "The user id is required"},
		"a reserved header":   {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "header_name": {"X-Fine", "Webhook-Id"}, "header_value": {"1", "2"}}, "header-1", "can't be chosen"},
		"a header twice":      {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "header_name": {"X-Fine", "X-Fine"}, "header_value": {"1", "2"}}, "header-1", "there twice"},
		"no header":           {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "header_name": {"not a name"}, "header_value": {"1"}}, "headers", "a name that is not one"},
		"a header with lines": {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "header_name": {"X-A"}, "header_value": {"1\r\nX-B: 2"}}, "header-0", "characters that a header can't hold"},
		"a value alone":       {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "header_name": {""}, "header_value": {"1"}}, "headers", "a name that is not one"},
		"an own type":         {url.Values{"url": {"https://hooks.example.com/"}, "event": {"webhook.test"}, "own": {"invoice.paid\nnot one"}}, "own", "Number 2 must be words"},
		"a pattern":           {url.Values{"url": {"https://hooks.example.com/"}, "own": {"invoice*"}}, "own", "Number 1 has a"},
		"too many types":      {url.Values{"url": {"https://hooks.example.com/"}, "own": {manyLines(101)}}, "events", "at most 100"},
		"no waitlist":         {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "dialect": {"referralloop"}, "only.waitlist_id": {"WAITLIST"}}, "only", "The waitlist_id must be a UUID in lower case"},
		"another dialect":     {url.Values{"url": {"https://hooks.example.com/"}, "scope": {"all"}, "dialect": {"klingon"}}, "dialect", "not a dialect that is spoken here"},
	} {
		page := y.press("save", c.typed)
		page.want(t, http.StatusUnprocessableEntity, c.words)
		beside := fmt.Sprintf(`id="%s-wrong">`, c.field)
		_, rest, found := strings.Cut(page.body, beside)
		message, _, _ := strings.Cut(rest, "<")
		if !found || !strings.Contains(html.UnescapeString(message), c.words) {
			t.Errorf("%s: nothing of %q stands beside %s:\n%s", name, c.words, c.field, page.text())
		}
		if !strings.Contains(page.body, fmt.Sprintf(`id="%s"`, c.field)) {
			t.Errorf("%s: the summary leads to no field %s", name, c.field)
		}
		if strings.Contains(page.body, `["*"]`) || strings.Contains(page.body, "event_types") {
			t.Errorf("%s: the message speaks of the API:\n%s", name, page.text())
		}
	}
	if subs := y.subscriptions(); len(subs) != 0 {
		t.Errorf("%d webhooks were made with mistakes", len(subs))
	}
}

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "type-%d\n", i)
	}
	return b.String()
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	w := MustWorld(t, "")
	page := w.MustType().press("save", url.Values{"url": {"https://10.0.0.1/"}, "user": {"grape"}, "header_name": {"Host"}, "header_value": {"x"}})
	page.want(t, http.StatusUnprocessableEntity, "There are 4 mistakes", "Choose at least one event", "The password is required", "can't be chosen", "--allow-network")
}

func TestWhatWasTypedIsKeptButForThePassword(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	typed := url.Values{
		"url": {"https://10.0.0.1/kept"}, "user": {"kept-user"}, "password": {"typed-password"}, "header_name": {"X-Kept", "X-Two"}, "header_value": {"kept-value", "two"},
		"event": {"webhook.test"}, "own": {"kept.type"},
	}
	for _, button := range []string{"save", "test", "header", "events"} {
		page := y.press(button, typed)
		for _, kept := range []string{`value="https://10.0.0.1/kept"`, `value="kept-user"`, `value="X-Kept"`, `value="kept-value"`, `value="two"`, `value="webhook.test" checked`, ">kept.type<"} {
			if !strings.Contains(page.body, kept) {
				t.Errorf("%s: %s is lost", button, kept)
			}
		}
		page.wantNot(t, "typed-password")
		page.want(t, page.status, "Type the password again")
	}
}

func TestAddAnotherAddsALineForAHeader(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	names := []string{"X-1"}
	for len(names) < 20 {
		page := y.press("header", url.Values{"header_name": names, "header_value": names})
		names = append(names, fmt.Sprintf("X-%d", len(names)+1))
		if got := strings.Count(page.body, `name="header_name"`); got != len(names) {
			t.Fatalf("there are %d lines, want %d", got, len(names))
		}
	}
	page := y.press("header", url.Values{"header_name": names, "header_value": names})
	if got := strings.Count(page.body, `name="header_name"`); got != 20 {
		t.Errorf("there are %d lines, more than a webhook may have", got)
	}
}

func TestTestSaysWhatTheEndpointAnswered(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for name, c := range map[string]struct {
		attempt webhook.Attempt
		words   []string
	}{
		"success": {
			webhook.Attempt{ResponseStatus: 200, Verdict: wire.Delivered, Reason: wire.ReasonOK, Timing: webhook.Timing{Total: 34 * time.Millisecond}, Body: []byte("thanks <b>")},
			[]string{"The endpoint answered 200 after 34 ms. A delivery would succeed.", "The answer: thanks <b>"},
		},
		"failure": {
			webhook.Attempt{ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError, Timing: webhook.Timing{Total: 1200 * time.Millisecond}, Body: []byte(strings.Repeat("x", 1024) + "beyond")},
			[]string{"answered 500 after 1.2 s. A delivery would fail, and be tried again: the endpoint has an error.", "The first KiB of the answer:"},
		},
		"gone":       {webhook.Attempt{ResponseStatus: 410, Verdict: wire.Gone, Reason: wire.ReasonGone}, []string{"would disable the webhook", "The answer has no body"}},
		"no answer":  {webhook.Attempt{Verdict: wire.Retry, Reason: "timeout", Timing: webhook.Timing{Total: 15 * time.Second}, Error: "deadline exceeded"}, []string{"There was no answer after 15 s: the endpoint took too long.", "deadline exceeded"}},
		"not sent":   {webhook.Attempt{Verdict: wire.Refused, Reason: "blocked"}, []string{"Nothing was sent: the address is not one that webhooks may be sent to."}},
		"a new word": {webhook.Attempt{Verdict: wire.Retry, Reason: "moonphase"}, []string{"moonphase"}},
	} {
		w.receiver.attempt = c.attempt
		page := y.press("test", url.Values{"url": {"https://hooks.example.com/in"}, "user": {"grape"}, "password": {"vine"}})
		page.want(t, http.StatusOK, c.words...)
		if strings.Contains(page.body, "beyond") || strings.Contains(page.body, "<b>") && name == "success" && strings.Contains(page.body, "thanks <b>") {
			t.Errorf("%s: the answer is shown too far, or as markup", name)
		}
	}
	sent := w.receiver.seen[0]
	if want := (webhook.Auth{Type: webhook.BasicAuth, Username: "grape", Password: "vine"}); sent.Auth != want || sent.TenantID != y.account.ID {
		t.Errorf("the test was sent with %v", sent.Auth)
	}
	if len(y.subscriptions()) != 0 {
		t.Error("testing has made a webhook")
	}
}

func TestTestNeedsNoEvents(t *testing.T) {
	w := MustWorld(t, "")
	w.receiver.attempt = webhook.Attempt{ResponseStatus: 204, Verdict: wire.Delivered}
	w.MustType().press("test", url.Values{"url": {"https://hooks.example.com/in"}}).want(t, http.StatusOK, "The endpoint answered 204")
}

func TestAWebhookIsNotMadeWithAKeyThatIsRevokedMeanwhile(t *testing.T) {
	for _, button := range []string{"save", "test"} {
		w := MustWorld(t, "")
		y := w.MustType()
		w.whileLookingUp = func() {
			if err := w.tenants.RevokeKey(t.Context(), y.account.ID, y.account.keyID); err != nil {
				t.Error(err)
			}
		}
		y.press(button, url.Values{"url": {"https://hooks.example.com/in"}, "scope": {"all"}}).want(t, http.StatusOK, "Sign in")
		if len(y.subscriptions()) != 0 || len(w.receiver.seen) != 0 {
			t.Errorf("%s: something was done with a key that was revoked", button)
		}
	}
}

func TestAWebhookIsChangedOnceItIsConfirmed(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	b := w.MustSignIn(a.Key)
	path := webhookPath(a, sub)
	confirm := func(change, question string) seen {
		t.Helper()
		page := b.get(path + "/" + change)
		page.want(t, http.StatusOK, question, sub.URL)
		return b.submit(page, path+"/"+change, nil)
	}
	confirm("disable", "Disable this webhook?").want(t, http.StatusOK, "Disabled", "somebody disabled it")
	confirm("enable", "Enable this webhook?").want(t, http.StatusOK, "Enabled")
	confirm("delete", "Delete this webhook?").want(t, http.StatusOK, "No webhooks yet")
	b.get(path).want(t, http.StatusNotFound)
	b.get(path+"/explode").want(t, http.StatusNotFound)
}

func TestASavedWebhookCanBeTested(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	b := w.MustSignIn(a.Key)
	w.receiver.attempt = webhook.Attempt{ResponseStatus: 202, Verdict: wire.Delivered}
	b.submit(b.get(webhookPath(a, sub)), webhookPath(a, sub)+"/test", nil).want(t, http.StatusOK, "The endpoint answered 202")
}

func TestApplicationsAndWebhooksArePaged(t *testing.T) {
	w := MustWorld(t, "")
	for i := range 45 {
		w.MustAccount(fmt.Sprintf("tenant-%02d", i))
	}
	a := w.MustAccount("big")
	for range 60 {
		w.MustSubscription(a)
	}
	b := w.MustSignIn(adminKey)
	aliases := follow(b, "/console/applications", `<h2><a href="/console/applications/`, "More applications")
	if len(aliases) != 46 {
		t.Errorf("the pages show %d applications, want 46", len(aliases))
	}
	hooks := follow(b, applicationPath(a), `class="address"><a href="`+applicationPath(a)+`/webhooks/`, "More webhooks")
	if len(hooks) != 60 {
		t.Errorf("the pages show %d webhooks, want 60", len(hooks))
	}
}

// follow walks the pages of a list by their button and returns what follows the
// mark in each entry, each once.
func follow(b *browser, path, mark, button string) map[string]bool {
	b.w.t.Helper()
	found := make(map[string]bool)
	for range 20 {
		page := b.get(path)
		page.want(b.w.t, http.StatusOK)
		for _, rest := range strings.Split(page.body, mark)[1:] {
			name, _, _ := strings.Cut(rest, `"`)
			if found[name] {
				b.w.t.Errorf("%s is there twice", name)
			}
			found[name] = true
		}
		before, _, more := strings.Cut(page.body, `">`+button+`</a>`)
		if !more {
			return found
		}
		path = html.UnescapeString(before[strings.LastIndex(before, `href="`)+len(`href="`):])
	}
	b.w.t.Fatal("the pages do not end")
	return nil
}

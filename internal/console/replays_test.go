package console_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// hourAgo is as it is typed.
func hourAgo() string { return time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05") }

var hiddenFields = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// press sends the fields that a page holds, by one of its buttons.
func (b *browser) press(page seen, path, button string) seen {
	b.w.t.Helper()
	form := url.Values{"do": {button}}
	_, main, _ := strings.Cut(page.body, "<main")
	for _, field := range hiddenFields.FindAllStringSubmatch(main, -1) {
		form.Add(field[1], html.UnescapeString(field[2]))
	}
	return b.submit(page, path, form)
}

func (w *world) countReplays(a account) int {
	w.t.Helper()
	replays, _, err := w.webhooks.Replays(w.t.Context(), a.ID, webhook.Page{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(replays)
}

func TestAReplayIsCountedFirstAndThenBegun(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub, other := w.MustSubscription(a), w.MustSubscriptionTo(a, "https://hooks.example.com/other")
	w.MustFailedDelivery(a, sub)
	w.MustFailedDelivery(a, sub)
	w.MustFailedDelivery(a, other)
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/replays/new"
	form := b.get(path + "?webhook=" + id.Subscription.Format(sub.ID))
	if !strings.Contains(form.body, id.Subscription.Format(sub.ID)+`" selected`) {
		t.Error("the webhook of the address is not chosen")
	}
	asked := url.Values{
		"do": {"count"}, "webhook": {id.Subscription.Format(sub.ID)}, "types": {"invoice.paid\r\ninvoice.voided\r\n"},
		"status": {"failed", "held"}, "since": {hourAgo()},
	}
	counted := b.submit(form, path, asked)
	counted.want(t, http.StatusOK, "2 deliveries would be sent again.", sub.URL, "failed, held", "invoice.paid invoice.voided", "Published since", "Start")
	if n := w.countReplays(a); n != 0 {
		t.Fatalf("counting has begun %d replays", n)
	}
	changing := b.press(counted, path, "change")
	changing.want(t, http.StatusOK, "Count")
	for _, kept := range []string{asked.Get("since"), "invoice.voided", `value="held" checked`, id.Subscription.Format(sub.ID) + `" selected`} {
		if !strings.Contains(changing.body, kept) {
			t.Errorf("%q was typed and is lost", kept)
		}
	}
	begun := b.press(counted, path, "start")
	begun.want(t, http.StatusOK, "It has begun.", "Replay Running", "0 of 2", "failed, held", "invoice.paid invoice.voided", sub.URL)
	b.get(begun.path).wantNot(t, "It has begun.")
	b.get(applicationPath(a)+"/replays").want(t, http.StatusOK, "Replay", "Running", "0 of 2", sub.URL)
}

func TestAReplayOfNothingCantBeBegun(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	w.MustSubscription(a)
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/replays/new"
	page := b.submit(b.get(path), path, url.Values{"do": {"count"}, "status": {"failed"}, "since": {hourAgo()}})
	page.want(t, http.StatusOK, "There is nothing to send again.", "Change")
	page.wantNot(t, ">Start<")
}

func TestWhatAReplaySkipsIsCountedApart(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	w.MustFailedDelivery(a, sub)
	if err := w.webhooks.ExpungeBody(t.Context(), a.ID, w.MustFailedDelivery(a, sub)); err != nil {
		t.Fatal(err)
	}
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/replays/new"
	page := b.submit(b.get(path), path, url.Values{"do": {"count"}, "status": {"failed"}, "since": {hourAgo()}})
	page.want(t, http.StatusOK, "1 delivery would be sent again.", "1 delivery can't be, and would be skipped")
}

func TestMistakesInAReplayStandBesideTheirFields(t *testing.T) {
	w := MustWorld(t, "")
	a, other := w.MustAccount("acme"), w.MustAccount("other")
	foreign := w.MustSubscription(other)
	disabled := w.MustSubscription(a)
	if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, disabled.ID); err != nil {
		t.Fatal(err)
	}
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/replays/new"
	for name, c := range map[string]struct {
		form   url.Values
		status int
		words  string
	}{
		"no time":         {url.Values{"status": {"failed"}}, 422, "Say from when on."},
		"a word":          {url.Values{"status": {"failed"}, "since": {"noon"}}, 422, "This must be a time from 1970 on"},
		"the future":      {url.Values{"status": {"failed"}, "since": {"9000-01-01"}}, 422, "This must not be in the future."},
		"an end before":   {url.Values{"status": {"failed"}, "since": {hourAgo()}, "until": {"2001-01-01"}}, 422, "This must be later than since."},
		"no status":       {url.Values{"since": {hourAgo()}}, 422, "Choose at least one."},
		"another status":  {url.Values{"since": {hourAgo()}, "status": {"pending"}}, 422, "They must be of delivered, failed, held and cancelled."},
		"too many types":  {url.Values{"since": {hourAgo()}, "status": {"failed"}, "types": {strings.Repeat("a.b\n", 101)}}, 422, "They must be at most 100."},
		"no id":           {url.Values{"since": {hourAgo()}, "status": {"failed"}, "webhook": {"sub_x"}}, 422, "not one of the application's webhooks"},
		"another's":       {url.Values{"since": {hourAgo()}, "status": {"failed"}, "webhook": {id.Subscription.Format(foreign.ID)}}, 422, "not one of the application's webhooks"},
		"one that is off": {url.Values{"since": {hourAgo()}, "status": {"failed"}, "webhook": {id.Subscription.Format(disabled.ID)}}, 409, "enable it"},
	} {
		for _, do := range []string{"count", "start"} {
			c.form.Set("do", do)
			page := b.submit(b.get(path), path, c.form)
			if page.status != c.status || !strings.Contains(page.text(), c.words) {
				t.Errorf("%s, %s: %d, without %q:\n%s", name, do, page.status, c.words, page.text())
			}
			page.wantNot(t, foreign.Secrets[0].Value)
		}
	}
	if n := w.countReplays(a); n != 0 {
		t.Errorf("%d replays have begun", n)
	}
}

func TestAWebhookRecoversWhatItHasMissed(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	began := time.Now().Add(-2 * time.Hour)
	w.MustFare(a, sub, webhook.Health{State: webhook.Failing, Reason: webhook.FailedInRow, Failures: 12, Since: began, FailingSince: began})
	w.MustFailedDelivery(a, w.MustSubscriptionTo(a, "https://hooks.example.com/other"))
	b := w.MustSignIn(a.Key)
	path := webhookPath(a, sub) + "/recover"
	form := b.get(path)
	form.want(t, http.StatusOK, "Recover what was missed", sub.URL)
	if !strings.Contains(form.body, began.UTC().Format("2006-01-02T15:04:00")) {
		t.Error("the form does not offer the time from which on the endpoint has failed")
	}
	counted := b.submit(form, path, url.Values{"do": {"count"}, "since": {hourAgo()}, "status": {"delivered"}, "webhook": {"sub_x"}})
	counted.want(t, http.StatusOK, "1 delivery would be sent again.", "failed, held", sub.URL)
	b.press(counted, path, "start").want(t, http.StatusOK, "Recovery Running", "0 of 1", sub.URL)
	b.get(webhookPath(a, sub)).want(t, http.StatusOK, "Enabled", "Well")
}

func TestRecoveringADisabledWebhookBeginsWithEnablingIt(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	page := w.MustSignIn(a.Key).get(webhookPath(a, sub) + "/recover")
	page.want(t, http.StatusOK, "Enable this webhook?")
}

func TestAReplayIsPausedResumedAndCancelled(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	w.MustFailedDelivery(a, sub)
	made := w.MustReplay(a, webhook.ReplayFilter{})
	b := w.MustSignIn(a.Key)
	path := replayPath(a, made.ID)
	page := b.get(path)
	page.want(t, http.StatusOK, "Running", "any that had ended", "All webhooks")
	for _, step := range []struct{ press, state, outlook string }{
		{"pause", "Paused", "It waits until you resume it."},
		{"resume", "Running", "sent as their endpoints take them"},
		{"cancel", "Cancelled", "It ends here."},
	} {
		page = b.submit(page, path+"/"+step.press, nil)
		page.want(t, http.StatusOK, step.state, step.outlook)
		if page.path != path {
			t.Errorf("%s leads to %s", step.press, page.path)
		}
	}
	page.wantNot(t, "pause-replay", "resume-replay", "cancel-replay", "data-live")
	b.submit(b.get(applicationPath(a)+"/replays/new"), path+"/resume", nil).want(t, http.StatusConflict, "The replay is cancelled.")
	b.submit(b.get(applicationPath(a)+"/replays/new"), path+"/restart", nil).want(t, http.StatusNotFound)
	b.get(applicationPath(a)+"/replays/job_x").want(t, http.StatusNotFound)
}

func TestTheProgressOfReplaysCanBeAskedForAloneAndOnlyIfItHasChanged(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	made := w.MustReplay(a, webhook.ReplayFilter{})
	b := w.MustSignIn(a.Key)
	for _, path := range []string{replayPath(a, made.ID), applicationPath(a) + "/replays"} {
		page, part := b.get(path), b.get(path+"?part=live")
		part.want(t, http.StatusOK, "Running")
		if strings.Contains(part.body, "<html") || !strings.Contains(page.body, part.body) {
			t.Errorf("%s: the part is not that of the page", path)
		}
		b.header = http.Header{"If-None-Match": {part.header.Get("ETag")}}
		b.get(path+"?part=live").want(t, http.StatusNotModified)
		b.header = http.Header{}
	}
}

func TestReplaysAreListedPageByPage(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	b.get(applicationPath(a)+"/replays").want(t, http.StatusOK, "There are no replays.")
	for i := range 45 {
		made := w.MustReplay(a, webhook.ReplayFilter{EventTypes: []string{fmt.Sprintf("event.number-%02d", i)}})
		if _, err := w.webhooks.CancelReplay(t.Context(), a.ID, made.ID); err != nil {
			t.Fatal(err)
		}
	}
	if found := follow(b, applicationPath(a)+"/replays", `data-label="Replay"><a id="`, "Older"); len(found) != 45 {
		t.Errorf("the pages show %d replays, want 45", len(found))
	}
}

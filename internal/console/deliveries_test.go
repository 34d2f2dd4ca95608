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
	"github.com/grapevine-hq/grapevine/internal/wire"
)

var datetimes = regexp.MustCompile(`<time datetime="([^"]+)"`)

func TestDeliveriesAreListedNewestFirstPageByPage(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	w.MustSubscription(a)
	for i := range 120 {
		w.MustPublish(a, fmt.Sprintf("event.number-%03d", i), `{}`)
	}
	b := w.MustSignIn(a.Key)
	var before time.Time
	for _, match := range datetimes.FindAllStringSubmatch(b.get(applicationPath(a)+"/deliveries").body, -1) {
		published, err := time.Parse(time.RFC3339Nano, match[1])
		if err != nil {
			t.Fatal(err)
		}
		if !before.IsZero() && published.After(before) {
			t.Errorf("%s stands after %s", published, before)
		}
		before = published
	}
	found := follow(b, applicationPath(a)+"/deliveries", `class="event"><a id="`, "Older")
	if len(found) != 120 {
		t.Errorf("the pages show %d deliveries, want 120", len(found))
	}
	first := b.get(applicationPath(a) + "/deliveries")
	first.wantNot(t, "Newest")
	_, rest, _ := strings.Cut(first.body, `id="next" href="`)
	older, _, _ := strings.Cut(rest, `"`)
	b.get(html.UnescapeString(older)).want(t, http.StatusOK, "Newest")
}

func TestDeliveriesAreFilteredByStatusAndWebhook(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	one, two := w.MustSubscription(a, "invoice.paid"), w.MustSubscription(a, "invoice.paid", "invoice.voided")
	w.MustFailedDelivery(a, one)
	w.MustPublish(a, "invoice.voided", `{}`)
	b := w.MustSignIn(a.Key)
	count := func(query string) int {
		t.Helper()
		page := b.get(applicationPath(a) + "/deliveries" + query)
		page.want(t, http.StatusOK)
		return strings.Count(page.body, `data-label="Event"`)
	}
	for query, want := range map[string]int{
		"": 3, "?status=": 3, "?status=failed": 1, "?status=pending": 2, "?status=delivered": 0, "?status=held": 0, "?status=cancelled": 0,
		"?webhook=" + id.Subscription.Format(one.ID): 1, "?webhook=" + id.Subscription.Format(two.ID): 2,
		"?status=failed&webhook=" + id.Subscription.Format(two.ID): 0,
	} {
		if got := count(query); got != want {
			t.Errorf("%q: got %d, want %d", query, got, want)
		}
	}
	b.get(applicationPath(a)+"/deliveries?status=broken").want(t, http.StatusUnprocessableEntity)
	b.get(applicationPath(a)+"/deliveries?webhook=sub_x").want(t, http.StatusUnprocessableEntity)
	b.get(applicationPath(a)+"/deliveries?after=x").want(t, http.StatusUnprocessableEntity)
}

func TestDeliveriesAreSearched(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	w.MustFailedDelivery(a, sub) // invoice.paid, {"n":1}, answered 500
	w.MustPublish(a, "order.placed", `{"order":{"id":"o-42"}}`)
	b := w.MustSignIn(a.Key)
	count := func(q url.Values) (int, seen) {
		t.Helper()
		page := b.get(applicationPath(a) + "/deliveries?" + q.Encode())
		page.want(t, http.StatusOK)
		return strings.Count(page.body, `data-label="Event"`), page
	}
	later := time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04")
	for name, values := range map[string][]string{
		"type":   {"order.placed", "order.cancelled"},
		"answer": {"500", "404"},
		"reason": {"server_error", "timeout"},
		"since":  {hourAgo(), later},
		"until":  {later, hourAgo()},
		"data":   {"order.id:o-42", "order.id:o-43"},
	} {
		found, page := count(url.Values{name: {values[0]}})
		if found == 0 || found == 2 != (name == "since" || name == "until") {
			t.Errorf("%s %s: got %d", name, values[0], found)
		}
		if !strings.Contains(page.body, `<details id="search" open`) || !strings.Contains(page.body, values[0]) {
			t.Errorf("%s: the form does not show what is searched for", name)
		}
		page.wantNot(t, "data-live", "Pause updates")
		if found, page := count(url.Values{name: {values[1]}}); found != 0 || !strings.Contains(page.text(), "There are no deliveries like this") {
			t.Errorf("%s %s: got %d", name, values[1], found)
		}
	}
	if found, _ := count(url.Values{"answer": {"5xx"}, "status": {"failed"}, "type": {"invoice.paid"}, "data": {"n:1"}}); found != 1 {
		t.Errorf("all together: got %d", found)
	}
	if found, _ := count(url.Values{"answer": {"4xx"}}); found != 0 {
		t.Errorf("another class: got %d", found)
	}
}

func TestASearchGoesOnPageByPage(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	w.MustSubscription(a)
	for range 60 {
		w.MustPublish(a, "invoice.paid", `{"region":"eu"}`)
		w.MustPublish(a, "invoice.voided", `{"region":"us"}`)
	}
	b := w.MustSignIn(a.Key)
	for _, query := range []string{"?type=invoice.paid", "?data=region:eu", "?status=pending&type=invoice.paid&since=" + hourAgo()} {
		if found := follow(b, applicationPath(a)+"/deliveries"+query, `class="event"><a id="`, "Older"); len(found) != 60 {
			t.Errorf("%s: the pages show %d deliveries, want 60", query, len(found))
		}
	}
}

func TestMistakesInASearchStandBesideTheirFields(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	for query, words := range map[string]string{
		"answer=99": "such as 404", "answer=600": "such as 404", "answer=4x4": "such as 404", "answer=-44": "such as 404",
		"since=noon": "must be a time", "until=1969-01-01": "must be a time", "data=order.id": "must be a path in the data, a colon and a value",
		"status=broken": "not one that a delivery can have", "webhook=sub_x": "not the id of one",
	} {
		page := b.get(applicationPath(a) + "/deliveries?type=invoice.paid&" + query)
		page.want(t, http.StatusUnprocessableEntity, words)
		if !strings.Contains(page.body, `value="invoice.paid"`) {
			t.Errorf("%s: what was typed is lost", query)
		}
		page.wantNot(t, "There are no deliveries")
	}
}

func TestTheListCanBeAskedForAloneAndOnlyIfItHasChanged(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	event := w.MustFailedDelivery(a, sub)
	b := w.MustSignIn(a.Key)
	page := b.get(applicationPath(a) + "/deliveries?status=failed")
	part := b.get(applicationPath(a) + "/deliveries?part=live&status=failed")
	part.want(t, http.StatusOK, "invoice.paid")
	if strings.Contains(part.body, "<html") || !strings.Contains(page.body, part.body) {
		t.Error("the part is not that of the page")
	}
	b.header = http.Header{"If-None-Match": {part.header.Get("ETag")}}
	if same := b.get(applicationPath(a) + "/deliveries?part=live&status=failed"); same.status != http.StatusNotModified || same.body != "" {
		t.Errorf("what has not changed is sent again, with %d", same.status)
	}
	if _, err := w.webhooks.Retry(t.Context(), a.ID, event, sub.ID); err != nil {
		t.Fatal(err)
	}
	b.get(applicationPath(a)+"/deliveries?part=live&status=failed").want(t, http.StatusOK, "There are no deliveries like this")
}

func TestWithoutAScriptAPageRefreshesItselfIfOneChooses(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	event := w.MustPublish(a, "invoice.paid", `{}`)
	b := w.MustSignIn(a.Key)
	for _, path := range []string{applicationPath(a) + "/deliveries", deliveryPath(a, event, sub)} {
		const meta = `<noscript><meta http-equiv="refresh"`
		if page := b.get(path); strings.Contains(page.body, meta) || !strings.Contains(page.body, path+`?refresh=5"`) {
			t.Errorf("%s refreshes itself unasked, or can't", path)
		}
		if page := b.get(path + "?refresh=5"); !strings.Contains(page.body, meta) || !strings.Contains(page.body, `href="`+path+`"`) {
			t.Errorf("%s does not refresh itself, or can't be stopped", path)
		}
	}
}

func TestADeliveryIsShownAsATimelineOfItsAttempts(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	event := w.MustPublish(a, "invoice.paid", `{"amount":4200}`)
	started := event.Time()
	w.MustRecord(webhook.Outcome{
		Job: webhook.Job{TenantID: a.ID, EventID: event, Sub: sub},
		Attempt: webhook.Attempt{
			Number: 1, StartedAt: started.Add(12 * time.Millisecond), Verdict: wire.Retry, Reason: "connect", Error: "connection refused",
			Timing: webhook.Timing{DNS: 2 * time.Millisecond, Total: 9 * time.Millisecond},
		},
		Status: webhook.Retrying, NextAt: started.Add(5 * time.Second),
	})
	w.MustRecord(webhook.Outcome{
		Job: webhook.Job{TenantID: a.ID, EventID: event, Sub: sub, Status: webhook.Retrying, Attempts: 1},
		Attempt: webhook.Attempt{
			Number: 2, StartedAt: started.Add(5021 * time.Millisecond), ResponseStatus: 429, Verdict: wire.Throttled, Reason: wire.ReasonThrottled,
			Timing:  webhook.Timing{Connect: 4 * time.Millisecond, TLS: 6 * time.Millisecond, FirstByte: 30 * time.Millisecond, Total: 35 * time.Millisecond},
			Headers: []wire.Header{{Name: "Retry-After", Value: "60"}}, Body: []byte("slow down"),
		},
		Status: webhook.Retrying, NextAt: time.Now().Add(time.Hour + 10*time.Minute + 30*time.Second),
	})
	b := w.MustSignIn(a.Key)
	page := b.get(deliveryPath(a, event, sub))
	page.want(t, http.StatusOK,
		`invoice.paid Pending`, "The next attempt is in 1 h 10 min.", sub.URL, `"data":{"amount":4200}`, id.Event.Format(event),
		"Attempt 1: no answer, no connection came about", "12 ms after the publication", "connection refused", "DNS 2 ms", "waiting 7 ms", "9 ms in all",
		"5.0 s later", "Attempt 2: answered 429, the endpoint asks to wait",
		"connect 4 ms", "TLS 6 ms", "first byte 20 ms", "rest of the answer 5 ms", "35 ms in all", "Retry-After60", "slow down")
	if bars := strings.Count(page.body, "<rect"); bars != 6 {
		t.Errorf("the bars have %d parts, want 6", bars)
	}
}

func TestRetryMakesADeliveryDueNow(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	event := w.MustFailedDelivery(a, sub)
	b := w.MustSignIn(a.Key)
	page := b.get(deliveryPath(a, event, sub))
	page.want(t, http.StatusOK, "Failed", "The schedule is exhausted", "Retry")
	after := b.submit(page, deliveryPath(a, event, sub)+"/retry", nil)
	after.want(t, http.StatusOK, "Pending", "The next attempt is due now.")
	if after.path != deliveryPath(a, event, sub) {
		t.Errorf("retrying leads to %s", after.path)
	}
}

func TestWhatComesNextIsSaidInWords(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	b := w.MustSignIn(a.Key)
	change := func(name string) {
		t.Helper()
		b.submit(b.get(webhookPath(a, sub)+"/"+name), webhookPath(a, sub)+"/"+name, nil).want(t, http.StatusOK)
	}
	outlook := func(event id.ID, words string, retry bool) {
		t.Helper()
		page := b.get(deliveryPath(a, event, sub))
		page.want(t, http.StatusOK, words)
		if got := strings.Contains(page.body, "/retry"); got != retry {
			t.Errorf("%s: it can be retried: %v", words, got)
		}
	}
	pending := w.MustPublish(a, "invoice.paid", `{}`)
	outlook(pending, "The next attempt is due now.", true)
	change("disable")
	outlook(pending, "Its webhook is disabled. It is sent once you enable it.", false)
	held := w.MustPublish(a, "invoice.paid", `{}`)
	outlook(held, "Its webhook is disabled. Enable it, then retry.", false)
	change("enable")
	outlook(held, "Its webhook was disabled when it was published. Retry to send it now.", true)
	if err := w.webhooks.ExpungeBody(t.Context(), a.ID, held); err != nil {
		t.Fatal(err)
	}
	outlook(held, "Nothing more is sent: the event's body was removed.", false)
	change("delete")
	outlook(pending, "Nothing more is sent: the webhook was deleted.", false)
	b.get(applicationPath(a)+"/deliveries").want(t, http.StatusOK, "deleted")
}

func TestARetryThatIsRefusedSaysWhatToDo(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	event := w.MustFailedDelivery(a, sub)
	b := w.MustSignIn(a.Key)
	page := b.get(deliveryPath(a, event, sub)) // while it still can be
	if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	b.submit(page, deliveryPath(a, event, sub)+"/retry", url.Values{}).want(t, http.StatusConflict, "enable it, then retry")
}

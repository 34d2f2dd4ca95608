package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// MustFare publishes an event whose attempt fails, and records how the endpoint
// has fared with it.
func (w *world) MustFare(a account, sub *webhook.Subscription, h webhook.Health) id.ID {
	w.t.Helper()
	event := w.MustPublish(a, "invoice.paid", `{}`)
	w.MustRecord(webhook.Outcome{
		Job:     webhook.Job{TenantID: a.ID, EventID: event, Sub: sub},
		Attempt: webhook.Attempt{Number: 1, StartedAt: time.Now(), ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError},
		Status:  webhook.Failed,
		Health:  &webhook.Snapshot{Health: h, Generation: sub.Generation},
	})
	return event
}

func TestTheHealthOfAnEndpointIsSaidInWords(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	failed := time.Now().Add(-time.Hour)
	soon := time.Now().Add(time.Hour)
	said := func(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC" }
	for name, c := range map[string]struct {
		health  webhook.Health
		inList  []string
		onPage  []string
		without string
	}{
		"well": {webhook.Health{}, []string{"Enabled"}, []string{"Well: no attempt has failed since the last success."}, "Failing"},
		"stumbling": {
			webhook.Health{Failures: 3, Since: failed, ErrorClass: "timeout"},
			[]string{"Enabled"},
			[]string{"3 failed attempts since " + said(failed) + ", and no success; the last one: the endpoint took too long."},
			"Failing",
		},
		"failing": {
			webhook.Health{
				State: webhook.Failing, Reason: webhook.FailedInRow, Failures: 1200, Since: failed, FailingSince: failed.Add(time.Minute),
				ErrorClass: wire.ReasonServerError, Pause: webhook.Pause{Until: soon, Why: webhook.PausedFailing},
			},
			[]string{"Failing", "since " + said(failed.Add(time.Minute)) + ": ten attempts in a row failed", "paused until " + said(soon)},
			[]string{
				"Failing since " + said(failed.Add(time.Minute)) + ": ten attempts in a row failed.", "1,200 failed attempts since",
				"Paused until " + said(soon) + ": the endpoint is failing, and is tried now and then.", "One attempt at a time is made",
			},
			"Well",
		},
		"failing by one delivery": {
			webhook.Health{State: webhook.Failing, Reason: webhook.DeliveryFailed, Failures: 1, Since: failed, FailingSince: failed},
			[]string{"Failing", "a delivery used up its attempts"},
			[]string{"1 failed attempt since"},
			"paused until",
		},
		"throttled": {
			webhook.Health{Failures: 1, Since: failed, Pause: webhook.Pause{Until: soon, Why: webhook.PausedThrottled}},
			[]string{"Paused", "paused until " + said(soon)},
			[]string{"Paused until " + said(soon) + ": the endpoint asked for it."},
			"Failing",
		},
	} {
		sub := w.MustSubscriptionTo(a, "https://hooks.example.com/"+strings.ReplaceAll(name, " ", "-"))
		w.MustFare(a, sub, c.health)
		page := b.get(webhookPath(a, sub))
		page.want(t, http.StatusOK, append(c.onPage, c.inList[0])...)
		page.wantNot(t, c.without)
		list := b.get(applicationPath(a))
		_, row, _ := strings.Cut(list.body, sub.URL)
		row, _, _ = strings.Cut(row, "</tr>")
		seen{http.StatusOK, nil, name, row}.want(t, http.StatusOK, c.inList...)
		if err := w.webhooks.DeleteSubscription(t.Context(), a.ID, sub.ID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADisabledWebhookSaysWhatLedThere(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	long := time.Now().Add(-6 * 24 * time.Hour)
	w.MustFare(a, sub, webhook.Health{State: webhook.Failing, Reason: webhook.FailedInRow, Failures: 40, Since: long, FailingSince: long})
	b := w.MustSignIn(a.Key)
	b.get(applicationPath(a)).want(t, http.StatusOK, "Disabled the endpoint took nothing for five days")
	page := b.get(webhookPath(a, sub))
	page.want(t, http.StatusOK, "Disabled", "ten attempts in a row failed", "40 failed attempts")
	page.wantNot(t, "Recover …", "Paused")
}

func TestEnablingSaysWhatWasMissedAndRecoversItIfAsked(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	w.MustFailedDelivery(a, sub)
	disable := func() {
		t.Helper()
		if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
			t.Fatal(err)
		}
		w.MustPublish(a, "invoice.paid", `{}`)
	}
	b := w.MustSignIn(a.Key)
	path := webhookPath(a, sub) + "/enable"

	disable()
	page := b.get(path)
	page.want(t, http.StatusOK, "Recover what it has missed", "What is held stays so")
	enabled := b.submit(page, path, url.Values{"since": {"no time"}}) // which counts only with the choice
	enabled.want(t, http.StatusOK, "The webhook is enabled. It has missed 2 events since", "1 failed, 1 held.", "Recover …")
	b.get(webhookPath(a, sub)).wantNot(t, "It has missed")

	disable()
	since := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04")
	recovering := b.submit(b.get(path), path, url.Values{"recover": {"yes"}, "since": {since}})
	recovering.want(t, http.StatusOK, "It has missed 3 events since", "Recovery Running", "0 of 3", "failed, held", sub.URL)
	if !strings.HasPrefix(recovering.path, applicationPath(a)+"/replays/job_") {
		t.Errorf("recovering leads to %s", recovering.path)
	}
}

func TestEnablingWithATimeThatIsNoneChangesNothing(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	b := w.MustSignIn(a.Key)
	path := webhookPath(a, sub) + "/enable"
	for since, words := range map[string]string{
		"": "Say from when on.", "yesterday": "must be a time from 1970 on", "0001-01-01T00:00": "must be a time from 1970 on", "9000-01-01T00:00": "This must not be in the future.",
	} {
		page := b.submit(b.get(path), path, url.Values{"recover": {"yes"}, "since": {since}})
		page.want(t, http.StatusUnprocessableEntity, words)
		if !strings.Contains(page.body, `name="recover" value="yes" checked`) || !strings.Contains(page.body, `value="`+since) {
			t.Errorf("%q: what was chosen is lost", since)
		}
	}
	b.get(webhookPath(a, sub)).want(t, http.StatusOK, "Disabled")
}

func TestEnablingAsksAnEndpointFirstThatHasToConfirmItsWebhook(t *testing.T) {
	w := MustWorld(t, "")
	box, err := secret.Open(t.Context(), w.db, w.key)
	if err != nil {
		t.Fatal(err)
	}
	confirms := webhook.Attempt{ResponseStatus: 404, Verdict: wire.Retry, Reason: wire.ReasonClientError}
	w.webhooks = webhook.New(webhook.Options{
		DB: w.db, Box: box, CheckURL: w.checkURL, Identify: w.identify, Attempter: w.receiver,
		Handshake: func(context.Context, *webhook.Subscription) webhook.Attempt { return confirms },
	})
	w.serve(t)
	a := w.MustAccount("acme")
	sub, err := w.webhooks.CreateSubscription(t.Context(), a.ID, webhook.Draft{
		URL: "https://hooks.example.com/in", EventTypes: []string{webhook.AllTypes}, Handshake: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := w.MustSignIn(a.Key)
	path := webhookPath(a, sub) + "/enable"
	b.get(webhookPath(a, sub)).want(t, http.StatusOK, "Disabled the endpoint has not confirmed the webhook")
	refused := b.submit(b.get(path), path, nil)
	if refused.status < 400 || refused.status >= 500 {
		t.Errorf("got %d", refused.status)
	}
	refused.want(t, refused.status, "Enable this webhook?", "404")
	confirms = webhook.Attempt{ResponseStatus: 200, Verdict: wire.Delivered, Reason: wire.ReasonOK}
	b.submit(b.get(path), path, nil).want(t, http.StatusOK, "The webhook is enabled. It has missed nothing.")
}

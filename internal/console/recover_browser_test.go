package console_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func TestInABrowserAFailingEndpointIsSeenEnabledAndRecovered(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for _, screen := range []screen{light, dark, phone, withoutScripts} {
		t.Run(screen.name, func(t *testing.T) {
			t.Parallel()
			s := MustServer(t)
			a := s.MustAccount("sunny-growth")
			b := MustTab(t, browser, screen, s.url)
			b.do(chromedp.Navigate(s.MustLink()))
			b.click("main button")
			b.see("h1", "Applications")
			sub := b.seeItFail(s, a)
			b.enableAndRecover(s, a, sub)
			b.replayOnce(a, sub)
			b.lookAround(s, a)
		})
	}
}

// seeItFail has an endpoint fail, and looks at what the console says of it.
func (b *tab) seeItFail(s *server, a account) *webhook.Subscription {
	b.t.Helper()
	sub, err := s.webhooks.CreateSubscription(b.t.Context(), a.ID, webhook.Draft{
		URL: s.receiver.URL + "/ledger", EventTypes: []string{webhook.AllTypes}, Policy: webhook.Policy{Schedule: []time.Duration{}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s.broken.Store(true)
	s.MustPublish(a, "reward.redeemed", `{"reward":"rwd_31","amount":1000,"currency":"EUR"}`)
	b.open(applicationPath(a))
	b.reloadUntil(`document.querySelector("td.health")?.innerText.includes("Failing")`)
	b.see("td.health", "a delivery used up its attempts")
	b.photograph("failing-webhooks")
	b.click("tbody a")
	b.see("#health", "Failing since")
	b.see("#health", "the endpoint has an error")
	b.photograph("failing-webhook")
	b.click(`a[href$="/disable"]`)
	b.see("h1", "Disable this webhook?")
	b.click("main button")
	b.see(".badge.held", "Disabled")
	s.MustPublish(a, "reward.redeemed", `{"reward":"rwd_32","amount":500,"currency":"EUR"}`)
	return sub
}

// enableAndRecover mends the endpoint and has what it missed sent to it.
func (b *tab) enableAndRecover(s *server, a account, sub *webhook.Subscription) {
	b.t.Helper()
	s.broken.Store(false)
	b.open(webhookPath(a, sub))
	b.click(`a[href$="/enable"]`)
	b.see("h1", "Enable this webhook?")
	b.click("#recover")
	b.photograph("enable")
	b.click(".foot button")
	b.see(".panel.good", "It has missed 2 events since")
	b.see("h1", "Recovery")
	if b.screen.noScript {
		b.reloadUntil(`document.querySelector("h1")?.innerText.includes("Completed")`)
	}
	b.see("h1", "Completed") // without anything being pressed, where there is a script
	b.see("#progress", "2 of 2")
	b.photograph("replay")
	b.open(applicationPath(a) + "/deliveries?webhook=" + id.Subscription.Format(sub.ID))
	b.reloadUntil(`document.querySelectorAll("#live .badge.delivered").length === 2`)
	b.open(webhookPath(a, sub))
	b.see("#health", "Well")
}

// replayOnce sends again what was delivered already.
func (b *tab) replayOnce(a account, sub *webhook.Subscription) {
	b.t.Helper()
	b.click(`a[href*="/replays/new"]`)
	b.see("h1", "Send deliveries again")
	b.click("#status-failed")
	b.click("#status-held")
	b.click("#status-delivered")
	b.write("#types", "reward.redeemed")
	b.set("#since", time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05"))
	b.photograph("new-replay")
	b.click(`button[value="count"]`)
	b.see("#count", "2 deliveries would be sent again.")
	b.photograph("counted-replay")
	b.click(`button[value="start"]`)
	b.see(".panel.good", "It has begun.")
	b.open(applicationPath(a) + "/replays")
	b.reloadUntil(`document.querySelectorAll("#live .badge.delivered").length === 2`)
	b.photograph("replays")
	b.open(webhookPath(a, sub))
	b.see("h1", "/ledger")
}

// lookAround opens what is left: the search, the entries and the event types.
func (b *tab) lookAround(s *server, a account) {
	b.t.Helper()
	b.open(applicationPath(a) + "/deliveries")
	b.click("#search summary")
	b.write("#type", "reward.redeemed")
	b.write("#data", "reward:rwd_32")
	b.click("#search button")
	b.see("#search", "Clear")
	b.see("#live", "reward.redeemed")
	if !b.holds(`document.querySelectorAll("#live tbody tr").length === 1`) {
		b.t.Errorf("%s: the search finds something else:\n%s", b.screen.name, b.shown())
	}
	b.photograph("search")
	b.expected = []string{"status of 422"}
	b.set("#data", "reward")
	b.click("#search button")
	b.see("#data-wrong", "must be a path in the data")
	b.wellMade("a mistake in a search")
	b.open(applicationPath(a) + "/audit")
	b.see("tbody", "Webhook enabled")
	b.photograph("audit")
	s.MustEventType(a, webhook.NewEventType{
		Name: "reward.redeemed", Description: "A reward was redeemed.",
		Schema: []byte(`{"type":"object","required":["reward"],"properties":{"reward":{"type":"string"},"amount":{"type":"integer"}}}`),
		Sample: []byte(`{"reward":"rwd_31","amount":1000}`),
	})
	b.open(applicationPath(a) + "/event-types")
	b.see("tbody", "A reward was redeemed.")
	b.wellMade("the event types")
	b.click("tbody a")
	b.see("pre", `"required"`)
	b.photograph("event-type")
}

package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// server is the console on a real socket, with everything that sends.
type server struct {
	*world
	receiver *httptest.Server
	broken   atomic.Bool // whether the receiver answers 500
}

// MustServer serves until the test ends.
func MustServer(t *testing.T) *server {
	t.Helper()
	s := &server{world: MustWorld(t, "")}
	s.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if s.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"error":"the ledger is closed"}`)
			return
		}
		fmt.Fprint(w, `{"received":true}`)
	}))
	t.Cleanup(s.receiver.Close)
	guard, err := netguard.New(netguard.Config{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.Open(t.Context(), s.db, s.key)
	if err != nil {
		t.Fatal(err)
	}
	attempter := dispatch.NewAttempter(guard.Client(netguard.TransportOptions{MaxIdleConnsPerHost: 8}), s.identify, "test")
	jobs := job.NewRunner(job.Options{DB: s.db})
	s.webhooks = webhook.New(webhook.Options{DB: s.db, Box: box, CheckURL: guard.CheckURL, Identify: s.identify, Attempter: attempter, Jobs: jobs})
	dispatcher := dispatch.New(dispatch.Options{Store: s.webhooks, Attempter: attempter})
	s.webhooks.Start(dispatcher)
	if err := dispatcher.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	jobs.Start()
	t.Cleanup(func() {
		jobs.Stop()
		s.webhooks.Stop()
		dispatcher.Stop(context.WithoutCancel(t.Context()))
	})
	s.serve(t)
	return s
}

// serve puts the console on a socket.
func (w *world) serve(t *testing.T) {
	t.Helper()
	listening := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.console.ServeHTTP(rw, r) }))
	w.url = "http://" + listening.Listener.Addr().String()
	var err error
	if w.console, err = console.New(console.Options{Tenants: w.tenants, Webhooks: w.webhooks, Audit: w.audit, Sessions: w.sessions, URL: w.url}); err != nil {
		t.Fatal(err)
	}
	listening.Start()
	t.Cleanup(listening.Close)
}

func TestInABrowserAWebhookIsAddedAndADeliveryRetried(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for _, screen := range []screen{light, dark, phone, withoutScripts} {
		t.Run(screen.name, func(t *testing.T) {
			t.Parallel()
			s := MustServer(t)
			a := s.MustAccount("sunny-growth")
			b := MustTab(t, browser, screen, s.url)
			b.signInByLink(s)
			b.addWebhook(s, a)
			b.retryDelivery(s, a)
			b.click(".who button")
			b.see("h1", "Sign in")
		})
	}
}

func TestInABrowserAWebhookOfAnotherDialectIsAdded(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for _, screen := range []screen{light, withoutScripts} {
		t.Run(screen.name, func(t *testing.T) {
			t.Parallel()
			s := MustServer(t)
			a := s.MustAccount("sunny-growth")
			b := MustTab(t, browser, screen, s.url)
			b.expected = []string{"status of 422"}
			b.do(chromedp.Navigate(s.MustLink()))
			b.click("main button")
			b.see("h1", "Applications")
			b.addRestrictedWebhook(s, a)
		})
	}
}

const waitlist = "123e4567-e89b-12d3-a456-426614174000"

// addRestrictedWebhook adds one in the dialect of ReferralLoop, for one waitlist.
func (b *tab) addRestrictedWebhook(s *server, a account) {
	b.t.Helper()
	b.click("section a.primary") // + Add new
	b.see(".manner", "10 attempts")
	b.choose("referralloop")
	b.see(".manner", "5 attempts, after waits of 1 min, 5 min, 15 min, 1 h")
	b.see("#events", "signup.position_changed")
	b.write("#url", s.receiver.URL+"/waitlist")
	b.write("#only", "my waitlist")
	b.press("test")
	b.see("#only-wrong", "The waitlist_id must be a UUID")
	b.set("#only", waitlist)
	b.press("test")
	b.see("#outcome", "The endpoint answered 200")
	if got := b.value("#only"); got != waitlist {
		b.t.Errorf("%s: the waitlist is %q after the test", b.screen.name, got)
	}
	b.click(`input[value="signup.created"]`)
	b.click(`input[value="signup.position_changed"]`)
	b.photograph("add-restricted-webhook")
	b.click(".foot button")
	b.see(".panel.good", "The webhook is saved")
	b.see(".secret code", "")
	b.see("dl", "signup.created signup.position_changed only of waitlist_id "+waitlist)
	b.wellMade("a restricted webhook")
	b.open(applicationPath(a))
	b.see("tr", waitlist)
	b.wellMade("the list of restricted webhooks")
}

// choose selects a dialect as somebody does: with a script the dialog follows by
// itself, without one a button is there for it.
func (b *tab) choose(dialect string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#dialog").dataset.old = "yes"`))
	b.set("#dialect", dialect)
	if b.screen.noScript {
		b.press("events")
		return
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#dialect").dispatchEvent(new Event("change", {bubbles: true}))`))
	if err := b.wait(`!!document.querySelector("#dialog:not([data-old])")`); err != nil {
		b.t.Fatalf("%s: nothing follows the choice: %v\n%s", b.screen.name, err, b.shown())
	}
}

func (b *tab) signInByLink(s *server) {
	b.t.Helper()
	b.open("/console/")
	b.see("h1", "Sign in")
	b.photograph("sign-in")
	b.do(chromedp.Navigate(s.MustLink()))
	b.click("main button")
	b.see("h1", "Applications")
}

func (b *tab) addWebhook(s *server, a account) {
	b.t.Helper()
	b.see("section", a.Alias)
	b.click("section a.primary") // + Add new
	b.see("#dialog", "Save webhook")
	b.write("#url", s.receiver.URL+"/webhooks/grapevine")
	b.write("#user", "grapevine")
	b.write("#password", "correct horse")
	b.press("test")
	b.see("#outcome", "The endpoint answered 200")
	b.see("#outcome", `{"received":true}`)
	if b.screen.noScript {
		b.see("#password-again", "Type the password again")
		b.write("#password", "correct horse")
	}
	if got := b.value("#password"); got != "correct horse" {
		b.t.Errorf("%s: the password is %q after the test", b.screen.name, got)
	}
	b.write("#header-0", "X-Team")
	b.write("#header-value-0", "growth")
	b.press("header")
	if b.screen.noScript {
		b.write("#password", "correct horse")
	}
	b.write("#header-1", "X-Region")
	b.write("#header-value-1", "eu")
	b.write("#own", "reward.created\nsignup.completed")
	b.photograph("add-webhook")
	b.click(".foot button")
	b.see(".panel.good", "The webhook is saved")
	b.see(".secret", "whsec_")
	b.see("dl", "reward.created signup.completed")
	b.photograph("webhook")
	subs, _, err := s.webhooks.Subscriptions(b.t.Context(), a.ID, webhook.Page{Limit: 10})
	if err != nil || len(subs) != 1 {
		b.t.Fatalf("there are %d webhooks, %v", len(subs), err)
	}
	if got := subs[0].Auth.Password; got != "correct horse" {
		b.t.Errorf("%s: it is saved with the password %q", b.screen.name, got)
	}
}

func (b *tab) retryDelivery(s *server, a account) {
	b.t.Helper()
	s.broken.Store(true)
	// One attempt only, so that it ends.
	_, err := s.webhooks.CreateSubscription(b.t.Context(), a.ID, webhook.Draft{
		URL: s.receiver.URL + "/ledger", EventTypes: []string{"reward.redeemed"}, Policy: webhook.Policy{Schedule: []time.Duration{}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.open(applicationPath(a) + "/deliveries")
	b.see("#live", "There are no deliveries")
	b.refresh()
	s.MustPublish(a, "reward.redeemed", `{"reward":"rwd_31","amount":1000,"currency":"EUR"}`)
	b.see("#live .badge", "Failed") // without anything being pressed
	s.broken.Store(false)
	s.MustPublish(a, "signup.completed", `{"email":"mike@example.com"}`)
	s.MustPublish(a, "reward.created", `{"reward":"rwd_31","amount":1000,"currency":"EUR"}`)
	b.reloadUntil(`document.querySelector("#live tr:first-child .badge")?.innerText.includes("Delivered")`)
	b.photograph("deliveries")
	b.click("tr:last-child td a")
	b.see(".timeline", "Attempt 1: answered 500")
	b.click("#answer-1 summary")
	b.see("#answer-1", "the ledger is closed")
	b.photograph("delivery")
	b.click("#retry")
	if err := b.wait(`!!document.querySelector("h1 .badge") && !document.querySelector("h1 .badge.failed")`); err != nil {
		b.t.Fatalf("%s: the delivery is not retried: %v\n%s", b.screen.name, err, b.shown())
	}
	b.reloadUntil(`document.querySelector(".timeline")?.innerText.includes("Attempt 2: answered 200")`)
	b.see("h1 .badge", "Delivered")
	b.see(".outlook", "Nothing more is sent")
	b.open("/console/applications")
	b.see("tr", "/ledger")
	b.photograph("applications")
}

// reloadUntil loads the page again until a condition holds, which is quicker than
// to wait until the page does so by itself.
func (b *tab) reloadUntil(condition string) {
	b.t.Helper()
	for !b.holds(condition) {
		b.do(chromedp.Reload())
	}
}

func (b *tab) holds(condition string) bool {
	b.t.Helper()
	holds, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", b.screen.name, err, b.shown())
	}
	return holds
}

// refresh chooses that the page loads itself again, where no script does.
func (b *tab) refresh() {
	b.t.Helper()
	if !b.screen.noScript {
		return
	}
	if b.holds(`document.querySelector('.updates a')`) {
		b.click(".updates a")
	}
}

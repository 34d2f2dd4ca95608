package console_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// focus is what has it.
type focus struct {
	Name    string `json:"name"` // an id, or what it says
	Visible bool   `json:"visible"`
}

const whatHasFocus = `(() => {
  const e = document.activeElement;
  const box = e.getBoundingClientRect();
  const outlined = getComputedStyle(e).outlineStyle !== 'none' && parseFloat(getComputedStyle(e).outlineWidth) >= 2;
  const inside = box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight;
  return { name: e.id || e.textContent.trim(), visible: outlined && inside };
})()`

func (b *tab) focus() focus {
	b.t.Helper()
	f, err := chromedp.Run(b.ctx, chromedp.Evaluate[focus](whatHasFocus))
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// focusOn waits until something has the focus, which it gets after the page.
func (b *tab) focusOn(selector string) {
	b.t.Helper()
	if err := b.wait(fmt.Sprintf(`document.activeElement.matches(%s)`, quoted(selector))); err != nil {
		b.t.Fatalf("%s does not get the focus, %q has it: %v", selector, b.focus().Name, err)
	}
}

func (b *tab) key(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func TestInABrowserTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	s := MustServer(t)
	a := s.MustAccount("sunny-growth")
	b := MustTab(t, browser, light, s.url)
	b.expected = []string{"status of 422"}

	b.open("/console/sign-in")
	b.focusOn("#key")
	b.key(a.Key + kb.Enter)
	b.see("h1", "Applications")
	b.key(kb.Tab)
	if got := b.focus(); got != (focus{"Skip to the content", true}) {
		t.Errorf("the first stop is %+v", got)
	}
	b.key(kb.Enter)
	if got := b.focus().Name; got != "main" {
		t.Errorf("skipping leads to %q", got)
	}

	b.open(applicationPath(a) + "/webhooks/new")
	b.focusOn("#url")
	b.key(s.receiver.URL + kb.Enter)
	b.focusOn(".panel.bad")
	var stops []string
	for len(stops) < 60 && !slices.Contains(stops, "Save webhook") {
		b.key(kb.Tab)
		at := b.focus()
		stops = append(stops, at.Name)
		if !at.Visible {
			t.Errorf("nobody can see that %q has the focus", at.Name)
		}
	}
	want := []string{
		"Choose at least one event, or all events.", "dialect", "Show events", "url", "Test", "user", "password",
		"header-0", "header-value-0", "+ Add another header", "scope-some",
	}
	for family, events := range []int{9, 5, 6, 7, 2, 2, 5} { // webhooks, people, referrals, rewards, wallets, exports, others
		for i := range events {
			want = append(want, fmt.Sprintf("event-%d-%d", family, i))
		}
	}
	want = append(want, "own", "Save webhook")
	if diff := cmp.Diff(want, stops); diff != "" {
		t.Errorf("the order of the stops (-want +got):\n%s", diff)
	}
}

// countQuestions counts how often the page could ask for news, and how often it
// does, and makes the turns short.
const countQuestions = `
  window.turns = window.asked = 0;
  window.setTimeout = (wait => then => { window.turns++; return wait(then, 10); })(window.setTimeout);
  window.fetch = (ask => (...args) => { window.asked++; return ask(...args); })(window.fetch);`

func TestInABrowserUpdatesCanBePaused(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	s := MustServer(t)
	a := s.MustAccount("sunny-growth")
	b := MustTab(t, browser, light, s.url)
	b.do(chromedp.Navigate(s.MustLink()))
	b.click("main button")
	b.see("h1", "Applications")
	b.open(applicationPath(a) + "/deliveries")
	b.see("[data-pause]", "Pause updates")
	b.click("[data-pause]")
	b.see("[data-pause]", "Continue updates")
	if _, err := s.webhooks.DisableSubscription(t.Context(), a.ID, s.MustSubscriptionTo(a, s.receiver.URL).ID); err != nil {
		t.Fatal(err)
	}
	s.MustPublish(a, "reward.created", `{}`)
	b.do(chromedp.Evaluate[chromedp.Void](countQuestions))
	if err := b.wait(`window.turns >= 3`); err != nil {
		t.Fatal(err)
	}
	if asked, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`window.asked`)); err != nil || asked != 0 {
		t.Errorf("the page asks %d times while it is paused, %v", asked, err)
	}
	b.see("#live", "There are no deliveries")
	b.click("[data-pause]")
	b.see("#live", "Held")
}

func TestInABrowserAPageWhoseSessionHasEndedAsksToSignIn(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	s := MustServer(t)
	a := s.MustAccount("sunny-growth")
	b := MustTab(t, browser, light, s.url)
	b.expected = []string{"status of 401"}
	b.open("/console/sign-in")
	b.focusOn("#key")
	b.key(a.Key + kb.Enter)
	b.see("h1", "Applications")
	b.open(applicationPath(a) + "/deliveries")
	if err := s.tenants.RevokeKey(t.Context(), a.ID, a.keyID); err != nil {
		t.Fatal(err)
	}
	b.see("h1", "Sign in")
}

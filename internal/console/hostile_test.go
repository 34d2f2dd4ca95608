package console_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// hostile are texts that would do something if they were taken for markup, for a
// script, for an address or for a template, or that would spoil the page.
var hostile = []string{
	`<script>pwned=1</script>`,
	`"><img src=x onerror=pwned=1>`,
	`' onfocus='pwned=1' autofocus tabindex='0`,
	`javascript:pwned=1`,
	`data:text/html,<script>opener.pwned=1</script>`,
	`</pre></textarea></title></noscript><svg onload=pwned=1>`,
	`<!--`,
	`]]><style>body{display:none}</style>`,
	`<meta http-equiv=refresh content=0;url=//evil.example.com>`,
	`<base href=//evil.example.com/><form action=//evil.example.com><input type=submit>`,
	`{{.FormToken}} {{template "layout"}} ${pwned=1} <%= 1 %>`,
	`&lt;script&gt;pwned=1&lt;/script&gt;`,
	"gpj.\u202Eexe\u2066",
	"\x1b[31m\x7f\u2028",
	"\ufffd\ufffd<b>",
	strings.Repeat("W", 3000),
}

// plain are those of which every character can be seen, short enough to look for.
func plain() []string {
	return slices.DeleteFunc(slices.Clone(hostile), func(text string) bool {
		return len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
	})
}

// hostileWorld has a hostile text in every field that is shown.
type hostileWorld struct {
	*world
	account account
	pages   []string // to be looked at
}

// MustHostileWorld stores what no service would let in as well: a page must not
// rest on that.
func MustHostileWorld(t *testing.T) *hostileWorld {
	t.Helper()
	w := MustWorld(t, "")
	box, err := secret.Open(t.Context(), w.db, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.webhooks = webhook.New(webhook.Options{DB: w.db, Box: box, CheckURL: anyURL, Identify: w.identify, Attempter: w.receiver})
	w.serve(t)
	h := &hostileWorld{world: w, account: w.MustAccount("acme")}
	for i, text := range hostile {
		h.mustStore(i, text)
	}
	for i, text := range plain() {
		h.mustExec(`UPDATE tenant SET alias = $1 WHERE id = $2`, text, h.MustAccount(fmt.Sprintf("alias-%d", i)).ID)
		h.pages = append(h.pages, "/console/applications/"+url.PathEscape(text), "/console/applications/"+url.PathEscape(text)+"/webhooks/new")
	}
	h.pages = append(h.pages, "/console/applications", applicationPath(h.account), applicationPath(h.account)+"/deliveries",
		applicationPath(h.account)+"/replays", applicationPath(h.account)+"/replays/new?webhook="+url.QueryEscape(hostile[1]),
		applicationPath(h.account)+"/event-types", applicationPath(h.account)+"/audit", applicationPath(h.account)+"/audit?action="+url.QueryEscape(hostile[1]),
		"/console/"+url.PathEscape(hostile[1]), "/console/sign-in?token="+url.QueryEscape(hostile[1])+"&next="+url.QueryEscape(hostile[3]))
	return h
}

func anyURL(ctx context.Context, _ string) error { return ctx.Err() }

// mustStore stores a webhook and a delivery that have the text wherever it fits.
func (h *hostileWorld) mustStore(i int, text string) {
	h.t.Helper()
	valid := strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == ':' {
			return -1
		}
		return r
	}, text), "")
	sub, err := h.webhooks.CreateSubscription(h.t.Context(), h.account.ID, webhook.Draft{
		URL: text, EventTypes: []string{"test.happened"}, Headers: map[string]string{"X-'*`": "hidden-value"},
		Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "u" + valid, Password: "hidden-password"},
	})
	if err != nil {
		h.t.Fatalf("%q: %v", text, err)
	}
	event := h.MustPublish(h.account, "test.happened", fmt.Sprintf(`{"text":%s}`, quoted(text)))
	h.MustRecord(webhook.Outcome{
		Job: webhook.Job{TenantID: h.account.ID, EventID: event, Sub: sub},
		Attempt: webhook.Attempt{
			Number: 1, StartedAt: time.Now(), ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.Reason(text), Error: text,
			Timing: webhook.Timing{Total: time.Millisecond}, Headers: []wire.Header{{Name: text, Value: text}}, Body: []byte(text),
		},
		Status: webhook.Failed,
	})
	h.mustExec(`UPDATE event SET type = $1 WHERE id = $2`, text, event)
	h.mustExec(`UPDATE subscription SET status = 'disabled', reason = $1, event_types = $2, filter = $3 WHERE id = $4`,
		text, "["+quoted(text)+"]", fmt.Sprintf(`{"eq":[%[1]s,%[1]s]}`, quoted(text)), sub.ID)
	if i == 0 {
		h.pages = append(h.pages, webhookPath(h.account, sub)+"/delete", webhookPath(h.account, sub)+"/enable")
	}
	h.mustStoreElsewhere(i, text)
	h.pages = append(h.pages, webhookPath(h.account, sub), deliveryPath(h.account, event, sub))
}

// mustStoreElsewhere puts the text into a replay, an event type and an audit entry,
// and searches for it.
func (h *hostileWorld) mustStoreElsewhere(i int, text string) {
	h.t.Helper()
	replay := h.MustReplay(h.account, webhook.ReplayFilter{EventTypes: []string{text}})
	name := fmt.Sprintf("hostile.type-%d", i)
	h.MustEventType(h.account, webhook.NewEventType{Name: name})
	h.mustExec(`UPDATE event_type_version SET description = $1, schema = $1, sample = $1 WHERE name = $2`, text, name)
	by := audit.WithActor(h.t.Context(), audit.Actor{Kind: audit.Key, KeyName: text, KeyHint: text, Via: text})
	err := h.audit.Record(by, audit.Change{
		TenantID: h.account.ID, Action: audit.Action(text), ObjectID: text, Fields: []audit.Field{{Name: text, Before: text, After: text}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.webhooks.CancelReplay(h.t.Context(), h.account.ID, replay.ID); err != nil {
		h.t.Fatal(err)
	}
	all := url.Values{"type": {text}, "answer": {text}, "reason": {text}, "since": {text}, "until": {text}, "data": {text + ":" + text}}
	h.pages = append(h.pages, replayPath(h.account, replay.ID), applicationPath(h.account)+"/event-types/"+name,
		applicationPath(h.account)+"/deliveries?"+all.Encode())
}

func (h *hostileWorld) mustExec(sql string, args ...any) {
	h.t.Helper()
	err := h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(sql, args...)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// harm lists what a text has become that should only be read.
const harm = `(() => {
  const harm = [];
  if (window.pwned !== undefined) harm.push('a script ran');
  for (const e of document.querySelectorAll('*')) {
    for (const a of e.attributes) {
      if (a.name.startsWith('on') || a.name === 'style') harm.push(e.tagName + ' has the attribute ' + a.name);
      if (['href', 'src', 'action', 'formaction'].includes(a.name) && !/^(#|\/console\/)/.test(a.value)) harm.push(e.tagName + ' leads to ' + a.value);
    }
  }
  if (document.scripts.length !== 1) harm.push('there are ' + document.scripts.length + ' scripts');
  if (document.querySelector('style, iframe, object, embed, base, svg *:not(rect)')) harm.push('there is something that the pages never have');
  if (document.querySelectorAll('link').length !== 2) harm.push('there are ' + document.querySelectorAll('link').length + ' links');
  if (!document.querySelector('main > *')?.checkVisibility()) harm.push('the page is hidden');
  return harm;
})()`

func (b *tab) wantUnharmed(name string) {
	b.t.Helper()
	found, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](harm))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, what := range found {
		b.t.Errorf("%s: %s", name, what)
	}
}

func TestInABrowserTextFromOutsideIsOnlyRead(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	h := MustHostileWorld(t)
	b := MustTab(t, browser, light, h.url)
	b.expected = []string{"status of 404", "status of 422"}
	b.do(chromedp.Navigate(h.MustLink()))
	b.click("main button")
	b.see("h1", "Applications")
	for _, path := range h.pages {
		b.open(path)
		b.wantUnharmed(path)
		b.wellMade(path)
		b.do(chromedp.EmulateViewport(phone.width, phone.height))
		b.wellMade(path + " on a phone")
		b.do(chromedp.EmulateViewport(b.screen.width, b.screen.height))
	}
}

func TestInABrowserHostileTextIsShownAsItIs(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	h := MustHostileWorld(t)
	b := MustTab(t, browser, light, h.url)
	b.do(chromedp.Navigate(h.MustLink()))
	b.click("main button")
	b.see("h1", "Applications")
	for _, path := range []string{"/console/applications", applicationPath(h.account), applicationPath(h.account) + "/deliveries"} {
		b.open(path)
		for _, text := range plain() {
			b.see("main", text)
		}
	}
	b.see("main", "gpj.⟨U+202E⟩exe⟨U+2066⟩")
	for _, text := range plain() {
		b.open(applicationPath(h.account) + "/audit?action=" + url.QueryEscape(text))
		b.see("tbody", text)
	}
}

func TestInABrowserHostileTextThatIsTypedStaysText(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	h := MustHostileWorld(t)
	b := MustTab(t, browser, light, h.url)
	b.do(chromedp.Navigate(h.MustLink()))
	b.click("main button")
	b.see("h1", "Applications")
	for _, text := range plain() {
		h.receiver.attempt = webhook.Attempt{
			ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.Reason(text), Error: text, Body: []byte(text),
		}
		b.open(applicationPath(h.account) + "/webhooks/new")
		for _, field := range []string{"#url", "#user", "#header-0", "#header-value-0", "#own"} {
			b.set(field, text)
		}
		b.press("events")
		b.wantUnharmed(text)
		for _, field := range []string{"#url", "#user", "#header-0", "#header-value-0", "#own"} {
			if got := b.value(field); got != text {
				t.Errorf("%s has become %q, want %q", field, got, text)
			}
		}
		for _, field := range []string{"#user", "#header-0", "#header-value-0"} { // which a webhook would not be tested with
			b.set(field, "")
		}
		b.press("test")
		b.see("#outcome pre", text)
		b.wantUnharmed(text)
	}
}

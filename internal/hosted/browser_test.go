package hosted_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// chromium starts a browser that reaches this machine only. Without one the test is
// skipped, except under CI=true.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	switch {
	case err == nil:
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true":
		t.Skip("chromium is missing: scripts/tools.sh browser installs it")
	default:
		t.Fatal("chromium is missing: scripts/tools.sh browser installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	browser, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { _ = chromedp.Cancel(browser); cancel() })
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return browser
}

// screen is how a page is looked at.
type screen struct {
	name           string
	width          int64
	scheme         string
	withoutScripts bool
}

// tab is a tab of the browser with cookies of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	notes []string // what the browser noted, such as what it refused
}

func mustTab(t *testing.T, browser context.Context, s screen) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		if noted, ok := event.(*log.EventEntryAdded); ok && !strings.Contains(noted.Entry.URL, "favicon.ico") {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.notes = append(b.notes, noted.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(s.width, 800), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		})
		if err != nil {
			return err
		}
		_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: s.withoutScripts})
		return err
	}))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		if err := chromedp.Do(b.ctx, step); err != nil {
			b.t.Fatal(err)
		}
	}
}

// see waits until a condition holds on the page, over navigations.
func (b *tab) see(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if holds {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s does not hold: %v", condition, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wellMade demands what every page has to keep to.
func (b *tab) wellMade() {
	b.t.Helper()
	b.see(`document.documentElement.scrollWidth <= innerWidth`)
	b.see(`document.querySelectorAll("h1").length === 1 && document.documentElement.lang === "en"`)
	b.see(`[...document.querySelectorAll("input:not([type=hidden])")].every(e => e.labels.length)`)
	b.see(`[...document.querySelectorAll("a, button, input:not([type=hidden])")].every(e => e.getBoundingClientRect().height >= 44)`)
}

func (b *tab) noted() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.notes, "\n")
}

func TestInABrowserSomebodyRegistersAndFindsTheLink(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	for _, s := range []screen{
		{name: "light", width: 1200, scheme: "light"},
		{name: "dark", width: 1200, scheme: "dark"},
		{name: "phone", width: 320, scheme: "light"},
		{name: "without scripts", width: 390, scheme: "light", withoutScripts: true},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := mustWorld(t, options{settings: `{"page":{"title":"` + strings.Repeat("Donaudampfschifffahrt", 4) + `","text":"Bring a friend."}}`})
			b := mustTab(t, browser, s)
			b.do(chromedp.Navigate(w.server.URL + ourPage))
			b.wellMade()
			for field, text := range map[string]string{"first_name": "Anna", "email": "anna@example.com"} {
				b.do(chromedp.SendKeys(chromedp.CSS("#"+field), text, chromedp.NodeVisible))
			}
			b.do(chromedp.Click(chromedp.CSS("main form button"), chromedp.NodeVisible))
			b.see(`document.querySelector("#link")?.value.startsWith("` + w.server.URL + `/r/")`)
			b.see(`document.querySelectorAll(".shares a").length === 5`)
			if !s.withoutScripts {
				b.see(`document.querySelector(".copy button")?.innerText === "Copy"`)
			}
			b.wellMade()
			if noted := b.noted(); noted != "" {
				t.Errorf("the browser notes: %s", noted)
			}
		})
	}
}

func TestInABrowserAFrameIsShownToTheHostsThatTheProgramNames(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	var address string
	around := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>around</title><iframe src=%q onload="document.title = 'loaded'"></iframe>`, address)
	})
	named, stranger := httptest.NewServer(around), httptest.NewServer(around)
	t.Cleanup(named.Close)
	t.Cleanup(stranger.Close)
	w := mustWorld(t, options{settings: `{"allowed_hosts":["` + named.Listener.Addr().String() + `"],"page":{"frame":true}}`})
	address = w.server.URL + ourPage + "?embed=1"
	for url, refused := range map[string]bool{named.URL: false, stranger.URL: true} {
		b := mustTab(t, browser, screen{width: 800, scheme: "light"})
		b.do(chromedp.Navigate(url))
		b.see(`document.title === "loaded"`)
		if got := strings.Contains(b.noted(), "frame-ancestors"); got != refused {
			t.Errorf("a frame is refused: %t; the browser notes: %s", got, b.noted())
		}
	}
}

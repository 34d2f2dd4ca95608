package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Not -update: a picture has the time and a port in it, and differs each time.
var screenshots = flag.Bool("screenshots", false, "write docs/screenshots anew")

// TestMain ends the browser that the tests have shared. Those in a browser wait
// more than they work, so four run at a time even where there are fewer
// processors, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	if n, err := strconv.Atoi(parallel.DefValue); err == nil && n < 4 && parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("4")
	}
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// shared returns the browser that all tests share: each opens tabs with cookies
// of their own. What ends it stands in ends, the last first.
var (
	shared = sync.OnceValues(startChromium)
	ends   []func()
)

// chromium returns the browser, which reaches this machine only. Without one the
// test is skipped, except under CI=true.
func chromium(t *testing.T) context.Context {
	t.Helper()
	browser, err := shared()
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true":
		t.Skip("chromium is missing: scripts/tools.sh browser installs it")
	case errors.Is(err, exec.ErrNotFound):
		t.Fatal("chromium is missing: scripts/tools.sh browser installs it")
	case err != nil:
		t.Fatalf("chromium does not start: %v", err)
	}
	return browser
}

func startChromium() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	profile, err := os.MkdirTemp("", "grapevine-chromium-")
	if err != nil {
		return nil, err
	}
	ends = append(ends, func() { _ = os.RemoveAll(profile) })
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ends = append(ends, stop)
	ctx, cancel := chromedp.NewContext(ctx)
	ends = append(ends, func() { _ = chromedp.Cancel(ctx); cancel() })
	return ctx, chromedp.Do(ctx)
}

func stopChromium() {
	for _, end := range slices.Backward(ends) {
		end()
	}
}

// screen is how a page is looked at.
type screen struct {
	name          string
	width, height int64
	dark          bool
	noScript      bool
}

var (
	light          = screen{name: "light", width: 1200, height: 800}
	dark           = screen{name: "dark", width: 1200, height: 800, dark: true}
	phone          = screen{name: "phone", width: 390, height: 844}
	withoutScripts = screen{name: "without-scripts", width: 1200, height: 800, noScript: true}
)

// tab is a tab of the browser, on which nothing may go wrong unseen.
type tab struct {
	t      *testing.T
	ctx    context.Context
	screen screen
	origin string

	expected []string // what the browser may note

	mu       sync.Mutex
	troubles []string
}

// MustTab opens a tab with cookies of its own. At the end of the test nothing
// may have been refused, thrown or asked of another server.
func MustTab(t *testing.T, browser context.Context, s screen, origin string) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, screen: s, origin: origin}
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do(
		chromedp.EmulateViewport(s.width, s.height),
		command(emulation.SetEmulatedMedia.Method, func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
			})
			return err
		}),
		command(emulation.SetScriptExecutionDisabled.Method, func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: s.noScript})
			return err
		}),
	)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, trouble := range b.troubles {
			t.Error(trouble)
		}
	})
	return b
}

// command runs a command of the protocol.
func command(name string, run func(ctx context.Context) error) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if err := run(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// hear notes what a person would not see.
func (b *tab) hear(event any) {
	note := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.troubles = append(b.troubles, fmt.Sprintf(format, args...))
	}
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		note("a script failed: %s", event.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		note("a script wrote to the console: %s", event.Type)
	case *log.EventEntryAdded:
		if !slices.ContainsFunc(b.expected, func(text string) bool { return strings.Contains(event.Entry.Text, text) }) {
			note("the browser notes: %s %s", event.Entry.Text, event.Entry.URL)
		}
	case *page.EventJavascriptDialogOpening:
		note("a dialog opens: %s", event.Message)
	case *network.EventRequestWillBeSent:
		// The browser's own picture in a field for a time is a data URL. The
		// policy keeps those of a page from being loaded, which would be noted.
		own := strings.HasPrefix(event.Request.URL, "about:") || strings.HasPrefix(event.Request.URL, "data:image/svg+xml;")
		if !strings.HasPrefix(event.Request.URL, b.origin+"/console") && !own {
			note("the page asks for %s", event.Request.URL)
		}
	}
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		if err := chromedp.Do(b.ctx, step); err != nil {
			b.t.Fatalf("%s: %v\n%s", b.screen.name, err, b.shown())
		}
	}
}

// shown returns what is on the page, for the one who reads why a test failed.
func (b *tab) shown() string {
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.origin + path))
}

// see waits until what the selector finds is visible and has the text.
func (b *tab) see(selector, text string) {
	b.t.Helper()
	condition := fmt.Sprintf(`[...document.querySelectorAll(%s)].some(e => e.checkVisibility() && e.innerText.replaceAll("\u00a0", " ").includes(%s))`, quoted(selector), quoted(text))
	if err := b.wait(condition); err != nil {
		b.t.Fatalf("%s: %q is not seen in %s: %v\n%s", b.screen.name, text, selector, err, b.shown())
	}
}

// wait asks again and again, over navigations, until a condition holds.
func (b *tab) wait(condition string) error {
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	for {
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](condition))
		if holds {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// press presses a button of the dialog and waits for the dialog that follows.
func (b *tab) press(button string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#dialog").dataset.old = "yes"`))
	b.click(fmt.Sprintf(`button[value=%q]`, button))
	if err := b.wait(`!!document.querySelector("#dialog:not([data-old])")`); err != nil {
		b.t.Fatalf("%s: nothing follows %s: %v\n%s", b.screen.name, button, err, b.shown())
	}
}

func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeVisible))
}

// set puts a text into a field at once.
func (b *tab) set(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%s).value = %s`, quoted(selector), quoted(text))))
}

func (b *tab) value(selector string) string {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%s).value`, quoted(selector))))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// photograph checks how the page is made, and keeps its picture with -screenshots.
func (b *tab) photograph(name string) {
	b.t.Helper()
	b.wellMade(name)
	if !*screenshots || b.screen.noScript {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "screenshots", fmt.Sprintf("%s-%s.png", name, b.screen.name))
	if err := os.WriteFile(path, smaller(b.t, picture), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// wellMade demands what every page has to keep to, and what no reviewer sees
// reliably.
func (b *tab) wellMade(name string) {
	b.t.Helper()
	faults, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](faultsOfPage))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, fault := range faults {
		b.t.Errorf("%s, %s: %s", name, b.screen.name, fault)
	}
}

// faultsOfPage lists what is wrong with a page: something wider than the screen,
// ids that are there twice, fields without a label, text that is hard to read.
const faultsOfPage = `(() => {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) faults.push('it is ' + root.scrollWidth + ' wide on a screen of ' + innerWidth);
  if (!root.lang) faults.push('it has no language');
  if (document.querySelectorAll('h1').length !== 1) faults.push('it has ' + document.querySelectorAll('h1').length + ' first headings');
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids.filter((id, i) => ids.indexOf(id) !== i)) faults.push('the id ' + id + ' is there twice');
  for (const e of document.querySelectorAll('[aria-describedby],[aria-labelledby]')) {
    for (const id of ((e.getAttribute('aria-describedby') || '') + ' ' + (e.getAttribute('aria-labelledby') || '')).split(' ')) {
      if (id && !document.getElementById(id)) faults.push('nothing has the id ' + id + ', which describes something');
    }
  }
  for (const e of document.querySelectorAll('[hidden]')) {
    if (e.checkVisibility()) faults.push('what is hidden can be seen: ' + e.outerHTML.slice(0, 100));
  }
  for (const e of document.querySelectorAll('input:not([type=hidden]):not([hidden]), select, textarea')) {
    if (!e.labels.length) faults.push('the field ' + e.name + ' has no label');
  }
  for (const e of document.querySelectorAll('a, button')) {
    if (!(e.checkVisibility() ? e.innerText : e.textContent).trim() && !e.getAttribute('aria-label')) faults.push('a link or button says nothing: ' + e.outerHTML.slice(0, 100));
  }
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const rgba = colour => {
    if (!known.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return known.get(colour);
  };
  const ground = e => {
    const layers = [];
    for (; e; e = e.parentElement) {
      const layer = rgba(getComputedStyle(e).backgroundColor);
      if (layer[3]) layers.push(layer);
      if (layer[3] === 255) break;
    }
    return layers.reduceRight((under, [r, g, b, a]) => [r, g, b].map((c, i) => (c * a + under[i] * (255 - a)) / 255), [255, 255, 255]);
  };
  const luminance = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('noscript, .unseen, .skip, option')) continue;
    const style = getComputedStyle(e);
    const [light, dark] = [luminance(rgba(style.color)), luminance(ground(e))].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) faults.push('"' + walker.currentNode.data.trim().slice(0, 40) + '" has a contrast of ' + contrast.toFixed(2));
  }
  return [...new Set(faults)];
})()`

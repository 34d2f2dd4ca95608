package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

// scriptCommands are what the scripts can do besides running the program.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"server":     startServer,
	"receiver":   startReceiver,
	"post":       post,
	"subscribed": awaitSubscriptions,
	"written":    awaitExport,
	"exits":      exits,
	"mask":       mask,
}

// startServer serves until the script ends, and sets GRAPEVINE_URL,
// GRAPEVINE_ADMIN_KEY and, for a tenant "acme", GRAPEVINE_KEY. With "closed" it
// allows neither http nor this machine.
func startServer(ts *testscript.TestScript, _ bool, args []string) {
	settings := config.Server{Database: "sqlite:" + filepath.Join(ts.Getenv("WORK"), "server.db"), Listen: "127.0.0.1:0"}
	if len(args) == 0 {
		settings.AllowHTTP, settings.AllowNetwork = true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	server, err := app.New(context.Background(), settings, app.Options{Logger: slog.New(slog.DiscardHandler), Version: "test"})
	ts.Check(err)
	ts.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Stop(ctx)
	})
	operator, err := client.New(server.URL(), server.NewAdminKey)
	ts.Check(err)
	tenant, err := operator.CreateTenant(context.Background(), client.NewTenant{Alias: "acme"})
	ts.Check(err)
	ts.Setenv("GRAPEVINE_URL", server.URL())
	ts.Setenv("GRAPEVINE_ADMIN_KEY", server.NewAdminKey)
	ts.Setenv("GRAPEVINE_KEY", tenant.APIKey)
}

// startReceiver serves an endpoint at $RECEIVER until the script ends. It answers
// with the statuses in turn, the last one again and again, and with none where
// that is 0; at /confirming it takes part in handshakes. What it received it
// writes into the file "received", a line of JSON each.
func startReceiver(ts *testscript.TestScript, _ bool, args []string) {
	received, err := os.Create(ts.MkAbs("received"))
	ts.Check(err)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		_ = json.NewEncoder(received).Encode(map[string]any{"path": r.URL.Path, "headers": r.Header, "body": string(body)})
		status, _ := strconv.Atoi(args[0])
		args = args[min(1, len(args)-1):]
		if status == 0 {
			<-r.Context().Done()
			return
		}
		w.Header()["Date"] = nil
		if r.URL.Path == "/confirming" {
			w.Header().Set("X-Hook-Secret", r.Header.Get("X-Hook-Secret"))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "answered "+strconv.Itoa(status)+"\n")
	}))
	ts.Defer(func() {
		server.Close()
		_ = received.Close()
	})
	ts.Setenv("RECEIVER", server.URL)
}

// post sends an event that nobody signed to the URL that a file has, as who is
// named by "user:password" if that is given, demands the status of the answer,
// and writes that into the file "answer".
func post(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodPost, strings.TrimSpace(ts.ReadFile(args[1])), strings.NewReader("{}"))
	ts.Check(err)
	if len(args) > 2 {
		user, password, _ := strings.Cut(args[2], ":")
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("answer"), text, 0o600))
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("answered %d, want %s", resp.StatusCode, args[0])
	}
}

// awaitSubscriptions waits until the tenant has so many subscriptions.
func awaitSubscriptions(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	api, err := client.New(ts.Getenv("GRAPEVINE_URL"), ts.Getenv("GRAPEVINE_KEY"))
	ts.Check(err)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		subs, err := api.Subscriptions(context.Background(), client.Page{})
		ts.Check(err)
		if len(subs.Data) == want {
			return
		}
	}
	ts.Fatalf("there are not %d subscriptions", want)
}

// awaitExport waits until the export whose id a file has is completed.
func awaitExport(ts *testscript.TestScript, _ bool, args []string) {
	id := strings.TrimSpace(ts.ReadFile(args[0]))
	api, err := client.New(ts.Getenv("GRAPEVINE_URL"), ts.Getenv("GRAPEVINE_KEY"))
	ts.Check(err)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		x, err := api.Export(context.Background(), id)
		ts.Check(err)
		if x.Status == client.ExportCompleted {
			return
		}
	}
	ts.Fatalf("the export is not completed")
}

// exits runs a program and demands its exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if failed, ok := errors.AsType[*exec.ExitError](ts.Exec(args[1], args[2:]...)); ok {
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("the exit code is %d, want %d", got, want)
	}
}

// masks are what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\b(act|dlv|evt|exp|fct|job|key|msg|per|pool|prg|ref|rwd|sub|ten|tmr)_[0-9a-f]{24,48}\b`), "${1}_ID"},
	{regexp.MustCompile(`\bgv_(live|test)_\w+`), "gv_${1}_KEY"},
	{regexp.MustCompile(`\bwhsec_[\w+/]+=*`), "whsec_SECRET"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\.\d{3}\b`), "CLOCK"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "HOST"},
	{regexp.MustCompile(`_us":( ?)\d+`), `_us":${1}0`},
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`), "SPAN"},
	{regexp.MustCompile(` \((connect|first byte)[^)]*\)`), ""},
	{regexp.MustCompile(`(\S) {2,}`), "$1  "},
}

// mask writes a file or an output with all that differs from run to run replaced.
func mask(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.by)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

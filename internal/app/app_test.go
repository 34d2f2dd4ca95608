package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/verify"
)

const adminKey = "gv_admin_0123456789abcdefghijABCDEFGHIJ"

func settings(path string) config.Server {
	return config.Server{
		Database: "sqlite:" + path, Listen: "127.0.0.1:0", AdminKey: adminKey,
		AllowNetwork: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true,
		MaxInFlight: 1024, MaxEventBytes: 256 << 10,
	}
}

// mustStart starts a server that runs until the test ends.
func mustStart(t testing.TB, cfg config.Server) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(a) })
	return a
}

func stop(a *app.App) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	a.Stop(ctx)
}

// mustServe starts a server with a tenant and returns the tenant's key.
func mustServe(t testing.TB) (*app.App, string) {
	t.Helper()
	a := mustStart(t, settings(filepath.Join(t.TempDir(), "grapevine.db")))
	return a, mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
}

// post sends a JSON document and returns the status and the answer.
func send(ctx context.Context, method, url, key, body string) (int, map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	return do(req, key)
}

// do makes a request with a key and returns the status and the answer.
func do(req *http.Request, key string) (int, map[string]any, error) {
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	answer := map[string]any{"text": string(raw)}
	_ = json.Unmarshal(raw, &answer) // not all answers are JSON
	return resp.StatusCode, answer, nil
}

func mustPost(t testing.TB, url, key, body string) map[string]any {
	t.Helper()
	status, answer, err := send(t.Context(), http.MethodPost, url, key, body)
	if err != nil || status >= 300 {
		t.Fatalf("POST %s: %d %v %v", url, status, answer, err)
	}
	return answer
}

// eventually waits until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen that ", what)
		}
	}
}

const event = `{"type":"invoice.paid","data":{"amount":4200}}`

func TestAPublishedEventArrivesSignedAndIsOnRecord(t *testing.T) {
	a, key := mustServe(t)
	var verifier atomic.Pointer[verify.Standard]
	arrived := make(chan verify.Message, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		msg, err := verifier.Load().Request(r)
		if err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		arrived <- msg
	}))
	defer receiver.Close()
	sub := mustPost(t, a.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["invoice.paid"]}`)
	v, err := verify.NewStandard(sub["secret"].(string))
	if err != nil {
		t.Fatal(err)
	}
	verifier.Store(v)
	published := mustPost(t, a.URL()+"/v1/events", key, event)
	msg := <-arrived
	if msg.ID != published["id"] || !strings.Contains(string(msg.Body), `"data":{"amount":4200}`) {
		t.Errorf("%+v", msg)
	}
	eventually(t, "the delivery is on record", func() bool {
		_, answer, err := send(t.Context(), http.MethodGet, a.URL()+"/v1/deliveries?status=delivered", key, "")
		rows, _ := answer["data"].([]any)
		return err == nil && len(rows) == 1
	})
	_, metrics, err := send(t.Context(), http.MethodGet, a.URL()+"/metrics", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"grapevine_events_accepted_total 1", `grapevine_attempts_total{dialect="standard",reason="ok",verdict="delivered"} 1`,
		`grapevine_queue_depth{state="first"} 0`, "grapevine_db_group_size_count", "grapevine_first_delivery_seconds_count 1",
		"grapevine_attempt_seconds_count 1", "grapevine_in_flight 0", "grapevine_http_requests_total",
	} {
		if !strings.Contains(metrics["text"].(string), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

func TestWhileTheDatabaseIsLockedNothingIsAcceptedAndNothingAcceptedIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	key := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	var arrived atomic.Int64
	release := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		<-release
		arrived.Add(1)
	}))
	defer receiver.Close()
	mustPost(t, a.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["*"]}`)
	mustPost(t, a.URL()+"/v1/events", key, event) // its outcome has to wait for the database

	other, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	close(release)
	status, answer, err := send(t.Context(), http.MethodPost, a.URL()+"/v1/events", key, event)
	if err != nil || status != http.StatusServiceUnavailable || answer["code"] != "unavailable" {
		t.Errorf("publishing: %d %v %v", status, answer, err)
	}
	if status, answer, err = send(t.Context(), http.MethodGet, a.URL()+"/readyz", "", ""); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d %v %v", status, answer, err)
	}
	if status, answer, err = send(t.Context(), http.MethodGet, a.URL()+"/healthz", "", ""); err != nil || status != http.StatusOK {
		t.Errorf("healthz: %d %v %v", status, answer, err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	mustPost(t, a.URL()+"/v1/events", key, event)
	eventually(t, "both are delivered", func() bool {
		_, answer, err := send(t.Context(), http.MethodGet, a.URL()+"/v1/deliveries?status=delivered", key, "")
		rows, _ := answer["data"].([]any)
		return err == nil && len(rows) == 2
	})
	if arrived.Load() != 2 {
		t.Errorf("%d requests arrived for two events", arrived.Load())
	}
}

func TestAStopFinishesWhatIsUnderWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	key := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(100 * time.Millisecond):
			arrived.Add(1)
		case <-r.Context().Done():
		}
	}))
	defer receiver.Close()
	// One at a time they take three seconds: longer than publishing them.
	mustPost(t, a.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["*"],"policy":{"max_in_flight":1}}`)
	for range 30 {
		mustPost(t, a.URL()+"/v1/events", key, event)
	}
	stop(a)
	before := arrived.Load()
	if before == 0 || before == 30 {
		t.Fatalf("%d of 30 had arrived at the stop: the test shows nothing", before)
	}
	again := mustStart(t, settings(path))
	eventually(t, "all are delivered", func() bool {
		_, answer, err := send(t.Context(), http.MethodGet, again.URL()+"/v1/deliveries?status=delivered", key, "")
		rows, _ := answer["data"].([]any)
		return err == nil && len(rows) == 30
	})
	if arrived.Load() != 30 {
		t.Errorf("%d requests arrived for 30 events", arrived.Load())
	}
}

func TestAServerThatCanNotStartSaysWhyAndLeavesNothingOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	taken := settings(filepath.Join(t.TempDir(), "other.db"))
	taken.Listen = a.Address()
	if _, err := app.New(t.Context(), taken, app.Options{}); err == nil || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := app.New(t.Context(), settings(path), app.Options{}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a database that is in use: %v", err)
	}
	stop(a)
	if err := os.Rename(path+".key", path+".key.away"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first failure must not make the second another one
		if _, err := app.New(t.Context(), settings(path), app.Options{}); err == nil || !strings.Contains(err.Error(), "is missing: restore it") {
			t.Errorf("a master key that was lost: %v", err)
		}
	}
	other := settings(path)
	other.MasterKey = strings.Repeat("ab", 32)
	if _, err := app.New(t.Context(), other, app.Options{}); !errors.Is(err, secret.ErrWrongKey) || !strings.Contains(err.Error(), "GRAPEVINE_MASTER_KEY") {
		t.Errorf("another master key: %v", err)
	}
	if _, err := app.New(t.Context(), settings(filepath.Join(t.TempDir(), "missing", "g.db")), app.Options{}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a database in a folder that is missing: %v", err)
	}
	if err := os.Rename(path+".key.away", path+".key"); err != nil {
		t.Fatal(err)
	}
	mustStart(t, settings(path))
}

func TestTheOperatorsKeyIsShownOnce(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.AdminKey = ""
	first := mustStart(t, cfg)
	made := first.NewAdminKey
	if !strings.HasPrefix(made, "gv_admin_") {
		t.Fatal("no key was made")
	}
	stop(first)
	second := mustStart(t, cfg)
	if second.NewAdminKey != "" {
		t.Error("a second start made another key")
	}
	mustPost(t, second.URL()+"/v1/tenants", made, `{"alias":"acme","live":true}`)
}

func TestAStopDoesNotWaitForABodyThatNobodyWants(t *testing.T) {
	a, _ := mustServe(t)
	conn, err := net.Dial("tcp", a.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 401" {
		t.Fatalf("%q %v", answer, err)
	}
	began := time.Now()
	stop(a)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

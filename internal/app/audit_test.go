package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/edge"
)

// mustForward sends a document as a proxy does that speaks for 192.0.2.7.
func mustForward(t testing.TB, url, key, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(edge.XForwardedFor, "198.51.100.1, 192.0.2.7")
	req.Header.Set(edge.Forwarded, "for=198.51.100.2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode > 299 {
		answer, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %d %s", url, resp.StatusCode, answer)
	}
}

func TestAnEntrySaysWhomATrustedProxySpokeFor(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		want    string
	}{
		"a trusted one": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.7"},
		"any other":     {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1"},
		"none trusted":  {nil, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := cfg
			cfg.Database, cfg.TrustedProxy = "sqlite:"+filepath.Join(t.TempDir(), "grapevine.db"), c.trusted
			a := mustStart(t, cfg)
			made := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)
			other := mustPost(t, a.URL()+"/v1/tenants/"+made["id"].(string)+"/keys", adminKey, `{"dialect":"referralloop","scopes":["manage"]}`)
			mustForward(t, a.URL()+"/v1/subscriptions", made["api_key"].(string), `{"url":"http://127.0.0.1:1/","event_types":["*"]}`)
			mustForward(t, a.URL()+"/referralloop/api/v1/webhooks/subscribe", other["api_key"].(string), `{"target_url":"http://127.0.0.1:1/","event_type":"signup.created"}`)
			_, answer := mustAsk(t, a.URL()+"/v1/audit?action=subscription.created", "", made["api_key"].(string))
			var entries client.List[client.AuditEntry]
			if err := json.Unmarshal([]byte(answer), &entries); err != nil || len(entries.Data) != 2 {
				t.Fatal(err, answer)
			}
			for _, e := range entries.Data {
				if e.Actor.Address != c.want {
					t.Errorf("by %s from %s, want %s", e.Actor.Via, e.Actor.Address, c.want)
				}
			}
		})
	}
}

func TestSettingsOfAuditThatCannotWorkAreRefused(t *testing.T) {
	for want, change := range map[string]func(*config.Server){
		"--proxy-header":    func(cfg *config.Server) { cfg.ProxyHeader = "X-Real-Ip" },
		"--audit-retention": func(cfg *config.Server) { cfg.AuditRetention = -1 },
	} {
		cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
		change(&cfg)
		a, err := app.New(t.Context(), cfg, app.Options{})
		if err == nil {
			stop(a)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a word of %s", err, want)
		}
	}
}

var formToken = regexp.MustCompile(`name="form_token" value="([^"]+)"`)

func TestWrongKeysAtTheConsoleCountAgainstWhomATrustedProxySpeaksFor(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.TrustedProxy = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	a := mustStart(t, cfg)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	signIn := func(from, method string, form url.Values) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, a.URL()+"/console/sign-in", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(edge.XForwardedFor, from)
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	_, page := signIn("192.0.2.7", http.MethodGet, nil)
	wrong := url.Values{"form_token": {formToken.FindStringSubmatch(page)[1]}, "key": {"gv_admin_wrong0123456789abcdefghij"}}
	status := 0
	for range 20 {
		status, _ = signIn("192.0.2.7", http.MethodPost, wrong)
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after many wrong keys: %d", status)
	}
	if status, _ := signIn("192.0.2.8", http.MethodPost, wrong); status != http.StatusForbidden {
		t.Errorf("another client of the proxy: %d", status)
	}
}

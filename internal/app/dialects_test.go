package app_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

// mustAsk makes a request for a host, with a bearer, and returns what came back.
func mustAsk(t testing.TB, url, host, key string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func TestADialectIsServedBelowItsNameAtItsHostAndAtItsAddress(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.DialectHost = []config.DialectName{{Dialect: "referralloop", Name: "hooks.example.com"}}
	cfg.DialectListen = []config.DialectName{{Dialect: "referralloop", Name: "127.0.0.1:0"}, {Dialect: "saasquatch", Name: "127.0.0.1:0"}}
	a := mustStart(t, cfg)
	native := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	alone := a.DialectAddresses()
	const refused = `{"error":"Invalid API key"}`
	for name, c := range map[string]struct{ url, host, want string }{
		"below its name":          {a.URL() + "/referralloop/api/v1/webhooks", "", refused},
		"at its host":             {a.URL() + "/api/v1/webhooks", "hooks.example.com", refused},
		"at its address":          {"http://" + alone[0] + "/api/v1/webhooks", "", refused},
		"not at another's":        {"http://" + alone[1] + "/api/v1/webhooks", "", `{"message":"there is no such path","statusCode":404,"apiErrorCode":"NOT_FOUND"}`},
		"natively at no one's":    {"http://" + alone[0] + "/v1/subscriptions", "", `{"error":"there is no such path"}`},
		"another below its name":  {a.URL() + "/saasquatch/api/v1/nobody/subscription", "", `{"message":"Missing or invalid tenant alias.","statusCode":404,"apiErrorCode":"TENANT_NOT_FOUND","rsCode":"RS045"}`},
		"natively where it was":   {a.URL() + "/v1/subscriptions", "", `{"data":[]}`},
		"natively not at a host":  {a.URL() + "/v1/subscriptions", "hooks.example.com", `{"error":"there is no such path"}`},
		"natively at other hosts": {a.URL() + "/v1/subscriptions", "grapevine.example.com", `{"data":[]}`},
	} {
		if _, got := mustAsk(t, c.url, c.host, native); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	metrics, body := mustAsk(t, a.URL()+"/metrics", "", "")
	if metrics != http.StatusOK || !strings.Contains(body, `route="GET /referralloop/api/v1/webhooks",status="401"} 3`) ||
		!strings.Contains(body, `route="GET /v1/subscriptions",status="200"} 2`) {
		t.Error("the requests of both kinds are not counted together")
	}
}

func TestAServerStopsServingDialectsToo(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
	cfg.DialectListen = []config.DialectName{{Dialect: "saasquatch", Name: "127.0.0.1:0"}}
	a := mustStart(t, cfg)
	address := a.DialectAddresses()[0]
	stop(a)
	cfg.Database, cfg.DialectListen[0].Name = "sqlite:"+filepath.Join(t.TempDir(), "other.db"), address
	b := mustStart(t, cfg) // the address is free again
	if got := b.DialectAddresses()[0]; got != address {
		t.Errorf("listens at %s", got)
	}
}

func TestSettingsOfDialectsThatCannotWorkAreRefused(t *testing.T) {
	taken := mustStart(t, settings(filepath.Join(t.TempDir(), "taken.db"))).Address()
	for name, c := range map[string]struct {
		host, listen string
		want         string
	}{
		"an unknown dialect":      {"klingon=hooks.example.com", "", "referralloop"},
		"the native dialect":      {"", "standard=127.0.0.1:0", "referralloop"},
		"a port in a host":        {"rehook=hooks.example.com:443", "", "no port"},
		"a URL for a host":        {"referralloop=https://hooks.example.com", "", "host name"},
		"an address without port": {"", "referralloop=127.0.0.1", "HOST:PORT"},
		"an address in use":       {"", "referralloop=" + taken, "--dialect-listen"},
	} {
		cfg := settings(filepath.Join(t.TempDir(), "grapevine.db"))
		for text, into := range map[string]*[]config.DialectName{c.host: &cfg.DialectHost, c.listen: &cfg.DialectListen} {
			if text == "" {
				continue
			}
			var n config.DialectName
			if err := n.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			*into = append(*into, n)
		}
		a, err := app.New(t.Context(), cfg, app.Options{})
		if err == nil {
			stop(a)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want a word of %q", name, err, c.want)
		}
	}
	twice := settings(filepath.Join(t.TempDir(), "twice.db"))
	twice.DialectHost = []config.DialectName{{Dialect: "saasquatch", Name: "x.example.com"}, {Dialect: "referralloop", Name: "x.example.com"}}
	if a, err := app.New(t.Context(), twice, app.Options{}); err == nil {
		stop(a)
		t.Error("a host with two dialects at its root is accepted")
	}
	for _, text := range []string{"", "=", "rehook", "rehook=", "=hooks.example.com"} {
		if err := new(config.DialectName).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

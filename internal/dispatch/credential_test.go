package dispatch_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// mustAttempter returns one that reaches this machine.
func mustAttempter(t *testing.T) *dispatch.Attempter {
	t.Helper()
	guard, err := netguard.New(netguard.Config{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	client := guard.Client(netguard.TransportOptions{})
	t.Cleanup(client.CloseIdleConnections)
	return dispatch.NewAttempter(client, testkit.Identify, "test")
}

// mustServeTLS serves on this machine.
func mustServeTLS(t *testing.T, config *tls.Config, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = config
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// attempt makes the first attempt for a subscription that is not stored.
func attempt(t *testing.T, a *dispatch.Attempter, sub *webhook.Subscription) webhook.Attempt {
	t.Helper()
	sub.Dialect, sub.ID, sub.Enabled = standard.Dialect{}, id.New(time.Now()), true
	sub.Secrets = []webhook.Secret{{Value: "whsec_" + strings.Repeat("A", 44)}}
	return a.Attempt(t.Context(), sub, wire.Message{Type: "a.b", Body: []byte("{}"), SentAt: time.Now(), Attempt: 1}, "")
}

func TestASubscriptionsCertificateGoesWithEveryKindOfAuthentication(t *testing.T) {
	servers, clients := testkit.MustAuthority(t), testkit.MustAuthority(t)
	endpoint := mustServeTLS(t, servers.MustServerConfig(t, clients), func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Header.Get("Authorization"))
	})
	login := mustServeTLS(t, servers.MustServerConfig(t, clients), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"an-access-token","token_type":"Bearer"}`)
	})
	a := mustAttempter(t)
	certificate, key := clients.MustIssue(t, "ann", time.Now().Add(time.Hour))
	for want, auth := range map[string]webhook.Auth{
		"ann ":                    {Type: webhook.MTLSAuth},
		"ann Basic ********":      {Type: webhook.BasicAuth, Username: "u", Password: "a password"},
		"ann Bearer ********":     {Type: webhook.BearerAuth, Token: "a-bearer-token"},
		"ann Bearer ********\x00": {Type: webhook.OAuth2Auth, TokenURL: login, ClientID: "c", ClientSecret: "a client's secret"},
	} {
		auth.Certificate, auth.PrivateKey = certificate, key
		got := attempt(t, a, &webhook.Subscription{URL: endpoint, Auth: auth, CA: servers.PEM})
		if got.Verdict != wire.Delivered || string(got.Body) != strings.TrimSuffix(want, "\x00") {
			t.Errorf("%s: %s %s %q, want %q", auth.Type, got.Reason, got.Error, got.Body, want)
		}
	}
}

func TestWhatAConnectionCanNotBeMadeWithIsNotSent(t *testing.T) {
	servers, clients, others := testkit.MustAuthority(t), testkit.MustAuthority(t), testkit.MustAuthority(t)
	var calls atomic.Int32
	count := func(http.ResponseWriter, *http.Request) { calls.Add(1) }
	mutual := mustServeTLS(t, servers.MustServerConfig(t, clients), count)
	open := mustServeTLS(t, servers.MustServerConfig(t, nil), count)
	a := mustAttempter(t)
	auth := func(by *testkit.Authority, until time.Duration) webhook.Auth {
		certificate, key := by.MustIssue(t, "ann", time.Now().Add(until))
		return webhook.Auth{Type: webhook.MTLSAuth, Certificate: certificate, PrivateKey: key}
	}
	for name, test := range map[string]struct {
		sub    *webhook.Subscription
		reason wire.Reason
	}{
		"an authority that is not the server's": {&webhook.Subscription{URL: open, CA: others.PEM}, "tls"},
		"an authority that is not the system's": {&webhook.Subscription{URL: open}, "tls"},
		"no certificate where one is wanted":    {&webhook.Subscription{URL: mutual, CA: servers.PEM}, "tls"},
		"a certificate of another authority":    {&webhook.Subscription{URL: mutual, CA: servers.PEM, Auth: auth(others, time.Hour)}, "tls"},
		"a certificate that nobody asks for":    {&webhook.Subscription{URL: open, CA: servers.PEM, Auth: auth(clients, time.Hour)}, "tls"},
		"a certificate that has expired":        {&webhook.Subscription{URL: mutual, CA: servers.PEM, Auth: auth(clients, -time.Second)}, "configuration"},
		"a certificate for plain http":          {&webhook.Subscription{URL: "http://127.0.0.1:9/", Auth: auth(clients, time.Hour)}, "blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := attempt(t, a, test.sub); got.Reason != test.reason || got.ResponseStatus != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestACertificateIsNotUsedAfterItHasExpired(t *testing.T) {
	servers, clients := testkit.MustAuthority(t), testkit.MustAuthority(t)
	endpoint := mustServeTLS(t, servers.MustServerConfig(t, clients), func(http.ResponseWriter, *http.Request) {})
	a := mustAttempter(t)
	certificate, key := clients.MustIssue(t, "ann", time.Now().Add(time.Hour))
	sub := &webhook.Subscription{URL: endpoint, CA: servers.PEM, Auth: webhook.Auth{Type: webhook.MTLSAuth, Certificate: certificate, PrivateKey: key}}
	if got := attempt(t, a, sub); got.Verdict != wire.Delivered {
		t.Fatalf("%+v", got)
	}
	later := a.Attempt(t.Context(), sub, wire.Message{Type: "a.b", Body: []byte("{}"), SentAt: time.Now().Add(time.Hour), Attempt: 2}, "")
	if later.Verdict != wire.Refused || later.Error != webhook.ErrCertificateExpired.Error() {
		t.Errorf("an hour later: %+v", later)
	}
}

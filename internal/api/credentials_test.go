package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func TestCredentialsAreShownWithoutTheirSecrets(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	until := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	authority := testkit.MustAuthority(t)
	certificate, key := authority.MustIssue(t, "ann", until)
	for name, c := range map[string]struct{ given, shown client.Auth }{
		"oauth2": {
			client.Auth{Type: "oauth2", TokenURL: "https://login.example.com/token", ClientID: "ann", ClientSecret: "s3cret-value"},
			client.Auth{Type: "oauth2", TokenURL: "https://login.example.com/token", ClientID: "ann", ClientSecret: masked, ClientAuth: "basic"},
		},
		"oauth2 in full": {
			client.Auth{Type: "oauth2", TokenURL: "https://login.example.com/token", ClientID: "ann", ClientSecret: "s3cret-value", Scopes: []string{"a", "b:c"}, Audience: "hooks", ClientAuth: "body"},
			client.Auth{Type: "oauth2", TokenURL: "https://login.example.com/token", ClientID: "ann", ClientSecret: masked, Scopes: []string{"a", "b:c"}, Audience: "hooks", ClientAuth: "body"},
		},
		"mtls": {client.Auth{Type: "mtls"}, client.Auth{Type: "mtls"}},
		"bearer and a certificate": {
			client.Auth{Type: "bearer", Token: "s3cret-token"}, client.Auth{Type: "bearer", Token: masked},
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCertificate := !strings.HasPrefix(name, "oauth2")
			if withCertificate {
				c.given.Certificate, c.given.PrivateKey = certificate, key
				c.shown.Certificate, c.shown.PrivateKey = certificate, masked
			}
			made, err := a.CreateSubscription(t.Context(), client.NewSubscription{URL: "https://hooks.example.com/in", EventTypes: []string{"*"}, Auth: &c.given, CA: authority.PEM})
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.Subscription(t.Context(), made.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.shown, got.Auth); diff != "" {
				t.Errorf("auth (-want +got):\n%s", diff)
			}
			if own := got.ClientCertificate; withCertificate && (own.Subject != "CN=ann" || own.Issuer != "CN=An authority" || !own.NotAfter.Equal(until) || len(own.SHA256) != 64) {
				t.Errorf("the certificate is shown as %+v", own)
			}
			if len(got.Authorities) != 1 || got.Authorities[0].Subject != "CN=An authority" || got.Handshake {
				t.Errorf("%+v", got)
			}
			for _, path := range []string{"/v1/subscriptions", "/v1/subscriptions/" + made.ID} {
				if body := w.send(http.MethodGet, path, a.Key, "").body; strings.Contains(body, "s3cret") || strings.Contains(body, "PRIVATE KEY") {
					t.Errorf("%s shows a secret: %s", path, body)
				}
			}
			changed, err := a.UpdateSubscription(t.Context(), made.ID, client.SubscriptionChange{RemoveAuth: true, CA: new("")})
			if err != nil || changed.Auth != nil || changed.ClientCertificate != nil || changed.Authorities != nil {
				t.Errorf("after they were removed: %+v, %v", changed, err)
			}
		})
	}
	if logged := w.log.String(); strings.Contains(logged, "s3cret") || strings.Contains(logged, "PRIVATE KEY") {
		t.Errorf("a secret was logged:\n%s", logged)
	}
}

func TestTheAnswerToCreationSaysWhatCameOfTheHandshake(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	asking := client.NewSubscription{URL: "https://hooks.example.com/in", EventTypes: []string{"*"}, Handshake: true}

	w.receiver.attempt = webhook.Attempt{Verdict: wire.Delivered, Reason: wire.ReasonOK, ResponseStatus: http.StatusOK}
	made, err := a.CreateSubscription(t.Context(), asking)
	if err != nil || made.Status != client.Enabled || !made.Handshake || made.HandshakeResult == nil || made.HandshakeResult.Verdict != client.VerdictDelivered {
		t.Errorf("an endpoint that confirms it: %+v, %v", made, err)
	}

	w.receiver.attempt = webhook.Attempt{Verdict: wire.Retry, Reason: "handshake_failed", ResponseStatus: http.StatusOK, Body: []byte("hello")}
	made, err = a.CreateSubscription(t.Context(), asking)
	if err != nil || made.Status != client.Disabled || made.Reason != "handshake_failed" || made.HandshakeResult.Response.Body != "hello" {
		t.Errorf("one that does not: %+v, %v", made, err)
	}
	_, err = a.EnableSubscription(t.Context(), made.ID)
	wantCode(t, err, problem.HandshakeFailed)

	w.receiver.attempt.Verdict = wire.Delivered
	on, err := a.EnableSubscription(t.Context(), made.ID)
	if err != nil || on.Status != client.Enabled || on.Reason != "" {
		t.Errorf("one that does later: %+v, %v", on, err)
	}

	asking.Handshake = false
	made, err = a.CreateSubscription(t.Context(), asking)
	if err != nil || made.HandshakeResult != nil || made.Handshake {
		t.Errorf("without one: %+v, %v", made, err)
	}
}

package verify_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/grapevine-hq/grapevine/verify"
)

// A receiver of SaaSquatch's webhooks. Both keys are known while the tenant's key
// is replaced. It answers 200, since that alone means received.
func ExampleNewSaaSquatch() {
	webhooks, err := verify.NewSaaSquatch("LIVE_newKey7f3a9c", "LIVE_oldKey51d2e8")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(webhooks.Handler(func(w http.ResponseWriter, _ *http.Request, m verify.Message) {
		fmt.Println(m.ID, m.Type)
		w.WriteHeader(http.StatusOK)
	}))
	defer server.Close()

	const body = `{"id":"577303ece4b066c5cb171835","type":"user.created","tenantAlias":"acme","live":true,"created":1467155436449,"data":{}}`
	mac := hmac.New(sha1.New, []byte("LIVE_oldKey51d2e8"))
	mac.Write([]byte(body))
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(body))
	r.Header.Set("X-Hook-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	fmt.Println(send(server, r))
	// Output:
	// 577303ece4b066c5cb171835 user.created
	// 200 OK
}

// With the server's public keys a receiver holds nothing that it would have to
// keep secret. They are fetched when the first request comes, and again when the
// server has a new one.
func ExampleFetchJWKS() {
	keys, err := verify.FetchJWKS("https://grapevine.example.com/.well-known/jwks.json", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	webhooks, err := verify.NewSaaSquatchJWS(keys, "acme")
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(`{"type":"user.created"}`))
	r.Header.Set("X-Hook-JWS-RFC-7797", "eyJhbGciOiJub25lIn0..") // {"alg":"none"}
	_, err = webhooks.Request(r)
	fmt.Println(errors.Is(err, verify.ErrInvalidHeader))
	// Output: true
}

// A receiver of ReferralLoop's webhooks.
func ExampleNewReferralLoop() {
	const secret = "rlsec_an-example-to-be-kept-secret"
	webhooks, err := verify.NewReferralLoop(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	const body = `{"event_type":"signup.created","waitlist_id":"123e4567-e89b-12d3-a456-426614174000","data":{},"timestamp":"2024-01-15T10:00:00Z"}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(body))
	r.Header.Set("X-Webhook-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("X-Grapevine-Event-Id", "evt_019a9c1d2f3b5e8d7c6a4f10")
	m, err := webhooks.Request(r)
	fmt.Println(m.ID, m.Type, err)
	// Output: evt_019a9c1d2f3b5e8d7c6a4f10 signup.created <nil>
}

// Rehook signs nothing, so the subscription is given a password and a header
// that only its sender knows.
func ExampleNewRehook() {
	webhooks, err := verify.NewRehook(verify.Basic("rehook", "correct horse"), verify.Header("X-Webhook-Key", "battery staple"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, password := range []string{"correct horse", "guessed"} {
		r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(`{"event_name":"customer.created","metadata":{},"source":"rehook","source_id":"c-1"}`))
		r.SetBasicAuth("rehook", password)
		r.Header.Set("X-Webhook-Key", "battery staple")
		m, err := webhooks.Request(r)
		fmt.Println(m.Type, err)
	}
	// Output:
	// customer.created <nil>
	//  verify: wrong credentials
}

// PartnerStack's bodies are bare resources: what happened is in a header.
func ExampleNewPartnerStack() {
	webhooks, err := verify.NewPartnerStack() // or with a Basic, a Bearer or a Header
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(`{"key":"deal_fLvIgE6Yb43CLO","amount":8753}`))
	r.Header.Set("X-Grapevine-Event-Id", "evt_019a9c1d2f3b5e8d7c6a4f10")
	r.Header.Set("X-Grapevine-Event-Type", "deal.created")
	m, err := webhooks.Request(r)
	fmt.Println(m.ID, m.Type, err)
	// Output: evt_019a9c1d2f3b5e8d7c6a4f10 deal.created <nil>
}

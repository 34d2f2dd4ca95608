package verify_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

func TestTheReferenceLibraryAndThisOneAgree(t *testing.T) {
	reference, err := standardwebhooks.NewWebhook("whsec_" + testSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := newStandard(t, "whsec_"+testSecret)
	s.Now = func() time.Time { return now }
	signature, err := reference.Sign(testID, now, []byte(testBody))
	if err != nil {
		t.Fatal(err)
	}
	signed := testHeader(signature)
	signed.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	ours := signedHeader(testID, strconv.FormatInt(now.Unix(), 10), testBody, signV1(testSecret))

	tests := []struct {
		name   string
		header http.Header
		change func(http.Header)
		body   string
		accept bool
	}{
		{name: "signed by the reference", header: signed, body: testBody, accept: true},
		{name: "signed here", header: ours, body: testBody, accept: true},
		{
			name: "another signature first", header: signed, body: testBody, accept: true,
			change: func(h http.Header) { h.Set("Webhook-Signature", testV1+" v2,AAAA "+signature) },
		},
		{name: "body changed", header: signed, body: testBody + " "},
		{
			name: "id changed", header: signed, body: testBody,
			change: func(h http.Header) { h.Set("Webhook-Id", "evt_2") },
		},
		{
			name: "timestamp changed", header: signed, body: testBody,
			change: func(h http.Header) { h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix()-1, 10)) },
		},
		{
			name: "signature changed", header: signed, body: testBody,
			change: func(h http.Header) { h.Set("Webhook-Signature", testV1) },
		},
		{
			name: "signature of another version", header: signed, body: testBody,
			change: func(h http.Header) { h.Set("Webhook-Signature", "v1a"+strings.TrimPrefix(signature, "v1")) },
		},
		{
			name: "no signature", header: signed, body: testBody,
			change: func(h http.Header) { h.Del("Webhook-Signature") },
		},
		{
			name: "no id", header: signed, body: testBody,
			change: func(h http.Header) { h.Del("Webhook-Id") },
		},
		{name: "too old", header: signedHeader(testID, testTimestamp, testBody, signV1(testSecret)), body: testBody},
		{
			name: "too new", body: testBody,
			header: signedHeader(testID, strconv.FormatInt(now.Unix()+600, 10), testBody, signV1(testSecret)),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := test.header.Clone()
			if test.change != nil {
				test.change(header)
			}
			_, err := s.Verify(header, []byte(test.body))
			if (err == nil) != test.accept {
				t.Errorf("here: error %v, want accepted %t", err, test.accept)
			}
			if err := reference.Verify([]byte(test.body), header); (err == nil) != test.accept {
				t.Errorf("reference: error %v, want accepted %t", err, test.accept)
			}
		})
	}
}

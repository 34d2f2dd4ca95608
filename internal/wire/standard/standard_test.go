package standard_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

func TestASignatureIsTheOneThatOpenSSLComputes(t *testing.T) {
	signer, err := standard.Dialect{}.NewSigner(wire.Keys{Secrets: []string{"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}})
	if err != nil {
		t.Fatal(err)
	}
	got := signer.Sign(wire.Message{
		EventID: id.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, Body: []byte(`{"type":"a"}`), SentAt: time.Unix(1_700_000_000, 999_999_999),
	})
	want := []wire.Header{
		{Name: "Webhook-Id", Value: "evt_0102030405060708090a0b0c"},
		{Name: "Webhook-Timestamp", Value: "1700000000"},
		{Name: "Webhook-Signature", Value: "v1,iwIf9N+l/CkI3Y2vXxZcIIyU8tVYPthjxEw1tQc58Ng="},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestABodyHasTypeTimeAndData(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC):                  `{"type":"a.b","timestamp":"2026-01-02T03:04:05Z","data":{"n":1}}`,
		time.Date(2026, 1, 2, 3, 4, 5, 120_000_000, time.UTC):        `{"type":"a.b","timestamp":"2026-01-02T03:04:05.12Z","data":{"n":1}}`,
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -3600)): `{"type":"a.b","timestamp":"2026-01-02T04:04:05Z","data":{"n":1}}`,
		time.Date(1970, 1, 1, 0, 0, 0, 1000, time.UTC):               `{"type":"a.b","timestamp":"1970-01-01T00:00:00.000001Z","data":{"n":1}}`,
	} {
		got := standard.Dialect{}.Encode(wire.Event{Type: "a.b", OccurredAt: at, Data: []byte(`{"n":1}`)})
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", at, diff)
		}
	}
}

func TestEventTypesAreWordsJoinedByFullStops(t *testing.T) {
	for _, good := range []string{"a", "invoice.paid", "A-1_b.C", strings.Repeat("x", 128), "webhooks.sent", "webhook"} {
		if _, err := (standard.Dialect{}).Resolve(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".a", "a..b", "a b", "a/b", "ä", "a\n", strings.Repeat("x", 129), "webhook.test", "webhook.x"} {
		if _, err := (standard.Dialect{}).Resolve(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestOnlySecretsOfTheStandardsFormsAreAccepted(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	other := append(bytes.Clone(key[:ed25519.SeedSize]), bytes.Repeat([]byte{1}, ed25519.PublicKeySize)...)
	for secret, good := range map[string]bool{
		"whsec_" + encode(make([]byte, 24)): true,
		"whsec_" + encode(make([]byte, 64)): true,
		"whsk_" + encode(key.Seed()):        true,
		"whsk_" + encode(key):               true,

		"whsec_" + encode(make([]byte, 23)):                                          false,
		"whsec_" + encode(make([]byte, 65)):                                          false,
		"whsec_" + strings.TrimRight(encode(make([]byte, 32)), "="):                  false,
		"whsec_" + base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)): false,
		"whsec_" + encode(make([]byte, 12)) + "\n" + encode(make([]byte, 12)):        false,
		"whsec_" + encode(make([]byte, 24)) + "\n":                                   false,
		"whsec_":                            false,
		encode(make([]byte, 32)):            false,
		"WHSEC_" + encode(make([]byte, 32)): false,
		"whsk_" + encode(make([]byte, 31)):  false,
		"whsk_" + encode(other):             false, // another's public key
		"whsk_" + encode(key) + "\r\n":      false,
		"whpk_" + encode(key[32:]):          false,
		"":                                  false,
	} {
		_, err := standard.Dialect{}.NewSigner(wire.Keys{Secrets: []string{secret}})
		if (err == nil) != good {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

func TestASecretIsMadeOfTheKindAskedForOrTheKindGiven(t *testing.T) {
	d := standard.Dialect{}
	for kind, prefix := range map[string]string{"": "whsec_", "v1": "whsec_", "v1a": "whsk_"} {
		secret := mustSecret(t, kind)
		like, err := d.NewSecretLike(secret)
		if err != nil || !strings.HasPrefix(secret, prefix) || !strings.HasPrefix(like, prefix) {
			t.Errorf("%q: %.7s, like it %.7s, %v", kind, secret, like, err)
		}
	}
	for _, kind := range []string{"v2", "V1", "v1 ", "rsa"} {
		if _, err := d.NewSecret(kind); err == nil {
			t.Errorf("%q is made", kind)
		}
	}
}

func TestAnAnswerIsJudgedByItsStatusAndRetryAfter(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	for _, test := range []struct {
		status int
		after  string
		want   wire.Judgement
	}{
		{200, "", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{299, "60", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{101, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{301, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonRedirect}},
		{304, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonRedirect}},
		{400, "60", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonClientError}},
		{404, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonClientError}},
		{410, "60", wire.Judgement{Verdict: wire.Gone, Reason: wire.ReasonGone}},
		{429, "", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled}},
		{429, "120", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: 2 * time.Minute}},
		{429, " 0 ", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled}},
		{429, "86401", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: day}},
		{429, "99999999999999999999", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: day}},
		{429, "-5", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled}},
		{429, "Fri, 02 Jan 2026 03:05:05 GMT", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: time.Minute}},
		{429, "Fri, 02 Jan 2026 03:03:05 GMT", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled}},
		{429, "Fri, 02 Jan 2099 03:03:05 GMT", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: day}},
		{500, "60", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{501, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{502, "60", wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}},
		{503, "", wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}},
		{503, "soon", wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}},
		{503, "30", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: 30 * time.Second}},
		{504, "", wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}},
		{599, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
	} {
		got := standard.Dialect{}.Judge(wire.Answer{Status: test.status, RetryAfter: test.after, At: at})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%d with %q (-want +got):\n%s", test.status, test.after, diff)
		}
	}
}

func TestTheScheduleIsTenAttemptsInAboutThreeDays(t *testing.T) {
	s := standard.Dialect{}.Schedule()
	var period time.Duration
	for _, delay := range s.Delays {
		period += delay
	}
	if want := 75*time.Hour + 35*time.Minute + 5*time.Second; len(s.Delays) != 9 || period != want || s.Jitter != 0.1 {
		t.Errorf("%d waits, %v in all, jitter %v", len(s.Delays), period, s.Jitter)
	}
	if timeout := (standard.Dialect{}).Timeout(); timeout != 15*time.Second {
		t.Errorf("the timeout is %v", timeout)
	}
}

func BenchmarkSign(b *testing.B) {
	signer, err := standard.Dialect{}.NewSigner(wire.Keys{Secrets: []string{mustSecret(b, "")}})
	if err != nil {
		b.Fatal(err)
	}
	m := wire.Message{Body: bytes.Repeat([]byte("x"), 1024), SentAt: time.Unix(1_700_000_000, 0)}
	for b.Loop() {
		signer.Sign(m)
	}
}

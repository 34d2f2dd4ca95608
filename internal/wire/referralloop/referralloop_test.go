package referralloop_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/referralloop"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// waitlist and at are the envelope of every sample on the page.
const waitlist = "123e4567-e89b-12d3-a456-426614174000"

var at = time.Date(2024, 1, 15, 10, 0, 0, 0, time.UTC)

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// golden compares a body with the file that is committed, to the byte.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(mustRead(t, path)), string(body)); diff != "" {
		t.Errorf("%s is out of date: run the test with -update (-committed +now):\n%s", path, diff)
	}
}

// mustList returns the names of the files of a directory, in order.
func mustList(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for i, path := range paths {
		paths[i] = strings.TrimSuffix(filepath.Base(path), ".json")
	}
	return paths
}

// TestABodyIsThePages proves more than that keys and types are the page's: the
// order of keys and the values are as well, and there is no exception.
func TestABodyIsThePages(t *testing.T) {
	bodies := make(map[string]string)
	for _, e := range (referralloop.Dialect{}).Catalogue(nil) {
		bodies[e.Name] = string(referralloop.Dialect{}.Encode(wire.Event{
			Type: e.Name, OccurredAt: at, Data: e.Sample, Fields: map[string]string{"waitlist_id": waitlist},
		}))
		for _, r := range e.Remarks {
			if r.Kind != wire.Ours {
				t.Errorf("%s differs from the page: %s", e.Name, r.Text)
			}
		}
	}
	for _, name := range mustList(t, "testdata/page/*.json") {
		want, err := wire.Compact(mustRead(t, filepath.Join("testdata", "page", name+".json")))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), bodies[name]); diff != "" {
			t.Errorf("%s (-page +ours):\n%s", name, diff)
		}
		delete(bodies, name)
	}
	if rest := slices.Collect(maps.Keys(bodies)); !slices.Equal(rest, []string{"webhook.test"}) {
		t.Errorf("the page has no sample of %v", rest)
	}
}

func TestEveryBodyIsTheCommittedOne(t *testing.T) {
	d := referralloop.Dialect{}
	for _, e := range d.Catalogue(nil) {
		golden(t, e.Name, d.Encode(wire.Event{
			Type: e.Name, OccurredAt: time.Date(2026, 7, 1, 1, 2, 3, 999_999_999, time.FixedZone("", -9000)), Data: e.Sample,
			Fields: map[string]string{"waitlist_id": "01890a5d-ac96-774b-bcce-b302099a8057"},
		}))
	}
}

func TestTheTestOfASubscriptionIsOfNoWaitlist(t *testing.T) {
	d := referralloop.Dialect{}
	e := d.TestEvent(wire.Endpoint{URL: "https://example.com/hook"})
	e.OccurredAt = at
	want := `{"event_type":"webhook.test","waitlist_id":"00000000-0000-0000-0000-000000000000",` +
		`"data":{"message":"This is a test of your webhook. Nothing has happened."},"timestamp":"2024-01-15T10:00:00Z"}`
	if diff := cmp.Diff(want, string(d.Encode(e))); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestTheTimeIsInUTCAndWholeSeconds(t *testing.T) {
	for in, want := range map[time.Time]string{
		at:                                    "2024-01-15T10:00:00Z",
		at.Add(999_999_999 * time.Nanosecond): "2024-01-15T10:00:00Z",
		time.Date(2024, 1, 1, 0, 30, 0, 0, time.FixedZone("", 19800)): "2023-12-31T19:00:00Z",
	} {
		var body struct {
			Timestamp string `json:"timestamp"`
		}
		if err := json.Unmarshal(referralloop.Dialect{}.Encode(wire.Event{OccurredAt: in, Data: []byte(`{}`)}), &body); err != nil {
			t.Fatal(err)
		}
		if body.Timestamp != want {
			t.Errorf("%v is written %s, want %s", in, body.Timestamp, want)
		}
	}
}

func TestOnlyThePagesEventsMayBePublished(t *testing.T) {
	d := referralloop.Dialect{}
	for _, name := range []string{"signup.created", "signup.position_changed", "signup.deleted"} {
		if got, err := d.Resolve(name); err != nil || got != name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "hunter2", "signup.hunter2", "Signup.created", "signup.created ", "signup.created\n", "signup", "*", "webhook.test"} {
		got, err := d.Resolve(name)
		if err == nil || got != "" {
			t.Errorf("%q is accepted as %q", name, got)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the name: %v", err)
		}
	}
	if _, err := d.Resolve("signup.approved"); err == nil || !strings.Contains(err.Error(), "signup.created, signup.position_changed, signup.deleted") {
		t.Errorf("the error does not say what there is: %v", err)
	}
}

func TestAWaitlistIsAUUIDInOneSpelling(t *testing.T) {
	fields := referralloop.Dialect{}.Fields()
	if len(fields) != 1 || fields[0].Name != "waitlist_id" || !fields[0].Required {
		t.Fatalf("the fields are %+v", fields)
	}
	for _, good := range []string{waitlist, "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"} {
		if err := fields[0].Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "hunter2", strings.ToUpper(waitlist), waitlist + "\n", " " + waitlist, "{" + waitlist + "}", "urn:uuid:" + waitlist,
		strings.ReplaceAll(waitlist, "-", ""), waitlist[1:], waitlist + "0", waitlist[:35] + "g", strings.Repeat("0", 36),
	} {
		if err := fields[0].Check(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func mustSign(t *testing.T, body string, secrets ...string) []wire.Header {
	t.Helper()
	signer, err := referralloop.Dialect{}.NewSigner(wire.Keys{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return signer.Sign(wire.Message{Body: []byte(body)})
}

func TestASignatureIsTheOneThatOpenSSLComputes(t *testing.T) {
	const (
		secret = "rlsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
		body   = `{"event_type":"signup.deleted","waitlist_id":"123e4567-e89b-12d3-a456-426614174000",` +
			`"data":{"id":"789e0123-e89b-12d3-a456-426614174000","email":"user@example.com"},"timestamp":"2024-01-15T10:00:00Z"}`
	)
	want := []wire.Header{{
		Name: "X-Webhook-Signature", Value: "sha256=fa6e58d268ee944a37c8c3a467e22e65afe40a9802891c5e3614221a1d4fb394",
	}}
	if diff := cmp.Diff(want, mustSign(t, body, secret)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestTheNewestSecretAloneSigns(t *testing.T) {
	const current, old = "the-newest-secret", "the-secret-before"
	if diff := cmp.Diff(mustSign(t, "{}", current), mustSign(t, "{}", current, old)); diff != "" {
		t.Errorf("headers (-of the newest +of both):\n%s", diff)
	}
}

func TestASecretIsPrintableText(t *testing.T) {
	const good16 = "0123456789abcde~"
	for secret, good := range map[string]bool{
		good16:                   true,
		strings.Repeat("!", 256): true,
		"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=": true,

		"":                        false,
		good16[1:]:                false,
		strings.Repeat("!", 257):  false,
		good16 + " ":              false,
		good16 + "\n":             false,
		"\t" + good16:             false,
		good16 + "\x7f":           false,
		good16 + "é":              false,
		good16 + "\xff":           false,
		good16 + "\u00a0":         false,
		strings.Repeat("\x00", 9): false,
	} {
		if _, err := (referralloop.Dialect{}).NewSigner(wire.Keys{Secrets: []string{secret}}); (err == nil) != good {
			t.Errorf("%q: %v", secret, err)
		}
		if _, err := (referralloop.Dialect{}).NewSigner(wire.Keys{Secrets: []string{good16, secret}}); (err == nil) != good {
			t.Errorf("%q as the older: %v", secret, err)
		}
	}
	if _, err := (referralloop.Dialect{}).NewSigner(wire.Keys{}); err == nil {
		t.Error("no secret is enough")
	}
}

func TestASecretOfOursSaysWhatItIsOf(t *testing.T) {
	d := referralloop.Dialect{}
	for _, kind := range []string{"", "sha256"} {
		secret, err := d.NewSecret(kind)
		if err != nil {
			t.Fatal(err)
		}
		like, err := d.NewSecretLike("a-secret-given-by-hand")
		if err != nil || like == secret {
			t.Errorf("another secret: %v", err)
		}
		for _, s := range []string{secret, like} {
			if !strings.HasPrefix(s, "rlsec_") || len(s) != len("rlsec_")+43 {
				t.Errorf("a secret of %d characters begins with %.6s", len(s), s)
			}
			mustSign(t, "{}", s)
		}
	}
	for _, kind := range []string{"sha1", "v1", "SHA256"} {
		if secret, err := d.NewSecret(kind); err == nil || secret != "" {
			t.Errorf("%s is made", kind)
		}
	}
}

func TestOnly2xxIsSuccessAndNothingEndsOrSlowsASubscription(t *testing.T) {
	for _, test := range []struct {
		status int
		after  string
		want   wire.Judgement
	}{
		{200, "", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{204, "60", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{299, "", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{199, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{300, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonRedirect}},
		{404, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonClientError}},
		{410, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonGone}},
		{429, "120", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonThrottled}},
		{500, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{502, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonUnavailable}},
		{503, "120", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonThrottled}},
	} {
		got := referralloop.Dialect{}.Judge(wire.Answer{Status: test.status, RetryAfter: test.after, At: at})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%d with %q (-want +got):\n%s", test.status, test.after, diff)
		}
	}
}

func TestThereAreFiveAttemptsInEightyOneMinutes(t *testing.T) {
	d := referralloop.Dialect{}
	want := wire.Schedule{Delays: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}, Fixed: true}
	if diff := cmp.Diff(want, d.Schedule()); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
	for _, chance := range []float64{0, 0.999} {
		if wait, ok := d.Schedule().Next(4, chance); !ok || wait != time.Hour {
			t.Errorf("the last attempt is %v after the fourth, %t", wait, ok)
		}
		if wait, ok := d.Schedule().Next(5, chance); ok {
			t.Errorf("there is a sixth attempt, %v after the fifth", wait)
		}
	}
	if got := d.Timeout(); got != 5*time.Second {
		t.Errorf("the timeout is %v", got)
	}
}

func TestTheSignatureIsTheOnlyReservedHeader(t *testing.T) {
	if diff := cmp.Diff([]string{"x-webhook-signature"}, referralloop.Dialect{}.ReservedHeaders()); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
}

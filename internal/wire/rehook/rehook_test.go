package rehook_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/rehook"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2023, 9, 21, 7, 46, 56, 842_148_200, time.UTC)

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

// mustFind returns an entry of the catalogue.
func mustFind(t *testing.T, name string) wire.EventType {
	t.Helper()
	catalogue := rehook.Dialect{}.Catalogue(nil)
	i := slices.IndexFunc(catalogue, func(e wire.EventType) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return catalogue[i]
}

func encode(name string, data []byte, customer string) []byte {
	return rehook.Dialect{}.Encode(wire.Event{Type: name, OccurredAt: at, Data: data, Fields: map[string]string{"source_id": customer}})
}

// differences are all that is not as on the page, where the page has a sample.
var differences = []struct {
	eventType string
	remark    wire.Remark
	replaced  [][2]string // what the page's body has, and what is there instead: of the same JSON types
}{{
	eventType: "customer.rewarded",
	remark:    wire.Remark{Kind: wire.Corrected, Text: "The times of the wallet are when it was credited. The page's sample has the first day of the year 1."},
	replaced: [][2]string{
		{`"created_at":"0001-01-01T00:00:00Z"`, `"created_at":"2023-09-21T07:46:56.8421482Z"`},
		{`"updated_at":"0001-01-01T00:00:00Z"`, `"updated_at":"2023-09-21T07:46:56.8421482Z"`},
	},
}, {
	eventType: "customer.referral.successful.advocate",
	remark:    twoSpellings,
}, {
	eventType: "customer.referral.successful.friend",
	remark:    twoSpellings,
}, {
	eventType: "wallet.credited",
	remark:    wire.Remark{Kind: wire.Added, Text: "The page shows its body and leaves it out of the table of events."},
}, {
	eventType: "wallet.debited",
	remark:    wire.Remark{Kind: wire.Added, Text: "The page shows its body and leaves it out of the table of events."},
}, {
	eventType: "wallet.debited",
	remark:    wire.Remark{Kind: wire.Corrected, Text: "The type is \"debit\" and the description says so. The page's sample repeats that of wallet.credited."},
	replaced: [][2]string{
		{`"type":"credit"`, `"type":"debit"`},
		{`"description":"Wallet points have been successfully credited to your account."`, `"description":"Wallet points have been successfully debited from your account."`},
	},
}}

var twoSpellings = wire.Remark{
	Kind: wire.Corrected,
	Text: "The page writes \"successful\" with one l at its end in the table, as this name has it, and with two in the sample, as event_name has it. Either is understood.",
}

// TestABodyIsThePages proves more than that keys and types are the page's: the
// order of keys and the values are as well, apart from the differences.
func TestABodyIsThePages(t *testing.T) {
	for _, test := range []struct{ name, form, customer string }{
		{"customer.rewarded", "", "KMN@123"},
		{"customer.rewarded", "webhook-reward", "KMN@123"},
		{"order_success", "", "KMN@123"},
		{"customer.referral.successful.advocate", "", "KRISH@123"},
		{"customer.referral.successful.friend", "", "New_customer24"},
		{"customer.created", "", "New_customer20"},
		{"wallet.credited", "", "New_customer1"},
		{"wallet.debited", "", "New_customer1"},
	} {
		e, file := mustFind(t, test.name), test.name
		data := e.Sample
		if test.form != "" {
			data, file = e.Variants[slices.IndexFunc(e.Variants, func(s wire.Sample) bool { return s.Name == test.form })].Data, test.name+"."+test.form
		}
		text, err := wire.Compact(mustRead(t, filepath.Join("testdata", "page", file+".json")))
		if err != nil {
			t.Fatal(err)
		}
		want := string(text)
		for _, d := range differences {
			for _, r := range d.replaced {
				if d.eventType != test.name || test.form != "" {
					continue
				}
				if strings.Count(want, r[0]) != 1 {
					t.Errorf("%s on the page does not have %s once", file, r[0])
				}
				want = strings.Replace(want, r[0], r[1], 1)
			}
		}
		if diff := cmp.Diff(want, string(encode(test.name, data, test.customer))); diff != "" {
			t.Errorf("%s (-page +ours):\n%s", file, diff)
		}
	}
}

func TestTheCatalogueTellsOfEveryDifference(t *testing.T) {
	type told struct {
		EventType string
		Remark    wire.Remark
	}
	var want, got []told
	for _, d := range differences {
		want = append(want, told{d.eventType, d.remark})
	}
	for _, e := range (rehook.Dialect{}).Catalogue(nil) {
		for _, r := range e.Remarks {
			if r.Kind != wire.Ours {
				got = append(got, told{e.Name, r})
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("remarks (-want +got):\n%s", diff)
	}
}

func TestATypeIsOursWhereThePageHasNoSample(t *testing.T) {
	for _, e := range (rehook.Dialect{}).Catalogue(nil) {
		_, err := os.Stat(filepath.Join("testdata", "page", e.Name+".json"))
		if ours := slices.ContainsFunc(e.Remarks, func(r wire.Remark) bool { return r.Kind == wire.Ours }); ours != os.IsNotExist(err) {
			t.Errorf("%s: ours %t, the page's sample: %v", e.Name, ours, err)
		}
	}
}

func TestEveryBodyIsTheCommittedOne(t *testing.T) {
	for _, e := range (rehook.Dialect{}).Catalogue(nil) {
		customer := "KMN@123"
		if e.Name == "coupon.created" {
			customer = "NA"
		}
		golden(t, e.Name, encode(e.Name, e.Sample, customer))
		for _, v := range e.Variants {
			golden(t, e.Name+"."+v.Name, encode(e.Name, v.Data, customer))
		}
	}
}

func TestTheTestOfASubscriptionIsOfTheCustomerTest(t *testing.T) {
	want := `{"event_name":"webhook.test","metadata":{"message":"This is a test of your webhook. Nothing has happened."},"source":"rehook","source_id":"test"}`
	got := rehook.Dialect{}.Encode(rehook.Dialect{}.TestEvent(wire.Endpoint{URL: "https://example.com/hook"}))
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestACustomersIDIsQuoted(t *testing.T) {
	want := "{\"event_name\":\"signup\",\"metadata\":{},\"source\":\"rehook\",\"source_id\":\"a\\\"b\\\\c</script>&é😀\"}"
	if diff := cmp.Diff(want, string(encode("signup", []byte(`{}`), `a"b\c</script>&é😀`))); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// TestASchemaOfAPairDiffersInOneWord holds together the files that JSON Schema
// has no way to write once.
func TestASchemaOfAPairDiffersInOneWord(t *testing.T) {
	for _, test := range []struct{ one, other, word, otherWord string }{
		{"wallet.credited", "wallet.debited", `{"const":"credit"}`, `{"const":"debit"}`},
		{"customer.referral.successful.advocate", "customer.referral.successful.friend", `{"const":"referral_advocate"}`, `{"const":"referral_friend"}`},
		{"customer.rewarded", "customer.leaderboard.awarded", `{"enum":["loyalty","referral","distribution","leaderboard"]}`, `{"const":"leaderboard"}`},
	} {
		one, other := string(mustFind(t, test.one).Schema), string(mustFind(t, test.other).Schema)
		if strings.Count(one, test.word) != 1 {
			t.Errorf("%s does not have %s once", test.one, test.word)
		}
		if diff := cmp.Diff(strings.Replace(one, test.word, test.otherWord, 1), other); diff != "" {
			t.Errorf("%s and %s (-the one's +the other's):\n%s", test.one, test.other, diff)
		}
	}
}

func TestANameIsKnownInBothSpellings(t *testing.T) {
	for inBodies, want := range map[string]string{
		"customer.referral.successfull.advocate": "customer.referral.successful.advocate",
		"customer.referral.successfull.friend":   "customer.referral.successful.friend",
	} {
		for _, name := range []string{want, inBodies} {
			if got, err := (rehook.Dialect{}).Resolve(name); err != nil || got != want {
				t.Errorf("%s is %q, %v", name, got, err)
			}
		}
		if body := string(encode(want, []byte(`{}`), "a")); !strings.HasPrefix(body, `{"event_name":"`+inBodies+`",`) {
			t.Errorf("the body is %s", body)
		}
	}
}

func TestOnlyThePagesEventsMayBePublished(t *testing.T) {
	d := rehook.Dialect{}
	want := []string{
		"customer.rewarded", "order_success", "signup", "coupon.rewarded", "coupon.created", "coupon.redeemed", "customer.meta.updated", "customer.referred",
		"customer.referral.successful.advocate", "customer.referral.successful.friend", "customer.leaderboard.awarded", "customer.created",
		"coupon.redemption.rollback", "customer.updated", "customer.segment.entered", "customer.segment.left", "wallet.credited", "wallet.debited",
	}
	for _, name := range want {
		if got, err := d.Resolve(name); err != nil || got != name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", "hunter2", "customer.referral.successful.", "customer.referral.successful.hunter2", "customer.referral.successfull.", "customer.referral.successfulll.friend",
		"customer.referral.successfull.hunter2", "Signup", "signup ", "signup\n", "customer.reward", "*", "webhook.test",
	} {
		got, err := d.Resolve(name)
		if err == nil || got != "" {
			t.Errorf("%q is accepted as %q", name, got)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the name: %v", err)
		}
	}
	if _, err := d.Resolve("customer.deleted"); err == nil || !strings.Contains(err.Error(), strings.Join(want, ", ")) {
		t.Errorf("the error does not say what there is: %v", err)
	}
}

func TestACustomersIDIsPrintableText(t *testing.T) {
	fields := rehook.Dialect{}.Fields()
	if len(fields) != 1 || fields[0].Name != "source_id" || !fields[0].Required {
		t.Fatalf("the fields are %+v", fields)
	}
	for _, good := range []string{"KMN@123", "0", "user one", "Zoë", strings.Repeat("é", 255), `"\`} {
		if err := fields[0].Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", strings.Repeat("é", 256), "hunter2\n", "hunter2\x00", "hunter2\x7f", "hunter2\xff", "hunter2\u2028", "hunter2\u202e", "hunter2\u00a0",
	} {
		if err := fields[0].Check(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNothingIsSigned(t *testing.T) {
	d := rehook.Dialect{}
	if got := d.Signing(); got != wire.Unsigned {
		t.Errorf("signing is by %s", got)
	}
	signer, err := d.NewSigner(wire.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	if got := signer.Sign(wire.Message{Body: []byte(`{}`)}); len(got) != 0 {
		t.Errorf("headers are set: %v", got)
	}
	if got := signer.PublicKeys(); len(got) != 0 {
		t.Errorf("there are keys: %v", got)
	}
	if got := d.ReservedHeaders(); len(got) != 0 {
		t.Errorf("headers are reserved: %v", got)
	}
	if secret, err := d.NewSecret(""); err == nil || secret != "" {
		t.Error("there is a secret")
	}
	if secret, err := d.NewSecretLike("hunter2hunter2hunter2"); err == nil || secret != "" || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("there is another secret: %v", err)
	}
}

func TestAReceiverIsTreatedAsInTheStandardDialect(t *testing.T) {
	d := rehook.Dialect{}
	for status := 100; status <= 599; status++ {
		for _, after := range []string{"", "60"} {
			a := wire.Answer{Status: status, RetryAfter: after, At: at}
			if diff := cmp.Diff(standard.Dialect{}.Judge(a), d.Judge(a)); diff != "" {
				t.Errorf("%d with %q (-standard +rehook):\n%s", status, after, diff)
			}
		}
	}
	if diff := cmp.Diff(standard.Dialect{}.Schedule(), d.Schedule()); diff != "" {
		t.Errorf("schedule (-standard +rehook):\n%s", diff)
	}
	if wait, ok := d.Schedule().Next(9, 0.5); !ok || wait != 24*time.Hour {
		t.Errorf("the last attempt is %v after the ninth, %t", wait, ok)
	}
	if wait, ok := d.Schedule().Next(10, 0.5); ok {
		t.Errorf("there is an eleventh attempt, %v after the tenth", wait)
	}
	if got := d.Timeout(); got != 15*time.Second {
		t.Errorf("the timeout is %v", got)
	}
}

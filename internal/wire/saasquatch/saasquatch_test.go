package saasquatch_test

import (
	"bytes"
	"encoding/hex"
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

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	someID   = id.ID{0x01, 0x9c, 0x1d, 0x2f, 0x3b, 0x5e, 0x8d, 0x7c, 0x6a, 0x4f, 0x10, 0xff}
	someTime = time.Date(2026, 2, 3, 4, 5, 6, 789_999_999, time.FixedZone("", 5400))
	v2016    = wire.Settings{"payload_version": "2016"}
	v2020    = wire.Settings{"payload_version": "2020"}
)

// page is a body as the page shows it.
type page struct {
	ID          string
	Type        string
	TenantAlias string
	Live        bool
	Created     int64
	Data        json.RawMessage
}

// mustReadPage returns the body that the page shows for a type, and the same
// compact.
func mustReadPage(t *testing.T, eventType string) (page, []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "page", eventType+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var p page
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	compact, err := wire.Compact(text)
	if err != nil {
		t.Fatal(err)
	}
	return p, compact
}

// exceptions are where bodies differ from the page's.
var exceptions = []struct{ eventType, page, ours, reason string }{{
	"referral.automoderation.complete", `"type":"referral.started"`, `"type":"referral.automoderation.complete"`,
	"The page's sample says referral.started in its type. The type is the one that the page lists the event under.",
}}

func TestABodyIsThePagesToTheByte(t *testing.T) {
	for _, eventType := range onPage {
		p, want := mustReadPage(t, eventType)
		e := wire.Event{
			ID: someID, Type: eventType, OccurredAt: time.UnixMilli(p.Created), Data: find(t, v2016, eventType).Sample,
			Tenant: wire.Tenant{Alias: p.TenantAlias, Live: p.Live},
		}
		if n, err := hex.Decode(e.ID[:], []byte(p.ID)); err != nil || n != len(e.ID) { // a placeholder, such as 31049u0194u2105
			e.ID = someID
			want = bytes.Replace(want, []byte(p.ID), []byte(someID.String()), 1)
		}
		for _, x := range exceptions {
			if x.eventType == eventType {
				want = bytes.Replace(want, []byte(x.page), []byte(x.ours), 1)
			}
		}
		if diff := cmp.Diff(string(want), string(saasquatch.Dialect{}.Encode(e))); diff != "" {
			t.Errorf("%s (-page +ours):\n%s", eventType, diff)
		}
	}
}

// onPage are the page's events, in its order.
var onPage = []string{
	"user.created", "coupon.created", "reward.created", "email.referred.reward.earned", "email.referral.started", "email.referral.paid",
	"email.referral.rewardLimitReached", "referral.automoderation.complete", "referral.started", "referral.converted", "referral.ended",
	"theme.publish.finished", "export.created", "export.completed", "test",
}

func TestTheCatalogueIsThePagesAndTheBalances(t *testing.T) {
	want := append(slices.Clone(onPage), "user.reward.balance.changed")
	for _, s := range []wire.Settings{nil, v2016, v2020} {
		var got []string
		for _, e := range (saasquatch.Dialect{}).Catalogue(s) {
			got = append(got, e.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", s, diff)
		}
	}
	for i, e := range (saasquatch.Dialect{}).Catalogue(nil) {
		if diff := cmp.Diff((saasquatch.Dialect{}).Catalogue(v2016)[i], e); diff != "" {
			t.Errorf("without settings %s differs:\n%s", e.Name, diff)
		}
	}
}

func TestEachDifferenceFromThePageIsRemarked(t *testing.T) {
	var want, got []string
	for _, x := range exceptions {
		want = append(want, x.eventType+": "+x.reason)
	}
	for _, e := range (saasquatch.Dialect{}).Catalogue(v2016) {
		for _, r := range e.Remarks {
			if r.Kind != wire.Ours {
				got = append(got, e.Name+": "+r.Text)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("remarks (-want +got):\n%s", diff)
	}
}

func TestBodiesAreTheGoldenOnes(t *testing.T) {
	got := make(map[string]string)
	for _, e := range (saasquatch.Dialect{}).Catalogue(v2016) {
		addBodies(got, "", e)
	}
	for i, e := range (saasquatch.Dialect{}).Catalogue(v2020) {
		if !bytes.Equal(e.Sample, (saasquatch.Dialect{}).Catalogue(v2016)[i].Sample) {
			addBodies(got, "2020/", e)
		}
	}
	golden := filepath.Join("testdata", "golden")
	if *update {
		if err := os.RemoveAll(golden); err != nil {
			t.Fatal(err)
		}
		for name, body := range got {
			path := filepath.Join(golden, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := make(map[string]string)
	for _, pattern := range []string{"*.json", "2020/*.json"} {
		paths, err := filepath.Glob(filepath.Join(golden, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want[filepath.ToSlash(strings.TrimPrefix(path, golden+string(filepath.Separator)))] = string(body)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run the test with -update if this is meant (-committed +now):\n%s", diff)
	}
}

// addBodies adds the bodies of an event's samples, under the names of their files.
func addBodies(to map[string]string, folder string, e wire.EventType) {
	for _, s := range samples(e) {
		to[folder+s.Name+".json"] = string(saasquatch.Dialect{}.Encode(wire.Event{
			ID: someID, Type: e.Name, OccurredAt: someTime, Data: s.Data, Tenant: wire.Tenant{Alias: "test_acme"},
		}))
	}
}

// samples returns the sample and the variants of an event, under names that tell
// them apart.
func samples(e wire.EventType) []wire.Sample {
	list := []wire.Sample{{Name: e.Name, Data: e.Sample}}
	for _, v := range e.Variants {
		list = append(list, wire.Sample{Name: e.Name + "." + v.Name, Data: v.Data})
	}
	return list
}

func find(t *testing.T, s wire.Settings, eventType string) wire.EventType {
	t.Helper()
	for _, e := range (saasquatch.Dialect{}).Catalogue(s) {
		if e.Name == eventType {
			return e
		}
	}
	t.Fatalf("%s is not in the catalogue", eventType)
	return wire.EventType{}
}

func TestTheEnvelopeHasSixKeysAndNoneThatAJWTWouldHave(t *testing.T) {
	body := saasquatch.Dialect{}.Encode(wire.Event{
		ID: someID, Type: "coupon.created", OccurredAt: someTime, Data: []byte(`{"exp":1,"nbf":2}`), Fields: map[string]string{"exp": "1"},
		Tenant: wire.Tenant{Alias: "a\"\n</é", Live: true},
	})
	const want = `{"id":"019c1d2f3b5e8d7c6a4f10ff","type":"coupon.created","tenantAlias":"a\"\n</é","live":true,"created":1770086106789,"data":{"exp":1,"nbf":2}}`
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("the body (-want +got):\n%s", diff)
	}
	var keys map[string]any
	if err := json.Unmarshal(body, &keys); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"created", "data", "id", "live", "tenantAlias", "type"}, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestTheTestEventSaysWhereItGoes(t *testing.T) {
	d := saasquatch.Dialect{}
	p, _ := mustReadPage(t, "test")
	e := d.TestEvent(wire.Endpoint{URL: "http://example.com/hook", Name: "Example"})
	want, err := wire.Compact(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	if e.Type != "test" || string(e.Data) != string(want) {
		t.Errorf("%s with %s, want %s", e.Type, e.Data, want)
	}
	for _, to := range []wire.Endpoint{{}, {URL: "https://example.com/?a=1&b=\"<\u2028", Name: "\x00\xff'"}} {
		data := d.TestEvent(to).Data
		if compact, err := d.Compact(data); err != nil || !bytes.Equal(compact, data) {
			t.Errorf("%q is not compact: %v", data, err)
		}
	}
}

func TestOnlyTheEventsOfTheCatalogueCanBePublished(t *testing.T) {
	d := saasquatch.Dialect{}
	for _, e := range d.Catalogue(nil) {
		got, err := d.Resolve(e.Name)
		if e.Name != "test" && (err != nil || got != e.Name) {
			t.Errorf("%s became %q: %v", e.Name, got, err)
		}
	}
	if _, err := d.Resolve("test"); err == nil || !strings.Contains(err.Error(), "tests a subscription") {
		t.Errorf("of the test event it says %v", err)
	}
	for _, bad := range []string{"user.deleted", "User.Created", "user.created ", "*", "hunter2"} {
		_, err := d.Resolve(bad)
		if err == nil {
			t.Errorf("%q is accepted", bad)
			continue
		}
		for _, name := range []string{"user.created", "referral.ended", "user.reward.balance.changed"} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%q: the error does not name %s: %v", bad, name, err)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the type: %v", err)
		}
	}
}

func TestOnly200IsSuccess(t *testing.T) {
	special := map[int]wire.Reason{
		410: wire.ReasonGone, 429: wire.ReasonThrottled, 502: wire.ReasonUnavailable, 503: wire.ReasonUnavailable, 504: wire.ReasonUnavailable,
	}
	class := map[int]wire.Reason{1: wire.ReasonServerError, 2: wire.ReasonUnexpected, 3: wire.ReasonRedirect, 4: wire.ReasonClientError, 5: wire.ReasonServerError}
	for status := 100; status < 600; status++ {
		want := wire.Judgement{Verdict: wire.Retry, Reason: class[status/100]}
		if reason, ok := special[status]; ok {
			want.Reason = reason
		}
		if status == 200 {
			want = wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}
		}
		for _, after := range []string{"", "120"} {
			got := saasquatch.Dialect{}.Judge(wire.Answer{Status: status, RetryAfter: after, At: someTime})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d (-want +got):\n%s", status, diff)
			}
		}
	}
}

func TestADeliveryIsAttempted72TimesAnHourApart(t *testing.T) {
	s := saasquatch.Dialect{}.Schedule()
	for failed := 1; failed <= 71; failed++ {
		for _, chance := range []float64{0, 0.3, 0.999} {
			if wait, ok := s.Next(failed, chance); !ok || wait != time.Hour {
				t.Errorf("after %d attempts: %v, %t", failed, wait, ok)
			}
		}
	}
	if wait, ok := s.Next(72, 0); ok {
		t.Errorf("there is a 73rd attempt after %v", wait)
	}
	if timeout := (saasquatch.Dialect{}).Timeout(); timeout != 15*time.Second {
		t.Errorf("the timeout is %v", timeout)
	}
}

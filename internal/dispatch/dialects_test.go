package dispatch_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// inbox keeps what a receiver got.
type inbox struct {
	mu       sync.Mutex
	requests []received
}

type received struct {
	header http.Header
	body   []byte
	at     time.Time
}

// then takes each request and answers it with the status that fn chooses by how
// many there were.
func (in *inbox) then(fn func(n int) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in.mu.Lock()
		in.requests = append(in.requests, received{r.Header.Clone(), body, time.Now()})
		status := fn(len(in.requests))
		in.mu.Unlock()
		w.WriteHeader(status)
	}
}

func (in *inbox) all() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.requests)
}

func always(status int) func(int) int { return func(int) int { return status } }

// mustListen subscribes a host in a dialect to all its events.
func mustListen(t *testing.T, s *testkit.Sender, draft webhook.Draft, handler http.HandlerFunc) *webhook.Subscription {
	t.Helper()
	host := strings.ToLower(rand.Text()) + ".example"
	s.Net.MustServe(t, host, handler)
	draft.URL = "http://" + host + "/hook"
	if draft.EventTypes == nil {
		draft.EventTypes = []string{webhook.AllTypes}
	}
	sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, draft)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func mustPublishAs(t *testing.T, s *testkit.Sender, p webhook.Publication) id.ID {
	t.Helper()
	published, _, err := s.Webhooks.Publish(t.Context(), s.Tenant, webhook.Publishing{Publications: []webhook.Publication{p}})
	if err != nil {
		t.Fatalf("%s %s: %v", p.Dialect, p.Type, err)
	}
	return published[0].ID
}

// envelopes are what a publisher gives besides type and data.
var envelopes = map[string]map[string]string{
	"referralloop": {"waitlist_id": "123e4567-e89b-12d3-a456-426614174000"},
	"rehook":       {"source_id": "KMN@123"},
}

// pages are the samples of the source pages: bodies as receivers of the products
// know them. A PartnerStack page shows one for each family.
func pages(t *testing.T, d wire.Dialect, eventType, form string) []byte {
	t.Helper()
	name := eventType
	if d.Name() == "partnerstack" {
		name, _, _ = strings.Cut(eventType, ".")
	}
	if form != "" {
		name += "." + form
	}
	body, err := os.ReadFile(filepath.Join("..", "wire", d.Name(), "testdata", "page", name+".json"))
	if os.IsNotExist(err) {
		return nil // the page shows none
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// added are the members that bodies have and the page's sample has not; each is a
// remark in the catalogue.
var added = map[string][]string{
	"partnership.tags_updated":         {".tags array", ".tags[] string"},
	"training.course_completed":        {".course object", ".course.key string", ".course.name string"},
	"training.learning_path_completed": {".path object", ".path.key string", ".path.name string"},
}

// decided are the members whose type a family's sample shows for one of its
// events only.
var decided = map[string][2]string{
	"application.approved": {".approved null", ".approved boolean"},
	"application.declined": {".approved null", ".approved boolean"},
}

// shape lists the key paths of a document with their JSON types.
func shape(t *testing.T, body []byte) []string {
	t.Helper()
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		kind := map[bool]string{true: "null"}[v == nil]
		switch of := v.(type) {
		case bool:
			kind = "boolean"
		case float64:
			kind = "number"
		case string:
			kind = "string"
		case []any:
			kind = "array"
			for _, item := range of {
				walk(path+"[]", item)
			}
		case map[string]any:
			kind = "object"
			for name, member := range of {
				walk(path+"."+name, member)
			}
		}
		found[path+" "+kind] = true
	}
	walk("", document)
	list := make([]string, 0, len(found))
	for line := range found {
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func TestWhatReceiversGetHasTheKeysAndTypesOfThePages(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		compared := map[string]int{}
		for _, d := range dialects.All[1:] {
			var in inbox
			mustListen(t, s, webhook.Draft{Dialect: d.Name()}, in.then(always(http.StatusOK)))
			for _, e := range d.Catalogue(nil) {
				if _, err := d.Resolve(e.Name); err != nil {
					continue // only sent as a test
				}
				for _, sample := range append([]wire.Sample{{Data: e.Sample}}, e.Variants...) {
					event := mustPublishAs(t, s, webhook.Publication{Dialect: d.Name(), Type: e.Name, Data: sample.Data, Fields: envelopes[d.Name()]})
					settle(time.Second)
					got := in.all()[len(in.all())-1]
					if id.Event.Format(event) != got.header.Get("X-Grapevine-Event-Id") || got.header.Get("X-Grapevine-Event-Type") != e.Name {
						t.Fatalf("%s %s: the last request has the headers %v", d.Name(), e.Name, got.header)
					}
					page := pages(t, d, e.Name, sample.Name)
					if page == nil {
						continue
					}
					compared[d.Name()]++
					want := append(shape(t, page), added[e.Name]...)
					if change, ok := decided[e.Name]; ok {
						want[slices.Index(want, change[0])] = change[1]
					}
					slices.Sort(want)
					if diff := cmp.Diff(want, shape(t, got.body)); diff != "" {
						t.Errorf("%s %s %s (-page +sent):\n%s", d.Name(), e.Name, sample.Name, diff)
					}
				}
			}
		}
		// SaaSquatch's fifteenth is its test event, which is below.
		if diff := cmp.Diff(map[string]int{"saasquatch": 14, "referralloop": 3, "rehook": 8, "partnerstack": 23}, compared); diff != "" {
			t.Errorf("compared (-want +got):\n%s", diff)
		}
	})
}

func TestATestOfASaaSquatchSubscriptionLooksLikeThePages(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch", Description: "Example"}, in.then(always(http.StatusOK)))
		if _, err := s.Webhooks.TestSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		page, err := os.ReadFile("../wire/saasquatch/testdata/page/test.json")
		if err != nil {
			t.Fatal(err)
		}
		got := in.all()[0]
		if diff := cmp.Diff(shape(t, page), shape(t, got.body)); diff != "" {
			t.Errorf("(-page +sent):\n%s", diff)
		}
		if want := fmt.Sprintf(`"data":{"endpointUrl":%q,"name":"Example"}`, sub.URL); !bytes.Contains(got.body, []byte(want)) {
			t.Errorf("%s does not say %s", got.body, want)
		}
	})
}

func mustSignup(t *testing.T, s *testkit.Sender, waitlist string) id.ID {
	t.Helper()
	return mustPublishAs(t, s, webhook.Publication{
		Dialect: "referralloop", Type: "signup.deleted", Fields: map[string]string{"waitlist_id": waitlist},
		Data: []byte(`{"id":"789e0123-e89b-12d3-a456-426614174000","email":"user@example.com"}`),
	})
}

func mustPublishTheme(t *testing.T, s *testkit.Sender) id.ID {
	t.Helper()
	return mustPublishAs(t, s, webhook.Publication{Dialect: "saasquatch", Type: "theme.publish.finished", Data: []byte(`{"newAssetsVersion":"CQOkemZF"}`)})
}

func TestSaaSquatchsScheduleRunsToItsLastAttempt(t *testing.T) {
	for name, tt := range map[string]struct {
		answer   func(n int) int
		attempts int
		status   webhook.Status
	}{
		"never a success":               {always(http.StatusInternalServerError), 72, webhook.Failed},
		"a success at the 72nd":         {func(n int) int { return map[bool]int{true: 200, false: 500}[n == 72] }, 72, webhook.Delivered},
		"204 is none":                   {always(http.StatusNoContent), 72, webhook.Failed},
		"410 is like any other":         {always(http.StatusGone), 72, webhook.Failed},
		"429 and 503 don't pause it":    {func(n int) int { return []int{429, 503}[n%2] }, 72, webhook.Failed},
		"a success at the second, soon": {func(n int) int { return map[bool]int{true: 200, false: 302}[n == 2] }, 2, webhook.Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				var in inbox
				sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch"}, in.then(tt.answer))
				event := mustPublishTheme(t, s)
				settle(100 * time.Hour)
				d, _ := s.MustDelivery(t, event, sub)
				got := in.all()
				if d.Status != tt.status || len(got) != tt.attempts {
					t.Fatalf("%s after %d attempts", d.Status, len(got))
				}
				for i := 1; i < len(got); i++ {
					if wait := got[i].at.Sub(got[i-1].at); wait < time.Hour || wait > time.Hour+time.Second {
						t.Errorf("attempt %d came after %s", i+1, wait)
					}
					if !bytes.Equal(got[i].body, got[0].body) {
						t.Errorf("attempt %d has another body", i+1)
					}
				}
			})
		})
	}
}

func TestReferralLoopsScheduleRunsToItsLastAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "referralloop"}, in.then(always(http.StatusGone)))
		event := mustSignup(t, s, "123e4567-e89b-12d3-a456-426614174000")
		settle(100 * time.Hour)
		d, _ := s.MustDelivery(t, event, sub)
		got := in.all()
		if d.Status != webhook.Failed || len(got) != 5 {
			t.Fatalf("%s after %d attempts", d.Status, len(got))
		}
		for i, want := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
			if wait := got[i+1].at.Sub(got[i].at); wait < want || wait > want+time.Second {
				t.Errorf("attempt %d came after %s", i+2, wait)
			}
		}
	})
}

func TestAReferralLoopReceiverHasFiveSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := mustListen(t, s, webhook.Draft{Dialect: "referralloop"}, silent)
		event := mustSignup(t, s, "123e4567-e89b-12d3-a456-426614174000")
		settle(30 * time.Second)
		_, attempts := s.MustDelivery(t, event, sub)
		if len(attempts) != 1 || attempts[0].Timing.Total < 5*time.Second || attempts[0].Timing.Total > 5500*time.Millisecond {
			t.Fatalf("%+v", attempts)
		}
	})
}

func TestTheNativeRulesApplyToOtherDialectsByChoice(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch", Policy: webhook.Policy{NativeRules: true}}, answer(http.StatusGone))
		event := mustPublishTheme(t, s)
		settle(time.Minute)
		d, _ := s.MustDelivery(t, event, sub)
		now, err := s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Status != webhook.Cancelled || now.Enabled || now.Reason != webhook.ReasonGone {
			t.Errorf("the delivery is %s, the subscription %+v", d.Status, now)
		}
	})
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch", Policy: webhook.Policy{NativeRules: true}}, answer(http.StatusNoContent))
		event := mustPublishTheme(t, s)
		settle(time.Minute)
		if d, _ := s.MustDelivery(t, event, sub); d.Status == webhook.Delivered {
			t.Error("204 became a success, which the dialect does not take it for")
		}
	})
}

func TestAFilterLetsOnlyItsWaitlistPass(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		const one, other = "123e4567-e89b-12d3-a456-426614174000", "00000000-0000-4000-8000-000000000001"
		var some, all inbox
		mustListen(t, s, webhook.Draft{Dialect: "referralloop", Filter: webhook.FieldFilter("waitlist_id", one)}, some.then(always(200)))
		mustListen(t, s, webhook.Draft{Dialect: "referralloop"}, all.then(always(200)))
		for _, waitlist := range []string{one, other, one, other, other} {
			mustSignup(t, s, waitlist)
		}
		settle(time.Minute)
		if len(some.all()) != 2 || len(all.all()) != 5 {
			t.Errorf("%d and %d events arrived", len(some.all()), len(all.all()))
		}
		for _, r := range some.all() {
			if !bytes.Contains(r.body, []byte(one)) {
				t.Errorf("%s arrived", r.body)
			}
		}
	})
}

func TestSignaturesUseTheKeyThatIsCurrentAtTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		mustListen(t, s, webhook.Draft{Dialect: "saasquatch"}, in.then(func(n int) int { return []int{500, 200}[n-1] }))
		mustPublishTheme(t, s)
		settle(time.Minute)
		before := s.Identity.Load()
		rolled := *before
		rolled.Key = "another_key"
		s.Identity.Store(&rolled)
		settle(2 * time.Hour)
		for i, key := range []string{before.Key, rolled.Key} {
			r := in.all()[i]
			mac := hmac.New(sha1.New, []byte(key))
			mac.Write(r.body)
			if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.header.Get("X-Hook-Signature") != want {
				t.Errorf("attempt %d is signed %q, want %q", i+1, r.header.Get("X-Hook-Signature"), want)
			}
		}
	})
}

func TestARotatedReferralLoopSecretSignsTheNextAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "referralloop"}, in.then(func(n int) int { return []int{500, 200}[n-1] }))
		mustSignup(t, s, "123e4567-e89b-12d3-a456-426614174000")
		settle(10 * time.Second)
		rotated, err := s.Webhooks.RotateSecret(t.Context(), s.Tenant, sub.ID, "", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		settle(2 * time.Minute)
		for i, secret := range []string{sub.CurrentSecret(), rotated.CurrentSecret()} {
			r := in.all()[i]
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(r.body)
			if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.header.Get("X-Webhook-Signature") != want {
				t.Errorf("attempt %d is signed %q, want %q", i+1, r.header.Get("X-Webhook-Signature"), want)
			}
		}
	})
}

func TestATenantWithoutAKeyOfTheDialectSendsNothingUnsigned(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch"}, in.then(always(200)))
		keyless := *s.Identity.Load()
		keyless.Key = ""
		s.Identity.Store(&keyless)
		event := mustPublishTheme(t, s)
		settle(time.Minute)
		d, attempts := s.MustDelivery(t, event, sub)
		if len(in.all()) > 0 || d.Status != webhook.Retrying || attempts[0].Reason != "configuration" || !strings.Contains(attempts[0].Error, "create one") {
			t.Errorf("%d requests; %+v %+v", len(in.all()), d, attempts)
		}
		keyed := keyless
		keyed.Key = "a_new_key"
		s.Identity.Store(&keyed)
		settle(2 * time.Hour)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Errorf("with a key it is %s", d.Status)
		}
	})
}

func TestAnAttemptWhoseKeysCanNotBeReadDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch"}, in.then(func(n int) int { return []int{500, 200}[n-1] }))
		event := mustPublishTheme(t, s)
		settle(time.Minute)
		as := s.Identity.Swap(nil)
		settle(time.Hour) // the second attempt is due
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Retrying || len(attempts) != 1 || len(in.all()) != 1 {
			t.Fatalf("without keys it is %s after %d attempts and %d requests", d.Status, len(attempts), len(in.all()))
		}
		s.Identity.Store(as)
		settle(5 * time.Second)
		d, attempts = s.MustDelivery(t, event, sub)
		if d.Status != webhook.Delivered || len(attempts) != 2 || len(in.all()) != 2 {
			t.Errorf("it is %s after %d attempts and %d requests", d.Status, len(attempts), len(in.all()))
		}
	})
}

func TestRehookSendsTheCredentialsAndHeadersOfItsConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		mustListen(t, s, webhook.Draft{
			Dialect: "rehook", Headers: map[string]string{"X-Team": "loyalty"},
			Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "user", Password: "password"},
		}, in.then(always(200)))
		mustPublishAs(t, s, webhook.Publication{
			Dialect: "rehook", Type: "customer.referral.successfull.friend", Fields: envelopes["rehook"], SubjectVersion: 7,
			Data: pageMetadata(t, "customer.referral.successful.friend"),
		})
		settle(time.Minute)
		r := in.all()[0]
		want := http.Header{
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("user:password"))}, "X-Team": {"loyalty"},
			"X-Grapevine-Event-Type": {"customer.referral.successful.friend"}, "X-Grapevine-Subject-Version": {"7"}, "X-Grapevine-Attempt": {"1"},
		}
		for name, values := range want {
			if !slices.Equal(r.header[name], values) {
				t.Errorf("%s is %q, want %q", name, r.header[name], values)
			}
		}
		if !bytes.Contains(r.body, []byte(`{"event_name":"customer.referral.successfull.friend",`)) {
			t.Errorf("the body is %s", r.body)
		}
	})
}

// pageMetadata returns what a Rehook page's sample has under metadata.
func pageMetadata(t *testing.T, eventType string) []byte {
	t.Helper()
	var body struct{ Metadata json.RawMessage }
	d, _ := dialects.Get("rehook")
	if err := json.Unmarshal(pages(t, d, eventType, ""), &body); err != nil {
		t.Fatal(err)
	}
	return body.Metadata
}

func TestADeliveryWhoseSubscriptionIsDeletedUnderWayIsOnRecordAndNotTriedAgain(t *testing.T) {
	for _, d := range dialects.All {
		t.Run(d.Name(), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				var in inbox
				var sub *webhook.Subscription
				sub = mustListen(t, s, webhook.Draft{Dialect: d.Name()}, in.then(func(int) int {
					if err := s.Webhooks.DeleteSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
						t.Error(err)
					}
					return http.StatusInternalServerError
				}))
				sample := d.Catalogue(nil)[0]
				if d.Name() == "standard" {
					sample.Name = "a.b"
				}
				event := mustPublishAs(t, s, webhook.Publication{Dialect: d.Name(), Type: sample.Name, Data: sample.Sample, Fields: envelopes[d.Name()]})
				settle(100 * time.Hour)
				got, attempts := s.MustDelivery(t, event, sub)
				if len(in.all()) != 1 || got.Status != webhook.Cancelled || len(attempts) != 1 || attempts[0].ResponseStatus != http.StatusInternalServerError {
					t.Errorf("%d requests; %s after %d attempts on record", len(in.all()), got.Status, len(attempts))
				}
			})
		})
	}
}

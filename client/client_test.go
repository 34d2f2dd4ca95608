package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
)

// MustServe returns a client of a server that answers every request alike, and
// what it was asked.
func MustServe(t testing.TB, status int, header http.Header, body string) (*client.Client, *[]*http.Request) {
	t.Helper()
	var seen []*http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(text)))
		seen = append(seen, r)
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL+"/", "gv_live_k", client.WithTenant("acme"))
	if err != nil {
		t.Fatal(err)
	}
	return c, &seen
}

func TestARefusalIsAnErrorThatCanBeTakenApart(t *testing.T) {
	c, _ := MustServe(t, 422, http.Header{"X-Request-Id": {"r-1"}},
		`{"type":"/docs#invalid","title":"t","status":422,"code":"invalid","detail":"2 fields are not valid","errors":[{"field":"url","message":"is required"},{"field":"secret","message":"is bad"}],"request_id":"r-1"}`)
	_, err := c.Subscription(t.Context(), "sub_1")
	refusal, ok := errors.AsType[*client.Error](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := &client.Error{
		Status: 422, Code: "invalid", Detail: "2 fields are not valid", RequestID: "r-1",
		Fields: []client.Field{{Name: "url", Message: "is required"}, {Name: "secret", Message: "is bad"}},
	}
	if diff := cmp.Diff(want, refusal); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := err.Error(); !strings.Contains(text, "422 invalid") || !strings.Contains(text, "secret: is bad") {
		t.Errorf("it reads %q", text)
	}
}

func TestAnAnswerOfAnotherServerIsAnErrorToo(t *testing.T) {
	for name, body := range map[string]string{"a page": "<html>Bad Gateway", "other JSON": `{"error":"no"}`, "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			c, _ := MustServe(t, 502, http.Header{"Retry-After": {"7"}}, body)
			_, err := c.Events(t.Context(), client.EventFilter{}, client.Page{})
			refusal, ok := errors.AsType[*client.Error](err)
			if !ok || refusal.Status != 502 || refusal.Code != "" || refusal.RetryIn != 7*time.Second {
				t.Errorf("got %#v", err)
			}
		})
	}
	c, _ := MustServe(t, 200, nil, `{"data":`)
	if _, err := c.Events(t.Context(), client.EventFilter{}, client.Page{}); err == nil {
		t.Error("half an answer is no error")
	}
}

func TestARequestSaysWhoAsksForWhomAndWhat(t *testing.T) {
	c, seen := MustServe(t, 202, http.Header{"Idempotency-Replayed": {"true"}}, `{"id":"evt_1"}`)
	published, err := c.Publish(t.Context(), client.Publication{
		Type: "a.b", Data: map[string]string{"html": "<b>"}, IdempotencyKey: "k", Traceparent: "tp", Timestamp: time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC),
	})
	if err != nil || !published.Replayed || published.ID != "evt_1" {
		t.Fatalf("%+v, %v", published, err)
	}
	r := (*seen)[0]
	for name, want := range map[string]string{
		"Authorization": "Bearer gv_live_k", "Grapevine-Tenant": "acme", "Idempotency-Key": "k", "Traceparent": "tp", "Content-Type": "application/json",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	body, err := io.ReadAll(r.Body)
	if want := `{"type":"a.b","data":{"html":"<b>"},"timestamp":"2026-01-31T15:04:05Z"}` + "\n"; string(body) != want || err != nil {
		t.Errorf("sent %s, %v", body, err)
	}
}

func TestAnIdCantLeaveItsPlaceInThePath(t *testing.T) {
	c, seen := MustServe(t, 200, nil, `{}`)
	if _, err := c.Event(t.Context(), "../tenants?x#y"); err != nil {
		t.Fatal(err)
	}
	if got := (*seen)[0].URL.EscapedPath(); got != "/v1/events/..%2Ftenants%3Fx%23y" {
		t.Errorf("asked for %s", got)
	}
}

func TestGoingThroughAListEndsWithTheFirstError(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if r.URL.Query().Get("cursor") == "" {
			_ = json.NewEncoder(w).Encode(map[string]any{"data": []map[string]string{{"id": "evt_1"}, {"id": "evt_2"}}, "next_cursor": "c"})
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, "k")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	var last error
	for e, err := range c.AllEvents(t.Context(), client.EventFilter{}) {
		if last = err; err == nil {
			ids = append(ids, e.ID)
		}
	}
	if diff := cmp.Diff([]string{"evt_1", "evt_2"}, ids); diff != "" || last == nil || calls != 2 {
		t.Errorf("%d calls, %v, %s", calls, last, diff)
	}
	for _, err := range c.AllEvents(t.Context(), client.EventFilter{}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if calls != 3 {
		t.Errorf("read on after the caller had stopped: %d calls", calls)
	}
}

func TestTheListOfEventTypesIsReadToItsEnd(t *testing.T) {
	var asked []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Encode())
		if r.URL.Query().Get("cursor") == "" {
			_, _ = io.WriteString(w, `{"data":[{"name":"a"},{"name":"b"}],"next_cursor":"x"}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[{"name":"c"}]}`)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL, "k")
	if err != nil {
		t.Fatal(err)
	}
	types, err := c.EventTypes(t.Context(), "rehook")
	var names []string
	for _, e := range types {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"dialect=rehook&limit=250", "cursor=x&dialect=rehook&limit=250"}, asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestAnOverlapIsSentInSecondsAndOnlyIfThereIsOne(t *testing.T) {
	c, seen := MustServe(t, 200, nil, `{}`)
	for _, tc := range []struct {
		overlap *time.Duration
		want    string // "": refused before anything is sent
	}{
		{nil, `{}`},
		{new(time.Duration(0)), `{"overlap":0}`},
		{new(90 * time.Minute), `{"overlap":5400}`},
		{new(time.Millisecond), ""},
		{new(time.Hour + time.Nanosecond), ""},
		{new(-time.Second), ""},
	} {
		for name, send := range map[string]func() error{
			"a secret": func() error {
				_, err := c.RotateSecret(t.Context(), "sub_1", client.Rotation{Overlap: tc.overlap})
				return err
			},
			"a key": func() error {
				_, err := c.RollKey(t.Context(), "ten_1", "key_1", tc.overlap)
				return err
			},
		} {
			*seen = nil
			err := send()
			if tc.want == "" {
				if err == nil || len(*seen) > 0 {
					t.Errorf("%s, %v: %v, sent %d requests", name, *tc.overlap, err, len(*seen))
				}
				continue
			}
			if err != nil || len(*seen) != 1 {
				t.Fatalf("%s, want %s: %v", name, tc.want, err)
			}
			body, err := io.ReadAll((*seen)[0].Body)
			if got := strings.TrimSpace(string(body)); got != tc.want || err != nil {
				t.Errorf("%s: sent %s, %v, want %s", name, got, err, tc.want)
			}
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	c, _ := MustServe(t, 200, nil, `{}`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Tenant(ctx, "ten_1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestABaseURLOrKeyThatCantWorkIsRefused(t *testing.T) {
	for _, base := range []string{"", "example.com", "ftp://example.com", "https://", "https://u:s3cret@example.com", "https://example.com?x=1", "://"} {
		if _, err := client.New(base, "k"); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", base, err)
		}
	}
	for _, key := range []string{"", "a b", "a\nb", "ä"} {
		if _, err := client.New("https://example.com", key); err == nil || (key != "" && strings.Contains(err.Error(), key)) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

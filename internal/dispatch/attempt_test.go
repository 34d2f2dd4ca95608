package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// once is a policy of one attempt.
var once = webhook.Policy{Schedule: []time.Duration{}}

// raw answers every request, once it is read, with the bytes given, and then
// keeps the connection open.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, conn)
	}
}

func TestAnswersThatAreOddAreJudgedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		status int
		reason wire.Reason
	}{
		"nothing but a protocol switch":        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 101, wire.ReasonServerError},
		"a hint before the answer":             {"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, wire.ReasonOK},
		"hints without end":                    {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10_000), 0, "protocol"},
		"a hint and nothing more":              {"HTTP/1.1 100 Continue\r\n\r\n", 0, "timeout"},
		"not modified":                         {"HTTP/1.1 304 Not Modified\r\n\r\n", 304, wire.ReasonRedirect},
		"a redirect to nowhere":                {"HTTP/1.1 302 Found\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n", 302, wire.ReasonRedirect},
		"a redirect without a place":           {"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n\r\n", 307, wire.ReasonRedirect},
		"a body and no head":                   {"hello\n", 0, "protocol"},
		"a status that is not a number":        {"HTTP/1.1 OK OK\r\n\r\n", 0, "protocol"},
		"another protocol":                     {"SSH-2.0-OpenSSH_9.9\r\n", 0, "protocol"},
		"two lengths":                          {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 0, "protocol"},
		"a head that never ends":               {"HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 1<<20), 0, "protocol"},
		"less than it said":                    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", 200, "timeout"},
		"chunks that are none":                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", 200, "protocol"},
		"an answer of 1996":                    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, wire.ReasonOK},
		"a failure that no standard describes": {"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n", 799, wire.ReasonServerError},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				sub := s.MustSubscribe(t, "odd.example", once, raw(c.answer))
				event := s.MustPublish(t, 1)[0]
				settle(16 * time.Second)
				d, attempts := s.MustDelivery(t, event, sub)
				if len(attempts) != 1 {
					t.Fatalf("no attempt has ended: %+v", d)
				}
				if a := attempts[0]; a.ResponseStatus != c.status || a.Reason != c.reason || a.Timing.Total > 15*time.Second {
					t.Errorf("%d %s (%s) after %s", a.ResponseStatus, a.Reason, a.Error, a.Timing.Total)
				}
				if want := c.reason == wire.ReasonOK; (d.Status == webhook.Delivered) != want {
					t.Errorf("it is %s", d.Status)
				}
			})
		})
	}
}

func TestAReceiverMayAnswerBeforeItHasReadTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "hasty.example", once, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!")
			_, _ = io.Copy(io.Discard, conn) // a pipe, unlike a socket, has no room for what is not read
		})
		data := []byte(`{"text":"` + strings.Repeat("x", 200_000) + `"}`)
		published, _, err := s.Webhooks.Publish(t.Context(), s.Tenant, webhook.Publishing{Publications: []webhook.Publication{{Type: "a.b", Data: data}}})
		if err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if d, attempts := s.MustDelivery(t, published[0].ID, sub); d.ResponseStatus != http.StatusRequestEntityTooLarge || string(attempts[0].Body) != "no!" {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

func TestSixteenKiBOfABodyAreKeptAndSixtyFourRead(t *testing.T) {
	for _, c := range []struct{ size, kept, conns int }{
		{0, 0, 1},
		{1, 1, 1},
		{16<<10 - 1, 16<<10 - 1, 1},
		{16 << 10, 16 << 10, 1},
		{16<<10 + 1, 16 << 10, 1},
		{64<<10 - 1, 16 << 10, 1},
		{64<<10 + 1, 16 << 10, 2},
		{10 << 20, 16 << 10, 2},
	} {
		bubble(t, func(t *testing.T, s *testkit.Sender) {
			var written atomic.Int64
			sub := s.MustSubscribe(t, "wordy.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, _ *http.Request) {
				for left := c.size; left > 0; {
					n, err := io.WriteString(w, strings.Repeat("x", min(left, 1000)))
					written.Add(int64(n))
					if left -= n; err != nil {
						return
					}
				}
			})
			for range 2 {
				event := s.MustPublish(t, 1)[0]
				settle(time.Second)
				d, attempts := s.MustDelivery(t, event, sub)
				if d.Status != webhook.Delivered || len(attempts[0].Body) != c.kept {
					t.Fatalf("%d of %d bytes were kept: %+v", len(attempts[0].Body), c.size, d)
				}
			}
			if n := s.Net.Dials("wordy.example"); n != c.conns {
				t.Errorf("with bodies of %d bytes two requests took %d connections, not %d", c.size, n, c.conns)
			}
			if most := int64(2 * (64<<10 + 16<<10)); written.Load() > most { // what buffers on the way hold comes on top
				t.Errorf("%d bytes of two bodies were taken", written.Load())
			}
		})
	}
}

func TestTheHeadersOfAnAnswerAreKeptInOrderAndWithinBounds(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "wordy.example", once, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Date"], h["X-B"], h["X-A"] = nil, []string{"1", "2"}, []string{"3"}
			h.Set("A-Long-One", strings.Repeat("x", 20_000))
			h.Set("Set-Cookie", "session=secret")
			h.Set("Set-Cookie2", "session=secret")
		})
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		_, attempts := s.MustDelivery(t, event, sub)
		want := []wire.Header{{Name: "Content-Length", Value: "0"}, {Name: "X-A", Value: "3"}, {Name: "X-B", Value: "1"}, {Name: "X-B", Value: "2"}}
		if diff := cmp.Diff(want, attempts[0].Headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	})
}

func TestNoHeaderOfASubscriptionReplacesOneOfOurs(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var mu sync.Mutex
		var got http.Header
		s.Net.MustServe(t, "good.example", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			got = r.Header.Clone()
		}))
		a := &webhook.Subscription{
			Dialect: standard.Dialect{}, URL: "http://good.example/", Enabled: true,
			Auth:    webhook.Auth{Type: webhook.BearerAuth, Token: "token"},
			Secrets: []webhook.Secret{{Value: "whsec_" + strings.Repeat("A", 44)}},
		}
		// As an earlier version may have stored them, when they were not reserved.
		for _, name := range []string{
			"Authorization", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Content-Type", "User-Agent",
			"X-Grapevine-Event-Id", "X-Grapevine-Event-Type", "X-Grapevine-Attempt", "Traceparent", "X-Own",
		} {
			a.Headers = append(a.Headers, wire.Header{Name: name, Value: "own"})
		}
		result := s.Attempter.Attempt(t.Context(), a, wire.Message{Type: "a.b", Body: []byte("{}"), SentAt: time.Now(), Attempt: 1}, "00-1-2-00")
		if result.Verdict != wire.Delivered {
			t.Fatalf("%+v", result)
		}
		mu.Lock()
		defer mu.Unlock()
		for name, values := range got {
			if own := len(values) == 1 && values[0] == "own"; len(values) != 1 || own != (name == "X-Own") {
				t.Errorf("%s: %q", name, values)
			}
		}
	})
}

func TestWhatCanNotBeSignedOrAuthenticatedIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		s.Net.MustServe(t, "good.example", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		valid := []webhook.Secret{{Value: "whsec_" + strings.Repeat("A", 44)}}
		certificate, key := testkit.MustAuthority(t).MustIssue(t, "ann", time.Now().Add(time.Hour))
		for name, sub := range map[string]*webhook.Subscription{
			"no secret":            {},
			"a secret that is bad": {Secrets: []webhook.Secret{{Value: "whsec_A"}}},
			"secrets that expired": {Secrets: []webhook.Secret{{Value: valid[0].Value, ExpiresAt: time.Now()}}},
			"an unknown auth":      {Secrets: valid, Auth: webhook.Auth{Type: "digest"}},
			"no user":              {Secrets: valid, Auth: webhook.Auth{Type: webhook.BasicAuth, Password: "x"}},
			"no password":          {Secrets: valid, Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "x"}},
			"no token":             {Secrets: valid, Auth: webhook.Auth{Type: webhook.BearerAuth}},
			"no certificate":       {Secrets: valid, Auth: webhook.Auth{Type: webhook.MTLSAuth}},
			"a damaged key":        {Secrets: valid, Auth: webhook.Auth{Type: webhook.MTLSAuth, Certificate: certificate, PrivateKey: "x"}},
			"a key alone":          {Secrets: valid, Auth: webhook.Auth{Type: webhook.BearerAuth, Token: "x", PrivateKey: key}},
			"a damaged authority":  {Secrets: valid, CA: "x"},
		} {
			sub.Dialect, sub.URL, sub.Enabled = standard.Dialect{}, "http://good.example/", true
			result := s.Attempter.Attempt(t.Context(), sub, wire.Message{Type: "a.b", Body: []byte("{}"), SentAt: time.Now(), Attempt: 1}, "")
			if result.Verdict != wire.Refused || result.Reason != "configuration" {
				t.Errorf("%s: %+v", name, result)
			}
		}
		if calls.Load() != 0 {
			t.Errorf("%d requests were sent", calls.Load())
		}
	})
}

func TestAConnectionThatFailedIsNotUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		sub := s.MustSubscribe(t, "shaky.example", webhook.Policy{MaxInFlight: 1, Schedule: []time.Duration{time.Second}}, func(w http.ResponseWriter, r *http.Request) {
			switch calls.Add(1) {
			case 2:
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			case 4:
				silent(w, r)
			}
		})
		for i, want := range []int{1, 2, 2, 1} {
			event := s.MustPublish(t, 1)[0]
			settle(20 * time.Second)
			if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || len(attempts) != want {
				t.Errorf("event %d: %+v %+v", i, d, attempts)
			}
		}
	})
}

func TestAReceiverThatHangsUpUnansweredIsAskedOnceMoreIfTheConnectionWasNotNew(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		sub := s.MustSubscribe(t, "shaky.example", webhook.Policy{MaxInFlight: 1, Schedule: []time.Duration{}}, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			if n := calls.Add(1); n == 2 || n >= 4 {
				panic(http.ErrAbortHandler)
			}
		})
		for i, want := range []struct {
			status webhook.Status
			calls  int32
		}{
			{webhook.Delivered, 1},
			{webhook.Delivered, 3}, // the second was cut off
			{webhook.Failed, 5},    // the fourth and the one that repeats it
			{webhook.Failed, 6},    // a new connection is not repeated
		} {
			event := s.MustPublish(t, 1)[0]
			settle(20 * time.Second)
			d, attempts := s.MustDelivery(t, event, sub)
			if d.Status != want.status || len(attempts) != 1 || calls.Load() != want.calls {
				t.Errorf("event %d, after %d calls: %+v %+v", i, calls.Load(), d, attempts)
			}
		}
	})
}

func TestAStopThatCutsAnAnswerOffLeavesTheDeliveryAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var cut atomic.Bool
		cut.Store(true)
		sub := s.MustSubscribe(t, "slow.example", once, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, "half of it")
			if cut.Load() {
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
		})
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.Stop(ctx)
		cut.Store(false)
		s.MustStart(t, testkit.SenderOptions{})
		settle(time.Minute)
		if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || len(attempts) != 1 {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

func TestAStopEndsAlthoughNothingCanBeRecorded(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{})
		sub := s.MustSubscribe(t, "good.example", webhook.Policy{}, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		events := slices.Concat(s.MustPublish(t, 1000), s.MustPublish(t, 1000), s.MustPublish(t, 1000))
		settle(100 * time.Millisecond)
		_ = s.DB.Close()
		settle(time.Minute)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s.Stop(ctx)
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("it took %s", took)
		}
		s.MustStart(t, testkit.SenderOptions{})
		settle(time.Hour)
		for _, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Fatalf("%+v", d)
			}
		}
	})
}

func TestASecretAcrossTheCutOfABodyOrInsideAnotherIsHidden(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		const long, short = "SuperSecretToken-0123456789-tail", "SecretToken-"
		s.Net.MustServe(t, "echo.example", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, long, strings.Repeat(".", 16<<10-len(long)-10), long)
		}))
		sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{
			URL: "http://echo.example/", EventTypes: []string{"*"}, Headers: map[string]string{"A-Key": short, "B-Key": long},
		})
		if err != nil {
			t.Fatal(err)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		_, attempts := s.MustDelivery(t, event, sub)
		if body := string(attempts[0].Body); len(body) > 16<<10 || strings.Contains(body, "Super") || strings.Contains(body, "tail") {
			t.Errorf("%d bytes are stored: %.40q … %q", len(body), body, body[len(body)-20:])
		}
	})
}

func TestARequestHasExactlyTheHeadersThatItShould(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		requests := make(chan *http.Request, 2)
		take := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { requests <- r })
		s.Net.MustServe(t, "basic.example", take)
		s.Net.MustServe(t, "bearer.example", take)
		for host, auth := range map[string]webhook.Auth{
			"basic.example":  {Type: webhook.BasicAuth, Username: "user", Password: "pass word"},
			"bearer.example": {Type: webhook.BearerAuth, Token: "abc.def"},
		} {
			if _, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{
				URL: "http://" + host + "/", EventTypes: []string{"*"}, Auth: auth, Headers: map[string]string{"x-team": "billing"},
			}); err != nil {
				t.Fatal(err)
			}
		}
		const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		answers, _, err := s.Webhooks.Publish(t.Context(), s.Tenant, webhook.Publishing{
			Publications: []webhook.Publication{{Type: "invoice.paid", Data: []byte(`{}`)}}, Traceparent: traceparent,
		})
		if err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		event := id.Event.Format(answers[0].ID)
		for range 2 {
			r := <-requests
			got := r.Header.Clone()
			for _, changing := range []string{"Webhook-Timestamp", "Webhook-Signature", "Content-Length"} {
				if got.Get(changing) == "" {
					t.Errorf("%s is missing", changing)
				}
				got.Del(changing)
			}
			want := http.Header{
				"Content-Type": {"application/json"}, "User-Agent": {"Grapevine/test"}, "Webhook-Id": {event},
				"X-Grapevine-Event-Id": {event}, "X-Grapevine-Event-Type": {"invoice.paid"}, "X-Grapevine-Attempt": {"1"},
				"Traceparent": {traceparent}, "X-Team": {"billing"}, "Authorization": {"Basic dXNlcjpwYXNzIHdvcmQ="},
			}
			if r.Host == "bearer.example" {
				want["Authorization"] = []string{"Bearer abc.def"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", r.Host, diff)
			}
		}
	})
}

package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// bubble runs fn with a sender in virtual time.
func bubble(t *testing.T, fn func(t *testing.T, s *testkit.Sender)) {
	t.Helper()
	testkit.VirtualTime(t, func(t *testing.T) { fn(t, testkit.NewSender(t, testkit.SenderOptions{})) })
}

// settle lets everything happen that happens within d.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// silent takes a request and never answers it.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
	<-r.Context().Done()
}

func TestAnEventIsDeliveredAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "good.example", webhook.Policy{}, answer(http.StatusOK))
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Delivered || len(attempts) != 1 || attempts[0].ResponseStatus != http.StatusOK {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

func TestTheWholeScheduleRunsWithinItsJitter(t *testing.T) {
	wall := time.Now()
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "down.example", webhook.Policy{}, answer(http.StatusInternalServerError))
		event := s.MustPublish(t, 1)[0]
		settle(100 * time.Hour)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Failed || len(attempts) != 10 {
			t.Fatalf("%s after %d attempts", d.Status, len(attempts))
		}
		delays := standard.Dialect{}.Schedule().Delays
		for i, delay := range delays {
			got := attempts[i+1].StartedAt.Sub(attempts[i].StartedAt)
			if least, most := delay*9/10, delay*11/10+time.Second; got < least || got > most {
				t.Errorf("attempt %d came %s after the one before, not within %s and %s", i+2, got, least, most)
			}
		}
		if total := attempts[9].StartedAt.Sub(attempts[0].StartedAt); total < 68*time.Hour || total > 83*time.Hour+30*time.Minute {
			t.Errorf("the schedule took %s", total)
		}
	})
	took, most := time.Since(wall), time.Second
	if testkit.RaceDetector {
		most = 10 * time.Second
	}
	t.Logf("three days took %s", took.Round(time.Millisecond))
	if took > most {
		t.Errorf("that is more than %s", most)
	}
}

func TestADeliveryThatFailsTwiceIsDeliveredOnTheThirdAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		policy := webhook.Policy{Schedule: []time.Duration{time.Second, 2 * time.Second, time.Hour}}
		sub := s.MustSubscribe(t, "flaky.example", policy, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) < 3 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		event := s.MustPublish(t, 1)[0]
		settle(5 * time.Second)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Delivered || len(attempts) != 3 {
			t.Fatalf("%s after %d attempts", d.Status, len(attempts))
		}
	})
}

func TestAnEmptyScheduleMeansOneAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "down.example", webhook.Policy{Schedule: []time.Duration{}}, answer(http.StatusTeapot))
		event := s.MustPublish(t, 1)[0]
		settle(time.Hour)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Failed || d.Attempts != 1 {
			t.Fatalf("%+v", d)
		}
	})
}

func TestAnEndpointThatNeverAnswersTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "silent.example", webhook.Policy{Schedule: []time.Duration{}, Timeout: 3 * time.Second}, silent)
		event := s.MustPublish(t, 1)[0]
		settle(4 * time.Second)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Failed || d.Reason != "timeout" || attempts[0].Timing.Total != 3*time.Second {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

func TestABodyThatNeverEndsTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "dripping.example", webhook.Policy{Schedule: []time.Duration{}}, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		})
		event := s.MustPublish(t, 1)[0]
		settle(time.Minute)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Failed || d.Reason != "timeout" {
			t.Fatalf("%+v", d)
		}
	})
}

func TestGoneDisablesTheSubscriptionAndCancelsWhatIsPending(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		status := atomic.Int32{}
		status.Store(http.StatusInternalServerError)
		sub := s.MustSubscribe(t, "leaving.example", webhook.Policy{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
		events := s.MustPublish(t, 20)
		settle(time.Second)
		status.Store(http.StatusGone)
		settle(10 * time.Second)
		found, err := s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID)
		if err != nil || found.Enabled || found.Reason != "gone" {
			t.Fatalf("%+v %v", found, err)
		}
		for _, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Cancelled || d.Reason != "gone" {
				t.Errorf("%+v", d)
			}
		}
		late := s.MustPublish(t, 1)[0]
		settle(time.Hour)
		if d, attempts := s.MustDelivery(t, late, sub); d.Status != webhook.Held || len(attempts) != 0 {
			t.Errorf("%+v %+v", d, attempts)
		}
	})
}

func TestThrottlingPausesTheWholeSubscriptionAndThenProbesOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var mu sync.Mutex
		var at []time.Duration
		var events []string
		throttle := true
		start := time.Now()
		s.MustSubscribe(t, "limited.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			at, events = append(at, time.Since(start).Round(time.Second)), append(events, r.Header.Get("Webhook-Id"))
			if throttle {
				w.Header().Set("Retry-After", "600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		s.MustPublish(t, 5)
		settle(9 * time.Minute)
		mu.Lock()
		if len(at) != 1 {
			t.Fatalf("it was asked for ten minutes and came back at %v", at)
		}
		mu.Unlock()
		settle(2 * time.Minute)
		mu.Lock()
		if len(at) != 2 || at[1] < 10*time.Minute || events[1] == events[0] {
			t.Fatalf("one probe with another event was due after ten minutes: %v %v", at, events)
		}
		throttle = false
		mu.Unlock()
		settle(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(at) != 7 { // two throttled, five delivered
			t.Fatalf("attempts at %v", at)
		}
	})
}

func TestOnePoisonousEventDoesNotStopTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var poison atomic.Value
		poison.Store("")
		sub := s.MustSubscribe(t, "picky.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, r *http.Request) {
			if poison.CompareAndSwap("", r.Header.Get("Webhook-Id")) || poison.Load() == r.Header.Get("Webhook-Id") {
				w.WriteHeader(http.StatusBadGateway)
			}
		})
		events := s.MustPublish(t, 50)
		settle(time.Second)
		delivered := 0
		for _, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status == webhook.Delivered {
				delivered++
			}
		}
		if delivered != 49 {
			t.Fatalf("%d of 49 others were delivered", delivered)
		}
	})
}

func TestABusyEndpointIsPausedAfterThreeDifferentEvents(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		s.MustSubscribe(t, "busy.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		s.MustPublish(t, 100)
		settle(4 * time.Second)
		if n := calls.Load(); n != 3 {
			t.Fatalf("%d attempts before the pause", n)
		}
		settle(3 * time.Second)
		if n := calls.Load(); n != 4 {
			t.Fatalf("%d attempts after one pause", n)
		}
	})
}

func TestAFailedEndpointDoesNotSlowAnother(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.MustSubscribe(t, "dead.example", webhook.Policy{}, silent)
		var worst atomic.Int64
		for range 30 {
			s.MustPublish(t, 100)
		}
		s.MustSubscribe(t, "live.example", webhook.Policy{}, func(w http.ResponseWriter, _ *http.Request) { time.Sleep(5 * time.Millisecond) })
		for range 100 {
			start := time.Now()
			event := s.MustPublish(t, 1)[0]
			settle(10 * time.Millisecond)
			deliveries, _, err := s.Webhooks.Deliveries(t.Context(), s.Tenant, webhook.DeliveryFilter{EventID: event, Status: "delivered"}, webhook.Page{Limit: 10})
			if err != nil || len(deliveries) != 1 {
				t.Fatalf("the live endpoint has %d deliveries after 10 ms: %v", len(deliveries), err)
			}
			worst.Store(max(worst.Load(), int64(deliveries[0].UpdatedAt.Sub(start))))
		}
		if w := time.Duration(worst.Load()); w > 10*time.Millisecond {
			t.Errorf("the slowest delivery took %s", w)
		}
	})
}

func TestMaxInFlightAndRateAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var now, most atomic.Int32
		s.MustSubscribe(t, "narrow.example", webhook.Policy{MaxInFlight: 3}, func(http.ResponseWriter, *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(10 * time.Millisecond)
			now.Add(-1)
		})
		var mu sync.Mutex
		var times []time.Time
		s.MustSubscribe(t, "slow.example", webhook.Policy{Rate: 10}, func(http.ResponseWriter, *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
		})
		s.MustPublish(t, 100)
		settle(time.Minute)
		if most.Load() != 3 {
			t.Errorf("%d attempts were under way at once, not 3", most.Load())
		}
		mu.Lock()
		defer mu.Unlock()
		if len(times) != 100 {
			t.Fatalf("%d deliveries", len(times))
		}
		for i := 10; i < len(times); i++ {
			if gap := times[i].Sub(times[i-10]); gap < 990*time.Millisecond {
				t.Fatalf("eleven attempts within %s at a rate of ten a second", gap)
			}
		}
		if took := times[99].Sub(times[0]); took > 10500*time.Millisecond {
			t.Errorf("a hundred took %s at a rate of ten a second", took)
		}
	})
}

func TestFirstAttemptsAreNotStarvedByRetries(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var failing atomic.Bool
		failing.Store(true)
		sub := s.MustSubscribe(t, "recovering.example", webhook.Policy{MaxInFlight: 1, Schedule: []time.Duration{time.Hour, time.Hour}}, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			if failing.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		s.MustPublish(t, 1000)
		settle(30 * time.Minute)
		failing.Store(false)
		settle(40*time.Minute - 30*time.Second)
		for range 3 {
			event := s.MustPublish(t, 1)[0]
			settle(time.Second)
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Fatalf("a new event is %s behind the retries", d.Status)
			}
		}
	})
}

func TestMoreThanTheWindowHoldsIsReadFromTheTable(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{MaxInFlight: 64, MaxMemoryBytes: 4096})
		seen := make(map[string]int)
		var mu sync.Mutex
		for i := range 3 {
			s.MustSubscribe(t, fmt.Sprintf("host%d.example", i), webhook.Policy{}, func(_ http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				seen[r.Host+r.Header.Get("Webhook-Id")]++
			})
		}
		for range 2 {
			s.MustPublish(t, 1000)
		}
		settle(time.Hour)
		if len(seen) != 3*2000 {
			t.Errorf("%d of %d deliveries arrived", len(seen), 3*2000)
		}
		for key, n := range seen {
			if n != 1 {
				t.Fatalf("%s arrived %d times", key, n)
			}
		}
	})
}

func TestAStopLosesNothingAndARestartGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var mu sync.Mutex
		seen := make(map[string]int)
		sub := s.MustSubscribe(t, "slow.example", webhook.Policy{MaxInFlight: 4}, func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(300 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			seen[r.Header.Get("Webhook-Id")]++
		})
		events := s.MustPublish(t, 100)
		settle(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s.Stop(ctx)
		mu.Lock()
		before := len(seen)
		mu.Unlock()
		if before == 0 || before == 100 {
			t.Fatalf("%d deliveries before the stop: the test shows nothing", before)
		}
		settle(time.Minute)
		s.MustStart(t, testkit.SenderOptions{})
		settle(time.Minute)
		for _, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || seen[id.Event.Format(event)] != 1 {
				t.Errorf("%s after %d arrivals", d.Status, seen[id.Event.Format(event)])
			}
		}
	})
}

func TestRetryingByHandMakesADeliveryDueNow(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var failing atomic.Bool
		failing.Store(true)
		sub := s.MustSubscribe(t, "repaired.example", webhook.Policy{Schedule: []time.Duration{time.Hour}}, func(w http.ResponseWriter, _ *http.Request) {
			if failing.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		pending, failed := s.MustPublish(t, 1)[0], s.MustPublish(t, 1)[0]
		settle(time.Second)
		if _, err := s.Webhooks.Retry(t.Context(), s.Tenant, failed, sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(3 * time.Hour)
		if d, _ := s.MustDelivery(t, failed, sub); d.Status != webhook.Failed || d.Attempts != 3 {
			t.Fatalf("the schedule did not begin again: %+v", d)
		}
		failing.Store(false)
		for _, event := range []id.ID{pending, failed} {
			if _, err := s.Webhooks.Retry(t.Context(), s.Tenant, event, sub.ID); err != nil {
				t.Fatal(err)
			}
			settle(time.Second)
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestARetryWhileAnAttemptIsUnderWayIsNotLost(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		sub := s.MustSubscribe(t, "slow.example", webhook.Policy{Schedule: []time.Duration{}}, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(2 * time.Second)
			if calls.Add(1) == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		if _, err := s.Webhooks.Retry(t.Context(), s.Tenant, event, sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(10 * time.Second)
		if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || len(attempts) != 2 {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

func TestADisabledSubscriptionGetsNothingUntilItIsEnabled(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var calls atomic.Int32
		sub := s.MustSubscribe(t, "resting.example", webhook.Policy{}, func(w http.ResponseWriter, _ *http.Request) {
			if calls.Add(1) <= 3 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		pending := s.MustPublish(t, 3)
		settle(time.Second)
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		held := s.MustPublish(t, 1)[0]
		settle(24 * time.Hour)
		if calls.Load() != 3 {
			t.Fatalf("%d calls while it was disabled", calls.Load()-3)
		}
		if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		for _, event := range pending {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Errorf("%+v", d)
			}
		}
		if d, _ := s.MustDelivery(t, held, sub); d.Status != webhook.Held {
			t.Errorf("%+v", d)
		}
	})
}

func TestAnAddressThatIsNotAllowedIsRefusedBeforeAnythingIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "good.example", webhook.Policy{Schedule: []time.Duration{}}, answer(http.StatusOK))
		s.Net.Repoint("good.example", "127.0.0.1") // the name leads elsewhere since
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Failed || d.Reason != "blocked" || attempts[0].Verdict != wire.Refused {
			t.Fatalf("%+v %+v", d, attempts)
		}
	})
}

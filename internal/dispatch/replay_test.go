package dispatch_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// mustRecover starts the recovery of all that a subscription has missed.
func mustRecover(t *testing.T, s *testkit.Sender, sub *webhook.Subscription) id.ID {
	t.Helper()
	r, err := s.Webhooks.Recover(t.Context(), s.Tenant, sub.ID, time.Now().Add(-24*time.Hour), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func TestWhatIsRecoveredIsSentAndNewEventsDoNotWaitForIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		const lost = 2000
		var taken atomic.Int64
		sub := s.MustSubscribe(t, "lame.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Millisecond)
			taken.Add(1)
			w.WriteHeader(http.StatusNoContent)
		})
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		events := append(s.MustPublish(t, lost/2), s.MustPublish(t, lost/2)...)
		if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		replay := mustRecover(t, s, sub)
		settle(time.Second)
		before := taken.Load()
		if before == 0 || before > lost/2 {
			t.Fatalf("%d of %d are sent in the first second", before, lost)
		}
		live := s.MustPublish(t, 1)[0]
		settle(100 * time.Millisecond)
		if d, _ := s.MustDelivery(t, live, sub); d.Status != webhook.Delivered {
			t.Errorf("a new event is %s while a recovery is sent", d.Status)
		}
		settle(time.Minute)
		for _, event := range events {
			if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || len(attempts) != 1 {
				t.Fatalf("a delivery is %s after %d attempts", d.Status, len(attempts))
			}
		}
		if r, err := s.Webhooks.Replay(t.Context(), s.Tenant, replay); err != nil || r.State != "completed" || r.Done != lost {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestWhatIsReplayedHasTheNormalSchedule(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "lame.example", webhook.Policy{Schedule: []time.Duration{time.Minute}}, answer(http.StatusInternalServerError))
		event := s.MustPublish(t, 1)[0]
		settle(time.Hour)
		mustRecover(t, s, sub)
		settle(time.Second)
		if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Retrying || len(attempts) != 3 {
			t.Errorf("the delivery is %s after %d attempts", d.Status, len(attempts))
		}
		settle(time.Hour)
		if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Failed || len(attempts) != 4 {
			t.Errorf("the delivery is %s after %d attempts", d.Status, len(attempts))
		}
	})
}

func TestWhatWasHeldIsSentOnceItIsRecovered(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "rested.example", webhook.Policy{}, answer(http.StatusNoContent))
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Hour)
		if _, err := s.Webhooks.EnableAndRecover(t.Context(), s.Tenant, sub.ID, time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if d, attempts := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered || len(attempts) != 1 {
			t.Errorf("the delivery is %s after %d attempts", d.Status, len(attempts))
		}
	})
}

func TestRecoveringAnEndpointThatIsPausedSendsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var well atomic.Bool
		sub := s.MustSubscribe(t, "lame.example", once, func(w http.ResponseWriter, _ *http.Request) {
			if !well.Load() {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		failed := s.MustPublish(t, 1)[0]
		settle(time.Second)
		waiting := s.MustPublish(t, 1)[0]
		settle(time.Minute)
		well.Store(true)
		mustRecover(t, s, sub)
		settle(time.Second)
		for _, event := range []id.ID{failed, waiting} {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Errorf("a delivery is %s %s", d.Status, d.Reason)
			}
		}
	})
}

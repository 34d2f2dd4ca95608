package dispatch_test

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

var ordered = webhook.Policy{Ordered: true}

// series notes which events an endpoint took, in their order, and whether several
// came at once.
type series struct {
	mu     sync.Mutex
	tried  []string
	took   []string
	now    int
	peak   int
	takes  time.Duration
	answer func(event string, n int) int // n: how often it has come; nil: 200
}

func (s *series) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event := r.Header.Get("Webhook-Id")
	s.mu.Lock()
	s.tried = append(s.tried, event)
	n := 0
	for _, other := range s.tried {
		if other == event {
			n++
		}
	}
	s.now++
	s.peak = max(s.peak, s.now)
	takes, status := s.takes, http.StatusOK
	if s.answer != nil {
		status = s.answer(event, n)
	}
	s.mu.Unlock()
	time.Sleep(takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	if status == http.StatusOK {
		s.took = append(s.took, event)
	}
	w.WriteHeader(status)
}

// count returns how many requests there were.
func (s *series) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tried)
}

func (s *series) set(answer func(event string, n int) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// wantTaken fails the test unless the endpoint took these events, in this order
// and one at a time.
func (s *series) wantTaken(t *testing.T, events []id.ID) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) != len(events) {
		t.Errorf("%d were taken, want %d", len(s.took), len(events))
	}
	for i := range min(len(s.took), len(events)) {
		if want := id.Event.Format(events[i]); s.took[i] != want {
			t.Errorf("the %d. is %s, want %s", i, s.took[i], want)
			break
		}
	}
	if s.peak > 1 {
		t.Errorf("%d at once", s.peak)
	}
}

func mustPublishOneByOne(t *testing.T, s *testkit.Sender, count int) []id.ID {
	t.Helper()
	var events []id.ID
	for range count {
		events = append(events, s.MustPublish(t, 1)...)
	}
	return events
}

func TestAnOrderedSubscriptionGetsEventsOneAtATimeInTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{takes: 10 * time.Millisecond}
		s.MustSubscribe(t, "ordered.example", ordered, in.ServeHTTP)
		events := mustPublishOneByOne(t, s, 50)
		events = append(events, s.MustPublish(t, 100)...)
		settle(10 * time.Second)
		in.wantTaken(t, events)
	})
}

func TestADeliveryThatFailsHoldsUpTheOnesBehindIt(t *testing.T) {
	for name, c := range map[string]struct {
		fails  int // attempts of the third event
		after  time.Duration
		took   []int
		status webhook.Status
	}{
		"until it succeeds":               {2, 4 * time.Minute, []int{0, 1}, webhook.Retrying},
		"and then they follow":            {2, 7 * time.Minute, []int{0, 1, 2, 3, 4}, webhook.Delivered},
		"until its schedule is at an end": {100, 20 * time.Minute, []int{0, 1, 3, 4}, webhook.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				in := &series{}
				policy := webhook.Policy{Ordered: true, Schedule: []time.Duration{10 * time.Second, 5 * time.Minute, 5 * time.Minute}}
				sub := s.MustSubscribe(t, "ordered.example", policy, in.ServeHTTP)
				other := &series{}
				s.MustSubscribe(t, "other.example", webhook.Policy{}, other.ServeHTTP)
				var third string
				in.set(func(event string, n int) int {
					if len(in.took) == 2 && third == "" {
						third = event
					}
					if event == third && n <= c.fails {
						return http.StatusInternalServerError
					}
					return http.StatusOK
				})
				events := s.MustPublish(t, 5)
				settle(c.after)
				var want []id.ID
				for _, i := range c.took {
					want = append(want, events[i])
				}
				in.wantTaken(t, want)
				if d, _ := s.MustDelivery(t, events[2], sub); d.Status != c.status {
					t.Errorf("the third is %+v", d)
				}
				if len(other.took) != 5 {
					t.Errorf("another subscription got %d", len(other.took))
				}
			})
		})
	}
}

func TestOrderHoldsThroughCrashesAndRestarts(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		rng, moods := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(1, 2))
		in := &series{takes: 50 * time.Millisecond}
		in.answer = func(string, int) int { return []int{200, 200, 200, 500, 404}[moods.IntN(5)] }
		policy := webhook.Policy{Ordered: true, Schedule: slices.Repeat([]time.Duration{time.Second}, 50)}
		s.MustSubscribe(t, "ordered.example", policy, in.ServeHTTP)
		var events []id.ID
		for range 12 {
			events = append(events, mustPublishOneByOne(t, s, 5)...)
			events = append(events, s.MustPublish(t, 20)...)
			settle(700 * time.Millisecond)
			if rng.IntN(2) == 0 {
				s.MustCrash(t, testkit.SenderOptions{})
				continue
			}
			s.Stop(t.Context())
			s.MustStart(t, testkit.SenderOptions{})
		}
		settle(time.Hour)
		in.mu.Lock()
		in.took = slices.Compact(in.took) // the same one again, where a crash came before its record
		in.peak = 1                       // a request that a crash cut off may still be answered
		in.mu.Unlock()
		in.wantTaken(t, events)
	})
}

func TestMoreThanAWindowOfEventsIsSentInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{}
		in.answer = func(string, int) int { return http.StatusServiceUnavailable }
		sub := s.MustSubscribe(t, "ordered.example", webhook.Policy{Ordered: true, NoAutoDisable: true}, in.ServeHTTP)
		var events []id.ID
		for range 15 {
			events = append(events, s.MustPublish(t, 100)...)
		}
		settle(time.Minute)
		in.set(nil)
		must[*webhook.Subscription](t)(s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID))
		settle(6 * time.Minute) // the first one's next attempt
		in.wantTaken(t, events)
	})
}

func TestWhatIsRetriedByHandComesBeforeWhatIsBehindIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{}
		in.answer = func(_ string, n int) int {
			if n == 1 && len(in.tried) <= 3 {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}
		sub := s.MustSubscribe(t, "ordered.example", webhook.Policy{Ordered: true, Schedule: []time.Duration{}}, in.ServeHTTP)
		failed := s.MustPublish(t, 3)
		settle(time.Minute)
		in.mu.Lock()
		in.takes, in.peak = 10*time.Second, 0
		in.mu.Unlock()
		waiting := s.MustPublish(t, 3)
		settle(time.Second) // the first of these is under way
		must[webhook.Delivery](t)(s.Webhooks.Retry(t.Context(), s.Tenant, failed[2], sub.ID))
		must[webhook.Delivery](t)(s.Webhooks.Retry(t.Context(), s.Tenant, failed[0], sub.ID))
		settle(time.Minute)
		in.wantTaken(t, []id.ID{waiting[0], failed[0], failed[2], waiting[1], waiting[2]})
	})
}

func TestAnEventThatIsTakenOutOfTheLineLetsTheOthersGoOn(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{}
		var first string
		in.answer = func(event string, _ int) int {
			if first == "" {
				first = event
			}
			if event == first {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}
		s.MustSubscribe(t, "ordered.example", webhook.Policy{Ordered: true, Schedule: []time.Duration{time.Hour}}, in.ServeHTTP)
		events := s.MustPublish(t, 3)
		settle(time.Minute)
		in.wantTaken(t, nil)
		if err := s.Webhooks.ExpungeBody(t.Context(), s.Tenant, events[0]); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		in.wantTaken(t, events[1:])
	})
}

func TestOrderCanBeTurnedOnAndOffWhileThingsAreUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{takes: time.Second}
		sub := s.MustSubscribe(t, "ordered.example", webhook.Policy{}, in.ServeHTTP)
		set := func(p webhook.Policy) {
			must[*webhook.Subscription](t)(s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{Policy: &p}))
		}
		s.MustPublish(t, 20)
		settle(500 * time.Millisecond)
		set(ordered)
		settle(700 * time.Millisecond)
		in.mu.Lock()
		in.peak = in.now
		begun := len(in.took)
		in.mu.Unlock()
		if begun != 8 || in.peak != 1 {
			t.Fatalf("%d were under way, and then %d at once", begun, in.peak)
		}
		events := s.MustPublish(t, 20)
		settle(20 * time.Second)
		set(webhook.Policy{})
		settle(10 * time.Second)
		if len(in.took) != 40 || in.peak < 8 {
			t.Fatalf("%d taken, %d at once", len(in.took), in.peak)
		}
		if rest := in.took[begun:20]; !slices.IsSorted(rest) {
			t.Errorf("out of order while it was ordered: %v", rest)
		}
		if rest := in.took[20:28]; rest[0] != id.Event.Format(events[0]) {
			t.Errorf("the next one is %s", rest[0])
		}
	})
}

func TestInAnOrderedQueueNoOutcomeWaitsForThoseOfOtherAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		in := &series{}
		s.MustSubscribe(t, "ordered.example", ordered, in.ServeHTTP)
		slow := &series{takes: 10 * time.Second}
		s.MustSubscribe(t, "slow.example", webhook.Policy{}, slow.ServeHTTP) // outcomes of others are under way
		begun := time.Now()
		events := s.MustPublish(t, 100)
		for in.count() < 100 && time.Since(begun) < time.Minute {
			settle(time.Millisecond)
		}
		if took := time.Since(begun); took > 250*time.Millisecond {
			t.Errorf("100 events took %s: each outcome waited for others", took)
		}
		settle(time.Minute)
		in.wantTaken(t, events)
	})
}

func TestInOrderWhatIsRecoveredComesInOrderWhateverBecameOfIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var well atomic.Bool
		var order []string
		sub := s.MustSubscribe(t, "a.example", webhook.Policy{Ordered: true, Schedule: []time.Duration{}}, func(w http.ResponseWriter, r *http.Request) {
			if !well.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			order = append(order, r.Header.Get("Webhook-Id")) // one at a time
		})
		must[*webhook.Subscription](t)(s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID))
		events := s.MustPublish(t, 3) // which are held
		must[*webhook.Subscription](t)(s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID))
		events = append(events, s.MustPublish(t, 3)...) // which fail
		settle(time.Hour)
		well.Store(true)
		mustRecover(t, s, sub)
		settle(time.Minute)
		var want []string
		for _, event := range events {
			want = append(want, id.Event.Format(event))
		}
		if !slices.Equal(order, want) {
			t.Errorf("took %v, want %v", order, want)
		}
	})
}

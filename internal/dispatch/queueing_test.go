package dispatch_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// table is a store of one subscription's deliveries whose readings take time.
type table struct {
	mu      sync.Mutex
	sub     *webhook.Subscription
	pending []webhook.Job // in the order in which they are due
	reads   int
	sent    map[id.ID]int
	reading time.Duration // how long a reading takes after its snapshot
	fails   bool
}

func newTable(count int, due time.Time) *table {
	s := &table{sub: &webhook.Subscription{ID: id.New(due), Dialect: standard.Dialect{}, Enabled: true}, sent: make(map[id.ID]int)}
	for range count {
		s.pending = append(s.pending, webhook.Job{EventID: id.New(due), Sub: s.sub, DueAt: due})
	}
	return s
}

func (s *table) Waiting(context.Context) ([]*webhook.Subscription, error) {
	return []*webhook.Subscription{s.sub}, nil
}

func (s *table) Due(_ context.Context, _ *webhook.Subscription, lane webhook.Lane, now time.Time, limit int) ([]webhook.Job, time.Time, error) {
	s.mu.Lock()
	s.reads++
	var jobs []webhook.Job
	var next time.Time
	for _, job := range s.pending {
		switch {
		case job.Status != lane || len(jobs) == limit:
		case !job.DueAt.After(now):
			jobs = append(jobs, job)
		case next.IsZero():
			next = job.DueAt
		}
	}
	fails := s.fails
	s.mu.Unlock()
	time.Sleep(s.reading)
	if fails {
		return nil, time.Time{}, errors.New("the database fails")
	}
	return jobs, next, nil
}

func (s *table) Record(_ context.Context, outcomes []webhook.Outcome, done func()) error {
	s.mu.Lock()
	for _, o := range outcomes {
		s.pending = slices.DeleteFunc(s.pending, func(j webhook.Job) bool { return j.EventID == o.Job.EventID })
		s.sent[o.Job.EventID]++
	}
	s.mu.Unlock()
	done()
	return nil
}

// Attempt succeeds after a moment.
func (s *table) Attempt(context.Context, *webhook.Subscription, wire.Message, string) webhook.Attempt {
	began := time.Now()
	time.Sleep(time.Millisecond)
	return webhook.Attempt{StartedAt: began, Verdict: wire.Delivered, Reason: wire.ReasonOK, ResponseStatus: http.StatusOK}
}

// mustSend runs a dispatcher on the table for a minute and demands that each
// delivery was made once.
func (s *table) mustSend(t *testing.T, count int, within func(*dispatch.Dispatcher)) {
	t.Helper()
	d := dispatch.New(dispatch.Options{Store: s, Attempter: s})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Stop(t.Context())
	within(d)
	settle(time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) != count {
		t.Errorf("%d of %d deliveries were made", len(s.sent), count)
	}
	for event, n := range s.sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", event, n)
		}
	}
}

func TestALaneThatRunsEmptyWhileTheOtherIsReadIsFilledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable(2000, time.Now())
		s.reading = 100 * time.Millisecond
		for i := range 100 {
			s.pending[i].Status = webhook.Retrying
			s.pending[i].DueAt = time.Now().Add(time.Duration(i) * 77 * time.Millisecond)
		}
		s.mustSend(t, 2000, func(*dispatch.Dispatcher) {})
	})
}

func TestAFirstAttemptThatIsNotDueYetByOurClockIsMadeWhenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable(10, time.Now().Add(30*time.Second)) // the clock was set back since
		s.mustSend(t, 10, func(*dispatch.Dispatcher) {})
	})
}

func TestAQueueThatCouldNotBeReadIsReadAgainButNotInARush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTable(10, time.Now())
		s.fails = true
		s.mustSend(t, 10, func(d *dispatch.Dispatcher) {
			for range 100 {
				d.Intervened(s.sub, id.ID{})
				settle(10 * time.Millisecond)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.reads > 3 {
				t.Errorf("%d readings in a second", s.reads)
			}
			s.fails = false
		})
	})
}

func TestEnablingAfterARestartSendsWhatWasPending(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var failing atomic.Bool
		failing.Store(true)
		sub := s.MustSubscribe(t, "resting.example", webhook.Policy{}, func(w http.ResponseWriter, _ *http.Request) {
			if failing.Load() {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		s.Stop(t.Context())
		s.MustStart(t, testkit.SenderOptions{})
		failing.Store(false)
		settle(time.Hour)
		if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(time.Second)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Fatalf("%+v", d)
		}
	})
}

func TestRetriesAreNotStarvedWhileAllThatMayBeInFlightIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{MaxInFlight: 2})
		var poison atomic.Value
		poison.Store("")
		sub := s.MustSubscribe(t, "slow.example", webhook.Policy{}, func(w http.ResponseWriter, r *http.Request) {
			if poison.CompareAndSwap("", r.Header.Get("Webhook-Id")) {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			time.Sleep(100 * time.Millisecond)
		})
		events := s.MustPublish(t, 1000)
		settle(7 * time.Second)
		defer settle(time.Second)
		defer s.Stop(t.Context())
		for _, event := range events {
			if id.Event.Format(event) != poison.Load() {
				continue
			}
			if d, _ := s.MustDelivery(t, event, sub); d.Attempts != 2 {
				t.Errorf("%d attempts of the one that was to be tried again after five seconds", d.Attempts)
			}
		}
	})
}

func TestTheLastAnswerOfAReplacedEndpointDoesNotPauseTheNewOne(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusGone} {
		bubble(t, func(t *testing.T, s *testkit.Sender) {
			sub := s.MustSubscribe(t, "old.example", webhook.Policy{MaxInFlight: 1}, func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Second)
				w.Header().Set("Retry-After", "86400")
				w.WriteHeader(status)
			})
			s.Net.MustServe(t, "new.example", answer(http.StatusOK))
			events := s.MustPublish(t, 3)
			settle(500 * time.Millisecond)
			if _, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{URL: new("http://new.example/")}); err != nil {
				t.Fatal(err)
			}
			settle(10 * time.Second)
			for _, event := range events {
				if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
					t.Errorf("after %d of the old endpoint: %+v", status, d)
				}
			}
		})
	}
}

package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
	reading [2]time.Duration // how long a reading of a lane takes after its snapshot
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

func (s *table) Due(_ context.Context, query webhook.DueQuery) (webhook.Due, error) {
	s.mu.Lock()
	s.reads++
	var due webhook.Due
	rows := 0
	for _, job := range s.pending {
		_, known := query.Known[job.EventID]
		switch {
		case job.Status != query.Lane || rows == query.Limit:
		case !job.DueAt.After(query.Now):
			rows++
			if !known {
				due.Jobs = append(due.Jobs, job)
			}
		case due.Next.IsZero():
			due.Next = job.DueAt
		}
	}
	if due.More = rows == query.Limit; due.More {
		due.Next = time.Time{}
	}
	fails := s.fails
	s.mu.Unlock()
	time.Sleep(s.reading[query.Lane])
	if fails {
		return webhook.Due{}, errors.New("the database fails")
	}
	return due, nil
}

func (s *table) LoadBody(_ context.Context, job *webhook.Job) error {
	job.Body = []byte("{}")
	return nil
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
	for i := range 20 { // wherever in the course of the readings the retry becomes due
		testkit.VirtualTime(t, func(t *testing.T) {
			s := newTable(1000, time.Now())
			s.sub.Policy.MaxInFlight = 4
			s.reading = [2]time.Duration{5 * time.Millisecond, 100 * time.Millisecond}
			s.pending[0].Status = webhook.Retrying
			s.pending[0].DueAt = time.Now().Add(100*time.Millisecond + time.Duration(i)*2*time.Millisecond)
			s.mustSend(t, 1000, func(*dispatch.Dispatcher) {})
		})
	}
}

func TestAFirstAttemptThatIsNotDueYetByOurClockIsMadeWhenItIs(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := newTable(10, time.Now().Add(30*time.Second)) // the clock was set back since
		s.mustSend(t, 10, func(*dispatch.Dispatcher) {})
	})
}

func TestAQueueThatCouldNotBeReadIsReadAgainButNotInARush(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
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
	testkit.VirtualTime(t, func(t *testing.T) {
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

// slowReading is a store whose readings take a second after their snapshot.
type slowReading struct{ dispatch.Store }

func (s slowReading) Due(ctx context.Context, query webhook.DueQuery) (webhook.Due, error) {
	defer time.Sleep(time.Second)
	return s.Store.Due(ctx, query)
}

func TestWhatIsReadJustNowFollowsAnInterventionToo(t *testing.T) {
	for name, intervene := range map[string]func(t *testing.T, s *testkit.Sender, event id.ID, sub *webhook.Subscription) error{
		"expunged": func(t *testing.T, s *testkit.Sender, event id.ID, _ *webhook.Subscription) error {
			return s.Webhooks.ExpungeBody(t.Context(), s.Tenant, event)
		},
		"disabled": func(t *testing.T, s *testkit.Sender, _ id.ID, sub *webhook.Subscription) error {
			_, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID)
			return err
		},
		"deleted": func(t *testing.T, s *testkit.Sender, _ id.ID, sub *webhook.Subscription) error {
			return s.Webhooks.DeleteSubscription(t.Context(), s.Tenant, sub.ID)
		},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				s := testkit.NewSender(t, testkit.SenderOptions{Store: func(s dispatch.Store) dispatch.Store { return slowReading{s} }})
				var calls atomic.Int32
				sub := s.MustSubscribe(t, "down.example", webhook.Policy{Schedule: []time.Duration{10 * time.Second}}, func(w http.ResponseWriter, _ *http.Request) {
					calls.Add(1)
					w.WriteHeader(http.StatusInternalServerError)
				})
				event := s.MustPublish(t, 1)[0]
				settle(5 * time.Second)
				d, attempts := s.MustDelivery(t, event, sub)
				if len(attempts) != 1 {
					t.Fatalf("%+v", d)
				}
				settle(time.Until(d.NextAt) + 500*time.Millisecond) // its row has been read
				if err := intervene(t, s, event, sub); err != nil {
					t.Fatal(err)
				}
				settle(time.Minute)
				if calls.Load() != 1 {
					t.Errorf("it was sent %d times", calls.Load())
				}
			})
		})
	}
}

func TestWhatWaitsInMemoryFollowsAnIntervention(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var mu sync.Mutex
		seen := make(map[string]int)
		sub := s.MustSubscribe(t, "narrow.example", webhook.Policy{MaxInFlight: 1}, func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			seen[r.Header.Get("Webhook-Id")]++
		})
		events := s.MustPublish(t, 4)
		settle(500 * time.Millisecond) // the first is under way, the others wait
		if err := s.Webhooks.ExpungeBody(t.Context(), s.Tenant, events[2]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Webhooks.Retry(t.Context(), s.Tenant, events[3], sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for i, want := range []int{1, 1, 0, 1} {
			if got := seen[id.Event.Format(events[i])]; got != want {
				t.Errorf("event %d arrived %d times, not %d", i, got, want)
			}
		}
	})
}

func TestGoneFromAnEndpointThatWasJustChosenDisablesTheSubscription(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "old.example", webhook.Policy{MaxInFlight: 1}, func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		s.Net.MustServe(t, "new.example", answer(http.StatusGone))
		s.MustPublish(t, 3)
		settle(500 * time.Millisecond)
		if _, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{URL: new("http://new.example/")}); err != nil {
			t.Fatal(err)
		}
		settle(10 * time.Second)
		if found, err := s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID); err != nil || found.Enabled || found.Reason != "gone" {
			t.Fatalf("%+v %v", found, err)
		}
	})
}

func TestCredentialsThatAReceiverSendsBackAreNotStored(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.Net.MustServe(t, "echo.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Echo", r.Header.Get("X-Api-Key"))
			_, _ = fmt.Fprintln(w, "you sent", r.Header)
		}))
		sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{
			URL: "http://echo.example/", EventTypes: []string{"*"}, Headers: map[string]string{"X-Api-Key": "abcdefgh12345678"},
			Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "grapevine", Password: "correct horse"},
		})
		if err != nil {
			t.Fatal(err)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		_, attempts := s.MustDelivery(t, event, sub)
		stored := fmt.Sprintf("%s %v", attempts[0].Body, attempts[0].Headers)
		for _, secret := range []string{"abcdefgh12345678", "correct horse", "Z3JhcGV2aW5lOmNvcnJlY3QgaG9yc2U="} {
			if strings.Contains(stored, secret) {
				t.Errorf("%q is stored: %s", secret, stored)
			}
		}
		if !strings.Contains(stored, "you sent") || strings.Count(stored, webhook.Masked) != 3 {
			t.Errorf("stored: %s", stored)
		}
	})
}

// picky is a store that never takes the outcome of one event.
type picky struct {
	dispatch.Store
	refused atomic.Value // id.ID
}

func (p *picky) Record(ctx context.Context, outcomes []webhook.Outcome, done func()) error {
	for _, o := range outcomes {
		if o.Job.EventID == p.refused.Load() {
			return errors.New("this one can't be stored")
		}
	}
	return p.Store.Record(ctx, outcomes, done)
}

func TestAnOutcomeThatCanNotBeStoredDoesNotStopTheOthers(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		store := &picky{}
		s := testkit.NewSender(t, testkit.SenderOptions{Store: func(inner dispatch.Store) dispatch.Store {
			store.Store = inner
			return store
		}})
		var calls atomic.Int32
		sub := s.MustSubscribe(t, "good.example", webhook.Policy{}, func(http.ResponseWriter, *http.Request) {
			calls.Add(1)
			time.Sleep(time.Second)
		})
		events := s.MustPublish(t, 8) // as many as may be under way at once: they end together
		store.refused.Store(events[3])
		settle(time.Hour)
		for i, event := range events {
			d, _ := s.MustDelivery(t, event, sub)
			if delivered := d.Status == webhook.Delivered; delivered != (i != 3) {
				t.Errorf("event %d is %s", i, d.Status)
			}
		}
		if calls.Load() != 8 {
			t.Errorf("%d requests for 8 events", calls.Load())
		}
	})
}

func TestManySubscriptionsWithLargeBodiesStayWithinTheirMemory(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		const budget = 1 << 20
		s := testkit.NewSender(t, testkit.SenderOptions{MaxMemoryBytes: budget})
		var failing atomic.Bool
		failing.Store(true)
		var arrived atomic.Int64
		for i := range 50 {
			s.MustSubscribe(t, fmt.Sprintf("host%d.example", i), webhook.Policy{MaxInFlight: 1, Schedule: []time.Duration{time.Minute, time.Hour}}, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				time.Sleep(time.Second)
				if failing.Load() || len(body) < 100_000 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				arrived.Add(1)
			})
		}
		data := []byte(`{"text":"` + strings.Repeat("x", 100_000) + `"}`)
		for range 20 {
			if _, _, err := s.Webhooks.Publish(t.Context(), s.Tenant, webhook.Publishing{Publications: []webhook.Publication{{Type: "large.event", Data: data}}}); err != nil {
				t.Fatal(err)
			}
		}
		for range 30 {
			settle(500 * time.Millisecond)
			if books := s.Dispatcher.Books(); books.Bytes > budget+200_000 {
				t.Fatalf("%d bytes are in memory, and %d are allowed", books.Bytes, budget)
			}
		}
		failing.Store(false)
		settle(3 * time.Hour)
		if arrived.Load() != 50*20 {
			t.Errorf("%d of %d deliveries arrived whole", arrived.Load(), 50*20)
		}
	})
}

func TestOneTenantLeavesRoomForTheOthers(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{MaxInFlight: 64})
		for i := range 10 { // slow, but they answer in time
			s.MustSubscribe(t, fmt.Sprintf("slow%d.example", i), webhook.Policy{MaxInFlight: 64}, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Second) })
		}
		s.MustPublish(t, 100)
		settle(time.Second)
		s.Tenant = id.New(time.Now())
		sub := s.MustSubscribe(t, "quick.example", webhook.Policy{}, answer(http.StatusOK))
		event := s.MustPublish(t, 1)[0]
		settle(100 * time.Millisecond)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Errorf("another tenant's delivery is %s", d.Status)
		}
		if books := s.Dispatcher.Books(); books.InFlight != 48 {
			t.Errorf("%d attempts are under way, not three quarters of 64", books.InFlight)
		}
		settle(time.Hour)
		if books := s.Dispatcher.Books(); books.InFlight != 0 || books.Booked != 0 {
			t.Errorf("left over: %+v", books)
		}
	})
}

func (s *table) Split(outcomes []webhook.Outcome) [][]webhook.Outcome {
	return [][]webhook.Outcome{outcomes}
}

func (s *table) Release(context.Context, []webhook.Job) error { return nil }

func (s *table) Held(context.Context, *webhook.Subscription, int64) ([]webhook.Job, error) {
	return nil, nil
}

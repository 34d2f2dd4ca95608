package webhook_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// enough is how many subscriptions make a full batch too much for the transaction
// that publishes it.
const enough = webhook.MaxDirect/webhook.MaxBatch + 2

func TestALargeFanOutIsMadeByAJobOfWhatMatchedWhenItWasPublished(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		var subs []*webhook.Subscription
		for range enough {
			subs = append(subs, w.mustSubscribe(webhook.AllTypes))
		}
		half := w.mustSubscribe("b")
		p := batch(webhook.MaxBatch, "a")
		for i := range p.Publications {
			if i%2 == 1 {
				p.Publications[i].Type = "b"
			}
		}
		p.IdempotencyKey = "key"
		for i, a := range w.mustPublish(p) {
			if a.Deliveries != enough+i%2 {
				t.Fatalf("event %d has %d deliveries to come", i, a.Deliveries)
			}
		}
		if again := w.mustPublish(p); again[1].Deliveries != enough+1 {
			t.Errorf("the answer to the same request has %d deliveries", again[1].Deliveries)
		}
		later := w.mustSubscribe(webhook.AllTypes)
		w.wantCount(w.tenant, webhook.MaxBatch, 0)

		w.jobs.Start()
		synctest.Wait()
		for _, sub := range subs {
			w.wantStanding(sub, "pending ", webhook.MaxBatch)
		}
		w.wantStanding(half, "pending ", webhook.MaxBatch/2)
		if n := w.standing(later); len(n) != 0 {
			t.Errorf("a later subscription has %v", n)
		}
		told := make(map[id.ID]bool)
		for _, sub := range w.sent.refilled {
			told[sub.ID] = true
		}
		if len(told) != enough+1 {
			t.Errorf("the sender was told of %d subscriptions", len(told))
		}
		if list, _, err := w.Replays(t.Context(), w.tenant, webhook.Page{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("a fan-out is listed as a replay: %v, %v", list, err)
		}
		w.Stop()
	})
}

func TestWhatHappensBeforeAFanOutIsMadeIsHeeded(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		var subs []*webhook.Subscription
		for range enough {
			subs = append(subs, w.mustSubscribe("a"))
		}
		events := w.mustPublish(batch(webhook.MaxBatch, "a"))
		deleted, disabled, stays := subs[0], subs[1], subs[2]
		if err := w.DeleteSubscription(t.Context(), w.tenant, deleted.ID); err != nil {
			t.Fatal(err)
		}
		w.disable(disabled)
		if err := w.ExpungeBody(t.Context(), w.tenant, events[7].ID); err != nil {
			t.Fatal(err)
		}
		w.jobs.Start()
		synctest.Wait()
		w.wantStanding(deleted, "cancelled subscription_deleted", webhook.MaxBatch)
		w.wantDelivery(events[6].ID, disabled, webhook.Held, webhook.ReasonDisabled)
		w.wantDelivery(events[7].ID, disabled, webhook.Cancelled, webhook.ReasonBodyExpunged)
		w.wantDelivery(events[6].ID, stays, webhook.Pending, "")
		w.wantDelivery(events[7].ID, stays, webhook.Cancelled, webhook.ReasonBodyExpunged)
		w.Stop()
	})
}

// mustReach waits until the tenant's fan-out has made so many deliveries.
func mustReach(t *testing.T, s *testkit.Sender, done int64) job.Job {
	t.Helper()
	for {
		var jobs []job.Job
		err := s.DB.Read(t.Context(), func(q db.Queryer) error {
			var err error
			jobs, err = job.List(q, s.Tenant, "fanout", id.ID{}, 1)
			return err
		})
		if err != nil || len(jobs) != 1 {
			t.Fatal(len(jobs), err)
		}
		if jobs[0].Done >= done {
			return jobs[0]
		}
	}
}

func TestAFanOutThatIsCutOffMakesEachDeliveryOnce(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{})
		var open atomic.Bool
		var received atomic.Int64
		var subs []*webhook.Subscription
		for i := range 12 {
			subs = append(subs, s.MustSubscribe(t, fmt.Sprintf("receiver-%d.example", i), webhook.Policy{}, func(rw http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the connection ends
				if !open.Load() {
					<-r.Context().Done() // until the crash
					return
				}
				received.Add(1)
				rw.WriteHeader(http.StatusNoContent)
			}))
		}
		events := s.MustPublish(t, webhook.MaxBatch)
		mustReach(t, s, 1)
		s.Jobs.Stop()
		synctest.Wait()
		at := mustReach(t, s, 1)
		if all := int64(len(subs) * len(events)); at.State != job.Running || at.Done == all || at.Total != all {
			t.Fatalf("it is cut off after %d of %d, %s", at.Done, at.Total, at.State)
		}
		open.Store(true)
		s.MustCrash(t, testkit.SenderOptions{})
		time.Sleep(time.Minute)
		for _, sub := range subs {
			for _, event := range []int{0, 1, 499, 998, 999} {
				if d, _ := s.MustDelivery(t, events[event], sub); d.Status != webhook.Delivered {
					t.Errorf("event %d: %s", event, d.Status)
				}
			}
		}
		if n := received.Load(); n != int64(len(subs)*len(events)) {
			t.Errorf("%d were received", n)
		}
	})
}

func TestInOrderNothingOvertakesAFanOut(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{})
		var mu sync.Mutex
		var order []string
		for i := range 12 {
			ordered := i == 11 // the last one whose deliveries are made
			s.MustSubscribe(t, fmt.Sprintf("receiver-%d.example", i), webhook.Policy{Ordered: ordered}, func(_ http.ResponseWriter, r *http.Request) {
				if ordered {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, r.Header.Get("Webhook-Id"))
				}
			})
		}
		var want []string
		for _, count := range []int{1, webhook.MaxBatch, 1} {
			for _, event := range s.MustPublish(t, count) {
				want = append(want, id.Event.Format(event))
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(order, want) {
			t.Errorf("%d of %d came, the last published as number %d", len(order), len(want), slices.Index(order, want[len(want)-1])+1)
		}
	})
}

func TestAFanOutPassesOverASubscriptionOfWhichThereIsNoRecord(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		var subs []*webhook.Subscription
		for range enough {
			subs = append(subs, w.mustSubscribe(webhook.AllTypes))
		}
		w.mustPublish(batch(webhook.MaxBatch, "a"))
		first := subs[0]
		err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`DELETE FROM subscription WHERE id = $1`, first.ID[:])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.jobs.Start()
		synctest.Wait()
		for _, sub := range subs[1:] {
			w.wantStanding(sub, "pending ", webhook.MaxBatch)
		}
		w.Stop()
	})
}

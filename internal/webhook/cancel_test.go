package webhook_test

import (
	"testing"
	"testing/synctest"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// many is more deliveries than three transactions cancel.
const many = 3*webhook.SweepStep + 500

// mustPublishMany publishes many events of a type.
func (w *world) mustPublishMany(eventType string) {
	w.t.Helper()
	for n := many; n > 0; n -= webhook.MaxBatch {
		w.mustPublish(batch(min(n, webhook.MaxBatch), eventType))
	}
}

// standing counts a subscription's deliveries by how they stand.
func (w *world) standing(sub *webhook.Subscription) map[string]int {
	w.t.Helper()
	count := make(map[string]int)
	for _, d := range all(w.t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
		return w.Deliveries(w.t.Context(), w.tenant, webhook.DeliveryFilter{SubscriptionID: sub.ID}, p)
	}, 250) {
		count[d.Status.String()+" "+d.Reason]++
	}
	return count
}

// wantStanding fails the test unless all of a subscription's deliveries stand so.
func (w *world) wantStanding(sub *webhook.Subscription, want string, n int) {
	w.t.Helper()
	if got := w.standing(sub); len(got) != 1 || got[want] != n {
		w.t.Errorf("the deliveries stand %v, want %d %q", got, n, want)
	}
}

func TestManyDeliveriesOfADeletedSubscriptionAreAllCancelled(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub, stays := w.mustSubscribe("a"), w.mustSubscribe("a")
		w.mustPublishMany("a")
		if _, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		w.mustPublish(batch(100, "a")) // held
		if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantStanding(sub, "cancelled subscription_deleted", many+100)
		w.wantStanding(stays, "pending ", many+100)
		w.Stop()
	})
}

func TestCancellingGoesOnAfterACrash(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t) // nothing goes on in the background
		sub := w.mustSubscribe("a")
		w.mustPublishMany("a")
		if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		if n := w.standing(sub)["pending "]; n != many-webhook.SweepStep {
			t.Fatalf("%d are pending at the crash", n)
		}
		w.reopen()
		w.Start(w.sent)
		synctest.Wait()
		w.wantStanding(sub, "cancelled subscription_deleted", many)
		w.Stop()
	})
}

func TestASubscriptionIsNotEnabledBeforeItsCancellingIsDone(t *testing.T) {
	w := mustWorld(t)
	sub := w.mustSubscribe("a")
	w.mustPublishMany("a")
	jobs := w.mustDue(sub, webhook.Pending)
	w.mustRecord(gone(jobs[0]))
	if n := w.standing(sub)["pending "]; n != many-1-webhook.SweepStep {
		t.Fatalf("%d are pending while it is cancelled", n)
	}
	if waiting, err := w.Waiting(t.Context()); err != nil || len(waiting) != 0 {
		t.Errorf("a disabled subscription waits for attempts: %d, %v", len(waiting), err)
	}
	if _, err := w.EnableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantStanding(sub, "cancelled gone", many)
	event := w.mustEvent("a")
	w.Start(w.sent)
	w.Stop()
	w.wantDelivery(event, sub, webhook.Pending, "")
}

func TestAChangeWhileItIsCancelledDoesNotEndTheCancelling(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		sub := w.mustSubscribe("a")
		w.mustPublishMany("a")
		w.mustRecord(gone(w.mustDue(sub, webhook.Pending)[0]))
		if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Description: new("changed")}); err != nil {
			t.Fatal(err)
		}
		w.mustRotate(sub, "", 0)
		w.Start(w.sent)
		synctest.Wait()
		w.wantStanding(sub, "cancelled gone", many)
		w.Stop()
	})
}

func TestWhatIsHeldForAnEndpointThatIsGoneStaysHeld(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	first := w.mustEvent("a")
	w.mustRecord(gone(w.sent.take()[0]))
	held := w.mustEvent("a")
	w.wantDelivery(first, sub, webhook.Cancelled, webhook.ReasonGone)
	w.wantDelivery(held, sub, webhook.Held, webhook.ReasonDisabled)
	if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(held, sub, webhook.Cancelled, webhook.ReasonSubscriptionDeleted)
	w.wantDelivery(first, sub, webhook.Cancelled, webhook.ReasonGone)
}

func TestWhatHasEndedIsNotCancelled(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	var events []id.ID
	for range 3 {
		events = append(events, w.mustEvent("a"))
	}
	jobs := w.sent.take()
	w.mustRecord(delivered(jobs[0]), failed(jobs[1]))
	if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantDelivery(events[0], sub, webhook.Delivered, "ok")
	w.wantDelivery(events[1], sub, webhook.Failed, "server_error")
	w.wantDelivery(events[2], sub, webhook.Cancelled, webhook.ReasonSubscriptionDeleted)
}

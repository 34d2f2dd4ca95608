package webhook_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func TestAnAttemptIsKeptWithAllThatCameOfIt(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	job := w.sent.take()[0]
	next := time.Now().Add(-time.Minute).UTC().Truncate(time.Microsecond)
	first := w.mustRecord(retried(job, next))[0]
	d, _ := w.mustDelivery(event, sub)
	if d.Status != webhook.Retrying || d.Attempts != 1 || !d.NextAt.Equal(next) || d.ResponseStatus != 500 || d.Reason != "server_error" {
		t.Errorf("after a failure: %+v", d)
	}
	again := w.mustDue(sub, webhook.Retrying)
	if len(again) != 1 || again[0].Attempts != 1 || again[0].Step != 1 || again[0].Status != webhook.Retrying || !again[0].DueAt.Equal(next) {
		t.Fatalf("due again: %+v", again)
	}
	bare := webhook.Outcome{Job: again[0], Status: webhook.Delivered, Attempt: webhook.Attempt{
		StartedAt: next, Verdict: "delivered", Reason: "ok", Error: "x", ResponseStatus: 200,
	}}
	second := w.mustRecord(bare)[0]
	d, attempts := w.mustDelivery(event, sub)
	if d.Status != webhook.Delivered || d.Attempts != 2 || !d.NextAt.IsZero() || d.ResponseStatus != 200 || d.Reason != "ok" {
		t.Errorf("in the end: %+v", d)
	}
	if diff := cmp.Diff([]webhook.Attempt{first.Attempt, second.Attempt}, attempts); diff != "" {
		t.Errorf("attempts (-recorded +read):\n%s", diff)
	}
	if attempts[0].Number != 1 || attempts[1].Number != 2 {
		t.Error("the attempts are not numbered from 1")
	}
}

func TestAnOutcomeOfAnOlderEpochDecidesNothingButIsKeptAndCounted(t *testing.T) {
	for name, test := range map[string]struct {
		intervene func(w *world, event id.ID, sub *webhook.Subscription) error
		status    webhook.Status
		reason    string
	}{
		"retried": {func(w *world, event id.ID, sub *webhook.Subscription) error {
			_, err := w.Retry(w.t.Context(), w.tenant, event, sub.ID)
			return err
		}, webhook.Pending, ""},
		"expunged": {func(w *world, event id.ID, _ *webhook.Subscription) error {
			return w.ExpungeBody(w.t.Context(), w.tenant, event)
		}, webhook.Cancelled, webhook.ReasonBodyExpunged},
		"deleted": {func(w *world, _ id.ID, sub *webhook.Subscription) error {
			return w.DeleteSubscription(w.t.Context(), w.tenant, sub.ID)
		}, webhook.Cancelled, webhook.ReasonSubscriptionDeleted},
	} {
		for _, outcome := range []func(webhook.Job) webhook.Outcome{
			delivered, failed, func(j webhook.Job) webhook.Outcome { return retried(j, time.Now()) },
		} {
			t.Run(name, func(t *testing.T) {
				w := mustStarted(t)
				sub := w.mustSubscribe("a")
				event := w.mustEvent("a")
				job := w.sent.take()[0]
				if err := test.intervene(w, event, sub); err != nil {
					t.Fatal(err)
				}
				o := w.mustRecord(outcome(job))[0]
				if !o.Superseded || o.Attempt.Number != 1 {
					t.Errorf("superseded: %t, number %d", o.Superseded, o.Attempt.Number)
				}
				w.wantDelivery(event, sub, test.status, test.reason)
				d, attempts := w.mustDelivery(event, sub)
				if d.Attempts != 1 || len(attempts) != 1 || d.ResponseStatus != o.Attempt.ResponseStatus {
					t.Errorf("%d attempts are counted and %d kept, status %d", d.Attempts, len(attempts), d.ResponseStatus)
				}
			})
		}
	}
}

func TestTwoAttemptsThatWereUnderWayAtOnceAreBothKept(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	before := w.sent.take()[0]
	if _, err := w.Retry(t.Context(), w.tenant, event, sub.ID); err != nil {
		t.Fatal(err)
	}
	after := w.mustDue(sub, webhook.Pending)[0]
	got := w.mustRecord(failed(before), delivered(after), failed(before))
	w.wantDelivery(event, sub, webhook.Delivered, "ok")
	_, attempts := w.mustDelivery(event, sub)
	if len(attempts) != 3 || !got[0].Superseded || got[1].Superseded || !got[2].Superseded {
		t.Errorf("%d attempts were kept", len(attempts))
	}
	for i, o := range got {
		if o.Attempt.Number != i+1 {
			t.Errorf("outcome %d has number %d", i, o.Attempt.Number)
		}
	}
}

func TestAnOutcomeOfADeliveryThatIsNotThereStopsNoOther(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	job := w.sent.take()[0]
	lost := job
	lost.EventID = id.New(time.Now())
	if got := w.mustRecord(delivered(lost), delivered(job)); !got[0].Superseded || got[1].Superseded {
		t.Errorf("superseded: %t and %t", got[0].Superseded, got[1].Superseded)
	}
	w.wantDelivery(event, sub, webhook.Delivered, "ok")
}

func TestAnyDeliveryCanBeRetriedAndBeginsItsScheduleAgain(t *testing.T) {
	for name, end := range map[string]func(w *world, sub *webhook.Subscription, j webhook.Job) error{
		"pending": func(*world, *webhook.Subscription, webhook.Job) error { return nil },
		"retrying": func(w *world, _ *webhook.Subscription, j webhook.Job) error {
			w.mustRecord(retried(j, time.Now().Add(time.Hour)))
			return nil
		},
		"failed":    func(w *world, _ *webhook.Subscription, j webhook.Job) error { w.mustRecord(failed(j)); return nil },
		"delivered": func(w *world, _ *webhook.Subscription, j webhook.Job) error { w.mustRecord(delivered(j)); return nil },
		"cancelled": func(w *world, sub *webhook.Subscription, j webhook.Job) error {
			w.mustRecord(gone(j))
			_, err := w.EnableSubscription(w.t.Context(), w.tenant, sub.ID)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustSubscribe("a")
			event := w.mustEvent("a")
			if err := end(w, sub, w.sent.take()[0]); err != nil {
				t.Fatal(err)
			}
			made, _ := w.mustDelivery(event, sub)
			w.wantRetried(event, sub, made.Attempts)
		})
	}
}

// wantRetried retries a delivery and fails the test unless it is then due.
func (w *world) wantRetried(event id.ID, sub *webhook.Subscription, attempts int) {
	w.t.Helper()
	d, err := w.Retry(w.t.Context(), w.tenant, event, sub.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if d.Status != webhook.Pending || d.Attempts != attempts || d.NextAt.IsZero() || d.NextAt.After(time.Now()) {
		w.t.Errorf("it was answered as %+v", d)
	}
	if told := w.sent.last(wakes); told == nil || told.ID != sub.ID {
		w.t.Error("the sender was not woken")
	}
	due := w.mustDue(sub, webhook.Pending)
	if len(due) != 1 || due[0].EventID != event || due[0].Step != 0 || due[0].Attempts != attempts || due[0].Body == nil {
		w.t.Errorf("due are %+v", due)
	}
}

func TestAHeldDeliveryCanBeRetriedOnceItsSubscriptionIsEnabled(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	if _, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	event := w.mustEvent("a")
	_, err := w.Retry(t.Context(), w.tenant, event, sub.ID)
	wantProblem(t, err, problem.SubscriptionDisabled)
	w.wantDelivery(event, sub, webhook.Held, webhook.ReasonDisabled)
	if _, err := w.EnableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantRetried(event, sub, 0)
	w.wantDelivery(event, sub, webhook.Pending, "")
}

func TestAnExpungedEventKeepsItsRecordAndIsNeverSentAgain(t *testing.T) {
	w := mustStarted(t)
	sub, off := w.mustSubscribe("a"), w.mustSubscribe("a")
	if _, err := w.DisableSubscription(t.Context(), w.tenant, off.ID); err != nil {
		t.Fatal(err)
	}
	const text = "a-text-that-is-to-be-forgotten"
	sent := w.mustPublish(one("a", `{"text":"`+text+`"}`))[0].ID
	w.mustRecord(delivered(w.sent.take()[0]))
	waits := w.mustPublish(one("a", `{"text":"`+text+`"}`))[0].ID
	for range 2 { // again changes nothing
		for _, event := range []id.ID{sent, waits} {
			if err := w.ExpungeBody(t.Context(), w.tenant, event); err != nil {
				t.Fatal(err)
			}
			e, deliveries, err := w.Event(t.Context(), w.tenant, event)
			if err != nil || e.Body != nil || e.Type != "a" || len(deliveries) != 2 {
				t.Errorf("what is left: %+v, %d deliveries, %v", e, len(deliveries), err)
			}
			_, err = w.Retry(t.Context(), w.tenant, event, sub.ID)
			wantProblem(t, err, problem.BodyExpunged)
		}
	}
	w.wantDelivery(sent, sub, webhook.Delivered, "ok")
	w.wantDelivery(waits, sub, webhook.Cancelled, webhook.ReasonBodyExpunged)
	w.wantDelivery(waits, off, webhook.Cancelled, webhook.ReasonBodyExpunged)
	if due := w.mustDue(sub, webhook.Pending); len(due) != 0 {
		t.Errorf("%d are due", len(due))
	}
	w.reopen() // the log goes with the old pages in it
	w.wantNotOnDisk([]byte(text))
}

func TestAnEndpointThatIsGoneDisablesItsSubscriptionAndCancelsWhatWaits(t *testing.T) {
	w := mustStarted(t)
	sub, other := w.mustSubscribe("a"), w.mustSubscribe("b")
	var events []id.ID
	for range 4 {
		events = append(events, w.mustEvent("a"))
	}
	w.mustEvent("b")
	jobs := w.sent.take()
	// What arrived together with the bad news was delivered all the same.
	got := w.mustRecord(gone(jobs[0]), delivered(jobs[1]), gone(jobs[2]))
	for i, o := range got {
		if o.Superseded {
			t.Errorf("outcome %d is superseded", i)
		}
	}
	w.wantDelivery(events[0], sub, webhook.Cancelled, webhook.ReasonGone)
	w.wantDelivery(events[1], sub, webhook.Delivered, "ok")
	w.wantDelivery(events[2], sub, webhook.Cancelled, webhook.ReasonGone)
	w.wantDelivery(events[3], sub, webhook.Cancelled, webhook.ReasonGone)
	if s := w.mustGet(sub); s.Enabled || s.Reason != webhook.ReasonGone {
		t.Errorf("the subscription is %+v", show(s))
	}
	if told := w.sent.last(changes); told.ID != sub.ID || told.Enabled {
		t.Error("the sender was not told")
	}
	if s := w.mustGet(other); !s.Enabled {
		t.Error("another subscription is disabled")
	}
	if due := w.mustDue(other, webhook.Pending); len(due) != 1 {
		t.Errorf("another subscription's due: %d", len(due))
	}
}

func TestAnEndpointThatWasReplacedMeanwhileDisablesNothingAndTheNewOneGetsTheEvent(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event, waits := w.mustEvent("a"), w.mustEvent("a")
	jobs := w.sent.take()
	if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{URL: new("https://new.example/")}); err != nil {
		t.Fatal(err)
	}
	if o := w.mustRecord(gone(jobs[0]))[0]; !o.Superseded {
		t.Error("what was decided holds")
	}
	if s := w.mustGet(sub); !s.Enabled {
		t.Error("it is disabled")
	}
	var due []id.ID
	for _, j := range w.mustDue(sub, webhook.Pending) {
		due = append(due, j.EventID)
	}
	if !slices.Contains(due, event) || !slices.Contains(due, waits) || len(due) != 2 {
		t.Errorf("due are %v", due)
	}
	if d, attempts := w.mustDelivery(event, sub); d.Attempts != 1 || len(attempts) != 1 {
		t.Error("the attempt is not on record")
	}
	// An event that was expunged meanwhile is not revived by that.
	if err := w.ExpungeBody(t.Context(), w.tenant, waits); err != nil {
		t.Fatal(err)
	}
	w.mustRecord(gone(jobs[1]))
	w.wantDelivery(waits, sub, webhook.Cancelled, webhook.ReasonBodyExpunged)
}

func TestAnEndpointThatIsGoneForADeletedOrDisabledSubscriptionIsOnlyRecorded(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	job := w.sent.take()[0]
	if _, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.mustRecord(gone(job))
	if s := w.mustGet(sub); s.Reason != webhook.ReasonManual {
		t.Errorf("the reason is %q", s.Reason)
	}
	w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonGone)
	if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.mustRecord(gone(job))
	if d, attempts := w.mustDelivery(event, sub); d.Attempts != 2 || len(attempts) != 2 {
		t.Errorf("%d attempts", len(attempts))
	}
}

func TestDueReadsALaneInTheOrderOfItsTimesUpToALimit(t *testing.T) {
	w := mustStarted(t)
	sub, other := w.mustSubscribe("a"), w.mustSubscribe("b")
	w.mustEvent("b")
	for range 6 {
		w.mustEvent("a")
	}
	jobs := w.sent.take()[1:]
	base := time.Now().UTC().Truncate(time.Microsecond)
	// Four are to be tried again: two before now, in the other order than their
	// events, one now, one later.
	for i, after := range []time.Duration{-time.Second, -time.Minute, 0, time.Hour} {
		w.mustRecord(retried(jobs[i], base.Add(after)))
	}
	read := func(lane webhook.Lane, limit int) ([]id.ID, time.Time) {
		due, err := w.Due(t.Context(), webhook.DueQuery{Sub: sub, Lane: lane, Now: base, Limit: limit, Room: limit})
		if err != nil {
			t.Fatal(err)
		}
		var events []id.ID
		for _, j := range due.Jobs {
			if j.Sub != sub || j.TenantID != w.tenant || j.Type != "a" || j.DueAt.After(base) || j.Status != lane {
				t.Errorf("read %+v", j)
			}
			events = append(events, j.EventID)
		}
		return events, due.Next
	}
	for _, test := range []struct {
		name  string
		lane  webhook.Lane
		limit int
		want  []webhook.Job
		next  time.Time
	}{
		{"retries", webhook.Retrying, 10, []webhook.Job{jobs[1], jobs[0], jobs[2]}, base.Add(time.Hour)},
		{"the first two retries", webhook.Retrying, 2, []webhook.Job{jobs[1], jobs[0]}, time.Time{}},
		{"first attempts", webhook.Pending, 10, []webhook.Job{jobs[4], jobs[5]}, time.Time{}},
		{"one first attempt", webhook.Pending, 1, []webhook.Job{jobs[4]}, time.Time{}},
	} {
		var want []id.ID
		for _, j := range test.want {
			want = append(want, j.EventID)
		}
		got, next := read(test.lane, test.limit)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if !next.Equal(test.next) {
			t.Errorf("%s: the next is due at %v, want %v", test.name, next, test.next)
		}
	}
	if got := w.mustDue(other, webhook.Retrying); len(got) != 0 {
		t.Errorf("another subscription's retries: %d", len(got))
	}
}

func TestOnlyEnabledSubscriptionsWithSomethingPendingWait(t *testing.T) {
	w := mustStarted(t)
	first, retry, off, ended := w.mustSubscribe("a"), w.mustSubscribe("b"), w.mustSubscribe("c"), w.mustSubscribe("d")
	w.mustSubscribe("e")
	for _, eventType := range []string{"a", "b", "c", "d"} {
		w.mustEvent(eventType)
	}
	jobs := w.sent.take()
	w.mustRecord(retried(jobs[1], time.Now().Add(time.Hour)), delivered(jobs[3]))
	if _, err := w.DisableSubscription(t.Context(), w.tenant, off.ID); err != nil {
		t.Fatal(err)
	}
	want := map[id.ID]bool{first.ID: true, retry.ID: true}
	wants := func() {
		t.Helper()
		waiting, err := w.Waiting(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[id.ID]bool)
		for _, sub := range waiting {
			got[sub.ID] = true
			if _, err := sub.Signer(time.Now(), nil); err != nil {
				t.Errorf("it can't sign: %v", err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("waiting (-want +got):\n%s", diff)
		}
	}
	wants()
	if _, err := w.EnableSubscription(t.Context(), w.tenant, off.ID); err != nil {
		t.Fatal(err)
	}
	want[off.ID] = true
	wants()
	if _, err := w.Retry(t.Context(), w.tenant, jobs[3].EventID, ended.ID); err != nil {
		t.Fatal(err)
	}
	want[ended.ID] = true
	wants()
}

func TestTheDepthOfTheQueueIsWhatWaitsForEnabledSubscriptions(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	off := w.mustSubscribe("b")
	for range 5 {
		w.mustEvent("a")
	}
	jobs := w.sent.take()
	w.mustEvent("b")
	if _, err := w.DisableSubscription(t.Context(), w.tenant, off.ID); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	w.mustRecord(retried(jobs[0], past), retried(jobs[1], time.Now().Add(time.Hour)), delivered(jobs[2]))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.QueueMetrics())
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			got[family.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	if got["grapevine_queue_depth first"] != 2 || got["grapevine_queue_depth retry"] != 2 {
		t.Errorf("depths %v", got)
	}
	if due := got["grapevine_queue_oldest_due_seconds retry"]; due < 3600 || due > 3660 {
		t.Errorf("the oldest retry has been due for %v s, not an hour", due)
	}
	w.mustRecord(delivered(jobs[0]), delivered(jobs[3]), delivered(jobs[4]))
	if families, err = registry.Gather(); err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "grapevine_queue_oldest_due_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			if due := m.GetGauge().GetValue(); due != 0 {
				t.Errorf("nothing is due and %s says %v s", m.GetLabel()[0].GetValue(), due)
			}
		}
	}
}

func TestDuePassesOverWhatIsKnownAndReadsFewLargeBodiesAtOnce(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	large := `{"a":"` + strings.Repeat("x", 250_000) + `"}`
	for range 40 {
		if _, _, err := w.Publish(t.Context(), w.tenant, one("a", large)); err != nil {
			t.Fatal(err)
		}
	}
	known := make(map[id.ID]struct{})
	for rounds := 0; len(known) < 40; rounds++ {
		due, err := w.Due(t.Context(), webhook.DueQuery{Sub: sub, Lane: webhook.Pending, Now: time.Now(), Limit: 40 + len(known), Room: 40 + len(known), Known: known})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(due.Jobs); n == 0 || n > 18 || (len(known)+n < 40) != due.More {
			t.Fatalf("%d jobs of %d that are left, more: %t", n, 40-len(known), due.More)
		}
		for _, job := range due.Jobs {
			if _, twice := known[job.EventID]; twice || len(job.Body) < 250_000 {
				t.Fatalf("known already: %t, %d bytes", twice, len(job.Body))
			}
			known[job.EventID] = struct{}{}
		}
	}
}

package webhook_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// mustEnd records what became of jobs, in turn: all delivered, all failed.
func (w *world) mustEnd(jobs []webhook.Job, how func(webhook.Job) webhook.Outcome) {
	w.t.Helper()
	for part := range slices.Chunk(jobs, 1000) {
		outcomes := make([]webhook.Outcome, len(part))
		for i, j := range part {
			outcomes[i] = how(j)
		}
		w.mustRecord(outcomes...)
	}
}

// mustReplay starts a replay and waits for it to stand still.
func (w *world) mustReplay(filter webhook.ReplayFilter) webhook.Replay {
	w.t.Helper()
	r := w.mustStart(filter)
	w.jobs.Start()
	synctest.Wait()
	return w.mustSteer(r, w.Replay)
}

func (w *world) mustStart(filter webhook.ReplayFilter) webhook.Replay {
	w.t.Helper()
	r, err := w.StartReplay(w.t.Context(), w.tenant, filter)
	return mustDo(w.t, r, err)
}

// mustSteer looks a replay up, pauses, resumes or cancels it.
func (w *world) mustSteer(r webhook.Replay, how func(ctx context.Context, tenant, replay id.ID) (webhook.Replay, error)) webhook.Replay {
	w.t.Helper()
	now, err := how(w.t.Context(), w.tenant, r.ID)
	return mustDo(w.t, now, err)
}

// wantReplay fails the test unless the replay stands so.
func wantReplay(t testing.TB, r webhook.Replay, state string, done, skipped int64) {
	t.Helper()
	if r.State != state || r.Done != done || r.Skipped != skipped {
		t.Errorf("the replay is %s after %d and %d skipped, want %s after %d and %d", r.State, r.Done, r.Skipped, state, done, skipped)
	}
}

// An hour is long enough for every event of a test to be younger.
func anHourAgo() time.Time { return time.Now().Add(-time.Hour) }

func TestRecoveringSendsAgainWhatFailedAndWhatWasHeldAndNothingElse(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub, other := w.mustSubscribe("a"), w.mustSubscribe("a")
		var events []id.ID
		for range 4 {
			events = append(events, w.mustEvent("a"))
			time.Sleep(time.Millisecond) // so that their order is that of their ids
		}
		jobs := slices.DeleteFunc(w.sent.take(), func(j webhook.Job) bool { return j.Sub.ID != sub.ID })
		w.mustRecord(delivered(jobs[0]), failed(jobs[1]), retried(jobs[2], time.Now().Add(time.Hour)))
		w.mustEnd(w.mustDue(other, webhook.Pending), failed)
		w.disable(sub)
		held := w.mustEvent("a")
		w.enable(sub)

		r, err := w.Recover(t.Context(), w.tenant, sub.ID, anHourAgo(), time.Time{})
		if err != nil || r.Kind != webhook.KindRecover || r.State != "running" || r.Total != 2 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.jobs.Start()
		synctest.Wait()
		wantReplay(t, w.mustSteer(r, w.Replay), "completed", 2, 0)

		w.wantDelivery(events[0], sub, webhook.Delivered, "ok")
		w.wantDelivery(events[1], sub, webhook.Retrying, "server_error")
		w.wantDelivery(events[2], sub, webhook.Retrying, "server_error")
		w.wantDelivery(events[3], sub, webhook.Pending, "")
		w.wantDelivery(held, sub, webhook.Retrying, "")
		w.wantDelivery(events[1], other, webhook.Failed, "server_error")
		due := w.mustDue(sub, webhook.Retrying)
		if len(due) != 2 || due[0].EventID != events[1] || due[0].Step != 0 || due[0].Attempts != 1 || due[1].EventID != held || due[1].Attempts != 0 {
			t.Errorf("due are %+v", due)
		}
		if told := w.sent.last(func(r *recorder) []*webhook.Subscription { return r.refilled }); told == nil || told.ID != sub.ID {
			t.Errorf("the sender was told of %v", told)
		}
		w.Stop()
	})
}

// enable and disable do so.
func (w *world) enable(sub *webhook.Subscription) {
	w.t.Helper()
	if _, err := w.EnableSubscription(w.t.Context(), w.tenant, sub.ID); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) disable(sub *webhook.Subscription) {
	w.t.Helper()
	if _, err := w.DisableSubscription(w.t.Context(), w.tenant, sub.ID); err != nil {
		w.t.Fatal(err)
	}
}

func TestAReplayDoesWhatItsPreviewCounted(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		one, two := w.mustSubscribe("a", "b"), w.mustSubscribe("a")
		disabled, gone := w.mustSubscribe("a"), w.mustSubscribe("a")
		early := w.mustEvent("a")
		w.mustEnd(w.sent.take(), delivered)
		time.Sleep(time.Minute)
		middle := time.Now()
		bodiless := w.mustEvent("a")
		w.mustEvent("b")
		w.mustEnd(w.sent.take(), failed)
		time.Sleep(time.Minute)
		w.disable(disabled)
		mustDo(t, one, w.DeleteSubscription(t.Context(), w.tenant, gone.ID))
		mustDo(t, one, w.ExpungeBody(t.Context(), w.tenant, bodiless))
		w.mustEvent("a") // pending, or held
		w.sent.take()
		time.Sleep(time.Second)
		w.jobs.Start()
		all := anHourAgo()
		for name, test := range map[string]struct {
			filter        webhook.ReplayFilter
			done, skipped int64
		}{
			"everything":              {webhook.ReplayFilter{Since: all}, 3, 2 + 4 + 1},
			"delivered":               {webhook.ReplayFilter{Since: all, Statuses: []string{"delivered"}}, 2, 2},
			"failed":                  {webhook.ReplayFilter{Since: all, Statuses: []string{"failed"}}, 1, 4},
			"held":                    {webhook.ReplayFilter{Since: all, Statuses: []string{"held"}}, 0, 1},
			"failed and held":         {webhook.ReplayFilter{Since: all, Statuses: []string{"held", "failed", "held"}}, 1, 5},
			"a type":                  {webhook.ReplayFilter{Since: all, EventTypes: []string{"b", "c"}}, 1, 0},
			"a subscription":          {webhook.ReplayFilter{Since: all, SubscriptionID: one.ID}, 2, 1},
			"another":                 {webhook.ReplayFilter{Since: all, SubscriptionID: two.ID}, 1, 1},
			"a subscription, failed":  {webhook.ReplayFilter{Since: all, SubscriptionID: one.ID, Statuses: []string{"failed"}}, 1, 1},
			"since the middle":        {webhook.ReplayFilter{Since: middle}, 1, 5},
			"until the middle":        {webhook.ReplayFilter{Since: all, Until: middle}, 2, 2},
			"a subscription, until":   {webhook.ReplayFilter{Since: all, Until: middle, SubscriptionID: one.ID}, 1, 0},
			"nothing, since the last": {webhook.ReplayFilter{Since: time.Now()}, 0, 0},
		} {
			n, err := w.PreviewReplay(t.Context(), w.tenant, test.filter)
			if err != nil || n != (webhook.ReplayCount{Deliveries: test.done, Skipped: test.skipped}) {
				t.Errorf("%s: the preview is %+v, %v; want %d and %d skipped", name, n, err, test.done, test.skipped)
			}
			r := w.mustReplay(test.filter)
			wantReplay(t, r, "completed", test.done, test.skipped)
			if r.Total != test.done+test.skipped || r.EndedAt.IsZero() {
				t.Errorf("%s: its total is %d, it ended %v", name, r.Total, r.EndedAt)
			}
			// As before, for the next one.
			for _, sub := range []*webhook.Subscription{one, two} {
				for _, j := range w.mustDue(sub, webhook.Retrying) {
					if j.EventID == early {
						w.mustRecord(delivered(j))
						continue
					}
					w.mustRecord(failed(j))
				}
			}
			time.Sleep(time.Second)
		}
		w.Stop()
	})
}

func TestWhatAReplayMayChooseIsChecked(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	all := anHourAgo()
	for name, test := range map[string]struct {
		filter webhook.ReplayFilter
		field  string
	}{
		"no time":             {webhook.ReplayFilter{}, "since"},
		"the future":          {webhook.ReplayFilter{Since: time.Now().Add(time.Hour)}, "since"},
		"an end before":       {webhook.ReplayFilter{Since: all, Until: all}, "until"},
		"a state":             {webhook.ReplayFilter{Since: all, Statuses: []string{"pending"}}, "status"},
		"a type without name": {webhook.ReplayFilter{Since: all, EventTypes: []string{""}}, "event_types"},
		"too many types":      {webhook.ReplayFilter{Since: all, EventTypes: make([]string, 101)}, "event_types"},
	} {
		_, err := w.StartReplay(t.Context(), w.tenant, test.filter)
		if !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = w.PreviewReplay(t.Context(), w.tenant, test.filter)
		if !problem.Invalid.Has(err) {
			t.Errorf("%s, previewed: %v", name, err)
		}
	}
	_, err := w.StartReplay(t.Context(), w.tenant, webhook.ReplayFilter{Since: all, SubscriptionID: id.New(time.Now())})
	wantProblem(t, err, problem.NotFound)
	w.disable(sub)
	_, err = w.Recover(t.Context(), w.tenant, sub.ID, all, time.Time{})
	wantProblem(t, err, problem.SubscriptionDisabled)
	_, err = w.Recover(t.Context(), id.New(time.Now()), sub.ID, all, time.Time{})
	wantProblem(t, err, problem.NotFound)
}

func TestATenantHasABoundedNumberOfReplaysThatHaveNotEnded(t *testing.T) {
	w := mustStarted(t) // nobody does the jobs
	var last webhook.Replay
	for range webhook.MaxReplays {
		last = w.mustStart(webhook.ReplayFilter{Since: anHourAgo()})
	}
	_, err := w.StartReplay(t.Context(), w.tenant, webhook.ReplayFilter{Since: anHourAgo()})
	wantProblem(t, err, problem.Conflict)
	w.mustSteer(last, w.CancelReplay)
	w.mustStart(webhook.ReplayFilter{Since: anHourAgo()})
}

func TestAReplayIsTheTenantsAlone(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		stranger := id.New(time.Now())
		foreign := w.mustCreate(stranger, draft("a"))
		if _, _, err := w.Publish(t.Context(), stranger, one("a", `{}`)); err != nil {
			t.Fatal(err)
		}
		w.mustEnd(w.sent.take(), failed)
		sub := w.mustSubscribe("a")
		event := w.mustEvent("a")
		w.mustEnd(w.sent.take(), failed)
		r := w.mustReplay(webhook.ReplayFilter{Since: anHourAgo()})
		wantReplay(t, r, "completed", 1, 0)
		w.wantDelivery(event, sub, webhook.Retrying, "server_error")
		if due := w.mustDue(foreign, webhook.Retrying); len(due) != 0 {
			t.Errorf("%d deliveries of another tenant are sent again", len(due))
		}
		for _, do := range []func(context.Context, id.ID, id.ID) (webhook.Replay, error){w.Replay, w.PauseReplay, w.ResumeReplay, w.CancelReplay} {
			_, err := do(t.Context(), stranger, r.ID)
			wantProblem(t, err, problem.NotFound)
		}
		if list, _, err := w.Replays(t.Context(), stranger, webhook.Page{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("a stranger sees %d replays, %v", len(list), err)
		}
		_, err := w.StartReplay(t.Context(), stranger, webhook.ReplayFilter{Since: anHourAgo(), SubscriptionID: sub.ID})
		wantProblem(t, err, problem.NotFound)
		w.Stop()
	})
}

// mustFail publishes so many events whose deliveries fail.
func (w *world) mustFail(n int) *webhook.Subscription {
	w.t.Helper()
	sub := w.mustSubscribe("a")
	for ; n > 0; n -= webhook.MaxBatch {
		w.mustPublish(batch(min(n, webhook.MaxBatch), "a"))
	}
	w.mustEnd(w.sent.take(), failed)
	return sub
}

func TestALargeReplayIsPausedResumedCutOffAndCancelledBetweenSteps(t *testing.T) {
	w := mustStarted(t)
	replayed := 20_100 // not a whole number of steps
	if testkit.RaceDetector {
		replayed = 2_100
	}
	sub := w.mustFail(replayed)
	r := w.mustStart(webhook.ReplayFilter{Since: anHourAgo(), Statuses: []string{"failed"}})
	begun := func(more int64) webhook.Replay {
		w.jobs.Start()
		for {
			now := w.mustSteer(r, w.Replay)
			if now.Done >= more {
				return now
			}
			<-w.sent.steps
		}
	}
	begun(1)
	paused := w.mustSteer(r, w.PauseReplay)
	if paused.State != "paused" || paused.Done == int64(replayed) || paused.Done%webhook.WideStep != 0 {
		t.Errorf("paused: %+v", paused)
	}
	if due := w.mustDue(sub, webhook.Retrying); int64(min(len(due), 10_000)) != min(paused.Done, 10_000) {
		t.Errorf("%d are due, %d done", len(due), paused.Done)
	}
	w.reopen() // it stays paused
	w.Start(w.sent)
	w.jobs.Start()
	if still := w.mustSteer(r, w.Replay); still.Done != paused.Done {
		t.Errorf("%d were done while it was paused", still.Done-paused.Done)
	}
	w.mustSteer(r, w.ResumeReplay)
	at := begun(paused.Done + 1)
	w.reopen() // in the middle
	w.Start(w.sent)
	if at.State != "running" {
		t.Errorf("it was %s when it was cut off", at.State)
	}
	begun(int64(replayed))
	w.wantStanding(sub, "pending server_error", replayed)
	wantReplay(t, w.mustSteer(r, w.Replay), "completed", int64(replayed), 0)
	for _, d := range w.mustDue(sub, webhook.Retrying) {
		if d.Epoch != 1 {
			t.Fatalf("a delivery was made due %d times", d.Epoch)
		}
	}
	_, err := w.CancelReplay(t.Context(), w.tenant, r.ID)
	wantProblem(t, err, problem.Conflict)

	w.mustEnd(w.mustDueAll(sub), failed)
	r = w.mustStart(webhook.ReplayFilter{Since: anHourAgo(), SubscriptionID: sub.ID})
	begun(1)
	cancelled := w.mustSteer(r, w.CancelReplay)
	if cancelled.State != "cancelled" || cancelled.Done == 0 || cancelled.Done == int64(replayed) || cancelled.EndedAt.IsZero() {
		t.Errorf("cancelled: %+v", cancelled)
	}
	if n := w.standing(sub)["pending server_error"]; int64(n) != cancelled.Done {
		t.Errorf("%d are due, %d done", n, cancelled.Done)
	}
}

// mustDueAll reads all that waits for a further attempt.
func (w *world) mustDueAll(sub *webhook.Subscription) []webhook.Job {
	w.t.Helper()
	due, err := w.Due(w.t.Context(), webhook.DueQuery{Sub: sub, Lane: webhook.Retrying, Now: time.Now(), Limit: 1 << 20, Room: 1 << 20})
	if err != nil {
		w.t.Fatal(err)
	}
	return due.Jobs
}

func TestWhatChangesWhileAReplayGoesOnIsLeftAlone(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub := w.mustSubscribe("a")
		failedBefore, failsLater := w.mustEvent("a"), w.mustEvent("a")
		jobs := w.sent.take()
		w.mustRecord(failed(jobs[0]))
		r := w.mustStart(webhook.ReplayFilter{Since: anHourAgo()})
		time.Sleep(time.Second)
		w.mustRecord(failed(jobs[1]))
		published := w.mustEvent("a")
		w.mustRecord(failed(w.sent.take()[0]))
		w.jobs.Start()
		synctest.Wait()
		wantReplay(t, w.mustSteer(r, w.Replay), "completed", 1, 0)
		w.wantDelivery(failedBefore, sub, webhook.Retrying, "server_error")
		w.wantDelivery(failsLater, sub, webhook.Failed, "server_error")
		w.wantDelivery(published, sub, webhook.Failed, "server_error")
		w.Stop()
	})
}

func TestAnAttemptUnderWayDecidesNothingOnceItsDeliveryIsReplayed(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub := w.mustSubscribe("a")
		event := w.mustEvent("a")
		under := w.sent.take()[0]
		w.mustRecord(failed(under))
		wantReplay(t, w.mustReplay(webhook.ReplayFilter{Since: anHourAgo()}), "completed", 1, 0)
		if o := w.mustRecord(delivered(under)); !o[0].Superseded {
			t.Error("an attempt of before the replay decides")
		}
		w.wantDelivery(event, sub, webhook.Retrying, "server_error")
		w.mustRecord(delivered(w.mustDue(sub, webhook.Retrying)[0]))
		w.wantDelivery(event, sub, webhook.Delivered, "ok")
		w.Stop()
	})
}

func TestTheEndOfAReplayIsAnnounced(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub, news := w.mustSubscribe("a"), w.mustSubscribe(standard.ReplayCompleted)
		w.mustEvent("a")
		w.mustEnd(w.sent.take(), failed)
		r, err := w.Recover(t.Context(), w.tenant, sub.ID, anHourAgo(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		w.jobs.Start()
		synctest.Wait()
		jobs := w.sent.take()
		if len(jobs) != 1 || jobs[0].Sub.ID != news.ID || jobs[0].Type != standard.ReplayCompleted {
			t.Fatalf("%d events", len(jobs))
		}
		var body struct {
			Data struct{ Replay map[string]any }
		}
		if err := json.Unmarshal(jobs[0].Body, &body); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"id": id.Job.Format(r.ID), "kind": "recover", "state": "completed", "total": 1.0, "done": 1.0, "skipped": 0.0}
		if diff := cmp.Diff(want, body.Data.Replay); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.Stop()
	})
}

func TestEnablingSaysWhatWasMissedAndRecoversIt(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		sub := w.mustSubscribe("a")
		lost := w.mustEvent("a")
		w.mustEnd(w.sent.take(), failed)
		time.Sleep(time.Minute)
		w.disable(sub)
		since := time.Now()
		held := w.mustEvent("a")
		time.Sleep(time.Minute)

		_, err := w.EnableAndRecover(t.Context(), w.tenant, sub.ID, time.Now().Add(time.Hour))
		wantProblem(t, err, problem.Invalid, "recover_since")
		_, err = w.EnableAndRecover(t.Context(), id.New(time.Now()), sub.ID, since)
		wantProblem(t, err, problem.NotFound)
		e, err := w.EnableAndRecover(t.Context(), w.tenant, sub.ID, since)
		if err != nil || !e.Subscription.Enabled || e.Replay == nil || e.Replay.Kind != webhook.KindRecover {
			t.Fatalf("%+v, %v", e, err)
		}
		if want := (webhook.Missed{Failed: 1, Held: 1, Since: lost.Time()}); e.Missed != want {
			t.Errorf("missed: %+v, want %+v", e.Missed, want)
		}
		w.jobs.Start()
		synctest.Wait()
		w.wantDelivery(lost, sub, webhook.Failed, "server_error")
		w.wantDelivery(held, sub, webhook.Retrying, "")
		e, err = w.EnableAndRecover(t.Context(), w.tenant, sub.ID, time.Time{})
		if err != nil || e.Replay != nil || e.Missed.Failed != 1 || e.Missed.Held != 0 {
			t.Errorf("%+v, %v", e, err)
		}
		w.Stop()
	})
}

func TestReplaysAreListedTheNewestFirst(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		var want []id.ID
		for range 5 {
			want = append(want, w.mustStart(webhook.ReplayFilter{Since: anHourAgo()}).ID)
			time.Sleep(time.Second)
		}
		slices.Reverse(want)
		var got []id.ID
		for _, r := range all(t, func(p webhook.Page) ([]webhook.Replay, string, error) { return w.Replays(t.Context(), w.tenant, p) }, 2) {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.Stop()
	})
}

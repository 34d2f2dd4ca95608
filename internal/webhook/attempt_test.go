package webhook_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// firsts are first attempts of both kinds, those that are kept in the row of
// their delivery and those that take a row of their own, and how many they take.
var firsts = map[string]struct {
	attempt webhook.Attempt
	rows    int
}{
	"delivered":           {attempt(204, wire.Delivered, wire.ReasonOK), 0},
	"not answered":        {webhook.Attempt{StartedAt: micro, Verdict: wire.Retry, Reason: "timeout", Error: "no answer in 15s"}, 0},
	"with nothing to say": {webhook.Attempt{StartedAt: micro}, 0},
	"with as much as fits": {
		webhook.Attempt{StartedAt: micro, ResponseStatus: 200, Verdict: wire.Delivered, Reason: wire.ReasonOK, Body: filled(512)}, 0,
	},
	"with a byte more": {
		webhook.Attempt{StartedAt: micro, ResponseStatus: 200, Verdict: wire.Delivered, Reason: wire.ReasonOK, Body: filled(513)}, 1,
	},
	"with a whole body": {
		webhook.Attempt{StartedAt: micro, ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError, Body: filled(16 << 10)}, 1,
	},
	"with a long error": {
		webhook.Attempt{StartedAt: micro, Verdict: wire.Retry, Reason: "tls", Error: strings.Repeat("e", 600)}, 1,
	},
	"with large headers": {
		webhook.Attempt{
			StartedAt: micro, ResponseStatus: 404, Verdict: wire.Retry, Reason: wire.ReasonClientError,
			Headers: []wire.Header{{Name: "A", Value: strings.Repeat("a", 300)}, {Name: "B", Value: strings.Repeat("b", 300)}},
		}, 1,
	},
}

var micro = time.Now().UTC().Truncate(time.Microsecond)

// filled is a body of n bytes that are not text.
func filled(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }

func TestAllThatCameOfEachAttemptIsShownInOrderWhereverItIsKept(t *testing.T) {
	for name, first := range firsts {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustSubscribe("a")
			event := w.mustEvent("a")
			o := retried(w.sent.take()[0], micro)
			o.Attempt = first.attempt
			made := []webhook.Attempt{w.mustRecord(o)[0].Attempt}
			w.wantTimeline(event, sub, made)
			w.wantAttemptRows(first.rows)
			for range 2 {
				o := retried(w.mustDue(sub, webhook.Retrying)[0], micro)
				o.Attempt.Body = filled(100 * len(made))
				made = append(made, w.mustRecord(o)[0].Attempt)
				w.wantTimeline(event, sub, made)
			}
		})
	}
}

func TestWhatIsDecidedByHandChangesNoAttempt(t *testing.T) {
	for name, first := range firsts {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustSubscribe("a")
			event := w.mustEvent("a")
			o := retried(w.sent.take()[0], micro)
			o.Attempt = first.attempt
			made := []webhook.Attempt{w.mustRecord(o)[0].Attempt}
			underWay := w.mustDue(sub, webhook.Retrying)[0]
			if _, err := w.Retry(t.Context(), w.tenant, event, sub.ID); err != nil {
				t.Fatal(err)
			}
			w.wantTimeline(event, sub, made)
			// What was under way when it was retried by hand, and what was then made.
			made = append(made, w.mustRecord(delivered(underWay))[0].Attempt)
			w.wantTimeline(event, sub, made)
			made = append(made, w.mustRecord(retried(w.mustDue(sub, webhook.Pending)[0], micro))[0].Attempt)
			w.wantTimeline(event, sub, made)
			if err := w.ExpungeBody(t.Context(), w.tenant, event); err != nil {
				t.Fatal(err)
			}
			w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonBodyExpunged)
			for i := range made {
				made[i].Headers, made[i].Body = nil, nil // they may repeat the event's body
			}
			w.wantTimeline(event, sub, made)
		})
	}
}

func TestAttemptsThatWereUnderWayAtOnceAreShownInTheOrderOfTheirRecord(t *testing.T) {
	for name, first := range firsts {
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			t.Run(name, func(t *testing.T) {
				w := mustStarted(t)
				sub := w.mustSubscribe("a")
				event := w.mustEvent("a")
				superseded := retried(w.sent.take()[0], micro)
				superseded.Attempt = first.attempt
				if _, err := w.Retry(t.Context(), w.tenant, event, sub.ID); err != nil {
					t.Fatal(err)
				}
				decides := delivered(w.mustDue(sub, webhook.Pending)[0])
				decides.Attempt = first.attempt
				decides.Attempt.Reason = "another"
				decides.Attempt.StartedAt = micro.Add(time.Microsecond)
				both := []webhook.Outcome{superseded, decides}
				got := w.mustRecord(both[order[0]], both[order[1]])
				w.wantTimeline(event, sub, []webhook.Attempt{got[0].Attempt, got[1].Attempt})
				w.wantDelivery(event, sub, webhook.Delivered, "another")
			})
		}
	}
}

func TestADeliveryIsShownWithItsLatest100Attempts(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	job := w.sent.take()[0]
	var made []webhook.Attempt
	var outcomes []webhook.Outcome
	for range 102 {
		outcomes = append(outcomes, failed(job))
	}
	for _, o := range w.mustRecord(outcomes...) {
		made = append(made, o.Attempt)
	}
	w.wantTimeline(event, sub, made[2:])
}

func TestADeliveryWhoseFirstAttemptWasRecordedByAnOlderProgramGoesOn(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event, waits := w.mustEvent("a"), w.mustEvent("a")
	jobs := w.sent.take()
	made := []webhook.Attempt{w.mustRecord(retried(jobs[0], micro))[0].Attempt}
	w.mustMoveFirsts()
	w.wantAttemptRows(1)
	w.wantTimeline(event, sub, made)
	made = append(made, w.mustRecord(delivered(w.mustDue(sub, webhook.Retrying)[0]))[0].Attempt)
	w.wantTimeline(event, sub, made)
	w.wantDelivery(event, sub, webhook.Delivered, "ok")
	// One that had none yet begins as any other.
	w.wantTimeline(waits, sub, nil)
	w.wantTimeline(waits, sub, []webhook.Attempt{w.mustRecord(delivered(jobs[1]))[0].Attempt})
	w.wantAttemptRows(2)
}

// mustMoveFirsts moves all attempts into rows of their own, where older programs
// kept them.
func (w *world) mustMoveFirsts() {
	w.t.Helper()
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO attempt (tenant_id, event_id, subscription_id, number, started_at, timing, response_status, verdict, reason, error, headers, body)
			SELECT tenant_id, event_id, subscription_id, 1, first_started_at, first_timing, first_response_status, first_verdict, first_reason, first_error, first_headers, first_body
			FROM delivery WHERE first_started_at IS NOT NULL`); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE delivery SET first_started_at = NULL, first_timing = NULL, first_response_status = NULL, first_verdict = NULL,
			first_reason = NULL, first_error = NULL, first_headers = NULL, first_body = NULL`)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// wantTimeline fails the test unless the delivery is shown with these attempts.
func (w *world) wantTimeline(event id.ID, sub *webhook.Subscription, want []webhook.Attempt) {
	w.t.Helper()
	d, got := w.mustDelivery(event, sub)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("attempts (-recorded +shown):\n%s", diff)
	}
	for i, a := range got {
		if number := d.Attempts - len(got) + i + 1; a.Number != number {
			w.t.Errorf("attempt %d of %d has number %d, want %d", i, d.Attempts, a.Number, number)
		}
	}
}

// wantAttemptRows fails the test unless so many attempts have a row of their own.
func (w *world) wantAttemptRows(want int) {
	w.t.Helper()
	var got int
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT count(*) FROM attempt`).Scan(&got)
	})
	if err != nil || got != want {
		w.t.Errorf("%d attempts have a row of their own, want %d: %v", got, want, err)
	}
}

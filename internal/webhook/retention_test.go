package webhook_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

const day = 24 * time.Hour

// kept runs a test of a service that keeps records so long, in virtual time.
func kept(t *testing.T, keep webhook.Periods, test func(t *testing.T, w *world)) {
	t.Helper()
	testkit.VirtualTime(t, func(t *testing.T) {
		w := &world{t: t, url: testkit.DatabaseURL(t), tenant: id.New(time.Now()), tries: &attempter{}, keep: keep}
		w.key = secret.NewKey()
		w.mustOpen()
		defer w.close()
		w.Start(w.sent)
		test(t, w)
	})
}

// wait lets virtual time pass, and what becomes due with it.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestRecordsGoOnceTheyAreOldAndNotBefore(t *testing.T) {
	kept(t, webhook.Periods{Records: 30 * day}, func(t *testing.T, w *world) {
		sub := w.mustSubscribe("a")
		p := one("a", `{}`)
		p.IdempotencyKey = "first"
		first := w.mustPublish(p)[0].ID
		w.mustRecord(delivered(w.sent.take()[0]))
		w.mustEvent("unwanted")
		wait(29 * day)
		later := w.mustEvent("a")
		w.mustRecord(failed(w.sent.take()[0]))
		w.wantCount(w.tenant, 3, 2)
		if again := w.mustPublish(p)[0].ID; again != first {
			t.Error("the idempotency key was forgotten before its event")
		}
		wait(day + time.Hour)
		w.wantCount(w.tenant, 1, 1)
		w.wantDelivery(later, sub, webhook.Failed, "server_error")
		if again := w.mustPublish(p)[0].ID; again == first {
			t.Error("the idempotency key has outlived its event")
		}
		w.mustRecord(delivered(w.sent.take()[0]))
		wait(31 * day)
		w.wantCount(w.tenant, 0, 0)
		w.wantRows(map[string]int{"event": 0, "delivery": 0, "attempt": 0, "idempotency_key": 0, "subscription": 1})
	})
}

func TestWhatIsStillToBeSentStaysUntilItHasEnded(t *testing.T) {
	kept(t, webhook.Periods{Records: 2 * day, Bodies: day}, func(t *testing.T, w *world) {
		sub, other := w.mustSubscribe("a"), w.mustSubscribe("b")
		before, event, after := w.mustEvent("b"), w.mustEvent("a"), w.mustEvent("b")
		for _, job := range w.sent.take() {
			if job.Sub.ID == other.ID {
				w.mustRecord(delivered(job))
				continue
			}
			w.mustRecord(retried(job, time.Now().Add(time.Hour)))
		}
		wait(10 * day)
		w.wantCount(w.tenant, 1, 1)
		for _, gone := range []id.ID{before, after} {
			_, _, err := w.Event(t.Context(), w.tenant, gone)
			wantProblem(t, err, problem.NotFound)
		}
		due := w.mustDue(sub, webhook.Retrying)
		if len(due) != 1 || due[0].EventID != event || string(due[0].Body) == "" {
			t.Fatalf("%d are due, or without what is to be sent", len(due))
		}
		w.mustRecord(delivered(due[0]))
		wait(7 * time.Hour)
		w.wantCount(w.tenant, 0, 0)
	})
}

func TestWhatWaitsForADisabledSubscriptionGoesWhenItIsOld(t *testing.T) {
	kept(t, webhook.Periods{Records: 2 * day}, func(t *testing.T, w *world) {
		sub := w.mustSubscribe("a")
		w.mustEvent("a")
		w.disable(sub)
		w.mustEvent("a")
		wait(3 * day)
		w.wantCount(w.tenant, 0, 0)
		w.enable(sub)
		if due := w.mustDue(sub, webhook.Pending); len(due) != 0 {
			t.Errorf("%d are due without an event", len(due))
		}
	})
}

func TestATenantShortensThePeriodsAndCannotLengthenThem(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		short, long := id.New(time.Now()), id.New(time.Now())
		w := &world{t: t, url: testkit.DatabaseURL(t), key: secret.NewKey(), tenant: short, tries: &attempter{}}
		w.keep = webhook.Periods{Records: 10 * day}
		w.keepOf = func(_ db.Queryer, tenant id.ID) (webhook.Periods, error) {
			if tenant == short {
				return webhook.Periods{Records: 3 * day, Bodies: day}, nil
			}
			return webhook.Periods{Records: 100 * day}, nil
		}
		w.mustOpen()
		defer w.close()
		w.Start(w.sent)
		w.mustEvent("a")
		mustDo(t, long, w.publishTo(long))
		wait(day + time.Hour)
		e := all(t, func(p webhook.Page) ([]webhook.Event, string, error) {
			return w.Events(t.Context(), short, webhook.EventFilter{}, p)
		}, 10)[0]
		if e, _, err := w.Event(t.Context(), short, e.ID); err != nil || e.Body != nil {
			t.Errorf("the body is still there, or %v", err)
		}
		wait(2 * day)
		w.wantCount(short, 0, 0)
		w.wantCount(long, 1, 0)
		wait(8 * day)
		w.wantCount(long, 0, 0)
	})
}

func TestBodiesGoBeforeTheirRecords(t *testing.T) {
	kept(t, webhook.Periods{Records: 30 * day, Bodies: 7 * day}, func(t *testing.T, w *world) {
		sub, off := w.mustSubscribe("a"), w.mustSubscribe("a")
		w.disable(off)
		event := w.mustEvent("a")
		job := w.sent.take()[0]
		small, large := retried(job, time.Now()), delivered(job)
		w.mustRecord(small)
		large.Job = w.mustDue(sub, webhook.Retrying)[0]
		large.Attempt.Body = filled(10_000)
		w.mustRecord(large)
		wait(6 * day)
		if e, _, err := w.Event(t.Context(), w.tenant, event); err != nil || e.Body == nil {
			t.Fatalf("the body is gone early, or %v", err)
		}
		wait(day + time.Hour)
		e, deliveries, err := w.Event(t.Context(), w.tenant, event)
		if err != nil || e.Body != nil || len(deliveries) != 2 {
			t.Fatalf("the body is there, or %d deliveries, or %v", len(deliveries), err)
		}
		w.wantDelivery(event, off, webhook.Cancelled, webhook.ReasonExpired)
		d, attempts := w.mustDelivery(event, sub)
		if d.Status != webhook.Delivered || len(attempts) != 2 {
			t.Errorf("the delivery is %s after %d attempts", d.Status, len(attempts))
		}
		for _, a := range attempts {
			if len(a.Body) > 0 || len(a.Headers) > 0 || a.ResponseStatus == 0 {
				t.Errorf("attempt %d has kept what was answered, or not that it was", a.Number)
			}
		}
		_, err = w.Retry(t.Context(), w.tenant, event, sub.ID)
		wantProblem(t, err, problem.BodyExpunged)
		wait(23 * day)
		w.wantCount(w.tenant, 0, 0)
	})
}

func TestManyRecordsGoInSmallTransactionsAndAfterARestart(t *testing.T) {
	kept(t, webhook.Periods{Records: day}, func(t *testing.T, w *world) {
		const subs, events = 130, 900
		for range subs {
			w.mustSubscribe("wide")
		}
		for range 4 {
			w.mustEvent("wide")
		}
		for left := events; left > 0; left -= 300 {
			w.mustPublish(batch(300, "narrow"))
		}
		for _, job := range w.sent.take() {
			o := retried(job, time.Now().Add(-time.Second))
			o.Attempt.Body = filled(600) // a row of its own
			w.mustRecord(o)
			job.Attempts, job.Status = 1, webhook.Retrying
			w.mustRecord(delivered(job))
		}
		w.wantRows(map[string]int{"event": 4 + events, "delivery": 4 * subs, "attempt": 8 * subs})
		w.close()
		wait(2 * day)
		w.mustOpen()
		w.Start(w.sent)
		w.mustEvent("narrow")
		wait(time.Hour)
		w.wantRows(map[string]int{"event": 1, "delivery": 0, "attempt": 0})
	})
}

func TestAKeyIsForgottenWithTheFirstOfItsEventsThatGoes(t *testing.T) {
	kept(t, webhook.Periods{Records: day}, func(t *testing.T, w *world) {
		w.mustSubscribe("waits")
		p := webhook.Publishing{Batch: true, IdempotencyKey: "both", Publications: []webhook.Publication{
			{Type: "waits", Data: []byte(`{}`)}, {Type: "goes", Data: []byte(`{}`)},
		}}
		first := w.mustPublish(p)
		wait(2 * day)
		w.wantCount(w.tenant, 1, 1)
		second := w.mustPublish(p)
		if second[0].ID == first[0].ID || len(second) != 2 {
			t.Fatal("it was answered with an event that is not kept any more")
		}
		if third := w.mustPublish(p); third[0].ID != second[0].ID {
			t.Error("the key was not taken anew")
		}
	})
}

func TestADeletedSubscriptionsRowStaysAsLongAsADeliveryNamesIt(t *testing.T) {
	kept(t, webhook.Periods{Records: day}, func(t *testing.T, w *world) {
		sub, unused := w.mustSubscribe("a"), w.mustSubscribe("b")
		event := w.mustEvent("a")
		for _, s := range []*webhook.Subscription{sub, unused} {
			if err := w.DeleteSubscription(t.Context(), w.tenant, s.ID); err != nil {
				t.Fatal(err)
			}
		}
		wait(12 * time.Hour)
		w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonSubscriptionDeleted)
		w.wantRows(map[string]int{"subscription": 1})
		wait(day)
		w.wantRows(map[string]int{"subscription": 0, "delivery": 0, "event": 0})
	})
}

func TestAnExpungedBodyIsNowhereOnDisk(t *testing.T) {
	kept(t, webhook.Periods{}, func(t *testing.T, w *world) {
		w.mustSubscribe("a")
		var payloads [][]byte
		var events []id.ID
		for i := range 60 {
			payload := []byte(fmt.Sprintf("payload-%d-", i) + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i)}, 3+i*i*3)))
			payloads = append(payloads, payload)
			event := w.mustPublish(one("a", fmt.Sprintf(`{"text":%q}`, payload)))[0].ID
			events = append(events, event)
			if job := w.sent.take()[0]; i%2 == 0 { // the others stay pending
				w.mustRecord(delivered(job))
			}
		}
		if found := w.onDisk(payloads...); len(found) != len(payloads) {
			t.Fatalf("only %d of the payloads can be found before: the test has gone blind", len(found))
		}
		for _, event := range events {
			if err := w.ExpungeBody(t.Context(), w.tenant, event); err != nil {
				t.Fatal(err)
			}
		}
		wait(20 * time.Second)
		if found := w.onDisk(payloads...); len(found) > 0 {
			t.Errorf("payloads %v are still on disk", found)
		}
	})
}

func TestAnAnswerThatComesAfterItsEventWasExpungedIsNotKept(t *testing.T) {
	for name, first := range map[string]int{"small": 10, "large": 5000} {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustSubscribe("a")
			event := w.mustEvent("a")
			underWay := w.sent.take()[0]
			if err := w.ExpungeBody(t.Context(), w.tenant, event); err != nil {
				t.Fatal(err)
			}
			o := delivered(underWay)
			o.Attempt.Body = filled(first)
			w.mustRecord(o)
			w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonBodyExpunged)
			_, attempts := w.mustDelivery(event, sub)
			if len(attempts) != 1 || len(attempts[0].Body)+len(attempts[0].Headers) > 0 {
				t.Errorf("%d attempts, or the answer is kept", len(attempts))
			}
		})
	}
}

func (w *world) publishTo(tenant id.ID) error {
	_, _, err := w.Publish(context.Background(), tenant, one("a", `{}`))
	return err
}

// wantRows fails the test unless the tables have so many rows.
func (w *world) wantRows(want map[string]int) {
	w.t.Helper()
	err := w.db.Read(context.Background(), func(q db.Queryer) error {
		for table, rows := range want {
			var n int
			if err := q.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
				return err
			}
			if n != rows {
				w.t.Errorf("%s has %d rows, want %d", table, n, rows)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
}

// onDisk returns which of the texts the database's files have.
func (w *world) onDisk(texts ...[]byte) []int {
	w.t.Helper()
	files, err := filepath.Glob(testkit.DatabasePath(w.t, w.url) + "*")
	if err != nil || len(files) < 2 {
		w.t.Fatalf("files of the database: %v, %v", files, err)
	}
	var all []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, content...)
	}
	var found []int
	for i, text := range texts {
		if bytes.Contains(all, text[:min(len(text), 40)]) {
			found = append(found, i)
		}
	}
	return found
}

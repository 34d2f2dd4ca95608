package webhook_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func TestAnEventGoesToEverySubscriptionThatMatchesAndToNoOther(t *testing.T) {
	w := mustStarted(t)
	exact := w.mustSubscribe("invoice.paid", "invoice.sent")
	every := w.mustSubscribe(webhook.AllTypes)
	w.mustSubscribe("invoice")
	w.mustSubscribe("invoice.paid.twice")
	w.mustCreate(id.New(time.Now()), draft(webhook.AllTypes)) // another tenant's

	answer := w.mustPublish(one("invoice.paid", `{"n":1}`))[0]
	if answer.Deliveries != 2 {
		t.Errorf("it goes to %d subscriptions, want 2", answer.Deliveries)
	}
	var to []id.ID
	for _, job := range w.sent.take() {
		to = append(to, job.Sub.ID)
		if job.TenantID != w.tenant || job.EventID != answer.ID || job.Type != "invoice.paid" || job.Status != webhook.Pending || job.Attempts != 0 {
			t.Errorf("a job of another delivery was handed over: %+v", job)
		}
	}
	want := []id.ID{exact.ID, every.ID}
	for _, list := range [][]id.ID{want, to} {
		slices.SortFunc(list, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) })
	}
	if diff := cmp.Diff(want, to); diff != "" {
		t.Errorf("handed over to (-want +got):\n%s", diff)
	}
	_, deliveries, err := w.Event(t.Context(), w.tenant, answer.ID)
	if err != nil || len(deliveries) != 2 {
		t.Fatalf("%d deliveries, %v", len(deliveries), err)
	}
	for _, d := range deliveries {
		if d.Status != webhook.Pending || d.NextAt.IsZero() || d.EventType != "invoice.paid" || d.Attempts != 0 {
			t.Errorf("a new delivery is %+v", d)
		}
	}
}

func TestAnEventThatNobodyWantsIsKept(t *testing.T) {
	w := mustStarted(t)
	answer := w.mustPublish(one("nobody.cares", `{}`))[0]
	if answer.Deliveries != 0 || len(w.sent.take()) != 0 {
		t.Error("it goes somewhere")
	}
	w.wantCount(w.tenant, 1, 0)
}

func TestADeliveryToADisabledSubscriptionIsHeldAndNotHandedOver(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	if _, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	answer := w.mustPublish(one("a", `{}`))[0]
	if answer.Deliveries != 1 {
		t.Errorf("the answer counts %d deliveries", answer.Deliveries)
	}
	if jobs := w.sent.take(); len(jobs) != 0 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	w.wantDelivery(answer.ID, sub, webhook.Held, webhook.ReasonDisabled)
	if due := w.mustDue(sub, webhook.Pending); len(due) != 0 {
		t.Errorf("%d are due", len(due))
	}
}

func TestAChangeBetweenMatchingAndStoringIsSeen(t *testing.T) {
	tests := map[string]struct {
		change func(w *world, sub *webhook.Subscription) error
		status []webhook.Status // of the event's deliveries
		jobs   int
	}{
		"created": {
			change: func(w *world, _ *webhook.Subscription) error {
				w.mustSubscribe("a")
				return nil
			},
			status: []webhook.Status{webhook.Pending, webhook.Pending}, jobs: 2,
		},
		"deleted": {
			change: func(w *world, sub *webhook.Subscription) error {
				return w.DeleteSubscription(t.Context(), w.tenant, sub.ID)
			},
		},
		"disabled": {
			change: func(w *world, sub *webhook.Subscription) error {
				_, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID)
				return err
			},
			status: []webhook.Status{webhook.Held},
		},
		"given other types": {
			change: func(w *world, sub *webhook.Subscription) error {
				_, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{EventTypes: &[]string{"b"}})
				return err
			},
		},
		"ended with its tenant": {
			change: func(w *world, _ *webhook.Subscription) error {
				return w.db.Write(t.Context(), func(tx *db.Tx) error { return w.DeleteTenant(tx, w.tenant) })
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustSubscribe("a")
			forget, err := w.HoldMatcher(t.Context(), w.tenant)
			if err != nil {
				t.Fatal(err)
			}
			if err := test.change(w, sub); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time with what the first left in memory
				forget()
				answers := w.mustPublish(batch(2, "a"))
				for _, answer := range answers {
					_, deliveries, err := w.Event(t.Context(), w.tenant, answer.ID)
					if err != nil {
						t.Fatal(err)
					}
					var status []webhook.Status
					for _, d := range deliveries {
						status = append(status, d.Status)
					}
					if diff := cmp.Diff(test.status, status); diff != "" {
						t.Errorf("deliveries (-want +got):\n%s", diff)
					}
					if answer.Deliveries != len(test.status) {
						t.Errorf("the answer counts %d", answer.Deliveries)
					}
				}
				if jobs := w.sent.take(); len(jobs) != 2*test.jobs {
					t.Errorf("%d jobs were handed over, want %d", len(jobs), 2*test.jobs)
				}
			}
		})
	}
}

func TestABodyIsStoredAndHandedOverExactlyAsItIsSent(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	at := time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.FixedZone("", 3600))
	p := one("a", " {\"z\" : \"\\u003cp\\u003e \\u2028\" , \"a\":[1.50, -0, 1e3],\n\"e\":\"\\ud83d\\ude00\"} ")
	p.Publications[0].OccurredAt = at
	answer := w.mustPublish(p)[0]
	want := "{\"type\":\"a\",\"timestamp\":\"2024-02-29T22:59:58.123456Z\",\"data\":{\"z\":\"<p> \u2028\",\"a\":[1.50,-0,1e3],\"e\":\"😀\"}}"
	e, _, err := w.Event(t.Context(), w.tenant, answer.ID)
	if err != nil {
		t.Fatal(err)
	}
	handed, due := w.sent.take(), w.mustDue(sub, webhook.Pending)
	if len(handed) != 1 || len(due) != 1 {
		t.Fatalf("%d jobs were handed over and %d are due", len(handed), len(due))
	}
	for name, got := range map[string][]byte{"stored": e.Body, "handed over": handed[0].Body, "due": due[0].Body} {
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !answer.OccurredAt.Equal(at.Truncate(time.Microsecond)) || !e.OccurredAt.Equal(answer.OccurredAt) {
		t.Errorf("it occurred at %v, was answered %v and stored %v", at, answer.OccurredAt, e.OccurredAt)
	}
}

func TestATraceparentIsPassedOnIfItIsWellFormed(t *testing.T) {
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for given, want := range map[string]string{good: good, "": "", "x": "", good + "\r\nX: y": "", strings.ToUpper(good): "", good + "-00": ""} {
		w := mustStarted(t)
		sub := w.mustSubscribe("a")
		p := one("a", `{}`)
		p.Traceparent = given
		w.mustPublish(p)
		for _, jobs := range [][]webhook.Job{w.sent.take(), w.mustDue(sub, webhook.Pending)} {
			if len(jobs) != 1 || jobs[0].Traceparent != want {
				t.Errorf("%q: %+v", given, jobs)
			}
		}
	}
}

func TestABatchIsStoredInItsOrderAndItsIDsSortSo(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe(webhook.AllTypes)
	p := webhook.Publishing{Batch: true}
	for i := range 200 {
		p.Publications = append(p.Publications, webhook.Publication{Type: fmt.Sprintf("t%d", i), Data: []byte(`{}`)})
	}
	answers := w.mustPublish(p)
	for i, answer := range answers {
		if answer.Type != p.Publications[i].Type {
			t.Fatalf("answer %d is of %s", i, answer.Type)
		}
		if i > 0 && bytes.Compare(answers[i-1].ID[:], answer.ID[:]) >= 0 {
			t.Fatalf("the ids of %d and %d are out of order", i-1, i)
		}
	}
	for name, jobs := range map[string][]webhook.Job{"handed over": w.sent.take(), "due": w.mustDue(sub, webhook.Pending)} {
		if len(jobs) != len(answers) {
			t.Fatalf("%d jobs %s", len(jobs), name)
		}
		for i, job := range jobs {
			if job.EventID != answers[i].ID {
				t.Fatalf("%s: job %d is out of order", name, i)
			}
		}
	}
}

func TestABatchIsStoredWholeOrNotAtAll(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe(webhook.AllTypes)
	p := batch(3, "a")
	p.Publications[1].Data = []byte(`[]`)
	p.Publications[2].Type = "no good"
	p.IdempotencyKey = "key"
	_, _, err := w.Publish(t.Context(), w.tenant, p)
	wantProblem(t, err, problem.Invalid, "events[1].data", "events[2].type")
	w.wantCount(w.tenant, 0, 0)
	if jobs := w.sent.take(); len(jobs) != 0 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	good := batch(3, "a")
	good.IdempotencyKey = "key" // which the refused request did not use up
	if _, replayed, err := w.Publish(t.Context(), w.tenant, good); err != nil || replayed {
		t.Errorf("replayed: %t, %v", replayed, err)
	}
}

func TestABatchIsMeasuredByTheDeliveriesThatItsFiltersLetPass(t *testing.T) {
	w := mustStarted(t)
	lists := webhook.MaxDirect/webhook.MaxBatch + 1
	for i := range lists {
		w.mustCreate(w.tenant, webhook.Draft{
			Dialect: "referralloop", URL: "https://receiver.example/", EventTypes: []string{webhook.AllTypes},
			Filter: webhook.FieldFilter("waitlist_id", fmt.Sprintf("123e4567-e89b-12d3-a456-%012d", i)),
		})
	}
	of := func(list int) webhook.Publishing {
		p := signup(goodSignup)
		p.Fields = map[string]string{"waitlist_id": fmt.Sprintf("123e4567-e89b-12d3-a456-%012d", list)}
		return webhook.Publishing{Batch: true, Publications: slices.Repeat([]webhook.Publication{p}, webhook.MaxBatch)}
	}
	for i, a := range w.mustPublish(of(lists - 1)) {
		if a.Deliveries != 1 {
			t.Fatalf("event %d has %d deliveries", i, a.Deliveries)
		}
	}
	w.wantCount(w.tenant, webhook.MaxBatch, webhook.MaxBatch) // made at once: there is nobody who does the jobs
	for _, a := range w.mustPublish(of(lists)) {
		if a.Deliveries != 0 {
			t.Fatal("an event that nobody wants is delivered")
		}
	}
}

func TestABatchHasOneToAThousandEvents(t *testing.T) {
	w := mustStarted(t)
	for _, n := range []int{0, webhook.MaxBatch + 1} {
		_, _, err := w.Publish(t.Context(), w.tenant, batch(n, "a"))
		wantProblem(t, err, problem.Invalid, "events")
	}
	if answers := w.mustPublish(batch(webhook.MaxBatch, "a")); len(answers) != webhook.MaxBatch {
		t.Errorf("%d answers", len(answers))
	}
}

func TestABadPublicationIsRefusedByFieldAndNotRepeated(t *testing.T) {
	w := mustStarted(t)
	const marker = "hunter2"
	tests := map[string]struct {
		change func(p *webhook.Publishing)
		fields []string
	}{
		"no type":           {func(p *webhook.Publishing) { p.Publications[0].Type = "" }, []string{"type"}},
		"type with a space": {func(p *webhook.Publishing) { p.Publications[0].Type = marker + " x" }, []string{"type"}},
		"type with a line":  {func(p *webhook.Publishing) { p.Publications[0].Type = marker + "\n" }, []string{"type"}},
		"type for all":      {func(p *webhook.Publishing) { p.Publications[0].Type = "*" }, []string{"type"}},
		"type of ours":      {func(p *webhook.Publishing) { p.Publications[0].Type = "webhook." + marker }, []string{"type"}},
		"type too long":     {func(p *webhook.Publishing) { p.Publications[0].Type = strings.Repeat(marker, 20) }, []string{"type"}},
		"type in bad UTF-8": {func(p *webhook.Publishing) { p.Publications[0].Type = marker + "\xff" }, []string{"type"}},
		"dialect":           {func(p *webhook.Publishing) { p.Publications[0].Dialect = marker }, []string{"dialect"}},
		"no data":           {func(p *webhook.Publishing) { p.Publications[0].Data = nil }, []string{"data"}},
		"data of spaces":    {func(p *webhook.Publishing) { p.Publications[0].Data = []byte("  ") }, []string{"data"}},
		"data not JSON":     {func(p *webhook.Publishing) { p.Publications[0].Data = []byte("{" + marker) }, []string{"data"}},
		"data twice":        {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{} {"a":"` + marker + `"}`) }, []string{"data"}},
		"data in bad UTF-8": {func(p *webhook.Publishing) { p.Publications[0].Data = []byte("{\"" + marker + "\":\"\xff\"}") }, []string{"data"}},
		"data an array":     {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`["` + marker + `"]`) }, []string{"data"}},
		"data null":         {func(p *webhook.Publishing) { p.Publications[0].Data = []byte("null") }, []string{"data"}},
		"data a string":     {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`"` + marker + `"`) }, []string{"data"}},
		"data too deep":     {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(strings.Repeat(`{"a":`, 50_000)) }, []string{"data"}},
		"before 1970":       {func(p *webhook.Publishing) { p.Publications[0].OccurredAt = time.Unix(-1, 0) }, []string{"timestamp"}},
		"before 1970 but not by its own zone": {func(p *webhook.Publishing) {
			p.Publications[0].OccurredAt = time.Date(1970, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600))
		}, []string{"timestamp"}},
		"two days ahead": {func(p *webhook.Publishing) { p.Publications[0].OccurredAt = time.Now().Add(48 * time.Hour) }, []string{"timestamp"}},
		"far ahead": {func(p *webhook.Publishing) {
			p.Publications[0].OccurredAt = time.Date(40_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}, []string{"timestamp"}},
		"key too long":    {func(p *webhook.Publishing) { p.IdempotencyKey = strings.Repeat("k", 256) }, []string{"Idempotency-Key"}},
		"key with space":  {func(p *webhook.Publishing) { p.IdempotencyKey = marker + " x" }, []string{"Idempotency-Key"}},
		"key with a line": {func(p *webhook.Publishing) { p.IdempotencyKey = marker + "\n" }, []string{"Idempotency-Key"}},
		"all at once": {func(p *webhook.Publishing) {
			*p = webhook.Publishing{IdempotencyKey: "ü", Publications: []webhook.Publication{{OccurredAt: time.Unix(-1, 0)}}}
		}, []string{"Idempotency-Key", "type", "timestamp", "data"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := one("a", `{}`)
			test.change(&p)
			_, _, err := w.Publish(t.Context(), w.tenant, p)
			wantProblem(t, err, problem.Invalid, test.fields...)
			if refusal, _ := errors.AsType[*problem.Error](err); refusal != nil && strings.Contains(fmt.Sprint(refusal, refusal.Fields), marker) {
				t.Errorf("it repeats the value: %v", err)
			}
		})
	}
	w.wantCount(w.tenant, 0, 0)
}

func TestTimesAndSizesAtTheirLimitsAreAccepted(t *testing.T) {
	w := mustStarted(t)
	largest := `{"a":"` + strings.Repeat("x", 256<<10-8) + `"}`
	for name, pub := range map[string]webhook.Publication{
		"the first moment": {Data: []byte(`{}`), OccurredAt: time.Unix(0, 0)},
		"almost a day on":  {Data: []byte(`{}`), OccurredAt: time.Now().Add(24*time.Hour - time.Minute)},
		"the largest data": {Data: []byte(largest)},
		"deep data":        {Data: []byte(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000))},
	} {
		pub.Type = strings.Repeat("t", 128)
		answers, _, err := w.Publish(t.Context(), w.tenant, webhook.Publishing{Publications: []webhook.Publication{pub}, IdempotencyKey: strings.Repeat("k", 255-len(name)) + strings.ReplaceAll(name, " ", "-")})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		e, _, err := w.Event(t.Context(), w.tenant, answers[0].ID)
		if err != nil || !bytes.Contains(e.Body, pub.Data) {
			t.Errorf("%s: stored %d bytes, %v", name, len(e.Body), err)
		}
	}
	if _, _, err := w.Publish(t.Context(), w.tenant, one("a", strings.Replace(largest, "x", "xx", 1))); !problem.TooLarge.Has(err) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestTheLimitOfDataIsASetting(t *testing.T) {
	w := mustWorld(t)
	w.max = 10
	w.reopen()
	if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"abc":10}`)); err != nil {
		t.Errorf("10 bytes: %v", err)
	}
	_, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"abc":100}`))
	wantProblem(t, err, problem.TooLarge, "data")
}

func TestNothingIsStoredOrToldWhereTheDatabaseFails(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe(webhook.AllTypes)
	w.mustEvent("a")
	w.sent.take()
	w.Stop()
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{}`)); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if jobs := w.sent.take(); len(jobs) != 0 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	w.mustOpen()
	w.wantCount(w.tenant, 1, 1)
}

package webhook_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// keyed is a request with an idempotency key.
func keyed(p webhook.Publishing) webhook.Publishing {
	p.IdempotencyKey = "key-1"
	return p
}

func TestARepeatedRequestGetsTheFirstAnswerAndStoresNothing(t *testing.T) {
	at := time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	for name, p := range map[string]webhook.Publishing{
		"one":       keyed(one("a", `{"a":1,"b":2}`)),
		"a batch":   keyed(batch(3, "a")),
		"with time": keyed(webhook.Publishing{Publications: []webhook.Publication{{Type: "a", Data: []byte(`{}`), OccurredAt: at}}}),
	} {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			w.mustSubscribe("a")
			first := w.mustPublish(p)
			w.sent.take()
			w.mustSubscribe("a") // after the first answer, which does not change
			w.reopen()
			w.Start(w.sent)
			again, replayed, err := w.Publish(t.Context(), w.tenant, p)
			if err != nil || !replayed {
				t.Fatalf("replayed: %t, %v", replayed, err)
			}
			if diff := cmp.Diff(first, again); diff != "" {
				t.Errorf("another answer (-first +again):\n%s", diff)
			}
			if jobs := w.sent.take(); len(jobs) != 0 {
				t.Errorf("%d jobs were handed over again", len(jobs))
			}
			w.wantCount(w.tenant, len(first), len(first))
		})
	}
}

func TestOnlyWhiteSpaceAndEscapesMayDifferUnderAnIdempotencyKey(t *testing.T) {
	w := mustStarted(t)
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	base := func() webhook.Publishing {
		p := keyed(one("a", `{"a":"é","b":2}`))
		p.Publications[0].OccurredAt = at
		return p
	}
	w.mustPublish(base())
	tests := map[string]struct {
		change func(p *webhook.Publishing)
		same   bool
	}{
		"unchanged":          {func(*webhook.Publishing) {}, true},
		"white space":        {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(" { \"a\" : \"é\",\n\t\"b\":2 } ") }, true},
		"an escape":          {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{"a":"\u00e9","b":2}`) }, true},
		"the time's zone":    {func(p *webhook.Publishing) { p.Publications[0].OccurredAt = at.In(time.FixedZone("", 3600)) }, true},
		"the dialect named":  {func(p *webhook.Publishing) { p.Publications[0].Dialect = "standard" }, true},
		"another trace":      {func(p *webhook.Publishing) { p.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }, true},
		"the keys' order":    {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{"b":2,"a":"é"}`) }, false},
		"a value":            {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{"a":"é","b":3}`) }, false},
		"white space inside": {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{"a":"é ","b":2}`) }, false},
		"a number's writing": {func(p *webhook.Publishing) { p.Publications[0].Data = []byte(`{"a":"é","b":2.0}`) }, false},
		"the type":           {func(p *webhook.Publishing) { p.Publications[0].Type = "b" }, false},
		"the time":           {func(p *webhook.Publishing) { p.Publications[0].OccurredAt = at.Add(time.Second) }, false},
		"no time":            {func(p *webhook.Publishing) { p.Publications[0].OccurredAt = time.Time{} }, false},
		"a list of one":      {func(p *webhook.Publishing) { p.Batch = true }, false},
		"one event more": {func(p *webhook.Publishing) {
			p.Publications = append(p.Publications, p.Publications[0])
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := base()
			test.change(&p)
			_, replayed, err := w.Publish(t.Context(), w.tenant, p)
			if test.same && (err != nil || !replayed) {
				t.Errorf("replayed: %t, %v", replayed, err)
			}
			if !test.same {
				wantProblem(t, err, problem.IdempotencyConflict)
			}
		})
	}
	w.wantCount(w.tenant, 1, 0)
}

func TestAnIdempotencyKeyIsItsTenantsOwn(t *testing.T) {
	w := mustStarted(t)
	w.mustPublish(keyed(one("a", `{}`)))
	other := id.New(time.Now())
	if _, replayed, err := w.Publish(t.Context(), other, keyed(one("b", `{"n":1}`))); err != nil || replayed {
		t.Errorf("replayed: %t, %v", replayed, err)
	}
	w.wantCount(w.tenant, 1, 0)
	w.wantCount(other, 1, 0)
}

func TestWithoutAKeyEveryRequestIsANewEvent(t *testing.T) {
	w := mustStarted(t)
	if first := w.mustEvent("a"); first == w.mustEvent("a") {
		t.Error("two events have one id")
	}
	w.wantCount(w.tenant, 2, 0)
}

func TestRequestsAtOnceWithOneKeyMakeOneEvent(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	const callers = 50
	answers := make([][]webhook.Published, callers)
	replays := make([]bool, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			answers[i], replays[i], errs[i] = w.Publish(context.Background(), w.tenant, keyed(one("a", `{}`)))
		})
	}
	wg.Wait()
	first := 0
	for i := range callers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !replays[i] {
			first++
		}
		if answers[i][0].ID != answers[0][0].ID || answers[i][0].Deliveries != 1 {
			t.Errorf("caller %d was answered %+v", i, answers[i])
		}
	}
	if first != 1 {
		t.Errorf("%d callers were first", first)
	}
	if jobs := w.sent.take(); len(jobs) != 1 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	w.wantCount(w.tenant, 1, 1)
}

func TestARepeatedRequestGetsItsFirstAnswerAlsoWhereItWouldBeRefusedNow(t *testing.T) {
	w := mustChecking(t, standard.Checked)
	p := keyed(one("invoice.paid", `{"amount":"12"}`))
	first := w.mustPublish(p)
	w.mustRegister(webhook.NewEventType{Name: "invoice.paid", Schema: []byte(invoiceSchema)})
	again, replayed, err := w.Publish(t.Context(), w.tenant, p)
	if err != nil || !replayed {
		t.Fatalf("%t, %v", replayed, err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second answer (-first +second):\n%s", diff)
	}
	for name, other := range map[string]webhook.Publishing{
		"no key":      one("invoice.paid", `{"amount":"12"}`),
		"too many":    keyed(batch(webhook.MaxBatch+1, "a")),
		"another key": {Publications: p.Publications, IdempotencyKey: "another"},
	} {
		if _, _, err := w.Publish(t.Context(), w.tenant, other); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.Publications = one("invoice.paid", `{"amount":"13"}`).Publications
	if _, _, err := w.Publish(t.Context(), w.tenant, p); !problem.IdempotencyConflict.Has(err) {
		t.Errorf("another body: %v", err)
	}
	w.wantCount(w.tenant, 1, 0)
}

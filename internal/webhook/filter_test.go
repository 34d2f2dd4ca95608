package webhook_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func filtered(text string, types ...string) webhook.Draft {
	d := draft(types...)
	d.Filter = webhook.NewFilter([]byte(text))
	return d
}

// wantTo fails the test unless exactly these subscriptions get an event like p.
func (w *world) wantTo(p webhook.Publication, want ...*webhook.Subscription) {
	w.t.Helper()
	event := w.mustPublish(webhook.Publishing{Publications: []webhook.Publication{p}})[0]
	got := make(map[id.ID]int)
	for _, j := range w.sent.take() {
		got[j.Sub.ID]++
	}
	wanted := make(map[id.ID]int)
	for _, sub := range want {
		wanted[sub.ID] = 1
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		w.t.Errorf("%s %s (-want +got):\n%s", p.Type, p.Data, diff)
	}
	if event.Deliveries != len(want) {
		w.t.Errorf("%s: the answer says %d deliveries", p.Type, event.Deliveries)
	}
}

func TestAPatternStandsForItsFamilyAndAnEventComesOnce(t *testing.T) {
	w := mustStarted(t)
	everything := w.mustSubscribe("*")
	family := w.mustSubscribe("a.*", "a.b", "a.b.*", "a.b.c")
	inner := w.mustSubscribe("a.b.*")
	exact := w.mustSubscribe("a.b", "x.*")
	for eventType, want := range map[string][]*webhook.Subscription{
		"a":       {everything},
		"a.b":     {everything, family, exact},
		"a.b.c":   {everything, family, inner},
		"a.b.c.d": {everything, family, inner},
		"a.bb":    {everything, family},
		"ab.c":    {everything},
		"x.y":     {everything, exact},
	} {
		w.wantTo(webhook.Publication{Type: eventType, Data: []byte(`{}`)}, want...)
	}
}

func TestAPatternHasToStandForSomething(t *testing.T) {
	w := mustStarted(t)
	for _, good := range []webhook.Draft{
		{Dialect: "standard", EventTypes: []string{"webhook.*"}},
		{Dialect: "saasquatch", EventTypes: []string{"email.referral.*", "user.*"}},
		{Dialect: "rehook", EventTypes: []string{"customer.*", "signup"}},
	} {
		good.URL = "https://receiver.example/"
		w.mustCreate(w.tenant, good)
	}
	for _, bad := range []webhook.Draft{
		{Dialect: "saasquatch", EventTypes: []string{"user.created", "invoice.*"}},
		{Dialect: "saasquatch", EventTypes: []string{"user.created", "user.created.*"}},
		{EventTypes: []string{"a", "*.paid"}},
		{EventTypes: []string{"a", "inv*"}},
		{EventTypes: []string{"a", "a.*.*"}},
		{EventTypes: []string{"a", ".*"}},
		{EventTypes: []string{"a", "webhook.own.*"}},
		{EventTypes: []string{"a.*", "a.*"}},
		{EventTypes: []string{"a.*", "*"}},
	} {
		bad.URL = "https://receiver.example/"
		_, err := w.CreateSubscription(t.Context(), w.tenant, bad)
		wantProblem(t, err, problem.Invalid, "event_types[1]")
	}
}

func TestAFilterLooksIntoTypeAndData(t *testing.T) {
	w := mustStarted(t)
	all := w.mustSubscribe("*")
	dollars := w.mustCreate(w.tenant, filtered(`{"all":[{"eq":["data.currency","USD"]},{"gte":["data.amount",5000]}]}`, "*"))
	paid := w.mustCreate(w.tenant, filtered(`{"ends":["type",".paid"]}`, "invoice.*"))
	w.reopen()
	w.Start(w.sent)
	for _, test := range []struct {
		eventType, data string
		want            []*webhook.Subscription
	}{
		{"invoice.paid", `{"currency":"USD","amount":5000}`, []*webhook.Subscription{all, dollars, paid}},
		{"invoice.paid", `{"currency":"USD","amount":4999.99}`, []*webhook.Subscription{all, paid}},
		{"invoice.sent", `{"currency":"USD","amount":"5000"}`, []*webhook.Subscription{all}},
		{"order.paid", `{"currency":"EUR","amount":9000}`, []*webhook.Subscription{all}},
		{"order.paid", `{}`, []*webhook.Subscription{all}},
	} {
		w.wantTo(webhook.Publication{Type: test.eventType, Data: []byte(test.data)}, test.want...)
	}
}

func TestAFilterThatIsChangedWhileEventsArePublishedHoldsFromItsAnswerOn(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustCreate(w.tenant, filtered(`{"eq":["data.n",-1]}`, "*"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.mustEvent("a")
			}
		}
	})
	for n := range 20 {
		filter := webhook.NewFilter(fmt.Appendf(nil, `{"eq":["data.n",%d]}`, n))
		if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Filter: &filter}); err != nil {
			t.Fatal(err)
		}
		for m, want := range map[int]int{n: 1, n - 1: 0} {
			if got := w.mustPublish(one("b", fmt.Sprintf(`{"n":%d}`, m)))[0].Deliveries; got != want {
				t.Errorf("with %s an event with %d goes to %d subscriptions", filter, m, got)
			}
		}
	}
	close(stop)
	wg.Wait()
}

func TestAnEventIsExplained(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustCreate(w.tenant, filtered(`{"gte":["data.amount",5000]}`, "order.paid", "invoice.*"))
	published := func(eventType, data string) id.ID { return w.mustPublish(one(eventType, data))[0].ID }
	for name, test := range map[string]struct {
		event   id.ID
		matches bool
		status  string // of the delivery; "": there is none
	}{
		"it fits":           {published("invoice.paid", `{"amount":5000}`), true, "pending"},
		"the filter":        {published("invoice.paid", `{"amount":4999}`), false, ""},
		"the type":          {published("refund.paid", `{"amount":5000}`), false, ""},
		"another dialect's": {w.mustPublish(webhook.Publishing{Publications: []webhook.Publication{signup(goodSignup)}})[0].ID, false, ""},
	} {
		x, err := w.ExplainEvent(t.Context(), w.tenant, sub.ID, test.event)
		if err != nil {
			t.Fatal(err)
		}
		status := ""
		if x.Delivery != nil {
			status = x.Delivery.Status.String()
		}
		if x.Matches() != test.matches || status != test.status || x.Summary() == "" {
			t.Errorf("%s: %+v", name, x)
		}
	}
	x, err := w.ExplainPublication(t.Context(), w.tenant, sub.ID, webhook.Publication{Type: "invoice.paid", Data: []byte(`{"amount":"5000"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]webhook.PatternOutcome{{Pattern: "order.paid"}, {Pattern: "invoice.*", Matches: true}}, x.Patterns); diff != "" {
		t.Errorf("the patterns (-want +got):\n%s", diff)
	}
	if x.Matches() || x.Filter.Holds || x.Filter.Kind != condition.Text || x.Filter.Note == "" {
		t.Errorf("the filter: %+v", x.Filter)
	}
	w.wantCount(w.tenant, 4, 1)
}

func TestAnEventWithoutItsBodyIsExplainedAsFarAsItCanBe(t *testing.T) {
	w := mustStarted(t)
	plain, asking := w.mustSubscribe("a"), w.mustCreate(w.tenant, filtered(`{"exists":["data.n"]}`, "a"))
	event := w.mustEvent("a")
	if err := w.ExpungeBody(t.Context(), w.tenant, event); err != nil {
		t.Fatal(err)
	}
	if x, err := w.ExplainEvent(t.Context(), w.tenant, plain.ID, event); err != nil || !x.Matches() || x.Delivery.Status != webhook.Cancelled {
		t.Errorf("%+v, %v", x, err)
	}
	_, err := w.ExplainEvent(t.Context(), w.tenant, asking.ID, event)
	wantProblem(t, err, problem.BodyExpunged)
}

func TestNothingOfAnothersIsExplained(t *testing.T) {
	w := mustStarted(t)
	sub, event := w.mustSubscribe("a"), w.mustEvent("a")
	stranger := id.New(event.Time())
	own := w.mustCreate(stranger, draft("a"))
	_, err := w.ExplainEvent(t.Context(), stranger, sub.ID, event)
	wantProblem(t, err, problem.NotFound)
	_, err = w.ExplainEvent(t.Context(), stranger, own.ID, event)
	wantProblem(t, err, problem.NotFound)
	_, err = w.ExplainPublication(t.Context(), stranger, sub.ID, webhook.Publication{Type: "a", Data: []byte(`{}`)})
	wantProblem(t, err, problem.NotFound)
}

package webhook_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// model is what a tenant's records should say, kept in maps.
type model struct {
	tenant     id.ID
	subs       map[id.ID]*modelSub
	events     map[id.ID]*modelEvent
	deliveries map[pair]*modelDelivery
}

type pair struct{ Event, Sub id.ID }

type modelSub struct {
	URL     string
	Types   []string
	Enabled bool
	Reason  string
	deleted bool
}

type modelEvent struct {
	Type     string
	Expunged bool
}

type modelDelivery struct {
	Status webhook.Status
	Reason string
	Made   []modelAttempt
}

type modelAttempt struct {
	Reason   string
	Response int // bytes
}

// inFlight is an attempt that was begun and is not recorded yet.
type inFlight struct {
	of  *model
	job webhook.Job
	url string // of the endpoint that was asked
	// superseded says that somebody intervened since.
	superseded bool
}

// machine applies one operation to the service and to the model.
type machine struct {
	w       *world
	tenants []*model
	flights []*inFlight
}

func TestAnySequenceOfOperationsAgreesWithAModel(t *testing.T) {
	w := mustStarted(t)
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{w: w}
		for range 2 {
			m.tenants = append(m.tenants, &model{
				tenant: id.New(time.Now()), subs: make(map[id.ID]*modelSub), events: make(map[id.ID]*modelEvent), deliveries: make(map[pair]*modelDelivery),
			})
		}
		for range 4 {
			m.subscribe(t)
			m.publish(t)
		}
		actions := map[string]func(*rapid.T){
			"subscribe": m.subscribe, "disable": m.disable, "enable": m.enable, "delete": m.delete, "move": m.move,
			"publish": m.publish, "expunge": m.expunge, "retry": m.retry, "begin": m.begin, "end": m.end,
			"begin another": m.begin, "end another": m.end, "retry another": m.retry, "publish another": m.publish,
		}
		for range 2 { // a run of rapid's own length seldom comes far
			t.Repeat(actions)
		}
		for _, of := range m.tenants {
			m.agree(t, of)
		}
	})
}

func (m *machine) anyTenant(t *rapid.T) *model { return rapid.SampledFrom(m.tenants).Draw(t, "tenant") }

// keys returns the keys in the order of their making, so that a run repeats.
func keys[V any](of map[id.ID]V) []id.ID {
	return slices.SortedFunc(maps.Keys(of), func(a, b id.ID) int { return slices.Compare(a[:], b[:]) })
}

// anySub chooses one of the tenant's subscriptions; deleted ones too.
func (m *machine) anySub(t *rapid.T) (*model, id.ID) {
	of := m.anyTenant(t)
	if len(of.subs) == 0 {
		t.Skip("there is none")
	}
	return of, rapid.SampledFrom(keys(of.subs)).Draw(t, "subscription")
}

func (m *machine) subscribe(t *rapid.T) {
	of := m.anyTenant(t)
	types := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}, {webhook.AllTypes}}).Draw(t, "types")
	sub, err := m.w.CreateSubscription(m.w.t.Context(), of.tenant, draft(types...))
	if err != nil {
		t.Fatal(err)
	}
	of.subs[sub.ID] = &modelSub{URL: sub.URL, Types: types, Enabled: true}
}

// changed checks the answer to a change and reports whether it was made.
func changed(t *rapid.T, sub *modelSub, err error) bool {
	if sub.deleted != problem.NotFound.Has(err) || err != nil && !sub.deleted {
		t.Fatalf("deleted: %t, answered %v", sub.deleted, err)
	}
	return err == nil
}

func (m *machine) disable(t *rapid.T) {
	of, key := m.anySub(t)
	_, err := m.w.DisableSubscription(m.w.t.Context(), of.tenant, key)
	if sub := of.subs[key]; changed(t, sub, err) && sub.Enabled {
		sub.Enabled, sub.Reason = false, webhook.ReasonManual
	}
}

func (m *machine) enable(t *rapid.T) {
	of, key := m.anySub(t)
	_, err := m.w.EnableSubscription(m.w.t.Context(), of.tenant, key)
	if sub := of.subs[key]; changed(t, sub, err) {
		sub.Enabled, sub.Reason = true, ""
	}
}

func (m *machine) move(t *rapid.T) {
	of, key := m.anySub(t)
	url := rapid.SampledFrom([]string{"https://one.example/", "https://two.example/"}).Draw(t, "url")
	_, err := m.w.UpdateSubscription(m.w.t.Context(), of.tenant, key, webhook.Patch{URL: &url})
	if sub := of.subs[key]; changed(t, sub, err) {
		sub.URL = url
	}
}

func (m *machine) delete(t *rapid.T) {
	of, key := m.anySub(t)
	err := m.w.DeleteSubscription(m.w.t.Context(), of.tenant, key)
	if sub := of.subs[key]; changed(t, sub, err) {
		sub.deleted = true
		m.cancel(of, webhook.ReasonSubscriptionDeleted, func(p pair, d *modelDelivery) bool {
			return p.Sub == key && (d.Status <= webhook.Retrying || d.Status == webhook.Held)
		})
	}
}

// cancel ends the chosen deliveries; what is under way of them decides nothing.
func (m *machine) cancel(of *model, reason string, chosen func(pair, *modelDelivery) bool) {
	for p, d := range of.deliveries {
		if chosen(p, d) {
			d.Status, d.Reason = webhook.Cancelled, reason
			m.supersede(p)
		}
	}
}

func (m *machine) supersede(p pair) {
	for _, f := range m.flights {
		if f.job.EventID == p.Event && f.job.Sub.ID == p.Sub {
			f.superseded = true
		}
	}
}

func (m *machine) publish(t *rapid.T) {
	of := m.anyTenant(t)
	eventType := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "type")
	answers, _, err := m.w.Publish(m.w.t.Context(), of.tenant, one(eventType, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	event := answers[0].ID
	of.events[event] = &modelEvent{Type: eventType}
	count := 0
	for key, sub := range of.subs {
		if sub.deleted || !slices.Contains(sub.Types, eventType) && sub.Types[0] != webhook.AllTypes {
			continue
		}
		count++
		d := &modelDelivery{}
		if !sub.Enabled {
			d.Status, d.Reason = webhook.Held, webhook.ReasonDisabled
		}
		of.deliveries[pair{event, key}] = d
	}
	if answers[0].Deliveries != count {
		t.Fatalf("it makes %d deliveries, want %d", answers[0].Deliveries, count)
	}
}

func (m *machine) expunge(t *rapid.T) {
	of := m.anyTenant(t)
	if len(of.events) == 0 {
		t.Skip("there is none")
	}
	event := rapid.SampledFrom(keys(of.events)).Draw(t, "event")
	if err := m.w.ExpungeBody(m.w.t.Context(), of.tenant, event); err != nil {
		t.Fatal(err)
	}
	of.events[event].Expunged = true
	for p, d := range of.deliveries {
		if p.Event != event {
			continue
		}
		m.supersede(p)
		for i := range d.Made {
			d.Made[i].Response = 0
		}
	}
	m.cancel(of, webhook.ReasonBodyExpunged, func(p pair, d *modelDelivery) bool {
		return p.Event == event && (d.Status <= webhook.Retrying || d.Status == webhook.Held)
	})
}

func (m *machine) retry(t *rapid.T) {
	of, key := m.anySub(t)
	if len(of.events) == 0 {
		t.Skip("there is none")
	}
	p := pair{rapid.SampledFrom(keys(of.events)).Draw(t, "event"), key}
	_, err := m.w.Retry(m.w.t.Context(), of.tenant, p.Event, p.Sub)
	d, sub := of.deliveries[p], of.subs[key]
	var want *problem.Code
	switch {
	case d == nil:
		want = problem.NotFound
	case sub.deleted:
		want = problem.Conflict
	case !sub.Enabled:
		want = problem.SubscriptionDisabled
	case of.events[p.Event].Expunged:
		want = problem.BodyExpunged
	}
	if want == nil && err != nil || want != nil && !want.Has(err) {
		t.Fatalf("answered %v, want %v", err, want)
	}
	if want == nil {
		m.restart(p, d)
	}
}

func (m *machine) restart(p pair, d *modelDelivery) {
	if d.Status == webhook.Held || d.Status == webhook.Cancelled {
		d.Reason = ""
	}
	d.Status = webhook.Pending
	m.supersede(p)
}

// begin takes something that is due.
func (m *machine) begin(t *rapid.T) {
	of, key := m.anySub(t)
	sub := of.subs[key]
	if sub.deleted {
		t.Skip("deleted")
	}
	found, err := m.w.Subscription(m.w.t.Context(), of.tenant, key)
	if err != nil {
		t.Fatal(err)
	}
	lane := rapid.SampledFrom([]webhook.Lane{webhook.Pending, webhook.Pending, webhook.Retrying}).Draw(t, "lane")
	read, err := m.w.Due(m.w.t.Context(), webhook.DueQuery{Sub: found, Lane: lane, Now: time.Now(), Limit: 100, Room: 100})
	if err != nil {
		t.Fatal(err)
	}
	jobs := read.Jobs
	due := 0
	for p, d := range of.deliveries {
		if p.Sub == key && d.Status == lane {
			due++
		}
	}
	if len(jobs) != due {
		t.Fatalf("%d are due, want %d", len(jobs), due)
	}
	if due == 0 {
		t.Skip("nothing is due")
	}
	m.flights = append(m.flights, &inFlight{of: of, job: rapid.SampledFrom(jobs).Draw(t, "job"), url: sub.URL})
}

// end records what came of an attempt.
func (m *machine) end(t *rapid.T) {
	if len(m.flights) == 0 {
		t.Skip("nothing is under way")
	}
	i := rapid.IntRange(0, len(m.flights)-1).Draw(t, "attempt")
	f := m.flights[i]
	m.flights = slices.Delete(m.flights, i, i+1)
	outcome := rapid.SampledFrom([]func(webhook.Job) webhook.Outcome{
		delivered, failed, gone, func(j webhook.Job) webhook.Outcome { return retried(j, time.Now().Add(-time.Second)) },
	}).Draw(t, "outcome")(f.job)
	outcome.Attempt.Body = filled(rapid.SampledFrom([]int{1, 1000}).Draw(t, "response"))
	outcomes := []webhook.Outcome{outcome}
	if err := m.w.Record(m.w.t.Context(), outcomes, func() {}); err != nil {
		t.Fatal(err)
	}
	p := pair{f.job.EventID, f.job.Sub.ID}
	d, sub := f.of.deliveries[p], f.of.subs[p.Sub]
	made := modelAttempt{string(outcome.Attempt.Reason), len(outcome.Attempt.Body)}
	if f.of.events[p.Event].Expunged { // an answer may repeat the body
		made.Response = 0
	}
	d.Made = append(d.Made, made)
	if !f.superseded {
		d.Status, d.Reason = outcome.Status, string(outcome.Attempt.Reason)
	}
	isGone := outcome.Attempt.Verdict == "gone" && !sub.deleted
	switch {
	case isGone && sub.URL != f.url:
		if !f.superseded {
			m.restart(p, d)
			f.superseded = true
		}
	case isGone && sub.Enabled:
		sub.Enabled, sub.Reason = false, webhook.ReasonGone
		m.cancel(f.of, webhook.ReasonGone, func(q pair, d *modelDelivery) bool { return q.Sub == p.Sub && d.Status <= webhook.Retrying })
	}
	if outcomes[0].Superseded != f.superseded || outcomes[0].Attempt.Number != len(d.Made) {
		t.Fatalf("recorded as superseded %t and number %d, want %t and %d", outcomes[0].Superseded, outcomes[0].Attempt.Number, f.superseded, len(d.Made))
	}
}

// agree fails the test unless the lists say what the model does.
func (m *machine) agree(t *rapid.T, of *model) {
	ctx := m.w.t.Context()
	living := make(map[id.ID]*modelSub)
	for key, sub := range of.subs {
		if !sub.deleted {
			living[key] = &modelSub{URL: sub.URL, Types: sub.Types, Enabled: sub.Enabled, Reason: sub.Reason}
		}
	}
	subs := make(map[id.ID]*modelSub)
	for _, s := range all(m.w.t, func(p webhook.Page) ([]*webhook.Subscription, string, error) {
		return m.w.Subscriptions(ctx, of.tenant, p)
	}, 3) {
		subs[s.ID] = &modelSub{URL: s.URL, Types: s.EventTypes, Enabled: s.Enabled, Reason: s.Reason}
	}
	if diff := cmp.Diff(living, subs, cmp.AllowUnexported(modelSub{})); diff != "" {
		t.Fatalf("subscriptions (-model +service):\n%s", diff)
	}
	events := make(map[id.ID]*modelEvent)
	for _, e := range all(m.w.t, func(p webhook.Page) ([]webhook.Event, string, error) {
		return m.w.Events(ctx, of.tenant, webhook.EventFilter{}, p)
	}, 3) {
		full, _, err := m.w.Event(ctx, of.tenant, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		events[e.ID] = &modelEvent{Type: e.Type, Expunged: full.Body == nil}
	}
	if diff := cmp.Diff(of.events, events); diff != "" {
		t.Fatalf("events (-model +service):\n%s", diff)
	}
	deliveries := make(map[pair]*modelDelivery)
	for _, d := range all(m.w.t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
		return m.w.Deliveries(ctx, of.tenant, webhook.DeliveryFilter{}, p)
	}, 3) {
		_, attempts, err := m.w.Delivery(ctx, of.tenant, d.EventID, d.SubscriptionID)
		if err != nil {
			t.Fatal(err)
		}
		var made []modelAttempt
		for _, a := range attempts {
			made = append(made, modelAttempt{string(a.Reason), len(a.Body)})
		}
		if d.Attempts != len(made) {
			t.Fatalf("%d attempts are counted and %d kept", d.Attempts, len(made))
		}
		deliveries[pair{d.EventID, d.SubscriptionID}] = &modelDelivery{d.Status, d.Reason, made}
		if due := d.Status <= webhook.Retrying; due == d.NextAt.IsZero() {
			t.Fatalf("a delivery is %s and due at %v", d.Status, d.NextAt)
		}
	}
	if diff := cmp.Diff(of.deliveries, deliveries); diff != "" {
		t.Fatalf("deliveries (-model +service):\n%s", diff)
	}
}

package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// publication is an event in the standard dialect that a command tells of.
func publication(eventType, data string) webhook.Publication {
	return webhook.Publication{Dialect: "standard", Type: eventType, Data: []byte(data)}
}

func (w *world) mustPrepare() *webhook.Prepared {
	w.t.Helper()
	p, err := w.Prepare(w.t.Context(), w.tenant)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// command runs a command that publishes.
func (w *world) command(p *webhook.Prepared, pubs ...webhook.Publication) error {
	w.t.Helper()
	return w.db.Write(w.t.Context(), func(tx *db.Tx) error { return p.Publish(tx, pubs) })
}

func (w *world) mustCommand(pubs ...webhook.Publication) {
	w.t.Helper()
	if err := w.command(w.mustPrepare(), pubs...); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatACommandTellsIsStoredAndHandedOverInItsOrder(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe(webhook.AllTypes)
	later := publication("b", " {\"n\" : 2} ")
	later.OccurredAt = time.Date(2024, 2, 29, 23, 59, 58, 123456789, time.FixedZone("", 3600))
	later.SubjectVersion = 7
	first := publication("a", `{"n":1}`)
	first.Dialect = "" // the default one
	var now time.Time
	p := w.mustPrepare()
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		now = tx.Now()
		return p.Publish(tx, []webhook.Publication{first, later})
	})
	if err != nil {
		t.Fatal(err)
	}
	handed, due := w.sent.take(), w.mustDue(sub, webhook.Pending)
	if len(handed) != 2 || len(due) != 2 || bytes.Compare(handed[0].EventID[:], handed[1].EventID[:]) >= 0 {
		t.Fatalf("%d jobs were handed over and %d are due", len(handed), len(due))
	}
	type sent struct {
		Body    string
		Version int64
	}
	want := []sent{
		{`{"type":"a","timestamp":"` + now.Format(time.RFC3339Nano) + `","data":{"n":1}}`, 0},
		{`{"type":"b","timestamp":"2024-02-29T22:59:58.123456Z","data":{"n":2}}`, 7},
	}
	for name, jobs := range map[string][]webhook.Job{"handed over": handed, "due": due} {
		var got []sent
		for _, j := range jobs {
			got = append(got, sent{string(j.Body), j.Version})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestACommandThatFailsTellsNothing(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe(webhook.AllTypes)
	p, refused := w.mustPrepare(), errors.New("refused")
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		if err := p.Publish(tx, []webhook.Publication{publication("a", `{}`)}); err != nil {
			return err
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if jobs := w.sent.take(); len(jobs) != 0 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	w.wantCount(w.tenant, 0, 0)
}

func TestWhatNobodyWantsToHearIsNotStored(t *testing.T) {
	w := mustStarted(t)
	w.mustCommand(publication("a", `{}`))
	w.mustSubscribe("b")
	w.mustCreate(w.tenant, filtered(`{"eq":["data.n",1]}`, "a"))
	w.mustCommand(publication("a", `{"n":2}`), publication("c", `{}`))
	w.wantCount(w.tenant, 0, 0)
}

func TestAFilterIsAskedOfWhatACommandTells(t *testing.T) {
	w := mustStarted(t)
	one := w.mustCreate(w.tenant, filtered(`{"eq":["data.n",1]}`, "a"))
	w.mustCommand(publication("a", `{"n":2}`), publication("a", `{"n":1}`))
	jobs := w.sent.take()
	if len(jobs) != 1 || jobs[0].Sub.ID != one.ID || !bytes.Contains(jobs[0].Body, []byte(`{"n":1}`)) {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
	w.wantCount(w.tenant, 1, 1)
}

func TestWhatACommandTellsADisabledSubscriptionIsHeld(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	mustDo(t, sub, second(w.DisableSubscription(t.Context(), w.tenant, sub.ID)))
	if !w.mustPrepare().Wants("standard", "a") {
		t.Error("nothing is to be told to it")
	}
	w.mustCommand(publication("a", `{}`))
	held, _, err := w.Deliveries(t.Context(), w.tenant, webhook.DeliveryFilter{Status: "held"}, webhook.Page{Limit: 10})
	if err != nil || len(held) != 1 || held[0].SubscriptionID != sub.ID {
		t.Errorf("held: %v, %v", held, err)
	}
	if jobs := w.sent.take(); len(jobs) != 0 {
		t.Errorf("%d jobs were handed over", len(jobs))
	}
}

func TestACommandMissesNoSubscription(t *testing.T) {
	for name, before := range map[string]func(w *world){
		"the first one":                 func(*world) {},
		"one more":                      func(w *world) { w.mustSubscribe("a") },
		"the first that wants the type": func(w *world) { w.mustSubscribe("b") },
	} {
		for where, hear := range map[string]func(w *world, unhear func()){
			"here":            func(*world, func()) {},
			"on another node": func(_ *world, unhear func()) { unhear() },
		} {
			t.Run(name+" made "+where, func(t *testing.T) {
				w := mustStarted(t)
				before(w)
				unhear, err := w.HoldMatcher(t.Context(), w.tenant)
				if err != nil {
					t.Fatal(err)
				}
				p := w.mustPrepare()
				sub := w.mustSubscribe("a")
				hear(w, unhear)
				if err := w.command(p, publication("a", `{}`)); !webhook.Stale(err) {
					t.Fatalf("got %v", err)
				}
				w.wantCount(w.tenant, 0, 0)
				w.mustCommand(publication("a", `{}`))
				if jobs := w.mustDue(sub, webhook.Pending); len(jobs) != 1 {
					t.Errorf("%d are due", len(jobs))
				}
			})
		}
	}
}

// Elsewhere nobody else can change anything while a command is under way.
func TestOnPostgresWhatHasChangedSinceACommandBeganIsHeeded(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("needs Postgres")
	}
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	p := w.mustPrepare()
	var changing sync.Once
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		var one int
		if err := tx.QueryRow(`SELECT 1`).Scan(&one); err != nil { // from here on it sees what is there now
			return err
		}
		changing.Do(func() { mustDo(t, sub, second(w.DisableSubscription(t.Context(), w.tenant, sub.ID))) })
		return p.Publish(tx, []webhook.Publication{publication("a", `{}`)})
	})
	if !webhook.Stale(err) {
		t.Errorf("got %v", err)
	}
	w.wantCount(w.tenant, 0, 0)
	w.mustCommand(publication("a", `{}`))
	if jobs := w.mustDue(sub, webhook.Pending); len(jobs) != 0 {
		t.Errorf("%d are due", len(jobs))
	}
}

func TestWhatIsWantedIsKnownByDialectAndPattern(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("person.*", "webhook.*")
	w.mustCreate(w.tenant, webhook.Draft{Dialect: "saasquatch", URL: "https://receiver.example/", EventTypes: []string{webhook.AllTypes}})
	w.mustCreate(w.tenant, webhook.Draft{Dialect: "rehook", URL: "https://receiver.example/", EventTypes: []string{"order_success"}})
	p := w.mustPrepare()
	for _, tt := range []struct {
		dialect, eventType string
		want               bool
	}{
		{"standard", "person.created", true},
		{"standard", "person", false},
		{"standard", "code.created", false},
		{"saasquatch", "user.created", true},
		{"rehook", "order_success", true},
		{"rehook", "signup", false},
		{"partnerstack", "deal.created", false},
		{"klingon", "a", false},
	} {
		if got := p.Wants(tt.dialect, tt.eventType); got != tt.want {
			t.Errorf("%s of %s: %t", tt.eventType, tt.dialect, got)
		}
	}
	if p.Identity("saasquatch") == nil || p.Identity("partnerstack") != nil {
		t.Error("the identities are not those of the dialects with subscriptions")
	}
}

func TestInADialectThatTheTenantSpeaksNoLongerNothingIsTold(t *testing.T) {
	w := mustStarted(t)
	w.mustCreate(w.tenant, webhook.Draft{Dialect: "referralloop", URL: "https://receiver.example/", EventTypes: []string{webhook.AllTypes}})
	w.Service = webhook.New(webhook.Options{
		DB: w.db, Box: w.mustBox(), CheckURL: checkURL, Attempter: w.tries,
		Identify: func(context.Context, id.ID, string) (*wire.Identity, error) {
			return nil, problem.InvalidField("dialect", "is not a dialect that the tenant speaks")
		},
	})
	p := w.mustPrepare()
	if p.Wants("referralloop", "signup.deleted") {
		t.Error("it is still wanted")
	}
	if err := w.command(p, signup(goodSignup)); err != nil {
		t.Error(err)
	}
	w.wantCount(w.tenant, 0, 0)
}

func TestWhereItIsNotKnownHowTheTenantSpeaksNothingIsPrepared(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	fails := errors.New("the database fails")
	w.Service = webhook.New(webhook.Options{
		DB: w.db, Box: w.mustBox(), CheckURL: checkURL, Attempter: w.tries,
		Identify: func(context.Context, id.ID, string) (*wire.Identity, error) { return nil, fails },
	})
	if _, err := w.Prepare(t.Context(), w.tenant); !errors.Is(err, fails) {
		t.Errorf("got %v", err)
	}
}

func TestAnEventThatACommandMakesWronglyFailsItAndIsNoMistakeOfTheCaller(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe(webhook.AllTypes)
	w.mustCreate(w.tenant, webhook.Draft{Dialect: "referralloop", URL: "https://receiver.example/", EventTypes: []string{webhook.AllTypes}})
	fieldless := signup(goodSignup)
	fieldless.Fields = nil
	untyped := signup(goodSignup)
	untyped.Type = "user.created"
	p := w.mustPrepare()
	for name, pub := range map[string]webhook.Publication{
		"no data":         publication("a", ``),
		"no JSON":         publication("a", `{`+marker),
		"a list":          publication("a", `["`+marker+`"]`),
		"no type":         publication("a b", `{}`),
		"another's type":  untyped,
		"a missing field": fieldless,
	} {
		err := w.command(p, publication("a", `{}`), pub)
		if _, refusal := errors.AsType[*problem.Error](err); err == nil || refusal || webhook.Stale(err) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && bytes.Contains([]byte(err.Error()), []byte(marker)) {
			t.Errorf("%s: it repeats the data: %v", name, err)
		}
	}
	w.wantCount(w.tenant, 0, 0)
}

func TestFiltersThatTakeTooLongRefuseTheCommandUntilTheyAreGone(t *testing.T) {
	w := mustStarted(t)
	var subs []*webhook.Subscription
	for i := range 10 {
		subs = append(subs, w.mustCreate(w.tenant, filtered(fmt.Sprintf(`{"any":[%s,{"eq":["data.b",%d]}]}`, searching(90), i), "a")))
	}
	plain := w.mustSubscribe("a")
	w.mustCommand(publication("a", ones(10)))
	held, err := w.HoldMatcher(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	long := publication("a", ones(1000))
	wantProblem(t, w.command(w.mustPrepare(), long), problem.Conflict)
	w.wantCount(w.tenant, 1, 1)
	for _, sub := range subs {
		if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
	}
	held()
	if err := w.command(w.mustPrepare(), long); !webhook.Stale(err) {
		t.Errorf("filters that are gone refuse it: %v", err)
	}
	w.mustCommand(long)
	if jobs := w.mustDue(plain, webhook.Pending); len(jobs) != 2 {
		t.Errorf("%d are due", len(jobs))
	}
}

func TestACommandMayTellMoreThanARequestMayPublish(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		var subs []*webhook.Subscription
		for range enough {
			subs = append(subs, w.mustSubscribe("a"))
		}
		const n = webhook.MaxBatch + 1
		pubs := make([]webhook.Publication, n)
		for i := range pubs {
			pubs[i] = publication("a", `{}`)
		}
		w.mustCommand(pubs...)
		w.wantCount(w.tenant, n, enough) // of the one that no job has to make
		w.jobs.Start()
		synctest.Wait()
		for _, sub := range subs {
			w.wantStanding(sub, "pending ", n)
		}
		w.Stop()
	})
}

func TestWhatACommandTellsIsCountedOnceItIsCommitted(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	w.mustSubscribe("a")
	registry := prometheus.NewPedanticRegistry()
	w.Service = webhook.New(webhook.Options{
		DB: w.db, Box: w.mustBox(), CheckURL: checkURL, Attempter: w.tries, Identify: testkit.Identify, Metrics: registry,
	})
	p := w.mustPrepare()
	fails := errors.New("refused")
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		return errors.Join(p.Publish(tx, []webhook.Publication{publication("a", `{}`)}), fails)
	})
	if !errors.Is(err, fails) {
		t.Fatal(err)
	}
	w.mustCommand(publication("a", `{}`), publication("b", `{}`))
	for name, want := range map[string]float64{"grapevine_events_accepted_total": 1, "grapevine_deliveries_accepted_total": 2} {
		if got := counted(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// counted returns what a counter stands at.
func counted(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("nothing is called %s", name)
	return 0
}

func TestWhatACommandTellsIsSentOnceItIsCommitted(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		s := testkit.NewSender(t, testkit.SenderOptions{})
		var received atomic.Int64
		sub := s.MustSubscribe(t, "receiver.example", webhook.Policy{}, func(rw http.ResponseWriter, _ *http.Request) {
			received.Add(1)
			rw.WriteHeader(http.StatusNoContent)
		})
		p, err := s.Webhooks.Prepare(t.Context(), s.Tenant)
		if err != nil {
			t.Fatal(err)
		}
		err = s.DB.Write(t.Context(), func(tx *db.Tx) error { return p.Publish(tx, []webhook.Publication{publication("a", `{}`)}) })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		events, _, err := s.Webhooks.Events(t.Context(), s.Tenant, webhook.EventFilter{}, webhook.Page{Limit: 10})
		if err != nil || len(events) != 1 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		if d, _ := s.MustDelivery(t, events[0].ID, sub); d.Status != webhook.Delivered || received.Load() != 1 {
			t.Errorf("%d requests; it is %s", received.Load(), d.Status)
		}
	})
}

func TestUnderTheNameOfANativeEventATenantMayPublishWhatItWants(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("person.*")
	w.mustPublish(one("person.created", `{"mine":true}`))
	if jobs := w.mustDue(sub, webhook.Pending); len(jobs) != 1 {
		t.Errorf("%d are due", len(jobs))
	}
}

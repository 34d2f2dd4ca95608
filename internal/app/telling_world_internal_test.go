package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/dialect/standard"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// tellingWorld is a tenant with programs, whose facts are told to endpoints.
type tellingWorld struct {
	*testkit.Sender

	t         testing.TB
	sink      *hookedSink
	log       *fact.Log
	programs  *program.Service
	referrals *referral.Service
	timers    *timer.Runner
	received  chan string // bodies
	heard     id.ID       // the last event that was asked for
}

// hookedSink is the sink, with something that happens between what it prepares and
// the transaction.
type hookedSink struct {
	fact.Sink

	between func()
}

func (s *hookedSink) Prepare(ctx context.Context, tenant id.ID) (fact.Teller, error) {
	teller, err := s.Sink.Prepare(ctx, tenant)
	if between := s.between; between != nil {
		s.between = nil
		between()
	}
	return teller, err
}

// programRules give both sides something of each kind.
const programRules = `[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","convert":true,"once":true,
	 "give":{"kind":"percent","amount":1500,"expires":"92d"},"limit":{"per":"person","count":1}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,
	 "give":{"kind":"percent","amount":1250}},
	{"key":"money","on":"purchase","actor":"referred","to":"referred","once":true,
	 "give":{"kind":"credit","amount":2000,"unit":"cents","name":"Twenty"}}
]`

func mustTellingWorld(t testing.TB, chosen wire.Settings) *tellingWorld {
	t.Helper()
	w := &tellingWorld{Sender: testkit.NewSender(t, testkit.SenderOptions{}), t: t, received: make(chan string, 1000)}
	w.Identity.Store(&wire.Identity{Tenant: wire.Tenant{Alias: "acme", Live: true, Settings: chosen}, Key: "LIVE_key"})
	told := &telling{webhooks: w.Webhooks}
	w.sink = &hookedSink{Sink: told}
	w.log = fact.New(fact.Options{DB: w.DB, Sink: w.sink})
	w.programs = program.NewService(w.DB, referral.Kind())
	messages, err := message.New(message.Options{DB: w.DB, Log: w.log, Jobs: job.NewRunner(job.Options{DB: w.DB})})
	if err != nil {
		t.Fatal(err)
	}
	rewards := reward.New(w.log)
	w.referrals = referral.New(referral.Options{
		DB: w.DB, Log: w.log, Programs: w.programs, Rewards: rewards, Messages: messages,
		Effects: effect.New(effect.Options{Log: w.log, Programs: w.programs, Rewards: rewards}),
	})
	w.timers = timer.New(timer.Options{DB: w.DB, Execute: w.log.Execute})
	told.renderers = []dialect.Renderer{standard.NewRenderer(w.referrals), saasquatch.NewRenderer(w.referrals, "https://go.example.com")}
	w.mustServe()
	_, err = w.programs.Create(t.Context(), w.Tenant, program.New{
		Key: "friends", Kind: referral.KindName, Rules: json.RawMessage(programRules), Settings: json.RawMessage(`{"landing_url":"https://www.example.com"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// mustServe runs the endpoint.
func (w *tellingWorld) mustServe() {
	w.Net.MustServe(w.t, "hooks.example.com", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		w.received <- string(body)
	}))
}

func (w *tellingWorld) mustListen(dialect string, types ...string) {
	w.t.Helper()
	if len(types) == 0 {
		types = []string{webhook.AllTypes}
	}
	_, err := w.Webhooks.CreateSubscription(w.t.Context(), w.Tenant, webhook.Draft{
		Dialect: dialect, URL: "http://hooks.example.com/" + dialect, EventTypes: types,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// told is an event with its body.
type told struct {
	webhook.Event

	Data json.RawMessage
}

// mustHear returns the events that were stored since it was asked last, in their
// order, once the endpoint has received each one's body.
func (w *tellingWorld) mustHear() []told {
	w.t.Helper()
	page, _, err := w.Webhooks.Events(w.t.Context(), w.Tenant, webhook.EventFilter{}, webhook.Page{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(page)
	page = slices.DeleteFunc(page, func(e webhook.Event) bool { return bytes.Compare(e.ID[:], w.heard[:]) <= 0 })
	received := make(map[string]bool)
	for range page {
		select {
		case body := <-w.received:
			received[body] = true
		case <-time.After(20 * time.Second):
			w.t.Fatal("an event was not delivered")
		}
	}
	all := make([]told, len(page))
	for i, e := range page {
		e, _, err := w.Webhooks.Event(w.t.Context(), w.Tenant, e.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if !received[string(e.Body)] {
			w.t.Errorf("the body of %s was not received: %s", e.Type, e.Body)
		}
		var body struct{ Data json.RawMessage }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		all[i], w.heard = told{e, body.Data}, e.ID
	}
	return all
}

func typesOf(events []told) []string {
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// do runs something that must succeed.
func (w *tellingWorld) do(_ any, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func user(account, key string) person.Identity {
	return person.Identity{Scheme: "saasquatch", Key: account + "/" + key}
}

func (w *tellingWorld) mustRegister(r referral.Registration) referral.Registered {
	w.t.Helper()
	done, err := w.referrals.Register(w.t.Context(), w.Tenant, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// mustPair registers somebody, and somebody of nearly the same name and at the same
// address who came by a link of the first one's.
func (w *tellingWorld) mustPair() (referral.Registered, referral.Registered) {
	w.t.Helper()
	first := w.mustRegister(referral.Registration{
		Identity: user("a1", "mike"), IP: netip.MustParseAddr("10.230.163.157"),
		Patch: person.Patch{FirstName: new("Mike"), LastName: new("Keenerson"), Email: new("mike@example.com"), Account: new("a1")},
	})
	second := w.mustRegister(referral.Registration{
		Identity: user("a2", "susy"), IP: netip.MustParseAddr("10.230.163.157"), ReferredBy: []string{first.Codes[0].Text},
		Patch: person.Patch{FirstName: new("Mike"), LastName: new("Keenersson"), Account: new("a2"), Fields: new(json.RawMessage(`{"plan":"gold","deep":{}}`))},
	})
	return first, second
}

func (w *tellingWorld) mustBuy(by referral.Registered, order string) {
	w.t.Helper()
	w.do(w.referrals.Track(w.t.Context(), w.Tenant, referral.Report{
		Person: by.Person.ID, Activities: []activity.New{{Key: order, Type: "purchase"}},
	}))
}

// mustAppend has a command note facts that nothing follows from.
func (w *tellingWorld) mustAppend(facts ...fact.Fact) {
	w.t.Helper()
	w.do(nil, w.log.Do(w.t.Context(), fact.Order{Tenant: w.Tenant}, func(c *fact.Command) error {
		for _, f := range facts {
			if _, err := c.Append(f); err != nil {
				return err
			}
		}
		return nil
	}))
}

// files are the facts of an export and a theme.
func files() []fact.Fact {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	pending := &export.Export{ID: id.New(at), Type: "USER", Format: export.CSV, Name: "All", Requester: "API", Status: export.Pending, CreatedAt: at}
	completed := *pending
	completed.Status, completed.CompletedAt, completed.ExpiresAt = export.Completed, at, at.AddDate(0, 0, 35)
	return []fact.Fact{
		{Type: export.Ordered, Subject: fact.Ref{Kind: "export", ID: pending.ID}, Version: 1, Data: pending},
		{Type: export.Written, Subject: fact.Ref{Kind: "export", ID: pending.ID}, Version: 2, Data: &completed},
		{Type: message.Published, Subject: fact.Ref{Kind: "theme", ID: id.New(at)}, Version: 1, Data: &message.PublishedTheme{Version: "CQOkemZF"}},
	}
}

// mustDoEverything brings about whatever is told of.
func (w *tellingWorld) mustDoEverything() {
	w.t.Helper()
	ctx := w.t.Context()
	first, second := w.mustPair()
	w.mustBuy(second, "1")
	third := w.mustRegister(referral.Registration{Identity: user("a3", "otto"), ReferredBy: []string{first.Codes[0].Text}})
	w.do(w.referrals.End(ctx, w.Tenant, third.Referrals[0].ID))
	for _, award := range []reward.Award{
		{PersonID: first.Person.ID, Kind: rule.CodePool, Code: "TANK-7F3K", Unit: "cents", Amount: 500},
		{PersonID: first.Person.ID, Kind: rule.Webhook, Name: "Gift card", Def: "gift-cards", Unit: "USD", Amount: 2000},
		{PersonID: first.Person.ID, Kind: rule.Points, Amount: 10, Unit: "points", DueAt: time.Now().Add(time.Hour), ExpiresAt: time.Now().Add(2 * time.Hour)},
	} {
		w.do(w.referrals.GiveReward(ctx, w.Tenant, award))
	}
	w.do(w.referrals.Spend(ctx, w.Tenant, []id.ID{second.Person.ID}, reward.Redemption{Amount: 500, Unit: "cents"}))
	given, err := w.referrals.Rewards(ctx, w.Tenant, referral.RewardFilter{People: []id.ID{second.Person.ID}, Kind: rule.Credit, Limit: 1})
	w.do(nil, err)
	w.do(w.referrals.CancelReward(ctx, w.Tenant, given[0].ID))
	w.mustAppend(files()...)
}

// schemas are the schemas of a catalogue, by the event type.
func schemas(t testing.TB, dialect string, chosen wire.Settings) map[string]*jsonschema.Schema {
	t.Helper()
	d, _ := dialects.Get(dialect)
	all := make(map[string]*jsonschema.Schema)
	for _, e := range d.Catalogue(chosen) {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Schema))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("schema.json", doc); err != nil {
			t.Fatal(err)
		}
		if all[e.Name], err = c.Compile("schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// wantValid demands that the data of an event are what the catalogue says.
func wantValid(t testing.TB, all map[string]*jsonschema.Schema, e told) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		t.Fatal(err)
	}
	if err := all[e.Type].Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", e.Type, err, e.Data)
	}
}

// shape describes the keys of a value, and the types of what is in it: null is any
// type. What is in signals is named by who found it.
func shape(value any, at string, into map[string]string) {
	object, ok := value.(map[string]any)
	if !ok || strings.HasSuffix(at, "fraudSignals") {
		into[at] = fmt.Sprintf("%T", value)
		return
	}
	for key, member := range object {
		shape(member, at+"."+key, into)
	}
}

// wantPagesShape demands that a body has the keys and types of the page's.
func wantPagesShape(t testing.TB, e told) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "wire", "saasquatch", "testdata", "page", e.Type+".json"))
	if os.IsNotExist(err) { // the balance, which the page does not have
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	shapes := [2]map[string]string{make(map[string]string), make(map[string]string)}
	for i, text := range [][]byte{page, e.Body} {
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		shape(value, "", shapes[i])
	}
	for key, of := range shapes[0] {
		if ours, ok := shapes[1][key]; ok && (of == "<nil>" || ours == "<nil>") {
			shapes[1][key] = of
		}
	}
	if diff := cmp.Diff(shapes[0], shapes[1]); diff != "" {
		t.Errorf("%s (-page +ours):\n%s\n%s", e.Type, diff, e.Body)
	}
}

// of returns the first event of a type.
func of(t testing.TB, events []told, eventType string) told {
	t.Helper()
	i := slices.IndexFunc(events, func(e told) bool { return e.Type == eventType })
	if i < 0 {
		t.Fatalf("%s was not told", eventType)
	}
	return events[i]
}

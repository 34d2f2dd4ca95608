package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func TestTheOperatorManagesTenants(t *testing.T) {
	w := MustWorld(t, nil)
	admin := w.MustClient(adminKey)
	made, err := admin.CreateTenant(t.Context(), client.NewTenant{Alias: "acme", Live: true})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.ID, "ten_") || !strings.HasPrefix(made.APIKey, "gv_live_") || made.Alias != "acme" || !made.Live {
		t.Errorf("made %+v", made)
	}
	got, err := admin.Tenant(t.Context(), made.ID)
	if diff := cmp.Diff(made.Tenant, got); diff != "" || err != nil {
		t.Errorf("%v, (-made +got):\n%s", err, diff)
	}
	_, err = admin.CreateTenant(t.Context(), client.NewTenant{Alias: "acme"})
	wantCode(t, err, problem.AliasTaken)
	renamed, err := admin.UpdateTenant(t.Context(), made.ID, client.TenantChange{Alias: new("acme-eu")})
	if err != nil || renamed.Alias != "acme-eu" {
		t.Errorf("%+v, %v", renamed, err)
	}
	same, err := admin.UpdateTenant(t.Context(), made.ID, client.TenantChange{})
	if err != nil || same.Alias != "acme-eu" {
		t.Errorf("an empty change made it %+v, %v", same, err)
	}
	if err := admin.DeleteTenant(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	_, err = admin.Tenant(t.Context(), made.ID)
	wantCode(t, err, problem.NotFound)
	_, err = w.MustClient(made.APIKey).Events(t.Context(), client.EventFilter{}, client.Page{})
	wantCode(t, err, problem.Unauthenticated)
}

func TestTheOperatorManagesKeys(t *testing.T) {
	w := MustWorld(t, nil)
	admin := w.MustClient(adminKey)
	a := w.MustAccount("acme")
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	key, err := admin.CreateKey(t.Context(), a.ID, client.NewKey{Name: "billing", Scopes: []client.Scope{client.ScopePublish}, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	if key.Name != "billing" || !slices.Equal(key.Scopes, []client.Scope{client.ScopePublish}) || !key.ExpiresAt.Equal(expires) || !strings.HasPrefix(key.APIKey, key.Hint) {
		t.Errorf("made %+v", key)
	}
	publisher := w.MustClient(key.APIKey)
	if _, err := publisher.Publish(t.Context(), client.Publication{Type: "a.b", Data: struct{}{}}); err != nil {
		t.Error(err)
	}
	_, err = publisher.Events(t.Context(), client.EventFilter{}, client.Page{})
	wantCode(t, err, problem.Forbidden)

	rolled, err := admin.RollKey(t.Context(), a.ID, key.ID, new(time.Duration(0)))
	if err != nil || rolled.Name != "billing" || rolled.ID == key.ID {
		t.Fatalf("%+v, %v", rolled, err)
	}
	_, err = publisher.Publish(t.Context(), client.Publication{Type: "a.b", Data: struct{}{}})
	wantCode(t, err, problem.Unauthenticated)
	if _, err := w.MustClient(rolled.APIKey).Publish(t.Context(), client.Publication{Type: "a.b", Data: struct{}{}}); err != nil {
		t.Error(err)
	}
	_, err = admin.RollKey(t.Context(), a.ID, key.ID, new(time.Hour))
	wantCode(t, err, problem.Conflict)

	if err := admin.RevokeKey(t.Context(), a.ID, rolled.ID); err != nil {
		t.Fatal(err)
	}
	_, err = w.MustClient(rolled.APIKey).Publish(t.Context(), client.Publication{Type: "a.b", Data: struct{}{}})
	wantCode(t, err, problem.Unauthenticated)
	var names []string
	for k, err := range admin.AllKeys(t.Context(), a.ID) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, k.Name)
		if revoked := k.ID == rolled.ID; revoked == k.RevokedAt.IsZero() {
			t.Errorf("key %s: revoked at %v", k.Name, k.RevokedAt)
		}
	}
	if want := []string{"default", "billing", "billing"}; !slices.Equal(names, want) {
		t.Errorf("keys %q, want %q", names, want)
	}
}

func TestAKeyIsRolledWithADayOfOverlapUnlessTheBodySaysOtherwise(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	keys, err := w.MustClient(adminKey).Keys(t.Context(), a.ID, client.Page{})
	if err != nil {
		t.Fatal(err)
	}
	rolled := w.send(http.MethodPost, "/v1/tenants/"+a.ID+"/keys/"+keys.Data[0].ID+"/roll", adminKey, "")
	if rolled.status != http.StatusCreated {
		t.Fatalf("%d %s", rolled.status, rolled.body)
	}
	p, err := w.tenants.Authenticate(t.Context(), a.Key, time.Now())
	if err != nil || time.Until(p.ExpiresAt) < 23*time.Hour || time.Until(p.ExpiresAt) > 25*time.Hour {
		t.Errorf("the old key expires at %v, %v", p.ExpiresAt, err)
	}
}

func TestAnEventIsPublishedReadAndExpunged(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "invoice.paid")
	when := time.Date(2026, 1, 31, 15, 4, 5, 123456000, time.UTC)
	published, err := a.Publish(t.Context(), client.Publication{
		Type: "invoice.paid", Data: json.RawMessage(`{ "text":"<ä\u2028>\/", "n": 1.50 }`), Timestamp: when,
	})
	if err != nil || published.Deliveries != 1 || !published.Timestamp.Equal(when) || published.Type != "invoice.paid" || published.Replayed {
		t.Fatalf("%+v, %v", published, err)
	}
	e, err := a.Event(t.Context(), published.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"invoice.paid","timestamp":"2026-01-31T15:04:05.123456Z","data":{"text":"<ä` + "\u2028" + `>/","n":1.50}}`
	if !jsonEqual(t, e.Body, want) || e.Expunged || e.Dialect != "standard" || len(e.Deliveries) != 1 {
		t.Errorf("got %+v\nbody %s", e, e.Body)
	}
	if d := e.Deliveries[0]; d.SubscriptionID != sub.ID || d.EventID != e.ID || d.Status != client.Pending || d.NextAttemptAt.IsZero() {
		t.Errorf("delivery %+v", d)
	}
	if err := a.ExpungeEvent(t.Context(), e.ID); err != nil {
		t.Fatal(err)
	}
	e, err = a.Event(t.Context(), published.ID)
	if err != nil || !e.Expunged || string(e.Body) != "null" || e.Deliveries[0].Status != client.Cancelled {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = a.RetryDelivery(t.Context(), e.Deliveries[0].ID)
	wantCode(t, err, problem.BodyExpunged)
}

func jsonEqual(t testing.TB, a []byte, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Error(err)
	}
	return cmp.Equal(x, y)
}

func TestABatchIsPublishedInOrder(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	a.MustSubscription(t, "a.two")
	published, err := a.PublishBatch(t.Context(), []client.Publication{
		{Type: "a.one", Data: struct{}{}}, {Type: "a.two", Data: struct{}{}}, {Type: "a.three", Data: struct{}{}},
	})
	if err != nil || len(published) != 3 {
		t.Fatalf("%+v, %v", published, err)
	}
	for i, want := range []client.Published{{Type: "a.one"}, {Type: "a.two", Deliveries: 1}, {Type: "a.three"}} {
		if got := published[i]; got.Type != want.Type || got.Deliveries != want.Deliveries || i > 0 && got.ID <= published[i-1].ID {
			t.Errorf("event %d is %+v", i, got)
		}
	}
}

func TestEventsAreListedByTypeStatusAndTime(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "a.one")
	one, two := a.MustPublish(t, "a.one"), a.MustPublish(t, "a.two")
	w.record(a, sub.ID, webhook.Attempt{Verdict: wire.Delivered, Reason: wire.ReasonOK, ResponseStatus: 200, StartedAt: time.Now()}, webhook.Delivered)
	for name, c := range map[string]struct {
		filter client.EventFilter
		want   []string
	}{
		"all, the newest first": {client.EventFilter{}, []string{two.ID, one.ID}},
		"of a type":             {client.EventFilter{Type: "a.two"}, []string{two.ID}},
		"with a delivered one":  {client.EventFilter{Status: client.Delivered}, []string{one.ID}},
		"with a pending one":    {client.EventFilter{Status: client.Pending}, nil},
		"since a minute ago":    {client.EventFilter{Since: time.Now().Add(-time.Minute)}, []string{two.ID, one.ID}},
		"until a minute ago":    {client.EventFilter{Until: time.Now().Add(-time.Minute)}, nil},
		"since in a minute":     {client.EventFilter{Since: time.Now().Add(time.Minute)}, nil},
		"of an impossible type": {client.EventFilter{Type: "' OR 1=1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for e, err := range a.AllEvents(t.Context(), c.filter) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, e.ID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestADeliveryIsShownWithItsAttemptsAndRetried(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	event := a.MustPublish(t, "a.b")
	started := time.Now().UTC().Truncate(time.Microsecond)
	w.record(a, sub.ID, webhook.Attempt{
		StartedAt: started, ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError,
		Timing:  webhook.Timing{DNS: time.Millisecond, Connect: 2 * time.Millisecond, TLS: 3 * time.Millisecond, FirstByte: 4 * time.Millisecond, Total: 5 * time.Millisecond},
		Headers: []wire.Header{{Name: "X-Reason", Value: "no\xffne"}}, Body: []byte("oh\xffno"),
	}, webhook.Failed)
	l, err := a.Deliveries(t.Context(), client.DeliveryFilter{SubscriptionID: sub.ID, EventID: event.ID, Status: client.Failed, ResponseStatus: 500, Since: started.Add(-time.Minute), Until: started.Add(time.Minute)}, client.Page{})
	if err != nil || len(l.Data) != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	got, err := a.Delivery(t.Context(), l.Data[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Attempt{{
		Number: 1, StartedAt: started, ResponseStatus: 500, Verdict: "retry", Reason: "server_error",
		Timing:   client.Timing{DNS: 1000, Connect: 2000, TLS: 3000, FirstByte: 4000, Total: 5000},
		Response: &client.Response{Headers: []client.Header{{Name: "X-Reason", Value: "no\uFFFDne"}}, Body: "oh\uFFFDno"},
	}}
	if diff := cmp.Diff(want, got.Attempts); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	if got.Status != client.Failed || got.AttemptCount != 1 || got.EventType != "a.b" || got.ResponseStatus != 500 || !got.NextAttemptAt.IsZero() {
		t.Errorf("delivery %+v", got.Delivery)
	}
	retried, err := a.RetryDelivery(t.Context(), got.ID)
	if err != nil || retried.Status != client.Pending || retried.NextAttemptAt.IsZero() {
		t.Errorf("%+v, %v", retried, err)
	}
	if _, err := a.DisableSubscription(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	_, err = a.RetryDelivery(t.Context(), got.ID)
	wantCode(t, err, problem.SubscriptionDisabled)
	if err := a.DeleteSubscription(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	_, err = a.RetryDelivery(t.Context(), got.ID)
	wantCode(t, err, problem.Conflict)
}

func TestAnAttemptWithoutAnAnswerHasNoResponse(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	event := a.MustPublish(t, "a.b")
	w.record(a, sub.ID, webhook.Attempt{StartedAt: time.Now(), Verdict: wire.Retry, Reason: "timeout", Error: "no answer within 15s"}, webhook.Failed)
	e, err := a.Event(t.Context(), event.ID)
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.Delivery(t.Context(), e.Deliveries[0].ID)
	if err != nil || len(d.Attempts) != 1 || d.Attempts[0].Response != nil || d.Attempts[0].Error != "no answer within 15s" {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestEventTypesAreListedByDialect(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	everything, err := a.EventTypes(t.Context(), "")
	if err != nil || len(everything) == 0 {
		t.Fatalf("%+v, %v", everything, err)
	}
	standard, err := a.EventTypes(t.Context(), "standard")
	if err != nil || len(standard) != 36 || standard[0].Name != "webhook.test" || !json.Valid(standard[0].Schema) || !json.Valid(standard[0].Sample) {
		t.Errorf("%+v, %v", standard, err)
	}
	_, err = a.EventTypes(t.Context(), "klingon")
	if fields := wantCode(t, err, problem.Invalid); fields[0].Name != "query.dialect" {
		t.Errorf("fields %v", fields)
	}
}

func TestATypeThatTheTenantRegistersUnderANativeNameIsListedInItsPlace(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	before, err := a.EventTypes(t.Context(), "standard")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.RegisterEventType(t.Context(), client.NewEventType{Name: "person.created", Description: "Our own."}); err != nil {
		t.Fatal(err)
	}
	after, err := a.EventTypes(t.Context(), "standard")
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d types instead of %d: %v", len(after), len(before), err)
	}
	i := slices.IndexFunc(after, func(e client.EventType) bool { return e.Name == "person.created" })
	if i < 0 || after[i].Description != "Our own." {
		t.Errorf("it is listed as %+v", after[max(i, 0)])
	}
}

func TestEventTypesAreThoseThatTheTenantsSettingsChoose(t *testing.T) {
	w := MustWorld(t, nil)
	newer, other := w.MustAccount("acme"), w.MustAccount("bolt")
	if err := w.tenants.SetSettings(t.Context(), newer.tenant.ID, "saasquatch", wire.Settings{"payload_version": "2020"}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		account account
		version string
		code    string // the member of the sample that holds the code
	}{
		{newer, "2020", "code"},
		{other, "2016", "codeString"},
	} {
		for _, dialect := range []string{"saasquatch", ""} {
			types, err := tt.account.EventTypes(t.Context(), dialect)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(types, func(e client.EventType) bool { return e.Dialect == "saasquatch" && e.Name == "coupon.created" })
			var sample map[string]any
			var schema struct {
				Required []string `json:"required"`
			}
			if i < 0 || json.Unmarshal(types[i].Sample, &sample) != nil || json.Unmarshal(types[i].Schema, &schema) != nil {
				t.Fatalf("%s: coupon.created is missing or damaged", tt.version)
			}
			if _, has := sample[tt.code]; !has || !slices.Contains(schema.Required, tt.code) {
				t.Errorf("%s: the sample is %s, and the schema demands %v", tt.version, types[i].Sample, schema.Required)
			}
		}
	}
}

func TestTheOperatorActsForATenantThatItNames(t *testing.T) {
	w := MustWorld(t, nil)
	a, b := w.MustAccount("acme"), w.MustAccount("bolt")
	a.MustPublish(t, "a.b")
	for _, name := range []string{a.ID, "acme"} {
		l, err := w.MustClient(adminKey, client.WithTenant(name)).Events(t.Context(), client.EventFilter{}, client.Page{})
		if err != nil || len(l.Data) != 1 {
			t.Errorf("named %s: %+v, %v", name, l, err)
		}
	}
	_, err := w.MustClient(adminKey).Events(t.Context(), client.EventFilter{}, client.Page{})
	if fields := wantCode(t, err, problem.Invalid); fields[0].Name != "Grapevine-Tenant" {
		t.Errorf("fields %v", fields)
	}
	for _, name := range []string{"nobody", "ten_000000000000000000000000"} {
		_, err := w.MustClient(adminKey, client.WithTenant(name)).Events(t.Context(), client.EventFilter{}, client.Page{})
		wantCode(t, err, problem.NotFound)
	}
	if _, err := w.MustClient(a.Key, client.WithTenant("acme")).Events(t.Context(), client.EventFilter{}, client.Page{}); err != nil {
		t.Errorf("a tenant that names itself: %v", err)
	}
	_, err = w.MustClient(a.Key, client.WithTenant(b.ID)).Events(t.Context(), client.EventFilter{}, client.Page{})
	wantCode(t, err, problem.NotFound)
}

func TestAllOfALongListIsReadWithoutGapOrRepetition(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	const n = 310
	want := make(map[string]bool)
	batch := make([]client.Publication, n)
	for i := range batch {
		batch[i] = client.Publication{Type: "a.b", Data: map[string]int{"n": i}}
	}
	published, err := a.PublishBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range published {
		want[p.ID] = true
	}
	for _, limit := range []int{0, 7, 250} {
		events, deliveries := make(map[string]bool), make(map[string]bool)
		page := client.Page{Limit: limit}
		for last := "z"; ; {
			l, err := a.Events(t.Context(), client.EventFilter{}, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range l.Data {
				if e.ID >= last {
					t.Fatalf("limit %d: out of order", limit)
				}
				last, events[e.ID] = e.ID, true
			}
			if page.Cursor = l.NextCursor; page.Cursor == "" {
				break
			}
		}
		if !cmp.Equal(events, want) {
			t.Errorf("limit %d: %d of %d events", limit, len(events), n)
		}
		for d, err := range a.AllDeliveries(t.Context(), client.DeliveryFilter{SubscriptionID: sub.ID}) {
			if err != nil || deliveries[d.EventID] {
				t.Fatalf("%v, or %s is there twice", err, d.ID)
			}
			deliveries[d.EventID] = true
		}
		if !cmp.Equal(deliveries, want) {
			t.Errorf("%d of %d deliveries", len(deliveries), n)
		}
	}
}

func TestTenantsKeysAndSubscriptionsArePaged(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("first")
	for _, alias := range []string{"second", "third", "fourth", "fifth"} {
		w.MustAccount(alias)
		a.MustSubscription(t, "*")
		if _, _, err := w.tenants.CreateKey(t.Context(), a.tenant.ID, tenant.NewKey{Scopes: tenant.AllScopes()}); err != nil {
			t.Fatal(err)
		}
	}
	admin := w.MustClient(adminKey)
	count := func(get func(client.Page) (int, string, error)) (int, int) {
		rows, pages := 0, 0
		for page := (client.Page{Limit: 2}); ; {
			n, next, err := get(page)
			if err != nil {
				t.Fatal(err)
			}
			rows, pages = rows+n, pages+1
			if page.Cursor = next; next == "" {
				return rows, pages
			}
		}
	}
	rows, pages := count(func(p client.Page) (int, string, error) {
		l, err := admin.Tenants(t.Context(), p)
		return len(l.Data), l.NextCursor, err
	})
	if rows != 5 || pages != 3 {
		t.Errorf("%d tenants on %d pages", rows, pages)
	}
	rows, pages = count(func(p client.Page) (int, string, error) {
		l, err := admin.Keys(t.Context(), a.ID, p)
		return len(l.Data), l.NextCursor, err
	})
	if rows != 5 || pages != 3 {
		t.Errorf("%d keys on %d pages", rows, pages)
	}
	rows, pages = count(func(p client.Page) (int, string, error) {
		l, err := a.Subscriptions(t.Context(), p)
		return len(l.Data), l.NextCursor, err
	})
	if rows != 4 || pages != 2 {
		t.Errorf("%d subscriptions on %d pages", rows, pages)
	}
	all := 0
	for _, err := range a.AllSubscriptions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	for _, err := range admin.AllTenants(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all++
	}
	if all != 9 {
		t.Errorf("went through %d, want 9", all)
	}
}

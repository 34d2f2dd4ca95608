package webhook_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// fullDraft says something of everything.
func fullDraft() webhook.Draft {
	return webhook.Draft{
		Dialect: "standard", URL: "https://receiver.example/hook?q=1", EventTypes: []string{"a", "b.c"}, Description: "für die Buchhaltung",
		Headers: map[string]string{"x-shop": "header value 1", "X-Other": ""},
		Auth:    webhook.Auth{Type: webhook.BasicAuth, Username: "user", Password: "password 1"},
		Secret:  "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		Policy:  webhook.Policy{Schedule: []time.Duration{time.Second, time.Minute}, Timeout: 5 * time.Second, MaxInFlight: 3, Rate: 0.5},
	}
}

// shown is what can be compared of a subscription.
type shown struct {
	ID, TenantID       id.ID
	Dialect            string
	URL                string
	EventTypes         []string
	Description        string
	Headers            []wire.Header
	Auth               webhook.Auth
	Secrets            []webhook.Secret
	Policy             webhook.Policy
	Enabled            bool
	Reason             string
	CreatedAt, Updated time.Time
}

func show(s *webhook.Subscription) shown {
	return shown{
		s.ID, s.TenantID, s.Dialect.Name(), s.URL, s.EventTypes, s.Description, s.Headers, s.Auth, s.Secrets, s.Policy,
		s.Enabled, s.Reason, s.CreatedAt, s.UpdatedAt,
	}
}

func (w *world) mustGet(sub *webhook.Subscription) *webhook.Subscription {
	w.t.Helper()
	found, err := w.Subscription(w.t.Context(), w.tenant, sub.ID)
	return mustDo(w.t, found, err)
}

func TestASubscriptionIsReadBackAsItWasMade(t *testing.T) {
	w := mustStarted(t)
	for name, d := range map[string]webhook.Draft{"full": fullDraft(), "bare": draft(webhook.AllTypes)} {
		made := w.mustCreate(w.tenant, d)
		w.reopen()
		w.Start(w.sent)
		if diff := cmp.Diff(show(made), show(w.mustGet(made))); diff != "" {
			t.Errorf("%s (-made +read):\n%s", name, diff)
		}
	}
	sub := w.mustCreate(w.tenant, fullDraft())
	if diff := cmp.Diff([]wire.Header{{Name: "X-Other"}, {Name: "X-Shop", Value: "header value 1"}}, sub.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if !sub.Enabled || sub.TenantID != w.tenant || sub.CreatedAt.IsZero() || sub.Timeout() != 5*time.Second || len(sub.Schedule().Delays) != 2 {
		t.Errorf("it was made as %+v", show(sub))
	}
	if told := w.sent.last(changes); told == nil || told.ID != sub.ID {
		t.Error("the sender was not told")
	}
}

func TestAnEmptyScheduleIsNotTheDialects(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Policy.Schedule = []time.Duration{}
	once := w.mustGet(w.mustCreate(w.tenant, d))
	if delays := once.Schedule().Delays; len(delays) != 0 {
		t.Errorf("an empty schedule became %v", delays)
	}
	usual := w.mustGet(w.mustSubscribe("a"))
	if diff := cmp.Diff(usual.Dialect.Schedule(), usual.Schedule()); diff != "" {
		t.Errorf("no schedule (-dialect's +got):\n%s", diff)
	}
	if usual.Timeout() != usual.Dialect.Timeout() {
		t.Errorf("no timeout is %v", usual.Timeout())
	}
}

func TestAPatchChangesWhatItNamesAndNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		patch webhook.Patch
		want  func(s *shown)
	}{
		"nothing":     {webhook.Patch{}, func(*shown) {}},
		"url":         {webhook.Patch{URL: new("https://other.example/")}, func(s *shown) { s.URL = "https://other.example/" }},
		"types":       {webhook.Patch{EventTypes: &[]string{"z"}}, func(s *shown) { s.EventTypes = []string{"z"} }},
		"description": {webhook.Patch{Description: new("")}, func(s *shown) { s.Description = "" }},
		"headers": {webhook.Patch{Headers: &map[string]string{"a": "b"}}, func(s *shown) {
			s.Headers = []wire.Header{{Name: "A", Value: "b"}}
		}},
		"no headers": {webhook.Patch{Headers: &map[string]string{}}, func(s *shown) { s.Headers = nil }},
		"no auth":    {webhook.Patch{Auth: &webhook.Auth{}}, func(s *shown) { s.Auth = webhook.Auth{} }},
		"auth": {webhook.Patch{Auth: &webhook.Auth{Type: webhook.BearerAuth, Token: "t"}}, func(s *shown) {
			s.Auth = webhook.Auth{Type: webhook.BearerAuth, Token: "t"}
		}},
		"no policy": {webhook.Patch{Policy: &webhook.Policy{}}, func(s *shown) { s.Policy = webhook.Policy{} }},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			sub := w.mustCreate(w.tenant, fullDraft())
			for _, off := range []bool{false, true} {
				before := w.mustGet(sub)
				if off {
					got, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID)
					before = mustDo(t, got, err)
				}
				changed, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, test.patch)
				if err != nil {
					t.Fatal(err)
				}
				want := show(before)
				test.want(&want)
				want.Updated = changed.UpdatedAt
				if diff := cmp.Diff(want, show(changed)); diff != "" {
					t.Errorf("answered (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(want, show(w.mustGet(sub))); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
				if told := w.sent.last(changes); told == nil || cmp.Diff(want, show(told)) != "" {
					t.Error("the sender was told something else")
				}
			}
		})
	}
}

func TestABadPatchChangesNothingAndNamesAllItsMistakes(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustCreate(w.tenant, fullDraft())
	_, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{
		URL: new("http://plain.example"), EventTypes: &[]string{}, Headers: &map[string]string{"host": "x"},
		Auth: &webhook.Auth{Type: "digest"}, Policy: &webhook.Policy{Timeout: time.Hour},
	})
	wantProblem(t, err, problem.Invalid, "event_types", "headers.host", "auth.type", "policy.timeout", "url")
	_, err = w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{URL: new("https://interrupted.example")})
	if !errors.Is(err, errLookup) {
		t.Errorf("a check that failed: %v", err)
	}
	// What is set already can clash with what is new.
	_, err = w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Headers: &map[string]string{"Authorization": "x"}})
	wantProblem(t, err, problem.Invalid, "headers.authorization")
	if diff := cmp.Diff(show(sub), show(w.mustGet(sub))); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
}

func TestDisablingAndEnablingKeepsWhatWasPending(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	pending := w.mustEvent("a")
	off, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID)
	if err != nil || off.Enabled || off.Reason != webhook.ReasonManual {
		t.Fatalf("disabled as %+v, %v", show(off), err)
	}
	if told := w.sent.last(changes); told.ID != sub.ID || told.Enabled {
		t.Error("the sender was not told of the disabling")
	}
	held := w.mustEvent("a")
	w.wantDelivery(pending, sub, webhook.Pending, "")
	w.wantDelivery(held, sub, webhook.Held, webhook.ReasonDisabled)

	on, err := w.EnableSubscription(t.Context(), w.tenant, sub.ID)
	if err != nil || !on.Enabled || on.Reason != "" {
		t.Fatalf("enabled as %+v, %v", show(on), err)
	}
	if told := w.sent.last(changes); !told.Enabled {
		t.Error("the sender was not told of the enabling")
	}
	w.sent.take()
	after := w.mustEvent("a")
	if jobs := w.sent.take(); len(jobs) != 1 || jobs[0].EventID != after {
		t.Errorf("handed over: %+v", jobs)
	}
	due := w.mustDue(sub, webhook.Pending)
	if len(due) != 2 || due[0].EventID != pending || due[1].EventID != after {
		t.Errorf("due are %+v", due)
	}
	w.wantDelivery(held, sub, webhook.Held, webhook.ReasonDisabled)
}

func TestDisablingTwiceKeepsTheFirstReason(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	w.mustEvent("a")
	w.mustRecord(gone(w.sent.take()[0]))
	off, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID)
	if err != nil || off.Reason != webhook.ReasonGone {
		t.Errorf("the reason is %q, %v", off.Reason, err)
	}
}

func TestADeletedSubscriptionIsGoneForEveryMethodAndItsRecordsStay(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	if told := w.sent.last(changes); told.ID != sub.ID || told.Enabled || told.DeletedAt.IsZero() {
		t.Errorf("the sender was told %+v", show(told))
	}
	w.wantMissing(t, w.tenant, sub.ID)
	w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonSubscriptionDeleted)
	d, _ := w.mustDelivery(event, sub)
	if !d.NextAt.IsZero() {
		t.Error("a cancelled delivery is due")
	}
	_, err := w.Retry(t.Context(), w.tenant, event, sub.ID)
	wantProblem(t, err, problem.Conflict)
	if answer := w.mustPublish(one("a", `{}`))[0]; answer.Deliveries != 0 {
		t.Error("it still gets events")
	}
	if waiting, err := w.Waiting(t.Context()); err != nil || len(waiting) != 0 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// wantMissing fails the test if a method finds the subscription.
func (w *world) wantMissing(t *testing.T, tenant, sub id.ID) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"get":    func() error { _, err := w.Subscription(ctx, tenant, sub); return err },
		"update": func() error { _, err := w.UpdateSubscription(ctx, tenant, sub, webhook.Patch{}); return err },
		"url": func() error {
			_, err := w.UpdateSubscription(ctx, tenant, sub, webhook.Patch{URL: new("no")})
			return err
		},
		"enable":  func() error { _, err := w.EnableSubscription(ctx, tenant, sub); return err },
		"disable": func() error { _, err := w.DisableSubscription(ctx, tenant, sub); return err },
		"delete":  func() error { return w.DeleteSubscription(ctx, tenant, sub) },
		"rotate":  func() error { _, err := w.RotateSecret(ctx, tenant, sub, "", 0); return err },
		"reveal":  func() error { _, _, err := w.RevealSecrets(ctx, tenant, sub, time.Now()); return err },
		"test":    func() error { _, err := w.TestSubscription(ctx, tenant, sub); return err },
	} {
		if err := call(); !problem.NotFound.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range all(t, func(p webhook.Page) ([]*webhook.Subscription, string, error) { return w.Subscriptions(ctx, tenant, p) }, 250) {
		if s.ID == sub {
			t.Error("it is listed")
		}
	}
}

func TestAnotherTenantFindsAndChangesNothing(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustCreate(w.tenant, fullDraft())
	event := w.mustEvent("a")
	other := id.New(time.Now())
	w.wantMissing(t, other, sub.ID)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"event":    func() error { _, _, err := w.Event(ctx, other, event); return err },
		"expunge":  func() error { return w.ExpungeBody(ctx, other, event) },
		"delivery": func() error { _, _, err := w.Delivery(ctx, other, event, sub.ID); return err },
		"retry":    func() error { _, err := w.Retry(ctx, other, event, sub.ID); return err },
	} {
		if err := call(); !problem.NotFound.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.wantCount(other, 0, 0)
	if diff := cmp.Diff(show(sub), show(w.mustGet(sub))); diff != "" {
		t.Errorf("it changed (-before +after):\n%s", diff)
	}
	w.wantDelivery(event, sub, webhook.Pending, "")
	if e, _, err := w.Event(ctx, w.tenant, event); err != nil || e.Body == nil {
		t.Errorf("the event is %+v, %v", e, err)
	}
}

func TestATenantsEndEndsItsSubscriptionsAndNoOthers(t *testing.T) {
	w := mustStarted(t)
	one, two := w.mustSubscribe("a"), w.mustSubscribe("a")
	event := w.mustEvent("a")
	other := id.New(time.Now())
	stays := w.mustCreate(other, draft("a"))
	err := w.db.Write(t.Context(), func(tx *db.Tx) error { return w.DeleteTenant(tx, w.tenant) })
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []*webhook.Subscription{one, two} {
		w.wantMissing(t, w.tenant, sub.ID)
		w.wantDelivery(event, sub, webhook.Cancelled, webhook.ReasonSubscriptionDeleted)
	}
	if _, err := w.Subscription(t.Context(), other, stays.ID); err != nil {
		t.Errorf("another tenant's: %v", err)
	}
}

func TestATenantsEndThatIsTakenBackEndsNothing(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	told := w.sent.last(changes)
	refused := errors.New("something else went wrong")
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		if err := w.DeleteTenant(tx, w.tenant); err != nil {
			return err
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	w.mustGet(sub)
	w.wantDelivery(event, sub, webhook.Pending, "")
	if w.sent.last(changes) != told {
		t.Error("the sender was told of what did not happen")
	}
}

func TestATestSendsTheDialectsTestEventAndIsNoDelivery(t *testing.T) {
	w := mustStarted(t)
	w.tries.answer = attempt(204, wire.Delivered, wire.ReasonOK)
	sub := w.mustCreate(w.tenant, fullDraft())
	if _, err := w.DisableSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() (webhook.Attempt, error){
		"saved":   func() (webhook.Attempt, error) { return w.TestSubscription(t.Context(), w.tenant, sub.ID) },
		"unsaved": func() (webhook.Attempt, error) { return w.TestDraft(t.Context(), w.tenant, fullDraft()) },
	} {
		w.tries.sub = nil
		got, err := call()
		if err != nil || cmp.Diff(w.tries.answer, got) != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		eventType := sub.Dialect.TestEvent(wire.Endpoint{}).Type
		if s, m := w.tries.sub, w.tries.msg; s == nil || s.URL != sub.URL || s.TenantID != w.tenant || len(s.Headers) != 2 || s.Auth != sub.Auth ||
			m.Type != eventType || m.EventID.IsZero() || m.Attempt != 1 || m.SentAt.IsZero() || len(m.Body) == 0 {
			t.Errorf("%s: attempted %+v to %+v", name, m, s)
		}
	}
	w.wantCount(w.tenant, 0, 0)
	w.tries.sub = nil
	_, err := w.TestDraft(t.Context(), w.tenant, webhook.Draft{URL: "http://plain.example", EventTypes: []string{"a"}})
	wantProblem(t, err, problem.Invalid, "url")
	if w.tries.sub != nil {
		t.Error("a request was made to a URL that is refused")
	}
}

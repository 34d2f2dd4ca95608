package webhook_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// lists is a world with deliveries in every state, and what is known of them.
type lists struct {
	*world
	subs       []*webhook.Subscription // of the types "a", "b" and all
	events     []webhook.Published     // of the types "a" and "b" by turns
	deliveries []webhook.Delivery      // in the order in which they are listed
}

func mustLists(t testing.TB) *lists {
	t.Helper()
	l := &lists{world: mustStarted(t)}
	l.subs = []*webhook.Subscription{l.mustSubscribe("a"), l.mustSubscribe("b"), l.mustSubscribe(webhook.AllTypes)}
	for i := range 12 {
		if i == 10 { // the last ones are held for the third subscription
			if _, err := l.DisableSubscription(t.Context(), l.tenant, l.subs[2].ID); err != nil {
				t.Fatal(err)
			}
		}
		l.events = append(l.events, l.mustPublish(one([]string{"a", "b"}[i%2], `{}`))...)
	}
	slices.SortFunc(l.events, func(a, b webhook.Published) int { return slices.Compare(a.ID[:], b.ID[:]) }) // within a millisecond by chance
	jobs := l.sent.take()
	for i, j := range jobs {
		switch i % 5 {
		case 0:
			l.mustRecord(delivered(j))
		case 1:
			l.mustRecord(failed(j))
		case 2:
			l.mustRecord(retried(j, time.Now().Add(time.Hour)))
		}
	}
	if err := l.ExpungeBody(t.Context(), l.tenant, l.events[3].ID); err != nil {
		t.Fatal(err)
	}
	for _, e := range l.events {
		for _, sub := range l.subs {
			if d, _, err := l.Delivery(t.Context(), l.tenant, e.ID, sub.ID); err == nil {
				l.deliveries = append(l.deliveries, d)
			}
		}
	}
	slices.SortFunc(l.deliveries, func(a, b webhook.Delivery) int {
		return slices.Compare(append(b.EventID[:], b.SubscriptionID[:]...), append(a.EventID[:], a.SubscriptionID[:]...))
	})
	other := id.New(time.Now()) // another tenant's are never among them
	l.mustCreate(other, draft(webhook.AllTypes))
	for range 3 {
		if _, _, err := l.Publish(t.Context(), other, one("a", `{}`)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// word is what a filter calls a state.
func word(s webhook.Status) string { return s.String() }

func TestDeliveriesAreListedByAnyFiltersTogether(t *testing.T) {
	l := mustLists(t)
	chosen := 0
	since, until := l.events[3].ID.Time(), l.events[9].ID.Time()
	statuses := []string{"", "pending", "delivered", "failed", "cancelled", "held", "no such state"}
	for _, status := range statuses {
		for choice := range 1 << 5 {
			var f webhook.DeliveryFilter
			f.Status = status
			if choice&1 != 0 {
				f.SubscriptionID = l.subs[2].ID
			}
			if choice&2 != 0 {
				f.EventID = l.events[4].ID
			}
			if choice&4 != 0 {
				f.ResponseStatus = 500
			}
			if choice&8 != 0 {
				f.Since = since
			}
			if choice&16 != 0 {
				f.Until = until
			}
			want := slices.DeleteFunc(slices.Clone(l.deliveries), func(d webhook.Delivery) bool {
				return f.Status != "" && word(d.Status) != f.Status ||
					!f.SubscriptionID.IsZero() && d.SubscriptionID != f.SubscriptionID ||
					!f.EventID.IsZero() && d.EventID != f.EventID ||
					f.ResponseStatus != 0 && d.ResponseStatus != f.ResponseStatus ||
					!f.Since.IsZero() && d.EventID.Time().Before(since) ||
					!f.Until.IsZero() && !d.EventID.Time().Before(until)
			})
			chosen += len(want)
			for _, limit := range []int{1, 3, 100} {
				got := all(t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
					return l.Deliveries(t.Context(), l.tenant, f, p)
				}, limit)
				if diff := cmp.Diff(want, slices.Clip(got), cmp.Transformer("empty", func(d []webhook.Delivery) string { return fmt.Sprint(d) })); diff != "" {
					t.Fatalf("%+v, %d at a time (-want +got):\n%s", f, limit, diff)
				}
			}
		}
	}
	if chosen < 2*len(l.deliveries) {
		t.Errorf("the filters chose %d deliveries in all: they say nothing", chosen)
	}
}

func TestEventsAreListedByAnyFiltersTogether(t *testing.T) {
	l := mustLists(t)
	since, until := l.events[2].ID.Time(), l.events[10].ID.Time()
	for _, status := range []string{"", "pending", "delivered", "failed", "cancelled", "held", "no such state"} {
		for choice := range 1 << 3 {
			f := webhook.EventFilter{DeliveryStatus: status}
			if choice&1 != 0 {
				f.Type = "b"
			}
			if choice&2 != 0 {
				f.Since = since
			}
			if choice&4 != 0 {
				f.Until = until
			}
			var want []id.ID
			for _, e := range slices.Backward(l.events) {
				stands := slices.ContainsFunc(l.deliveries, func(d webhook.Delivery) bool { return d.EventID == e.ID && word(d.Status) == status })
				if (status == "" || stands) && (f.Type == "" || e.Type == f.Type) &&
					(f.Since.IsZero() || !e.ID.Time().Before(since)) && (f.Until.IsZero() || e.ID.Time().Before(until)) {
					want = append(want, e.ID)
				}
			}
			for _, limit := range []int{1, 5, 100} {
				var got []id.ID
				for _, e := range all(t, func(p webhook.Page) ([]webhook.Event, string, error) { return l.Events(t.Context(), l.tenant, f, p) }, limit) {
					if e.Body != nil || e.Dialect != "standard" || e.OccurredAt.IsZero() {
						t.Errorf("listed as %+v", e)
					}
					got = append(got, e.ID)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%+v, %d at a time (-want +got):\n%s", f, limit, diff)
				}
			}
		}
	}
}

func TestSubscriptionsAreListedTheOldestFirst(t *testing.T) {
	w := mustStarted(t)
	w.mustCreate(id.New(time.Now()), draft("a"))
	var want []id.ID
	for range 7 {
		want = append(want, w.mustSubscribe("a").ID)
	}
	slices.SortStableFunc(want, func(a, b id.ID) int { return slices.Compare(a[:], b[:]) }) // within a millisecond by chance
	for _, limit := range []int{1, 3, 7, 100} {
		var got []id.ID
		for _, s := range all(t, func(p webhook.Page) ([]*webhook.Subscription, string, error) {
			return w.Subscriptions(t.Context(), w.tenant, p)
		}, limit) {
			got = append(got, s.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d at a time (-want +got):\n%s", limit, diff)
		}
	}
}

func TestPagingLosesAndRepeatsNothingWhileOthersPublish(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	w.mustSubscribe("a")
	before := make(map[id.ID]bool)
	for _, p := range w.mustPublish(batch(300, "a")) {
		before[p.ID] = true
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if _, _, err := w.Publish(ctx, w.tenant, batch(5, "a")); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	events := all(t, func(p webhook.Page) ([]webhook.Event, string, error) {
		return w.Events(t.Context(), w.tenant, webhook.EventFilter{}, p)
	}, 7)
	deliveries := all(t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
		return w.Deliveries(t.Context(), w.tenant, webhook.DeliveryFilter{}, p)
	}, 7)
	stop()
	wg.Wait()
	seen := make(map[id.ID]int)
	for _, e := range events {
		if seen[e.ID]++; seen[e.ID] > 1 {
			t.Fatal("an event is listed twice")
		}
	}
	pairs := make(map[[2]id.ID]int)
	for _, d := range deliveries {
		pair := [2]id.ID{d.EventID, d.SubscriptionID}
		if pairs[pair]++; pairs[pair] > 1 {
			t.Fatal("a delivery is listed twice")
		}
		if before[d.EventID] {
			seen[d.EventID] += 10
		}
	}
	for event := range before {
		if seen[event] != 21 {
			t.Fatalf("an event or its deliveries are missing: %d", seen[event])
		}
	}
}

func TestAnotherTenantsCursorShowsNothingOfIt(t *testing.T) {
	l := mustLists(t)
	other := id.New(time.Now())
	page := webhook.Page{Limit: 1}
	_, events, err := l.Events(t.Context(), l.tenant, webhook.EventFilter{}, page)
	if err != nil || events == "" {
		t.Fatal(err)
	}
	_, deliveries, err := l.Deliveries(t.Context(), l.tenant, webhook.DeliveryFilter{}, page)
	if err != nil || deliveries == "" {
		t.Fatal(err)
	}
	_, subs, err := l.Subscriptions(t.Context(), l.tenant, page)
	if err != nil || subs == "" {
		t.Fatal(err)
	}
	if rows, next, err := l.Events(t.Context(), other, webhook.EventFilter{}, webhook.Page{Limit: 10, Cursor: events}); err != nil || len(rows) != 0 || next != "" {
		t.Errorf("%d events, %v", len(rows), err)
	}
	if rows, next, err := l.Deliveries(t.Context(), other, webhook.DeliveryFilter{}, webhook.Page{Limit: 10, Cursor: deliveries}); err != nil || len(rows) != 0 || next != "" {
		t.Errorf("%d deliveries, %v", len(rows), err)
	}
	if rows, next, err := l.Subscriptions(t.Context(), other, webhook.Page{Limit: 10, Cursor: subs}); err != nil || len(rows) != 0 || next != "" {
		t.Errorf("%d subscriptions, %v", len(rows), err)
	}
}

func TestAMadeUpCursorIsRefused(t *testing.T) {
	w := mustStarted(t)
	for _, cursor := range []string{"x", marker, "AAAA", "AAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAA"} {
		page := webhook.Page{Limit: 1, Cursor: cursor}
		_, _, err := w.Events(t.Context(), w.tenant, webhook.EventFilter{}, page)
		wantProblem(t, err, problem.Invalid, "cursor")
		_, _, err = w.Deliveries(t.Context(), w.tenant, webhook.DeliveryFilter{}, page)
		wantProblem(t, err, problem.Invalid, "cursor")
		_, _, err = w.Subscriptions(t.Context(), w.tenant, page)
		wantProblem(t, err, problem.Invalid, "cursor")
	}
}

func TestAnEventIsShownWithAtMost250Deliveries(t *testing.T) {
	w := mustStarted(t)
	for range 260 {
		w.mustSubscribe("a")
	}
	answer := w.mustPublish(one("a", `{}`))[0]
	_, deliveries, err := w.Event(t.Context(), w.tenant, answer.ID)
	if err != nil || len(deliveries) != 250 || answer.Deliveries != 260 {
		t.Errorf("%d deliveries are shown of %d, %v", len(deliveries), answer.Deliveries, err)
	}
}

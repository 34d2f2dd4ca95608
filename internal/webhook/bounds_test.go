package webhook_test

import (
	"context"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func TestACallerThatMayNoLongerIsAskedAfterTheLookUpAndBeforeAnythingIsStored(t *testing.T) {
	w := mustStarted(t)
	revoked := problem.Unauthenticated.New("the key was revoked")
	confirm := func(context.Context) error { return revoked }
	d := draft("a")
	d.Confirm = confirm
	if _, err := w.CreateSubscription(t.Context(), w.tenant, d); !problem.Unauthenticated.Has(err) {
		t.Errorf("creating: %v", err)
	}
	if _, err := w.TestDraft(t.Context(), w.tenant, d); !problem.Unauthenticated.Has(err) {
		t.Errorf("testing: %v", err)
	}
	sub := w.mustSubscribe("a")
	patch := webhook.Patch{URL: new("https://elsewhere.example/"), Confirm: confirm}
	if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, patch); !problem.Unauthenticated.Has(err) {
		t.Errorf("changing: %v", err)
	}
	subs, _, err := w.Subscriptions(t.Context(), w.tenant, webhook.Page{Limit: 10})
	if err != nil || len(subs) != 1 || subs[0].URL != sub.URL {
		t.Errorf("stored: %v, %v", subs, err)
	}
}

func TestATenantHasABoundedNumberOfSubscriptions(t *testing.T) {
	w := mustStarted(t)
	first := w.mustSubscribe("a")
	for range webhook.MaxPerTenant - 1 {
		w.mustSubscribe("a")
	}
	_, err := w.CreateSubscription(t.Context(), w.tenant, draft("a"))
	wantProblem(t, err, problem.Conflict)
	if err := w.DeleteSubscription(t.Context(), w.tenant, first.ID); err != nil {
		t.Fatal(err)
	}
	w.mustSubscribe("a")
}

// stuck is an attempter whose attempts end when they are told to.
type stuck struct{ began, end chan struct{} }

func (s stuck) Attempt(context.Context, *webhook.Subscription, wire.Message, string) webhook.Attempt {
	s.began <- struct{}{}
	<-s.end
	return webhook.Attempt{Verdict: wire.Delivered}
}

func TestTestsUnderWayAreBoundedForEachTenant(t *testing.T) {
	s := stuck{make(chan struct{}), make(chan struct{})}
	w := mustWorld(t)
	w.Service = webhook.New(webhook.Options{DB: w.db, CheckURL: checkURL, Identify: testkit.Identify, Attempter: s})
	done := make(chan error, webhook.MaxTestsPerTenant)
	for range webhook.MaxTestsPerTenant {
		go func() {
			_, err := w.TestDraft(context.Background(), w.tenant, draft("a"))
			done <- err
		}()
		<-s.began
	}
	_, err := w.TestDraft(t.Context(), w.tenant, draft("a"))
	wantProblem(t, err, problem.RateLimited)
	close(s.end)
	for range webhook.MaxTestsPerTenant {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	go func() { <-s.began }()
	if _, err := w.TestDraft(t.Context(), w.tenant, draft("a")); err != nil {
		t.Errorf("after the others have ended: %v", err)
	}
}

func TestAListThatTakesTooLongIsBrokenOffWithAWord(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		w.HoldSearches()
		_, _, err := w.Events(t.Context(), w.tenant, webhook.EventFilter{}, webhook.Page{Limit: 10})
		wantProblem(t, err, problem.QueryTooSlow)
	})
}

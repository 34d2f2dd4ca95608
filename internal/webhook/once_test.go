package webhook_test

import (
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// once is a draft that makes one subscription for a URL.
func once(url, description string) webhook.Draft {
	return webhook.Draft{
		Dialect: "saasquatch", URL: url, EventTypes: []string{webhook.AllTypes}, Description: description, OncePerURL: true,
	}
}

func TestOncePerURLFindsTheSubscriptionThatIsThere(t *testing.T) {
	w := mustStarted(t)
	const url = "https://receiver.example/hook"
	first := w.mustCreate(w.tenant, once(url, "first"))
	for _, c := range []struct{ given, want string }{{"second", "second"}, {"second", "second"}, {"", "second"}} {
		again := w.mustCreate(w.tenant, once(url, c.given))
		if again.ID != first.ID || again.Description != c.want || again.CurrentSecret() != first.CurrentSecret() {
			t.Errorf("%q: got %s %q, want %s %q", c.given, again.ID, again.Description, first.ID, c.want)
		}
		if kept := w.mustGet(first); kept.Description != c.want {
			t.Errorf("%q: stored is %q", c.given, kept.Description)
		}
	}
	standard := once(url, "")
	standard.Dialect = "standard"
	others := map[string]*webhook.Subscription{
		"another URL":     w.mustCreate(w.tenant, once(url+"/", "")),
		"another dialect": w.mustCreate(w.tenant, standard),
		"another tenant":  w.mustCreate(id.ID{1}, once(url, "")),
	}
	for name, other := range others {
		if other.ID == first.ID {
			t.Errorf("%s is the same subscription", name)
		}
	}
	if err := w.DeleteSubscription(t.Context(), w.tenant, first.ID); err != nil {
		t.Fatal(err)
	}
	if anew := w.mustCreate(w.tenant, once(url, "")); anew.ID == first.ID || !anew.Enabled {
		t.Error("one that was deleted is returned")
	}
	subs, err := w.SubscriptionsOf(t.Context(), w.tenant, "saasquatch")
	if err != nil || len(subs) != 2 || subs[0].ID != others["another URL"].ID {
		t.Errorf("%d subscriptions of the dialect, %v", len(subs), err)
	}
}

func TestOncePerURLLeavesWhatElseASubscriptionSays(t *testing.T) {
	w := mustStarted(t)
	d := once("https://receiver.example/hook", "")
	d.EventTypes, d.Policy = []string{"user.created"}, webhook.Policy{MaxInFlight: 3}
	first := w.mustCreate(w.tenant, d)
	if _, err := w.DisableSubscription(t.Context(), w.tenant, first.ID); err != nil {
		t.Fatal(err)
	}
	again := w.mustCreate(w.tenant, once(d.URL, "named"))
	if again.EventTypes[0] != "user.created" || again.Policy.MaxInFlight != 3 || again.Enabled || again.Reason != webhook.ReasonManual {
		t.Errorf("it became %+v", show(again))
	}
}

func TestOncePerURLMakesOneHoweverManyAskAtOnce(t *testing.T) {
	w := mustStarted(t)
	var asking sync.WaitGroup
	ids := make(chan id.ID, 16)
	for range cap(ids) {
		asking.Go(func() {
			sub, err := w.CreateSubscription(t.Context(), w.tenant, once("https://receiver.example/hook", "name"))
			if err != nil {
				t.Error(err)
				return
			}
			ids <- sub.ID
		})
	}
	asking.Wait()
	close(ids)
	first := <-ids
	for other := range ids {
		if other != first {
			t.Errorf("%s and %s were made", first, other)
		}
	}
}

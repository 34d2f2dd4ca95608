package webhook_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// news is what a subscription was told of the webhooks: types, and whom they are
// about.
type news struct{ Type, About string }

// told takes the jobs that were handed over for a subscription.
func (w *world) told(to *webhook.Subscription) []news {
	w.t.Helper()
	var list []news
	for _, job := range w.sent.take() {
		if job.Sub.ID != to.ID {
			continue
		}
		var body struct {
			Type string
			Data struct {
				Subscription struct{ ID string }
				Delivery     struct{ ID string }
			}
		}
		if err := json.Unmarshal(job.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, news{body.Type, body.Data.Subscription.ID + body.Data.Delivery.ID})
	}
	return list
}

func (w *world) wantNews(to *webhook.Subscription, want ...news) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.told(to)); diff != "" {
		w.t.Errorf("told of (-want +got):\n%s", diff)
	}
}

func TestChangesOfSubscriptionsAreToldOf(t *testing.T) {
	w := mustStarted(t)
	ctx := t.Context()
	to := w.mustSubscribe(standard.SubscriptionCreated, standard.SubscriptionUpdated, standard.SubscriptionDeleted)
	w.wantNews(to) // not of itself
	sub := w.mustSubscribe("*")
	about := id.Subscription.Format(sub.ID)
	w.wantNews(to, news{standard.SubscriptionCreated, about})
	name := "another"
	mustDo(t, sub, second(w.UpdateSubscription(ctx, w.tenant, sub.ID, webhook.Patch{Description: &name})))
	w.wantNews(to, news{standard.SubscriptionUpdated, about})
	mustDo(t, sub, second(w.RotateSecret(ctx, w.tenant, sub.ID, "", time.Hour)))
	w.wantNews(to, news{standard.SubscriptionUpdated, about})
	if err := w.DeleteSubscription(ctx, w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantNews(to, news{standard.SubscriptionDeleted, about})
	w.mustCreate(id.New(time.Now()), draft("*")) // another tenant's
	w.wantNews(to)
	w.wantCount(w.tenant, 4, 4)
}

func second[T any](_ T, err error) error { return err }

func TestAnEventThatNobodyIsToldOfIsNone(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("*")
	w.mustSubscribe("*")
	if err := w.DeleteSubscription(t.Context(), w.tenant, sub.ID); err != nil {
		t.Fatal(err)
	}
	w.wantCount(w.tenant, 0, 0)
}

func TestADeliveryThatFailedIsToldOfOnceAndTheFailureOfThatIsNot(t *testing.T) {
	w := mustStarted(t)
	to := w.mustSubscribe(standard.DeliveryFailed)
	w.mustSubscribe(standard.DeliveryFailed)
	sub := w.mustSubscribe("a")
	event := w.mustEvent("a")
	job := w.sent.take()[0]
	w.mustRecord(retried(job, time.Now()))
	w.wantNews(to)
	job.Attempts = 1
	w.mustRecord(failed(job))
	jobs := w.sent.take()
	if len(jobs) != 2 || jobs[0].EventID != jobs[1].EventID || jobs[0].Sub.ID == jobs[1].Sub.ID {
		t.Fatalf("%d were told", len(jobs))
	}
	var body struct {
		Data struct{ Delivery map[string]any }
	}
	if err := json.Unmarshal(jobs[0].Body, &body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{
		"id": id.Delivery.Format(event, sub.ID), "event_id": id.Event.Format(event), "event_type": "a",
		"subscription_id": id.Subscription.Format(sub.ID), "attempts": 2.0, "response_status": 500.0, "reason": "server_error",
	}, body.Data.Delivery); diff != "" {
		t.Errorf("the news (-want +got):\n%s", diff)
	}
	w.mustRecord(failed(jobs[0]), failed(jobs[1]))
	if jobs := w.sent.take(); len(jobs) > 0 {
		t.Errorf("%d are told that news failed", len(jobs))
	}
}

func TestASubscriptionThatIsDisabledIsToldLater(t *testing.T) {
	w := mustStarted(t)
	to := w.mustSubscribe(standard.SubscriptionCreated)
	mustDo(t, to, second(w.DisableSubscription(t.Context(), w.tenant, to.ID)))
	w.mustSubscribe("a")
	w.wantNews(to)
	held, _, err := w.Deliveries(t.Context(), w.tenant, webhook.DeliveryFilter{SubscriptionID: to.ID, Status: "held"}, webhook.Page{Limit: 10})
	if err != nil || len(held) != 1 {
		t.Errorf("held: %v, %v", held, err)
	}
}

func TestATenantThatIsDeletedIsToldNothingMore(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe(standard.SubscriptionDeleted)
	w.mustSubscribe("a")
	if err := w.db.Write(t.Context(), func(tx *db.Tx) error { return w.DeleteTenant(tx, w.tenant) }); err != nil {
		t.Fatal(err)
	}
	w.wantCount(w.tenant, 0, 0)
}

// What is told fits the schema that the catalogue shows.
func TestNewsFitsItsCatalogue(t *testing.T) {
	w := mustStarted(t)
	to := w.mustSubscribe(standard.SubscriptionCreated, standard.DeliveryFailed)
	w.mustSubscribe("a")
	w.mustEvent("a")
	for _, job := range w.sent.take() {
		if job.Sub.ID == to.ID {
			wantFits(t, job)
			continue
		}
		w.mustRecord(failed(job))
	}
	for _, job := range w.sent.take() {
		wantFits(t, job)
	}
}

func wantFits(t *testing.T, job webhook.Job) {
	t.Helper()
	catalogue := standard.Dialect{}.Catalogue(nil)
	i := slices.IndexFunc(catalogue, func(e wire.EventType) bool { return e.Name == job.Type })
	if i < 0 {
		t.Fatalf("the catalogue has no %s", job.Type)
	}
	schema := mustJSON(t, catalogue[i].Schema)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", schema); err != nil {
		t.Fatal(err)
	}
	body, ok := mustJSON(t, job.Body).(map[string]any)
	if !ok {
		t.Fatal("the body is no object")
	}
	if err := compiler.MustCompile("schema.json").Validate(body["data"]); err != nil {
		t.Errorf("%s: %v", job.Type, err)
	}
}

func mustJSON(t *testing.T, text []byte) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

package webhook_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// signup is an event of ReferralLoop with the data.
func signup(data string) webhook.Publication {
	return webhook.Publication{
		Dialect: "referralloop", Type: "signup.deleted", Data: []byte(data),
		Fields: map[string]string{"waitlist_id": "123e4567-e89b-12d3-a456-426614174000"},
	}
}

const goodSignup = `{"id":"789e0123-e89b-12d3-a456-426614174000","email":"user@example.com"}`

func TestAnEventThatItsDialectDoesNotAllowIsRefusedByFieldAndNotRepeated(t *testing.T) {
	order := webhook.Publication{
		Dialect: "partnerstack", Type: "partner_team.member_created",
		Data: []byte(`{"key":"k","created_at":"` + marker + `","updated_at":1.5,"first_name":"J","last_name":"S","email":"j@example.com","team_name":"t","team_key":"t","team_owner_email":"o@example.com"}`),
	}
	with := func(change func(*webhook.Publication)) webhook.Publication {
		p := signup(goodSignup)
		change(&p)
		return p
	}
	for name, tt := range map[string]struct {
		publication webhook.Publication
		fields      []string
	}{
		"an unknown type":          {with(func(p *webhook.Publication) { p.Type = "signup." + marker }), []string{"type"}},
		"the type of its tests":    {with(func(p *webhook.Publication) { p.Type = "webhook.test" }), []string{"type"}},
		"another dialect's type":   {with(func(p *webhook.Publication) { p.Type = "user.created" }), []string{"type"}},
		"a missing field":          {with(func(p *webhook.Publication) { p.Fields = nil }), []string{"waitlist_id"}},
		"a field of no form":       {with(func(p *webhook.Publication) { p.Fields["waitlist_id"] = marker }), []string{"waitlist_id"}},
		"another dialect's field":  {with(func(p *webhook.Publication) { p.Fields["source_id"] = marker }), []string{"source_id"}},
		"a negative version":       {with(func(p *webhook.Publication) { p.SubjectVersion = -1 }), []string{"subject_version"}},
		"missing members":          {signup(`{}`), []string{"data.id", "data.email"}},
		"a member of no type":      {signup(`{"id":{"` + marker + `":1},"email":"user@example.com"}`), []string{"data.id"}},
		"a member too many":        {signup(`{"` + marker + `":1,` + goodSignup[1:]), []string{"data." + marker}},
		"a hostile name":           {signup(`{"<script>":1,` + goodSignup[1:]), []string{"data.…"}},
		"twice the same member":    {signup(`{"email":"a@example.com",` + goodSignup[1:]), []string{"data"}},
		"a number JS can't hold":   {signup(`{"id":9007199254740993,"email":"user@example.com"}`), []string{"data"}},
		"several at once":          {order, []string{"data.joined_at", "data.created_at", "data.updated_at"}},
		"a list":                   {signup(`[]`), []string{"data"}},
		"a field for the standard": {webhook.Publication{Type: "a.b", Data: []byte(`{}`), Fields: map[string]string{"waitlist_id": marker}}, []string{"waitlist_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustStarted(t)
			_, _, err := w.Publish(t.Context(), w.tenant, webhook.Publishing{Publications: []webhook.Publication{tt.publication}})
			refusal, ok := errors.AsType[*problem.Error](err)
			if !ok {
				t.Fatalf("it says %v", err)
			}
			named := map[string]bool{}
			for _, f := range refusal.Fields {
				named[f.Name] = true
				if strings.Contains(f.Message, marker) {
					t.Errorf("it repeats the value: %s", f.Message)
				}
			}
			want := map[string]bool{}
			for _, f := range tt.fields {
				want[f] = true
			}
			if diff := cmp.Diff(want, named); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			w.wantCount(w.tenant, 0, 0)
		})
	}
}

func TestADialectThatTheTenantDoesNotSpeakIsNamedWithItsPlaceInABatch(t *testing.T) {
	w := mustStarted(t)
	refusal := problem.InvalidField("dialect", "is not a dialect that the tenant speaks")
	w.Service = webhook.New(webhook.Options{
		DB: w.db, CheckURL: checkURL, Attempter: w.tries,
		Identify: func(_ context.Context, _ id.ID, dialect string) (*wire.Identity, error) {
			if dialect == "referralloop" {
				return nil, refusal
			}
			return testkit.Identify(t.Context(), id.ID{}, dialect)
		},
	})
	batch := []webhook.Publication{{Type: "a.b", Data: []byte(`{}`)}, signup(goodSignup), {Type: "a.b", Data: []byte(`[]`)}}
	_, _, err := w.Publish(t.Context(), w.tenant, webhook.Publishing{Batch: true, Publications: batch})
	wantProblem(t, err, problem.Invalid, "events[1].dialect", "events[2].data")
	_, _, err = w.Publish(t.Context(), w.tenant, webhook.Publishing{Publications: batch[1:2]})
	wantProblem(t, err, problem.Invalid, "dialect")
	w.wantCount(w.tenant, 0, 0)
}

func TestAFilterHasToBeOfItsDialect(t *testing.T) {
	w := mustStarted(t)
	for name, d := range map[string]webhook.Draft{
		"of the standard":    {Filter: webhook.FieldFilter("waitlist_id", marker)},
		"of another":         {Dialect: "rehook", Filter: webhook.FieldFilter("waitlist_id", marker)},
		"with a wrong value": {Dialect: "referralloop", Filter: webhook.FieldFilter("waitlist_id", marker)},
	} {
		d.URL, d.EventTypes = "https://receiver.example/", []string{"*"}
		_, err := w.CreateSubscription(t.Context(), w.tenant, d)
		wantProblem(t, err, problem.Invalid, "filter")
		if strings.Contains(err.Error(), marker) {
			t.Errorf("%s: it repeats the value: %v", name, err)
		}
	}
}

func TestAFilterIsKeptChangedAndRemoved(t *testing.T) {
	w := mustStarted(t)
	filter := webhook.FieldFilter("waitlist_id", "123e4567-e89b-12d3-a456-426614174000")
	sub := w.mustCreate(w.tenant, webhook.Draft{Dialect: "referralloop", URL: "https://receiver.example/", EventTypes: []string{"*"}, Filter: filter})
	w.reopen()
	wantFilter := func(want *webhook.Filter) {
		t.Helper()
		now, err := w.Subscription(t.Context(), w.tenant, sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, now.Filter); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	wantFilter(filter)
	other := webhook.FieldFilter("waitlist_id", "00000000-0000-4000-8000-000000000001")
	for _, to := range []*webhook.Filter{other, nil} {
		if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Filter: &to}); err != nil {
			t.Fatal(err)
		}
		wantFilter(to)
	}
}

func TestWhereTheDialectHasNoSecretsASubscriptionHasNone(t *testing.T) {
	w := mustStarted(t)
	for _, dialect := range []string{"saasquatch", "rehook", "partnerstack"} {
		d := webhook.Draft{Dialect: dialect, URL: "https://receiver.example/", EventTypes: []string{"*"}}
		sub := w.mustCreate(w.tenant, d)
		if sub.CurrentSecret() != "" {
			t.Errorf("%s: it has a secret", dialect)
		}
		_, err := w.RotateSecret(t.Context(), w.tenant, sub.ID, "", 0)
		wantProblem(t, err, problem.Conflict)
		if secrets, keys, err := w.RevealSecrets(t.Context(), w.tenant, sub.ID, sub.CreatedAt); len(secrets)+len(keys) > 0 || err != nil {
			t.Errorf("%s: it reveals %v, %v, %v", dialect, secrets, keys, err)
		}
		d.Secret = marker
		_, err = w.CreateSubscription(t.Context(), w.tenant, d)
		wantProblem(t, err, problem.Invalid, "secret")
		d.Secret, d.Signature = "", "v1"
		_, err = w.CreateSubscription(t.Context(), w.tenant, d)
		wantProblem(t, err, problem.Invalid, "signature")
	}
}

func TestAnEventTypeIsKeptUnderItsOneName(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustCreate(w.tenant, webhook.Draft{
		Dialect: "rehook", URL: "https://receiver.example/",
		EventTypes: []string{"customer.referral.successfull.friend", "order_success"},
	})
	if diff := cmp.Diff([]string{"customer.referral.successful.friend", "order_success"}, sub.EventTypes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err := w.CreateSubscription(t.Context(), w.tenant, webhook.Draft{
		Dialect: "rehook", URL: "https://receiver.example/",
		EventTypes: []string{"customer.referral.successfull.friend", "customer.referral.successful.friend"},
	})
	wantProblem(t, err, problem.Invalid, "event_types[1]")
}

func TestAnIdempotencyKeyCoversTheEnvelope(t *testing.T) {
	w := mustStarted(t)
	publish := func(p webhook.Publication) error {
		_, _, err := w.Publish(t.Context(), w.tenant, webhook.Publishing{Publications: []webhook.Publication{p}, IdempotencyKey: "k"})
		return err
	}
	if err := publish(signup(goodSignup)); err != nil {
		t.Fatal(err)
	}
	if err := publish(signup(goodSignup)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	other := signup(goodSignup)
	other.Fields["waitlist_id"] = "00000000-0000-4000-8000-000000000001"
	wantProblem(t, publish(other), problem.IdempotencyConflict)
	newer := signup(goodSignup)
	newer.SubjectVersion = 2
	wantProblem(t, publish(newer), problem.IdempotencyConflict)
	w.wantCount(w.tenant, 1, 0)
}

func TestABatchMayHaveEventsOfSeveralDialects(t *testing.T) {
	w := mustStarted(t)
	names := []string{"standard", "saasquatch", "referralloop", "rehook", "partnerstack"}
	of := make(map[id.ID]string)
	for _, name := range names {
		sub := w.mustCreate(w.tenant, webhook.Draft{Dialect: name, URL: "https://receiver.example/" + name, EventTypes: []string{webhook.AllTypes}})
		of[sub.ID] = name
	}
	w.sent.take()
	batch := []webhook.Publication{
		{Type: "customer.created", Data: []byte(`{"n":1}`)},
		{Dialect: "saasquatch", Type: "theme.publish.finished", Data: []byte(`{"newAssetsVersion":"CQOkemZF"}`)},
		signup(goodSignup),
		{Dialect: "rehook", Type: "customer.created", Data: []byte(`{"CustomerID":"cust_1"}`), Fields: map[string]string{"source_id": "KMN@123"}},
		{Dialect: "partnerstack", Type: "action.created", Data: []byte(`{"created_at":1,"key":"k","updated_at":1,"target_key":"t","target_type":"customer","type":"s","value":1}`)},
	}
	published := w.mustPublish(webhook.Publishing{Batch: true, Publications: batch})
	jobs := w.sent.take()
	if len(jobs) != len(names) {
		t.Fatalf("%d deliveries, want %d", len(jobs), len(names))
	}
	for i, job := range jobs {
		if of[job.Sub.ID] != names[i] || job.EventID != published[i].ID || published[i].Deliveries != 1 {
			t.Errorf("event %d of %s goes to the subscription of %s", i, names[i], of[job.Sub.ID])
		}
		if event, _, err := w.Event(t.Context(), w.tenant, job.EventID); err != nil || event.Dialect != names[i] {
			t.Errorf("event %d is kept as one of %s, %v", i, event.Dialect, err)
		}
	}
}

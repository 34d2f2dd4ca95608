package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const masked = "********"

func TestASubscriptionIsShownAsItWasMadeWithItsSecretsMasked(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	made, err := a.CreateSubscription(t.Context(), client.NewSubscription{
		URL: "https://hooks.example.com/in", EventTypes: []string{"a.b", "c"}, Description: "the shop",
		Headers: map[string]string{"x-shop": "s3cret-value"},
		Auth:    &client.Auth{Type: "basic", Username: "ann", Password: "s3cret-password"},
		Policy:  &client.Policy{Schedule: []float64{0.5, 60}, Timeout: 2.5, MaxInFlight: 4, Rate: 0.25},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.Secret, "whsec_") || !strings.HasPrefix(made.ID, "sub_") {
		t.Errorf("made %+v", made)
	}
	got, err := a.Subscription(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := client.Subscription{
		ID: made.ID, URL: "https://hooks.example.com/in", Dialect: "standard", EventTypes: []string{"a.b", "c"}, Description: "the shop",
		Headers: map[string]string{"X-Shop": masked}, Auth: &client.Auth{Type: "basic", Username: "ann", Password: masked},
		Policy: client.Policy{Schedule: []float64{0.5, 60}, Timeout: 2.5, MaxInFlight: 4, Rate: 0.25},
		Status: client.Enabled, Health: client.Health{State: client.Healthy}, PublicKeys: []string{}, CreatedAt: made.CreatedAt, UpdatedAt: made.UpdatedAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, made.Subscription); diff != "" {
		t.Errorf("the answer to creation (-want +got):\n%s", diff)
	}
	for _, path := range []string{"/v1/subscriptions", "/v1/subscriptions/" + made.ID} {
		if body := w.send(http.MethodGet, path, a.Key, "").body; strings.Contains(body, "s3cret") || strings.Contains(body, made.Secret) {
			t.Errorf("%s shows a secret: %s", path, body)
		}
	}
	if logged := w.log.String(); strings.Contains(logged, "s3cret") || strings.Contains(logged, made.Secret) || strings.Contains(logged, a.Key) {
		t.Errorf("a secret was logged:\n%s", logged)
	}
}

func TestASubscriptionWithAPublicKeyShowsIt(t *testing.T) {
	a := MustWorld(t, nil).MustAccount("acme")
	made, err := a.CreateSubscription(t.Context(), client.NewSubscription{URL: "https://hooks.example.com", EventTypes: []string{"*"}, Signature: "v1a"})
	if err != nil || !strings.HasPrefix(made.Secret, "whsk_") || len(made.PublicKeys) != 1 || !strings.HasPrefix(made.PublicKeys[0], "whpk_") {
		t.Fatalf("%+v, %v", made, err)
	}
	revealed, err := a.RevealSecrets(t.Context(), made.ID)
	want := client.Secrets{Secrets: []client.Secret{{Secret: made.Secret}}, PublicKeys: made.PublicKeys}
	if diff := cmp.Diff(want, revealed); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestAScheduleCanBeTheDialectsOrEmptyOrItsOwn(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for policy, want := range map[string]string{
		`{}`: `{}`, `{"schedule":null}`: `{}`, `{"schedule":[]}`: `{"schedule":[]}`, `{"schedule":[0.1,5]}`: `{"schedule":[0.1,5]}`,
	} {
		made := w.send(http.MethodPost, "/v1/subscriptions", a.Key, `{"url":"https://hooks.example.com","event_types":["*"],"policy":`+policy+`}`)
		var got struct{ Policy json.RawMessage }
		if err := json.Unmarshal([]byte(made.body), &got); err != nil || string(got.Policy) != want {
			t.Errorf("policy %s is shown as %s (%v), want %s", policy, got.Policy, err, want)
		}
	}
}

func TestAChangeConcernsOnlyTheFieldsThatItHas(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	const full = `{"url":"https://hooks.example.com/in","event_types":["a.b"],"description":"d","headers":{"X-A":"1","X-B":"2"},` +
		`"auth":{"type":"bearer","token":"t"},"policy":{"schedule":[1],"timeout":5,"max_in_flight":2,"rate":3}}`
	for name, c := range map[string]struct {
		patch string
		want  map[string]string
	}{
		"nothing":              {`{}`, nil},
		"the URL":              {`{"url":"https://other.example.com/"}`, map[string]string{"url": `"https://other.example.com/"`}},
		"the types":            {`{"event_types":["*"]}`, map[string]string{"event_types": `["*"]`}},
		"an empty description": {`{"description":""}`, map[string]string{"description": `""`}},
		"the headers":          {`{"headers":{"X-C":"3"}}`, map[string]string{"headers": `{"X-C":"` + masked + `"}`}},
		"no headers":           {`{"headers":{}}`, map[string]string{"headers": `{}`}},
		"other auth":           {`{"auth":{"type":"basic","username":"u","password":"p"}}`, map[string]string{"auth": `{"type":"basic","username":"u","password":"` + masked + `"}`}},
		"no auth":              {`{"auth":null}`, map[string]string{"auth": ""}},
		"the policy":           {`{"policy":{"timeout":9}}`, map[string]string{"policy": `{"timeout":9}`}},
		"no policy":            {`{"policy":{}}`, map[string]string{"policy": `{}`}},
		"an empty schedule":    {`{"policy":{"schedule":[]}}`, map[string]string{"policy": `{"schedule":[]}`}},
		"the dialect's":        {`{"policy":{"schedule":null}}`, map[string]string{"policy": `{}`}},
	} {
		t.Run(name, func(t *testing.T) {
			var made, changed map[string]json.RawMessage
			if err := json.Unmarshal([]byte(w.send(http.MethodPost, "/v1/subscriptions", a.Key, full).body), &made); err != nil {
				t.Fatal(err)
			}
			path := "/v1/subscriptions/" + strings.Trim(string(made["id"]), `"`)
			if patched := w.send(http.MethodPatch, path, a.Key, c.patch); patched.status != http.StatusOK {
				t.Fatalf("%d %s", patched.status, patched.body)
			}
			if err := json.Unmarshal([]byte(w.send(http.MethodGet, path, a.Key, "").body), &changed); err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(made)
			for field, value := range c.want {
				if want[field] = json.RawMessage(value); value == "" {
					delete(want, field)
				}
			}
			for _, fields := range []map[string]json.RawMessage{want, changed} {
				delete(fields, "updated_at")
				delete(fields, "secret")
			}
			if diff := cmp.Diff(want, changed); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var id string
			_ = json.Unmarshal(made["id"], &id)
			secrets, err := a.RevealSecrets(t.Context(), id)
			if err != nil || len(secrets.Secrets) != 1 || `"`+secrets.Secrets[0].Secret+`"` != string(made["secret"]) {
				t.Errorf("the secret has changed: %+v, %v", secrets, err)
			}
		})
	}
}

func TestTheClientSendsOnlyWhatIsToChange(t *testing.T) {
	a := MustWorld(t, nil).MustAccount("acme")
	made := a.MustSubscription(t, "a.b")
	changed, err := a.UpdateSubscription(t.Context(), made.ID, client.SubscriptionChange{
		Description: new("new"), Auth: &client.Auth{Type: "bearer", Token: "t"}, Policy: &client.Policy{Schedule: []float64{}},
	})
	if err != nil || changed.Description != "new" || changed.Auth == nil || changed.Policy.Schedule == nil || changed.URL != made.URL {
		t.Errorf("%+v, %v", changed, err)
	}
	changed, err = a.UpdateSubscription(t.Context(), made.ID, client.SubscriptionChange{
		RemoveAuth: true, Policy: &client.Policy{}, EventTypes: &[]string{"*"}, Headers: &map[string]string{"X-A": "1"}, URL: new("https://b.example.com"),
	})
	if err != nil || changed.Auth != nil || changed.Policy.Schedule != nil || changed.Description != "new" || !slices.Equal(changed.EventTypes, []string{"*"}) || len(changed.Headers) != 1 || changed.URL != "https://b.example.com" {
		t.Errorf("%+v, %v", changed, err)
	}
}

func TestASubscriptionIsDisabledEnabledAndDeleted(t *testing.T) {
	a := MustWorld(t, nil).MustAccount("acme")
	made := a.MustSubscription(t, "*")
	off, err := a.DisableSubscription(t.Context(), made.ID)
	if err != nil || off.Status != client.Disabled || off.Reason != "manual" {
		t.Errorf("%+v, %v", off, err)
	}
	held, err := a.Event(t.Context(), a.MustPublish(t, "a.b").ID)
	if err != nil || held.Deliveries[0].Status != client.Held {
		t.Errorf("%+v, %v", held, err)
	}
	on, err := a.EnableSubscription(t.Context(), made.ID)
	if err != nil || on.Status != client.Enabled || on.Reason != "" {
		t.Errorf("%+v, %v", on, err)
	}
	if err := a.DeleteSubscription(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, a.DeleteSubscription(t.Context(), made.ID), problem.NotFound)
	_, err = a.EnableSubscription(t.Context(), made.ID)
	wantCode(t, err, problem.NotFound)
}

func TestASecretIsRotatedAndBothAreRevealed(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	made := a.MustSubscription(t, "*")
	rotated, err := a.RotateSecret(t.Context(), made.ID, client.Rotation{Overlap: new(time.Hour)})
	if err != nil || rotated.Secret == made.Secret || rotated.ID != made.ID {
		t.Fatalf("%+v, %v", rotated, err)
	}
	got, err := a.RevealSecrets(t.Context(), made.ID)
	if err != nil || len(got.Secrets) != 2 || got.Secrets[0].Secret != rotated.Secret || !got.Secrets[0].ExpiresAt.IsZero() ||
		got.Secrets[1].Secret != made.Secret || time.Until(got.Secrets[1].ExpiresAt) > time.Hour || time.Until(got.Secrets[1].ExpiresAt) < 50*time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	const own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	if rotated, err = a.RotateSecret(t.Context(), made.ID, client.Rotation{Secret: own, Overlap: new(time.Duration(0))}); err != nil || rotated.Secret != own {
		t.Errorf("%+v, %v", rotated, err)
	}
	if got, err = a.RevealSecrets(t.Context(), made.ID); err != nil || len(got.Secrets) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if r := w.send(http.MethodPost, "/v1/subscriptions/"+made.ID+"/secret/rotate", a.Key, ""); r.status != http.StatusOK {
		t.Errorf("without a body: %d %s", r.status, r.body)
	}
	if got, err = a.RevealSecrets(t.Context(), made.ID); err != nil || len(got.Secrets) != 2 || time.Until(got.Secrets[1].ExpiresAt) < 23*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestATestShowsWhatTheEndpointAnswered(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	w.receiver.attempt = webhook.Attempt{
		ResponseStatus: 201, Verdict: wire.Delivered, Reason: wire.ReasonOK, Timing: webhook.Timing{Total: 12 * time.Millisecond},
		Headers: []wire.Header{{Name: "Server", Value: "x"}}, Body: []byte(strings.Repeat("ä\xff", 1000)),
	}
	made := a.MustSubscription(t, "*")
	if _, err := a.DisableSubscription(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	saved, err := a.TestSubscription(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	draft, err := a.TestDraft(t.Context(), client.NewSubscription{URL: "https://hooks.example.com", EventTypes: []string{"*"}})
	if diff := cmp.Diff(saved, draft); diff != "" || err != nil {
		t.Errorf("%v (-saved +draft):\n%s", err, diff)
	}
	want := client.TestResult{
		ResponseStatus: 201, Verdict: client.VerdictDelivered, Reason: "ok", Timing: client.Timing{Total: 12_000},
		Response: &client.Response{Headers: []client.Header{{Name: "Server", Value: "x"}}, Body: strings.Repeat("ä\uFFFD", 341)},
	}
	if diff := cmp.Diff(want, saved); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(w.receiver.seen) != 2 || w.receiver.seen[0].Type != "webhook.test" {
		t.Errorf("sent %+v", w.receiver.seen)
	}
	l, err := a.Events(t.Context(), client.EventFilter{}, client.Page{})
	if err != nil || len(l.Data) != 0 {
		t.Errorf("a test was recorded: %+v, %v", l, err)
	}
	w.receiver.attempt = webhook.Attempt{Verdict: wire.Retry, Reason: "timeout", Error: "no answer within 15s"}
	failed, err := a.TestSubscription(t.Context(), made.ID)
	if diff := cmp.Diff(client.TestResult{Verdict: client.VerdictRetry, Reason: "timeout", Error: "no answer within 15s"}, failed); diff != "" || err != nil {
		t.Errorf("without an answer: %v (-want +got):\n%s", err, diff)
	}
	_, err = a.TestDraft(t.Context(), client.NewSubscription{URL: "https://127.0.0.1", EventTypes: []string{"*"}})
	if fields := wantCode(t, err, problem.Invalid); fields[0].Name != "url" {
		t.Errorf("fields %v", fields)
	}
}

func TestThePolicySaysWhetherDeliveriesAreOrderedAndWhatFailuresDo(t *testing.T) {
	a := MustWorld(t, nil).MustAccount("acme")
	for name, want := range map[string]client.Policy{
		"ordered":     {Ordered: true},
		"all off":     {AutoDisable: new(false), HealthWarnings: new(false)},
		"the default": {},
	} {
		made, err := a.CreateSubscription(t.Context(), client.NewSubscription{URL: "https://hooks.example.com/in", EventTypes: []string{"*"}, Policy: &want})
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := a.Subscription(t.Context(), made.ID)
		if diff := cmp.Diff(want, got.Policy); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

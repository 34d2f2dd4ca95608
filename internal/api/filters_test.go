package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestAFilterIsReadStrictlyAndShownAsItWasGiven(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	create := func(filter string) answer {
		return w.send(http.MethodPost, "/v1/subscriptions", a.Key, `{"url":"https://hooks.example.com/in","event_types":["a.*"],"filter":`+filter+`}`)
	}
	const filter = `{"all":[{"eq":["data.n",9007199254740993]},{"gte":["data.price",1.10]}]}`
	if made := create(filter); made.status != http.StatusCreated || !strings.Contains(made.body, `"filter":`+filter) {
		t.Errorf("%d %s", made.status, made.body)
	}
	for bad, field := range map[string]string{
		`null`: "filter", `"hunter2"`: "filter", `[]`: "filter", `{"hunter2":1}`: "filter",
		`{"all":[{"eq":["data.n",1]},{"gte":["data.n",["hunter2"]]}]}`: "filter.all[1].gte[1]",
		`{"eq":["waitlist_id","hunter2"]}`:                             "filter.eq[0]",
	} {
		refused := create(bad)
		p := refused.problem(t, problem.Invalid)
		if !slices.Equal(p.fields(), []string{field}) || strings.Contains(refused.body, "hunter2") {
			t.Errorf("%s: %s", bad, refused.body)
		}
	}
}

func TestAnExplanationWantsOneEvent(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "a.*")
	event := a.MustPublish(t, "a.b")
	for body, fields := range map[string][]string{
		`{}`:                        {"type", "data"},
		`{"type":"a.b"}`:            {"data"},
		`{"type":"a.b","data":[1]}`: {"data"},
		`{"type":"a.b","data":{},"waitlist_id":"x"}`:      {"waitlist_id"},
		`{"type":"a.b","data":{},"waitlist_id":1}`:        {"waitlist_id"},
		`{"type":"a.b","data":{},"nonsense":1}`:           {"nonsense"},
		`{"event_id":"` + event.ID + `","type":"a.b"}`:    {"event_id"},
		`{"event_id":"` + event.ID + `","source_id":"x"}`: {"event_id"},
		`{"event_id":"evt_1"}`:                            {"event_id"},
	} {
		p := w.send(http.MethodPost, "/v1/subscriptions/"+sub.ID+"/explain", a.Key, body).problem(t, problem.Invalid)
		if !slices.Equal(p.fields(), fields) {
			t.Errorf("%s: %q", body, p.fields())
		}
	}
	w.send(http.MethodPost, "/v1/subscriptions/"+sub.ID+"/explain", a.Key, `{"event_id":"evt_000000000000000000000000"}`).problem(t, problem.NotFound)
	x, err := a.Explain(t.Context(), sub.ID, client.Question{
		Type: "signup.deleted", Dialect: "referralloop", Fields: map[string]string{"waitlist_id": "123e4567-e89b-12d3-a456-426614174000"},
		Data: json.RawMessage(`{"id":"789e0123-e89b-12d3-a456-426614174000","email":"user@example.com"}`),
	})
	if err != nil || x.Matches || x.Dialect.Matches || x.Dialect.Found != "referralloop" || x.Filter != nil {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestATypeIsRegisteredWith201AndTheSameAgainWith200(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for i, want := range []int{http.StatusCreated, http.StatusOK} {
		got := w.send(http.MethodPost, "/v1/event-types", a.Key, `{"name":"a.b","schema":{"type":"object"},"sample":{"n":1.10}}`)
		if got.status != want || !strings.Contains(got.body, `"version":1,`) || !strings.Contains(got.body, `"sample":{"n":1.10}`) {
			t.Errorf("request %d: %d %s", i, got.status, got.body)
		}
	}
	p := w.send(http.MethodPost, "/v1/event-types", a.Key, `{"name":"a.b","schema":{"$ref":"https://hunter2.example/"}}`).problem(t, problem.Invalid)
	if !slices.Equal(p.fields(), []string{"schema.$ref"}) {
		t.Errorf("%q", p.fields())
	}
}

func TestTheListOfTypesHasThoseOfTheTenantInItsPages(t *testing.T) {
	w := MustWorld(t, nil)
	a, other := w.MustAccount("acme"), w.MustAccount("other")
	for i := range 5 {
		if _, err := a.RegisterEventType(t.Context(), client.NewEventType{Name: fmt.Sprint("own.", i), Description: "d", Sample: json.RawMessage(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(of account) []string {
		var own []string
		cursor := ""
		for {
			got := w.send(http.MethodGet, "/v1/event-types?limit=2"+cursor, of.Key, "")
			var page client.List[client.EventType]
			if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page.Data) > 2 {
				t.Fatalf("%v: %s", err, got.body)
			}
			for _, et := range page.Data {
				if et.Source == "tenant" {
					own = append(own, et.Name)
					if et.Dialect != "standard" || et.Version != 1 || et.Description != "d" || string(et.Sample) != "{}" || et.Schema != nil {
						t.Errorf("%+v", et)
					}
				}
			}
			if page.NextCursor == "" {
				return own
			}
			cursor = "&cursor=" + page.NextCursor
		}
	}
	if got := list(a); !slices.Equal(got, []string{"own.0", "own.1", "own.2", "own.3", "own.4"}) {
		t.Errorf("%q", got)
	}
	if got := list(other); len(got) > 0 {
		t.Errorf("another tenant sees %q", got)
	}
}

func TestASearchOfDeliveriesNamesWhatIsWrong(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for query, field := range map[string]string{
		"data=nonsense": "query.data", "response_status_class=6xx": "query.response_status_class",
	} {
		p := w.send(http.MethodGet, "/v1/deliveries?"+query, a.Key, "").problem(t, problem.Invalid)
		if !slices.Equal(p.fields(), []string{field}) {
			t.Errorf("%s: %q", query, p.fields())
		}
	}
}

package webhook_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func mustDataFilter(t testing.TB, text string) *webhook.DataFilter {
	t.Helper()
	f, err := webhook.ReadDataFilter(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// found lists the events of the deliveries that a filter chooses, by pages of two.
func (w *world) found(filter webhook.DeliveryFilter) map[id.ID]int {
	w.t.Helper()
	events := make(map[id.ID]int)
	for _, d := range all(w.t, func(p webhook.Page) ([]webhook.Delivery, string, error) {
		return w.Deliveries(context.Background(), w.tenant, filter, p)
	}, 2) {
		events[d.EventID]++
	}
	return events
}

func TestDeliveriesAreFoundByWhatTheirEventsDataHas(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("*")
	w.mustSubscribe("*")
	w.mustCreate(w.tenant, webhook.Draft{Dialect: "referralloop", URL: "https://receiver.example/", EventTypes: []string{"*"}})
	var events []id.ID
	for _, data := range []string{
		`{"order":{"id":"o-1"},"n":1.50,"ok":true,"list":[{"sku":"x"}],"text":"a \"quoted\" ü"}`,
		`{"order":{"id":"o-2"},"n":1.5,"ok":false,"order.id":"dotted:1","nothing":null}`,
		`{"order":{"id":"o-1"}}`,
	} {
		events = append(events, w.mustPublish(one("a", data))[0].ID)
	}
	events = append(events, w.mustPublish(webhook.Publishing{Publications: []webhook.Publication{signup(goodSignup)}})[0].ID)
	w.mustEvent("a")
	for text, want := range map[string][]int{ // 2 deliveries of each but the last, which has 1
		"order.id:o-1":           {0, 2},
		"order.id:o-2":           {1},
		"order.id:o":             nil,
		"order:o-1":              nil,
		"n:1.50":                 {0},
		"n:1.5":                  {1},
		"ok:true":                {0},
		"nothing:null":           {1},
		"list.0.sku:x":           {0},
		`text:a "quoted" ü`:      {0},
		`order\.id:dotted:1`:     {1},
		"email:user@example.com": {3},
		"gone:":                  nil,
	} {
		wanted := make(map[id.ID]int)
		for _, i := range want {
			wanted[events[i]] = 2
			if i == 3 {
				wanted[events[i]] = 1
			}
		}
		if diff := cmp.Diff(wanted, w.found(webhook.DeliveryFilter{Data: mustDataFilter(t, text)})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if err := w.ExpungeBody(t.Context(), w.tenant, events[2]); err != nil {
		t.Fatal(err)
	}
	filter := webhook.DeliveryFilter{Data: mustDataFilter(t, "order.id:o-1"), Status: "cancelled"}
	if found := w.found(filter); len(found) != 0 {
		t.Errorf("%v are found by a body that is gone", found)
	}
}

func TestASearchThroughManyBodiesComesToItsEnd(t *testing.T) {
	w := mustStarted(t)
	w.mustSubscribe("a")
	p := batch(webhook.MaxBatch, "a")
	for i := range p.Publications {
		p.Publications[i].Data = fmt.Appendf(nil, `{"n":%d}`, i%400)
	}
	w.mustPublish(p)
	if found := w.found(webhook.DeliveryFilter{Data: mustDataFilter(t, "n:7")}); len(found) != 3 {
		t.Errorf("%d are found, want 3", len(found))
	}
}

func TestADataFilterIsAPathAndAValue(t *testing.T) {
	for _, bad := range []string{"", "hunter2", `hunter2\:1`, ":1", "a..b:1", `a\`, "a.:1"} {
		if f, err := webhook.ReadDataFilter(bad); err == nil {
			t.Errorf("%q became %v", bad, f)
		}
	}
}

func TestDeliveriesAreFoundByTypeReasonAndClassOfStatus(t *testing.T) {
	l := mustLists(t)
	type choose struct {
		filter webhook.DeliveryFilter
		holds  func(d webhook.Delivery) bool
	}
	for name, test := range map[string]choose{
		"type":             {webhook.DeliveryFilter{EventType: "a"}, func(d webhook.Delivery) bool { return d.EventType == "a" }},
		"reason":           {webhook.DeliveryFilter{Reason: "server_error"}, func(d webhook.Delivery) bool { return d.Reason == "server_error" }},
		"class":            {webhook.DeliveryFilter{ResponseClass: 5}, func(d webhook.Delivery) bool { return d.ResponseStatus/100 == 5 }},
		"class and status": {webhook.DeliveryFilter{ResponseClass: 5, Status: "failed"}, func(d webhook.Delivery) bool { return d.ResponseStatus == 500 && d.Status == webhook.Failed }},
		"type and status":  {webhook.DeliveryFilter{EventType: "b", Status: "delivered"}, func(d webhook.Delivery) bool { return d.EventType == "b" && d.Status == webhook.Delivered }},
	} {
		want := make(map[id.ID]int)
		for _, d := range l.deliveries {
			if test.holds(d) {
				want[d.EventID]++
			}
		}
		if len(want) == 0 {
			t.Fatalf("%s: there is nothing to find", name)
		}
		if diff := cmp.Diff(want, l.found(test.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestASearchThatCanNotBeginSaysSo(t *testing.T) {
	w := mustStarted(t)
	_, _, err := w.Deliveries(t.Context(), w.tenant, webhook.DeliveryFilter{Data: mustDataFilter(t, "a:1")}, webhook.Page{Limit: 1, Cursor: "x"})
	wantProblem(t, err, problem.Invalid, "cursor")
}

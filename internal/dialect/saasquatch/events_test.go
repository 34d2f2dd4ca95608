package saasquatch_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEventsAreTrackedOnceForAnIdempotencyKey(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"referredBy":{"code":"`+mike+`"}}`, http.StatusOK)
	path := "/open" + userPath("bob", "bob") + "/events"
	at := fmt.Sprint(time.Now().UnixMilli())
	body := `{"userId":"bob","accountId":"bob","idempotencyKey":"order-00001","events":[
		{"key":"purchase","fields":{"currency":"CAD","total":12.5},"dateTriggered":` + at + `},{"key":"viewed"}]}`
	shown := s.call(http.MethodPost, path, body, http.StatusOK)
	events, _ := shown["events"].([]any)
	if len(events) != 2 || shown["userId"] != "bob" || shown["accountId"] != "bob" {
		t.Fatalf("%v", shown)
	}
	first, _ := events[0].(map[string]any)
	s.wantAt(first, map[string]string{"key": `"purchase"`, "fields": `{"currency":"CAD","total":12.5}`, "dateTriggered": at})
	if id, _ := first["id"].(string); len(id) != 24 || first["dateReceived"] == nil || first["dateProcessed"] == nil {
		t.Errorf("%v", first)
	}
	s.wantAt(s.call(http.MethodGet, "/open"+userPath("bob", "bob"), "", http.StatusOK), map[string]string{"referredBy.isConverted": "true"})

	s.refused(http.MethodPost, path, body, http.StatusConflict, "CONFLICT", "")
	longer := strings.Replace(body, `{"key":"viewed"}`, `{"key":"viewed"},{"key":"signup"}`, 1)
	s.refused(http.MethodPost, path, longer, http.StatusConflict, "CONFLICT", "")
	if n := s.activities("bob"); n != 2 {
		t.Errorf("%d activities", n)
	}
	named := `{"userId":"bob","accountId":"bob","events":[{"id":"event-0001","key":"viewed"}]}`
	again := s.call(http.MethodPost, path, named, http.StatusOK)
	if shown := s.call(http.MethodPost, path, named, http.StatusOK); fmt.Sprint(shown) != fmt.Sprint(again) || s.activities("bob") != 3 {
		t.Errorf("a client's name for an event: %v, then %v", again, shown)
	}
}

func TestEventsWithTheSameKeyAtOnceAreTrackedOnce(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	var mu sync.Mutex
	statuses := map[int]int{}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			got := s.Send(http.MethodPost, "/api/v1/acme/open"+userPath("bob", "bob")+"/events", `{"idempotencyKey":"order-00001","events":[{"key":"purchase"}]}`, password(s.key))
			mu.Lock()
			statuses[got.Status]++
			mu.Unlock()
		})
	}
	asking.Wait()
	if statuses[http.StatusOK] != 1 || statuses[http.StatusConflict] != 7 || s.activities("bob") != 1 {
		t.Errorf("%v, %d activities", statuses, s.activities("bob"))
	}
}

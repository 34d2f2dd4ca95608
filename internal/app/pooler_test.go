//go:build unix

package app_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestTwoNodesDeliverThroughAPoolerInTransactionMode(t *testing.T) {
	cluster := testkit.MustCluster(t)
	for name, listen := range map[string]func(direct string) string{
		"hints": func(direct string) string { return direct },
		"none":  func(string) string { return config.ListenOff },
	} {
		t.Run(name, func(t *testing.T) {
			if err := cluster.Create(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			direct := cluster.URL(name)
			cfg := settings("")
			cfg.Database = testkit.MustPool(t, direct) + "&default_query_exec_mode=cache_describe"
			cfg.ListenDatabase, cfg.MasterKey = listen(direct), strings.Repeat("5e", 32)
			deliverByTwo(t, cfg)
		})
	}
}

// deliverByTwo has two nodes with the settings share the work.
func deliverByTwo(t *testing.T, cfg config.Server) {
	t.Helper()
	a, b := mustStart(t, cfg), mustStart(t, cfg)
	key := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	var mu sync.Mutex
	arrived := make(map[string]int)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		arrived[r.Header.Get("Webhook-Id")]++
	}))
	defer receiver.Close()
	mustPost(t, b.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["*"]}`)
	const events = 20
	want := make(map[string]bool)
	for i := range events {
		to := []string{a.URL(), b.URL()}[i%2]
		want[mustPost(t, to+"/v1/events", key, event)["id"].(string)] = true
	}
	for _, from := range []string{a.URL(), b.URL()} {
		eventually(t, "all deliveries are on record", func() bool {
			_, answer, err := send(t.Context(), http.MethodGet, from+"/v1/deliveries?status=delivered", key, "")
			rows, _ := answer["data"].([]any)
			return err == nil && len(rows) == events
		})
	}
	mu.Lock()
	defer mu.Unlock()
	for id, times := range arrived {
		if !want[id] || times != 1 {
			t.Errorf("%s arrived %d times", id, times)
		}
	}
	if len(arrived) != events {
		t.Errorf("%d events arrived of %d", len(arrived), events)
	}
}

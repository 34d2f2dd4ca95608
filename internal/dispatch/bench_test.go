package dispatch_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// BenchmarkPublishAndDeliver publishes 1 KiB events from 64 goroutines to one
// endpoint over real sockets and a real database, and stops the clock when the
// last one has arrived. It has no API in front; the receiver is in the process.
func BenchmarkPublishAndDeliver(b *testing.B) {
	d := testkit.OpenDB(b, db.Options{})
	box, err := secret.Open(b.Context(), d, secret.NewKey())
	if err != nil {
		b.Fatal(err)
	}
	guard, err := netguard.New(netguard.Config{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		b.Fatal(err)
	}
	attempter := dispatch.NewAttempter(guard.Client(netguard.TransportOptions{MaxIdleConnsPerHost: 128}), testkit.Identify, "bench")
	webhooks := webhook.New(webhook.Options{DB: d, Box: box, CheckURL: guard.CheckURL, Identify: testkit.Identify, Attempter: attempter})
	dispatcher := dispatch.New(dispatch.Options{Store: webhooks, Attempter: attempter})
	webhooks.Start(dispatcher)
	if err := dispatcher.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer dispatcher.Stop(b.Context())
	defer webhooks.Stop()
	var arrived atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived.Add(1)
	}))
	defer receiver.Close()
	tenant := id.New(time.Now())
	if _, err := webhooks.CreateSubscription(b.Context(), tenant, webhook.Draft{URL: receiver.URL, EventTypes: []string{"*"}}); err != nil {
		b.Fatal(err)
	}
	data := []byte(`{"text":"` + strings.Repeat("x", 1000) + `"}`)

	b.ResetTimer()
	var next atomic.Int64
	var publishers sync.WaitGroup
	for range 64 {
		publishers.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, _, err := webhooks.Publish(b.Context(), tenant, webhook.Publishing{Publications: []webhook.Publication{{Type: "bench.event", Data: data}}}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	for arrived.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

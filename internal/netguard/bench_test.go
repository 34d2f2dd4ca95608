package netguard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
)

// BenchmarkRoundTrip sends 1 KiB to a server that reads it and answers 204, by
// this package's transport and by net/http's, from 32 goroutines for each
// processor. The server is in this process, unless BENCH_URL names another: then
// the process's time is the client's.
func BenchmarkRoundTrip(b *testing.B) {
	target := os.Getenv("BENCH_URL")
	if target == "" {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}))
		defer server.Close()
		target = server.URL
	}
	own := mustGuard(b, netguard.Config{AllowHTTP: true, AllowNetworks: networks("127.0.0.0/8")}).Transport(netguard.TransportOptions{MaxIdleConnsPerHost: 128})
	defer own.CloseIdleConnections()
	standard := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 128}
	defer standard.CloseIdleConnections()
	payload := []byte(strings.Repeat("x", 1024))
	for _, c := range []struct {
		name      string
		transport http.RoundTripper
	}{{"own", own}, {"net-http", standard}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := postOnce(b.Context(), c.transport, target, payload); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func postOnce(ctx context.Context, transport http.RoundTripper, target string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := netguard.NewRequest(ctx, target, payload)
	if err != nil {
		return err
	}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "Content-Type", "User-Agent", "X-Event-Id", "X-Event-Type", "X-Attempt"} {
		req.Header[name] = []string{"a value of some length"}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return err
}

package app_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// conns is how many connections post at once.
const conns = 64

// BenchmarkDelivered posts 1 KiB events singly over 64 connections to a server
// with one subscription, and stops the clock when the last one has arrived.
// BenchmarkBarePost is the same client and receiver with nothing in between.
// Everything is in this process, so that the ratio of the two is what counts.
func BenchmarkDelivered(b *testing.B) {
	a, key := mustServe(b)
	var arrived atomic.Int64
	receiver := httptest.NewServer(count(&arrived))
	defer receiver.Close()
	mustPost(b, a.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["*"]}`)
	body := []byte(`{"type":"bench.event","data":{"text":"` + strings.Repeat("x", 1000) + `"}}`)
	b.ResetTimer()
	post(b, a.URL()+"/v1/events", key, body)
	for arrived.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkBarePost(b *testing.B) {
	var arrived atomic.Int64
	receiver := httptest.NewServer(count(&arrived))
	defer receiver.Close()
	b.ResetTimer()
	post(b, receiver.URL, "", bytes.Repeat([]byte("x"), 1024))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func count(arrived *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived.Add(1)
	})
}

// post posts b.N times.
func post(b *testing.B, url, key string, body []byte) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var posters sync.WaitGroup
	for range conns {
		posters.Go(func() {
			for next.Add(1) <= int64(b.N) {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+key)
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode >= 300 {
					b.Errorf("status %d", resp.StatusCode)
					return
				}
			}
		})
	}
	posters.Wait()
}

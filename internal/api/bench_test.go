package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/api"
)

// BenchmarkPublish measures what the API adds to storing an event: everything
// from the request to the answer without the network, with as many callers at
// once as a busy node has, so that they share commits.
func BenchmarkPublish(b *testing.B) {
	w := MustWorld(b, nil)
	_, _, key, err := w.tenants.Create(b.Context(), newTenant("acme"))
	if err != nil {
		b.Fatal(err)
	}
	handler := api.New(api.Options{Tenants: w.tenants, Webhooks: w.webhooks})
	body := `{"type":"invoice.paid","data":{"text":"` + strings.Repeat("x", 1000) + `"}}`
	b.SetParallelism(64)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/events", strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, r)
			if rec.Code != http.StatusAccepted {
				b.Errorf("%d %s", rec.Code, rec.Body)
				return
			}
		}
	})
}

// BenchmarkRefuse measures the same without storing: the request is read whole
// and then refused.
func BenchmarkRefuse(b *testing.B) {
	w := MustWorld(b, nil)
	_, _, key, err := w.tenants.Create(b.Context(), newTenant("acme"))
	if err != nil {
		b.Fatal(err)
	}
	handler := api.New(api.Options{Tenants: w.tenants, Webhooks: w.webhooks})
	body := `{"type":"invoice.paid","data":{"text":"` + strings.Repeat("x", 1000) + `"},"x":1}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/events", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		if rec.Code != http.StatusUnprocessableEntity {
			b.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

package webhook_test

import (
	"testing"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// One round publishes a thousand events to one subscription in one transaction.
func BenchmarkPublish(b *testing.B) {
	w := mustStarted(b)
	w.mustSubscribe("a")
	p := batch(webhook.MaxBatch, "a")
	for b.Loop() {
		w.mustPublish(p)
		w.sent.take()
	}
	b.ReportMetric(float64(b.N*webhook.MaxBatch)/b.Elapsed().Seconds(), "events/s")
}

// One round records a thousand outcomes in one transaction.
func BenchmarkRecord(b *testing.B) {
	w := mustStarted(b)
	w.mustSubscribe("a")
	p := batch(webhook.MaxBatch, "a")
	for b.Loop() {
		b.StopTimer()
		w.mustPublish(p)
		var outcomes []webhook.Outcome
		for _, j := range w.sent.take() {
			outcomes = append(outcomes, delivered(j))
		}
		b.StartTimer()
		w.mustRecord(outcomes...)
	}
	b.ReportMetric(float64(b.N*webhook.MaxBatch)/b.Elapsed().Seconds(), "outcomes/s")
}

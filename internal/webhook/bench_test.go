package webhook_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
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

// One round is a transaction that tells one subscription of four events, as a command
// does; alone is the same transaction that tells nothing.
func BenchmarkCommand(b *testing.B) {
	for name, eventType := range map[string]string{"told": "a", "alone": "b"} {
		b.Run(name, func(b *testing.B) {
			w := mustStarted(b)
			w.mustSubscribe("a")
			pubs := slices.Repeat([]webhook.Publication{publication(eventType, `{"person":{"id":"per_019a9c1d2f3b5e8d7c6a4f10","email":"jane@example.com","fields":{}}}`)}, 4)
			p := w.mustPrepare()
			took := time.Duration(0)
			for b.Loop() {
				err := w.db.Write(b.Context(), func(tx *db.Tx) error {
					start := time.Now()
					defer func() { took += time.Since(start) }()
					return p.Publish(tx, pubs)
				})
				if err != nil {
					b.Fatal(err)
				}
				w.sent.take()
			}
			b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/publish")
		})
	}
}

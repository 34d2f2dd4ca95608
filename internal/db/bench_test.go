package db_test

import (
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
)

func BenchmarkWriteInGroups(b *testing.B) {
	registry := prometheus.NewRegistry()
	d := mustOpenNotes(b, db.Options{Metrics: registry})
	var next atomic.Int64
	b.SetParallelism(64)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := d.Write(b.Context(), note(next.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	count, writes := commits(b, registry)
	b.ReportMetric(writes/float64(count), "writes/commit")
}

func BenchmarkReadARow(b *testing.B) {
	d := mustOpenNotes(b, db.Options{})
	mustWrite(b, d, note(1))
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := d.Read(b.Context(), func(q db.Queryer) error {
				return q.QueryRow(`SELECT text FROM note WHERE id = $1`, 1).Scan(new(string))
			}); err != nil {
				b.Error(err)
			}
		}
	})
}

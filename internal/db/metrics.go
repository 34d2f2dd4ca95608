package db

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics measure the commits.
type metrics struct {
	registry prometheus.Registerer // nil: nobody reads them
	size     prometheus.Histogram
	seconds  prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registry: registry,
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_db_group_size",
			Help:    "Transactions that shared one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_db_commit_seconds",
			Help:    "Time that a commit took, the flush to disk included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}),
	}
	if registry == nil {
		return m, nil
	}
	if err := registry.Register(m.size); err != nil {
		return nil, fmt.Errorf("db: register the metrics: %w", err)
	}
	if err := registry.Register(m.seconds); err != nil {
		registry.Unregister(m.size)
		return nil, fmt.Errorf("db: register the metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	m.registry.Unregister(m.size)
	m.registry.Unregister(m.seconds)
}

// committed counts a commit of size closures.
func (m *metrics) committed(size int, took time.Duration) {
	m.size.Observe(float64(size))
	m.seconds.Observe(took.Seconds())
}

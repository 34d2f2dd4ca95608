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
	retries  prometheus.Counter
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
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_db_retries_total",
			Help: "Transactions that were run again, since others had changed what they read. None on SQLite.",
		}),
	}
	if registry == nil {
		return m, nil
	}
	for i, collector := range m.all() {
		if err := registry.Register(collector); err != nil {
			for _, registered := range m.all()[:i] {
				registry.Unregister(registered)
			}
			return nil, fmt.Errorf("db: register the metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.size, m.seconds, m.retries}
}

func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, collector := range m.all() {
		m.registry.Unregister(collector)
	}
}

// retried counts a transaction that is run again.
func (m *metrics) retried() { m.retries.Inc() }

// committed counts a commit of size closures.
func (m *metrics) committed(size int, took time.Duration) {
	m.size.Observe(float64(size))
	m.seconds.Observe(took.Seconds())
}

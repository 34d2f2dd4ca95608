package timer

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// metrics is what a runner measures.
type metrics struct {
	ran, failures *prometheus.CounterVec
	batches       prometheus.Histogram
}

func newMetrics(d *db.DB, registry prometheus.Registerer) *metrics {
	m := &metrics{
		ran: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_timers_done_total", Help: "Timers that were done.",
		}, []string{"kind"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_timer_failures_total", Help: "Tries of timers that failed.",
		}, []string{"kind"}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_timer_batch_seconds",
			Help:    "How long the transactions took that did timers.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}),
	}
	if registry != nil {
		registry.MustRegister(m.ran, m.failures, m.batches, &stateCollector{d})
	}
	return m
}

// did counts the timers of a batch, by their kinds.
func (m *metrics) did(kinds []string, took time.Duration) {
	for _, kind := range kinds {
		m.ran.WithLabelValues(kind).Inc()
	}
	m.batches.Observe(took.Seconds())
}

// stateCollector asks the database how the timers stand when it is asked.
type stateCollector struct{ db *db.DB }

var (
	parkedDesc = prometheus.NewDesc("grapevine_timers_parked", "Timers that failed too often and wait to be resumed.", nil, nil)
	lateDesc   = prometheus.NewDesc("grapevine_timer_oldest_due_seconds", "How long the timer has been due that has waited longest.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- parkedDesc
	ch <- lateDesc
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	parked, late := int64(0), time.Duration(0)
	err := c.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if parked, err = countParked(q); err != nil {
			return err
		}
		waiting, err := firstOfEach(q)
		for _, e := range waiting {
			late = max(late, time.Since(e.tryAt))
		}
		return err
	})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(parkedDesc, err)
		ch <- prometheus.NewInvalidMetric(lateDesc, err)
		return
	}
	ch <- prometheus.MustNewConstMetric(parkedDesc, prometheus.GaugeValue, float64(parked))
	ch <- prometheus.MustNewConstMetric(lateDesc, prometheus.GaugeValue, late.Seconds())
}

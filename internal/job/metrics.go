package job

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// metrics is what a runner measures.
type metrics struct{ steps *prometheus.HistogramVec }

func newMetrics(d *db.DB, registry prometheus.Registerer) *metrics {
	m := &metrics{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "grapevine_job_step_seconds",
		Help:    "How long a step of a job held the database.",
		Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
	}, []string{"kind"})}
	if registry != nil {
		registry.MustRegister(m.steps, &stateCollector{d})
	}
	return m
}

// stateCollector counts the jobs in the database when it is asked.
type stateCollector struct{ db *db.DB }

var stateDesc = prometheus.NewDesc("grapevine_jobs",
	"Jobs by kind and state; those that have ended are kept for 30 days.", []string{"kind", "state"}, nil)

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) { ch <- stateDesc }

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var counts []count
	err := c.db.Read(ctx, func(q db.Queryer) error {
		var err error
		counts, err = selectCounts(q)
		return err
	})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(stateDesc, err)
		return
	}
	for _, n := range counts {
		ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, float64(n.jobs), n.kind, n.state)
	}
}

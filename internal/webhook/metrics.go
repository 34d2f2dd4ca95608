package webhook

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// metrics is what the service measures.
type metrics struct {
	events     prometheus.Counter
	deliveries prometheus.Counter

	removed       *prometheus.CounterVec
	retentionStep prometheus.Histogram
}

func newMetrics(s *Service, registry prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_events_accepted_total",
			Help: "Events that were accepted.",
		}),
		deliveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "grapevine_deliveries_accepted_total",
			Help: "Deliveries that were made of accepted events.",
		}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_retention_removed_total",
			Help: "What was removed since it was old.",
		}, []string{"kind"}),
		retentionStep: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_retention_step_seconds",
			Help:    "How long one transaction took that removes what is old.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}),
	}
	if registry != nil {
		registry.MustRegister(m.events, m.deliveries, m.removed, m.retentionStep, &depthCollector{s}, &endpointCollector{s})
	}
	return m
}

// accepted counts events that are stored.
func (m *metrics) accepted(events []Published) {
	m.events.Add(float64(len(events)))
	for _, e := range events {
		m.deliveries.Add(float64(e.Deliveries))
	}
}

// depth is how much waits in one lane.
type depth struct {
	status Status
	count  int64
	oldest time.Time // when the oldest was due; zero if nothing waits
}

// depthCollector reads the queue's depth from the database when it is asked.
type depthCollector struct{ s *Service }

var (
	depthDesc = prometheus.NewDesc("grapevine_queue_depth",
		"Deliveries to enabled subscriptions that wait: for their first attempt or for a retry.", []string{"state"}, nil)
	oldestDesc = prometheus.NewDesc("grapevine_queue_oldest_due_seconds",
		"How long the delivery that has waited longest has been due; 0: none is due.", []string{"state"}, nil)
)

var depthStates = map[Status]string{Pending: "first", Retrying: "retry"}

// Describe implements prometheus.Collector.
func (c *depthCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- depthDesc
	ch <- oldestDesc
}

// Collect implements prometheus.Collector.
func (c *depthCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var depths []depth
	err := c.s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		depths, err = selectDepths(q)
		return err
	})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(depthDesc, err)
		return
	}
	for _, d := range depths {
		due := 0.0
		if !d.oldest.IsZero() {
			due = max(time.Since(d.oldest).Seconds(), 0)
		}
		ch <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(d.count), depthStates[d.status])
		ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, due, depthStates[d.status])
	}
}

// endpointCollector counts the endpoints by their health when it is asked.
type endpointCollector struct{ s *Service }

var endpointsDesc = prometheus.NewDesc("grapevine_endpoints",
	"Subscriptions, by the state of their endpoint: ok, failing, or disabled.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (c *endpointCollector) Describe(ch chan<- *prometheus.Desc) { ch <- endpointsDesc }

// Collect implements prometheus.Collector.
func (c *endpointCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var counts map[string]int
	err := c.s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		counts, err = countEndpoints(q)
		return err
	})
	if err != nil {
		ch <- prometheus.NewInvalidMetric(endpointsDesc, err)
		return
	}
	failing := counts[string(Failing)]
	for state, n := range map[string]int{"ok": counts[enabled] - failing, "failing": failing, "disabled": counts[disabled]} {
		ch <- prometheus.MustNewConstMetric(endpointsDesc, prometheus.GaugeValue, float64(n), state)
	}
}

package webhook

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is what the service measures.
type metrics struct {
	events     prometheus.Counter
	deliveries prometheus.Counter
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
	}
	if registry != nil {
		registry.MustRegister(m.events, m.deliveries, &depthCollector{s})
	}
	return m
}

// depthCollector reads the queue's depth from the database when it is asked.
type depthCollector struct{ s *Service }

var (
	depthDesc = prometheus.NewDesc("grapevine_queue_depth",
		"Deliveries that wait: for their first attempt or for a retry.", []string{"state"}, nil)
	oldestDesc = prometheus.NewDesc("grapevine_queue_oldest_due_seconds",
		"How long the delivery that waits longest has been due; negative: it is due in so many seconds.", []string{"state"}, nil)
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
	depths, err := c.s.Depths(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(depthDesc, err)
		return
	}
	for _, d := range depths {
		ch <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(d.Count), depthStates[d.Status])
		if !d.Oldest.IsZero() {
			ch <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, time.Since(d.Oldest).Seconds(), depthStates[d.Status])
		}
	}
}

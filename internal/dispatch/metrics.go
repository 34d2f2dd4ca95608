package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// metrics is what the dispatcher measures.
type metrics struct {
	attempts *prometheus.CounterVec
	took     prometheus.Histogram
	endToEnd prometheus.Histogram
}

func newMetrics(d *Dispatcher, registry prometheus.Registerer) *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_attempts_total",
			Help: "Attempts whose outcome is stored, by dialect, verdict and reason.",
		}, []string{"dialect", "verdict", "reason"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_attempt_seconds",
			Help:    "Time that an attempt took, the response's body included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 13),
		}),
		endToEnd: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "grapevine_first_delivery_seconds",
			Help:    "Time from accepting an event to its delivery, where the first attempt succeeded.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14),
		}),
	}
	if registry == nil {
		return m
	}
	registry.MustRegister(m.attempts, m.took, m.endToEnd,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "grapevine_in_flight",
			Help: "Attempts under way.",
		}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(d.inFlight[prompt] + d.inFlight[slow])
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "grapevine_memory_window_bytes",
			Help: "Bytes that deliveries which wait or are under way take, with their bodies.",
		}, func() float64 {
			d.mu.Lock()
			defer d.mu.Unlock()
			return float64(d.bytes)
		}))
	return m
}

func (m *metrics) observe(o *webhook.Outcome) {
	m.attempts.WithLabelValues(o.Job.Sub.Dialect.Name(), string(o.Attempt.Verdict), string(o.Attempt.Reason)).Inc()
	m.took.Observe(o.Attempt.Timing.Total.Seconds())
	if o.Status == webhook.Delivered && o.Attempt.Number == 1 {
		done := o.Attempt.StartedAt.Add(o.Attempt.Timing.Total)
		m.endToEnd.Observe(max(done.Sub(o.Job.DueAt), time.Duration(0)).Seconds())
	}
}

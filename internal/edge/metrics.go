package edge

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what the APIs measure. The labels are bounded by the routes that
// there are.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics returns those of the registry: all APIs with the same one count
// together. With nil nothing can be seen of what is measured.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	return &Metrics{
		requests: registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "grapevine_http_requests_total",
			Help: "Requests by route and the status of the answer.",
		}, []string{"route", "status"})),
		seconds: registered(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "grapevine_http_request_seconds",
			Help:    "How long requests took, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60},
		}, []string{"route"})),
	}
}

// registered returns the collector, or the one of its kind that the registry has.
func registered[C prometheus.Collector](registry prometheus.Registerer, c C) C {
	if registry == nil {
		return c
	}
	err := registry.Register(c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := known.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil { // another package took the name: a mistake that every start shows
		panic(err)
	}
	return c
}

// Observe counts a request that was answered.
func (m *Metrics) Observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

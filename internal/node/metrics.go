package node

import "github.com/prometheus/client_golang/prometheus"

// metrics is what a node measures.
type metrics struct{ hints *prometheus.CounterVec }

func newMetrics(n *Node, registry prometheus.Registerer) *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "grapevine_hints_total",
		Help: "Hints to look at the database: sent to other nodes, and heard from them.",
	}, []string{"direction"})}
	if registry == nil {
		return m
	}
	registry.MustRegister(m.hints,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "grapevine_nodes",
			Help: "Nodes that live, as this one last saw it.",
		}, func() float64 { return float64(len(n.Membership().Members)) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "grapevine_node_lease_seconds",
			Help: "How much of this node's lease is left; 0: it has run out, and the node starts nothing.",
		}, func() float64 {
			l := n.life.Load()
			if l == nil {
				return 0
			}
			return max(n.left(l), 0).Seconds()
		}))
	return m
}

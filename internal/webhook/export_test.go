package webhook

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// MaxDirect is how many deliveries a publish makes itself.
const MaxDirect = maxDirect

// WideStep is how many deliveries one step of a replay to all subscriptions looks
// at.
const WideStep = wideStep

// MaxReplays is how many replays a tenant may have that have not ended.
const MaxReplays = maxReplays

// SweepStep is how many deliveries one transaction cancels.
const SweepStep = sweepStep

// MaxPerTenant is how many subscriptions a tenant may have.
const MaxPerTenant = maxPerTenant

// MaxTestsPerTenant is how many tests a tenant may have under way.
const MaxTestsPerTenant = maxTestsPerTenant

// MaxTypes is how many event types a tenant may register.
const MaxTypes = maxTypes

// MaxTypeSchemas is how many bytes their schemas may have in all.
const MaxTypeSchemas = maxTypeSchemas

// HoldSearches takes all the places that searches have, for good.
func (s *Service) HoldSearches() {
	for range maxSearches {
		s.searches <- struct{}{}
	}
}

// QueueMetrics measures the queue.
func (s *Service) QueueMetrics() prometheus.Collector { return &depthCollector{s} }

// HoldMatcher takes the tenant's matcher as it is now and returns a function
// that puts it back, as if this node had not heard of what changed since.
func (s *Service) HoldMatcher(ctx context.Context, tenant id.ID) (func(), error) {
	held, err := s.matcher(ctx, tenant)
	return func() {
		s.index.mu.Lock()
		defer s.index.mu.Unlock()
		ready := make(chan struct{})
		close(ready)
		s.index.tenants[tenant] = &entry[matcher]{ready: ready, loaded: held}
	}, err
}

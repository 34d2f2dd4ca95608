package dialect

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Subscriptions are those of one dialect: a tenant's others are not found through
// it. A subscription never changes its dialect.
type Subscriptions struct {
	*webhook.Service

	Dialect string
}

// Own returns the subscription of that id if it is the tenant's and of the
// dialect, else problem.NotFound.
func (s Subscriptions) Own(ctx context.Context, tenant, sub id.ID) (*webhook.Subscription, error) {
	found, err := s.Subscription(ctx, tenant, sub)
	if err != nil {
		return nil, err
	}
	if found.Dialect.Name() != s.Dialect {
		return nil, NoSubscription()
	}
	return found, nil
}

// All returns the tenant's subscriptions of the dialect, the oldest first. There
// are at most 2,000.
func (s Subscriptions) All(ctx context.Context, tenant id.ID) ([]*webhook.Subscription, error) {
	return s.SubscriptionsOf(ctx, tenant, s.Dialect)
}

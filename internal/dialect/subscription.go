package dialect

import (
	"context"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
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

// CreateSubscription is the service's, for event types as the products know them.
func (s Subscriptions) CreateSubscription(ctx context.Context, tenant id.ID, draft webhook.Draft) (*webhook.Subscription, error) {
	if err := refuseFamilies(draft.EventTypes); err != nil {
		return nil, err
	}
	return s.Service.CreateSubscription(ctx, tenant, draft)
}

// UpdateSubscription is the service's, for event types as the products know them.
func (s Subscriptions) UpdateSubscription(ctx context.Context, tenant, sub id.ID, patch webhook.Patch) (*webhook.Subscription, error) {
	if patch.EventTypes != nil {
		if err := refuseFamilies(*patch.EventTypes); err != nil {
			return nil, err
		}
	}
	return s.Service.UpdateSubscription(ctx, tenant, sub, patch)
}

// TestDraft is the service's, for event types as the products know them.
func (s Subscriptions) TestDraft(ctx context.Context, tenant id.ID, draft webhook.Draft) (webhook.Attempt, error) {
	if err := refuseFamilies(draft.EventTypes); err != nil {
		return webhook.Attempt{}, err
	}
	return s.Service.TestDraft(ctx, tenant, draft)
}

// refuseFamilies refuses patterns such as "user.*", which no product has.
func refuseFamilies(types []string) error {
	var checks problem.Checks
	for i, t := range types {
		if t != webhook.AllTypes && strings.Contains(t, "*") {
			checks.Add(fmt.Sprintf("event_types[%d]", i), "is a pattern: name each type, or [\"*\"] alone for all")
		}
	}
	return checks.Err()
}

package api

import (
	"context"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

type subscriptionPath struct {
	ID string `path:"id" doc:"The subscription's id."`
}

const exampleSubscription = `{"url":"https://example.com/webhooks","event_types":["invoice.paid"],"policy":{"schedule":[5,60,3600],"timeout":10}}`

// exampleCreated is the answer to exampleSubscription.
const exampleCreated = `{"id":"sub_019a9c1d2f3b5e8d7c6a4f10","url":"https://example.com/webhooks","dialect":"standard",` +
	`"event_types":["invoice.paid"],"description":"","headers":{},"policy":{"schedule":[5,60,3600],"timeout":10},"status":"enabled","health":{"state":"ok","failures":0},` +
	`"public_keys":[],"created_at":"2026-01-31T15:04:05.123456Z","updated_at":"2026-01-31T15:04:05.123456Z",` +
	`"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`

func (s *server) subscriptionRoutes() {
	register(s, route{
		id: "create-subscription", method: http.MethodPost, path: "/v1/subscriptions", tag: tagSubscriptions, access: canManage,
		summary: "Create a subscription", description: "Events that are published after this returned reach it. The answer has the secret, and what came of the handshake if one was asked for.",
		status: http.StatusCreated, example: exampleSubscription, answer: exampleCreated,
	}, s.createSubscription)
	register(s, route{
		id: "list-subscriptions", method: http.MethodGet, path: "/v1/subscriptions", tag: tagSubscriptions, access: canRead,
		summary: "List subscriptions", description: "The oldest first.",
	}, s.listSubscriptions)
	register(s, route{
		id: "get-subscription", method: http.MethodGet, path: "/v1/subscriptions/{id}", tag: tagSubscriptions, access: canRead,
		summary: "Get a subscription",
	}, s.getSubscription)
	register(s, route{
		id: "update-subscription", method: http.MethodPatch, path: "/v1/subscriptions/{id}", tag: tagSubscriptions, access: canManage,
		summary: "Change a subscription", description: "What is not given stays; headers, auth and policy are replaced as a whole. Where the subscription has a handshake and is enabled, another URL has to confirm it first; a disabled one is asked when it is enabled.",
		errors: []*problem.Code{problem.Conflict, problem.HandshakeFailed}, example: `{"event_types":["invoice.paid","invoice.voided"],"auth":null}`,
	}, s.updateSubscription)
	register(s, route{
		id: "delete-subscription", method: http.MethodDelete, path: "/v1/subscriptions/{id}", tag: tagSubscriptions, access: canManage,
		summary: "Delete a subscription", description: "Its pending deliveries are cancelled; the records stay.",
	}, s.deleteSubscription)
}

func (s *server) createSubscription(ctx context.Context, r request[none, newSubscriptionJSON]) (subscriptionWithSecretJSON, error) {
	draft := r.body.draft(r.confirm)
	var result *testResultJSON
	draft.Answered = func(a webhook.Attempt) { result = new(showTest(a)) }
	sub, err := s.opts.Webhooks.CreateSubscription(ctx, r.tenant.ID, draft)
	shown, err := withSecret(sub, err)
	shown.HandshakeResult = result
	return shown, err
}

func (s *server) listSubscriptions(ctx context.Context, r request[Paging, none]) (page[SubscriptionJSON], error) {
	p := webhook.Page{Limit: r.params.Limit, Cursor: r.params.Cursor}
	subs, next, err := s.opts.Webhooks.Subscriptions(ctx, r.tenant.ID, p)
	if err != nil {
		return page[SubscriptionJSON]{}, inQuery(err)
	}
	list := page[SubscriptionJSON]{Data: make([]SubscriptionJSON, len(subs)), NextCursor: next}
	for i, sub := range subs {
		if list.Data[i], err = showSubscription(sub); err != nil {
			return page[SubscriptionJSON]{}, err
		}
	}
	return list, nil
}

func (s *server) getSubscription(ctx context.Context, r request[subscriptionPath, none]) (SubscriptionJSON, error) {
	return s.withSubscription(ctx, r.tenant.ID, r.params, s.opts.Webhooks.Subscription)
}

func (s *server) updateSubscription(ctx context.Context, r request[subscriptionPath, changeSubscriptionJSON]) (SubscriptionJSON, error) {
	return s.withSubscription(ctx, r.tenant.ID, r.params, func(ctx context.Context, tenant, sub id.ID) (*webhook.Subscription, error) {
		return s.opts.Webhooks.UpdateSubscription(ctx, tenant, sub, r.body.patch(r.confirm))
	})
}

func (s *server) deleteSubscription(ctx context.Context, r request[subscriptionPath, none]) (none, error) {
	sub, err := r.params.parse()
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Webhooks.DeleteSubscription(ctx, r.tenant.ID, sub)
}

// withSubscription does something with the subscription that a path names and
// shows what it then is.
func (s *server) withSubscription(ctx context.Context, tenant id.ID, path subscriptionPath,
	do func(ctx context.Context, tenant, sub id.ID) (*webhook.Subscription, error),
) (SubscriptionJSON, error) {
	named, err := path.parse()
	if err != nil {
		return SubscriptionJSON{}, err
	}
	sub, err := do(ctx, tenant, named)
	if err != nil {
		return SubscriptionJSON{}, err
	}
	return showSubscription(sub)
}

// withSecret shows a subscription with the secret that has just been made.
func withSecret(sub *webhook.Subscription, err error) (subscriptionWithSecretJSON, error) {
	if err != nil {
		return subscriptionWithSecretJSON{}, err
	}
	shown, err := showSubscription(sub)
	return subscriptionWithSecretJSON{SubscriptionJSON: shown, Secret: sub.CurrentSecret()}, err
}

func (p subscriptionPath) parse() (id.ID, error) {
	sub, err := id.Subscription.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such subscription")
	}
	return sub, nil
}

package webhook

import (
	"encoding/json"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// announce tells whoever subscribed to it of something that happens to the
// webhooks themselves, by an event in the same transaction. data is encoded as
// JSON and must fit the schema in the catalogue of the standard dialect.
//
// The subscription that it is about is not told of itself: where its endpoint
// fails, the news of that would fail as well. Without subscribers there is no
// event.
func (s *Service) announce(tx *db.Tx, tenant, about id.ID, eventType string, data any) error {
	subs, err := s.listOperational(tx, tenant)
	if err != nil {
		return err
	}
	if len(subs) == 0 {
		return nil
	}
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	dialect := standard.Dialect{}
	if text, err = dialect.Compact(text); err != nil {
		return err
	}
	of := &subject{eventType: eventType, data: text}
	subs = slices.DeleteFunc(subs, func(sub *Subscription) bool {
		named := slices.ContainsFunc(sub.EventTypes, func(pattern string) bool { return matches(pattern, eventType) })
		return sub.ID == about || !named || !of.passes(sub.Filter)
	})
	if len(subs) == 0 {
		return nil
	}
	e := wire.Event{ID: s.ids.New(tx.Now()), Type: eventType, OccurredAt: tx.Now(), Data: text}
	body := dialect.Encode(e)
	event := encoded{event: Event{ID: e.ID, Dialect: dialect.Name(), Type: e.Type, OccurredAt: e.OccurredAt, Body: body}}
	if err := insertEvents(tx, tenant, storing{events: []encoded{event}, confirmed: true}, 0); err != nil {
		return err
	}
	handing := s.handOver(tx)
	for _, sub := range subs {
		if err := handing.add(Job{TenantID: tenant, EventID: e.ID, Sub: sub, Type: e.Type, Body: body, Status: Pending, DueAt: tx.Now()}); err != nil {
			return err
		}
	}
	return handing.end()
}

// announcedSubscription is what an operational event says of a subscription:
// neither its URL, in which a receiver may have put a secret, nor any credential.
type announcedSubscription struct {
	ID          string `json:"id"`
	Dialect     string `json:"dialect"`
	Description string `json:"description,omitempty"`
	Status      string `json:"status"` // enabled, disabled, deleted
	Reason      string `json:"reason,omitempty"`
}

func announced(sub *Subscription) announcedSubscription {
	a := announcedSubscription{
		ID: id.Subscription.Format(sub.ID), Dialect: sub.Dialect.Name(), Description: sub.Description, Status: sub.status(), Reason: sub.Reason,
	}
	if !sub.DeletedAt.IsZero() {
		a.Status = "deleted"
	}
	return a
}

// announceSubscription tells of a change of a subscription.
func (s *Service) announceSubscription(tx *db.Tx, sub *Subscription, eventType string) error {
	return s.announce(tx, sub.TenantID, sub.ID, eventType, map[string]any{"subscription": announced(sub)})
}

// announceFailed tells of a delivery that has used up its attempts. Nothing is
// said of deliveries of such news: that would go on for ever.
func (s *Service) announceFailed(tx *db.Tx, o *Outcome) error {
	j := &o.Job
	if isNews(j) {
		return nil
	}
	type failed struct {
		ID             string `json:"id"`
		EventID        string `json:"event_id"`
		EventType      string `json:"event_type"`
		SubscriptionID string `json:"subscription_id"`
		Attempts       int    `json:"attempts"`
		ResponseStatus int    `json:"response_status,omitempty"`
		Reason         string `json:"reason"`
	}
	return s.announce(tx, j.TenantID, j.Sub.ID, standard.DeliveryFailed, map[string]any{"delivery": failed{
		ID: id.Delivery.Format(j.EventID, j.Sub.ID), EventID: id.Event.Format(j.EventID), EventType: j.Type,
		SubscriptionID: id.Subscription.Format(j.Sub.ID), Attempts: o.Attempt.Number,
		ResponseStatus: o.Attempt.ResponseStatus, Reason: string(o.Attempt.Reason),
	}})
}

// isNews reports whether a delivery is of such news.
func isNews(j *Job) bool {
	return j.Sub.Dialect.Name() == (standard.Dialect{}).Name() && standard.IsOperational(j.Type)
}

// isOperational reports whether a subscription is to news of the webhooks
// themselves.
func (s *Subscription) isOperational() bool {
	return s.Dialect.Name() == (standard.Dialect{}).Name() && slices.ContainsFunc(s.EventTypes, standard.IsOperational)
}

// listOperational returns a tenant's subscriptions to such news, disabled ones
// included.
func (s *Service) listOperational(q db.Queryer, tenant id.ID) ([]*Subscription, error) {
	return s.collectSubscriptions(q.Query(`SELECT `+subscriptionFields+` FROM subscription
		WHERE tenant_id = $1 AND operational AND deleted_at IS NULL ORDER BY id`, tenant[:]))
}

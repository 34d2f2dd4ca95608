package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// Explanation is why a subscription gets an event, or does not.
type Explanation struct {
	Subscription *Subscription
	Dialect      string // of the event
	EventType    string
	Published    bool               // whether it is an event that was published
	Patterns     []PatternOutcome   // of the subscription, in its order
	Filter       *condition.Outcome // nil: the subscription has none, or the event is of another dialect
	Delivery     *Delivery          // of the event to the subscription; nil: there is none
}

// PatternOutcome is whether one of a subscription's event types stands for an
// event's type.
type PatternOutcome struct {
	Pattern string
	Matches bool
}

// DialectMatches reports whether the event is of the subscription's dialect.
func (e Explanation) DialectMatches() bool { return e.Dialect == e.Subscription.Dialect.Name() }

// TypeMatches reports whether any of the subscription's event types stands for the
// event's.
func (e Explanation) TypeMatches() bool {
	for _, p := range e.Patterns {
		if p.Matches {
			return true
		}
	}
	return false
}

// Matches reports whether the subscription as it is now gets such an event.
func (e Explanation) Matches() bool {
	return e.DialectMatches() && e.TypeMatches() && (e.Filter == nil || e.Filter.Holds)
}

// Summary says it in a sentence.
func (e Explanation) Summary() string {
	switch {
	case e.Delivery != nil && e.Matches():
		return fmt.Sprintf("The event went to the subscription: its delivery is %s.", e.Delivery.Status)
	case e.Delivery != nil:
		return fmt.Sprintf("The event does not fit the subscription as it is now, but did when it was published: its delivery is %s.", e.Delivery.Status)
	case !e.DialectMatches():
		return fmt.Sprintf("The event is of the dialect %s, and the subscription of %s.", e.Dialect, e.Subscription.Dialect.Name())
	case !e.TypeMatches():
		return "None of the subscription's event types stands for the event's."
	case !e.Matches():
		return "The filter does not hold."
	case e.Published:
		return "The event fits the subscription as it is now, but did not go to it: the subscription was made or changed after the event was published."
	case !e.Subscription.Enabled:
		return "The event would be held, since the subscription is disabled."
	default:
		return "The event would go to the subscription."
	}
}

// ExplainEvent explains why a published event went to a subscription, or did not.
func (s *Service) ExplainEvent(ctx context.Context, tenant, sub, event id.ID) (Explanation, error) {
	var to *Subscription
	var e Event
	var d *Delivery
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if to, err = s.selectSubscription(q, tenant, sub); err != nil {
			return err
		}
		if e, err = selectEvent(q, tenant, event); err != nil {
			return err
		}
		found, err := selectDelivery(q, tenant, event, sub)
		if problem.NotFound.Has(err) {
			return nil
		}
		d = &found
		return err
	})
	if err != nil {
		return Explanation{}, err
	}
	about := subject{eventType: e.Type}
	if to.Filter != nil && e.Dialect == to.Dialect.Name() {
		if about, err = subjectOf(e); err != nil {
			return Explanation{}, err
		}
	}
	explained := explanation(to, e.Dialect, &about)
	explained.Published, explained.Delivery = true, d
	return explained, nil
}

// subjectOf is a stored event as filters see it.
func subjectOf(e Event) (subject, error) {
	if e.Body == nil {
		return subject{}, problem.BodyExpunged.New("the event's body was expunged, so that the filter can't be asked")
	}
	dialect, known := dialects.Get(e.Dialect)
	if !known {
		return subject{}, fmt.Errorf("webhook: the event %s is of %q, which this program does not know", e.ID, e.Dialect)
	}
	data, fields, err := dialect.Decode(e.Body)
	return subject{eventType: e.Type, fields: fields, data: data}, err
}

// ExplainPublication explains whether an event would go to a subscription if it were
// published. It has to be one that could be.
func (s *Service) ExplainPublication(ctx context.Context, tenant, sub id.ID, p Publication) (Explanation, error) {
	to, err := s.Subscription(ctx, tenant, sub)
	if err != nil {
		return Explanation{}, err
	}
	events, err := s.prepareEvents(ctx, tenant, Publishing{Publications: []Publication{p}}, time.Now())
	if err != nil {
		return Explanation{}, err
	}
	return explanation(to, events[0].event.Dialect, &events[0].subject), nil
}

func explanation(to *Subscription, dialect string, about *subject) Explanation {
	e := Explanation{Subscription: to, Dialect: dialect, EventType: about.eventType}
	for _, pattern := range to.EventTypes {
		e.Patterns = append(e.Patterns, PatternOutcome{pattern, matches(pattern, about.eventType)})
	}
	if to.Filter != nil && e.DialectMatches() {
		e.Filter = new(to.Filter.condition.Explain(about.value))
	}
	return e
}

package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// EventJSON is how an event is shown in a list.
type EventJSON struct {
	ID        string    `json:"id" example:"evt_019a9c1d2f3b5e8d7c6a4f10"`
	Type      string    `json:"type" example:"invoice.paid"`
	Dialect   string    `json:"dialect" example:"standard"`
	Timestamp time.Time `json:"timestamp" doc:"When it happened, as its publisher said."`
	CreatedAt time.Time `json:"created_at" doc:"When it was published."`
}

type fullEventJSON struct {
	EventJSON
	Body       json.RawMessage `json:"body" doc:"What receivers get; null once it was expunged."`
	Expunged   bool            `json:"expunged" doc:"Whether the body was removed."`
	Deliveries []DeliveryJSON  `json:"deliveries" doc:"At most 250; the list of deliveries has them all."`
}

type eventPath struct {
	ID string `path:"id" doc:"The event's id."`
}

type eventList struct {
	Paging
	Type   string    `query:"type" maxLength:"128" doc:"Events of this type."`
	Status string    `query:"status" enum:"pending,delivered,failed,cancelled,held" doc:"Events with a delivery that stands so."`
	Since  time.Time `query:"since" doc:"Published at this time or later."`
	Until  time.Time `query:"until" doc:"Published before this time."`
}

func (s *server) eventRoutes() {
	register(s, route{
		id: "list-events", method: http.MethodGet, path: "/v1/events", tag: tagEvents, access: canRead,
		summary: "List events", description: "The newest first, without their bodies.",
	}, s.listEvents)
	register(s, route{
		id: "get-event", method: http.MethodGet, path: "/v1/events/{id}", tag: tagEvents, access: canRead,
		summary: "Get an event", description: "With its body and its deliveries.",
	}, s.getEvent)
	register(s, route{
		id: "expunge-event", method: http.MethodDelete, path: "/v1/events/{id}/body", tag: tagEvents, access: canManage,
		summary: "Remove an event's body", description: "For good, with what receivers answered to it, which may repeat it. The records are kept, and deliveries that were waiting are cancelled.",
	}, s.expungeEvent)
}

func (s *server) listEvents(ctx context.Context, r request[eventList, none]) (page[EventJSON], error) {
	p := r.params
	filter := webhook.EventFilter{Type: p.Type, DeliveryStatus: p.Status, Since: p.Since, Until: p.Until}
	events, next, err := s.opts.Webhooks.Events(ctx, r.tenant.ID, filter, webhook.Page{Limit: p.Limit, Cursor: p.Cursor})
	return pageOf(events, next, showEvent), inQuery(err)
}

func (s *server) getEvent(ctx context.Context, r request[eventPath, none]) (fullEventJSON, error) {
	eventID, err := r.params.parse()
	if err != nil {
		return fullEventJSON{}, err
	}
	e, deliveries, err := s.opts.Webhooks.Event(ctx, r.tenant.ID, eventID)
	if err != nil {
		return fullEventJSON{}, err
	}
	return fullEventJSON{
		EventJSON:  showEvent(e),
		Body:       e.Body,
		Expunged:   e.Body == nil,
		Deliveries: pageOf(deliveries, "", showDelivery).Data,
	}, nil
}

func (s *server) expungeEvent(ctx context.Context, r request[eventPath, none]) (none, error) {
	eventID, err := r.params.parse()
	if err != nil {
		return none{}, err
	}
	return none{}, s.opts.Webhooks.ExpungeBody(ctx, r.tenant.ID, eventID)
}

func (p eventPath) parse() (id.ID, error) {
	eventID, err := id.Event.Parse(p.ID)
	if err != nil {
		return id.ID{}, problem.NotFound.New("there is no such event")
	}
	return eventID, nil
}

func showEvent(e webhook.Event) EventJSON {
	return EventJSON{ID: id.Event.Format(e.ID), Type: e.Type, Dialect: e.Dialect, Timestamp: e.OccurredAt, CreatedAt: e.ID.Time()}
}

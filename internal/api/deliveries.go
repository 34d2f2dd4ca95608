package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// DeliveryJSON is how a delivery is shown in a list.
type DeliveryJSON struct {
	ID             string     `json:"id" doc:"Made of the event's and the subscription's." example:"dlv_019a9c1d2f3b5e8d7c6a4f10019a9c1d2f3b5e8d7c6a4f11"`
	EventID        string     `json:"event_id"`
	SubscriptionID string     `json:"subscription_id"`
	EventType      string     `json:"event_type" example:"invoice.paid"`
	Status         string     `json:"status" example:"pending" doc:"Where it stands: pending, delivered, failed (its schedule is exhausted), cancelled, or held (its subscription is disabled)."`
	AttemptCount   int        `json:"attempt_count" doc:"Attempts made so far."`
	NextAttemptAt  *time.Time `json:"next_attempt_at,omitempty" doc:"Absent: there will be none."`
	UpdatedAt      time.Time  `json:"updated_at"`
	ResponseStatus int        `json:"response_status,omitempty" doc:"Of the last attempt; absent: there was no answer."`
	Reason         string     `json:"reason,omitempty" doc:"Of the last attempt, or why the delivery ended." example:"server_error"`
}

type fullDeliveryJSON struct {
	DeliveryJSON
	Attempts []attemptJSON `json:"attempts" doc:"The first one first."`
}

type attemptJSON struct {
	Number    int       `json:"number" doc:"From 1."`
	StartedAt time.Time `json:"started_at"`
	OutcomeJSON
}

// OutcomeJSON is how it is shown what came of a request, be it an attempt or a
// test.
type OutcomeJSON struct {
	Timing         timingJSON           `json:"timing"`
	ResponseStatus int                  `json:"response_status,omitempty" doc:"Absent: there was no answer."`
	Verdict        string               `json:"verdict" example:"retry" doc:"What it means for a delivery: delivered, retry, busy, throttled, gone or refused."`
	Reason         string               `json:"reason" example:"server_error"`
	Error          string               `json:"error,omitempty" doc:"What went wrong on the way."`
	Response       *attemptResponseJSON `json:"response,omitempty" doc:"Absent: there was no answer."`
}

type timingJSON struct {
	DNS       int64 `json:"dns_us" doc:"Microseconds. Zero: it was not needed."`
	Connect   int64 `json:"connect_us"`
	TLS       int64 `json:"tls_us"`
	FirstByte int64 `json:"first_byte_us"`
	Total     int64 `json:"total_us"`
}

type attemptResponseJSON struct {
	Headers []responseHeaderJSON `json:"headers"`
	Body    string               `json:"body" doc:"The first 16 KiB, or the first KiB of the answer to a test, as text: what is not UTF-8 is replaced."`
}

type responseHeaderJSON struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type deliveryPath struct {
	ID string `path:"id" doc:"The delivery's id."`
}

type deliveryList struct {
	Paging
	SubscriptionID string    `query:"subscription_id" maxLength:"100" doc:"Deliveries to this subscription."`
	EventID        string    `query:"event_id" maxLength:"100" doc:"Deliveries of this event."`
	EventType      string    `query:"event_type" maxLength:"128" doc:"Deliveries of events of this type."`
	Status         string    `query:"status" enum:"pending,delivered,failed,cancelled,held" doc:"Deliveries that stand so."`
	ResponseStatus int       `query:"response_status" minimum:"100" maximum:"599" doc:"Deliveries whose last attempt was answered so."`
	ResponseClass  string    `query:"response_status_class" enum:"1xx,2xx,3xx,4xx,5xx" doc:"Deliveries whose last attempt was answered with such a status."`
	Reason         string    `query:"error_class" maxLength:"64" doc:"Deliveries with this reason: of the last attempt, or why they ended." example:"timeout"`
	Data           string    `query:"data" maxLength:"2048" doc:"Deliveries of events in whose data a value stands at a path: order.id:42. A backslash takes the character after it as part of the path. The value is a string's text, or a number, true, false or null as the body has it."`
	Since          time.Time `query:"since" doc:"Of events published at this time or later."`
	Until          time.Time `query:"until" doc:"Of events published before this time."`
}

func (s *server) deliveryRoutes() {
	register(s, route{
		id: "list-deliveries", method: http.MethodGet, path: "/v1/deliveries", tag: tagDeliveries, access: canRead,
		summary: "List deliveries", description: "Those of the newest events first. With the parameter data a page may have fewer than the limit, or none, and a next_cursor: the search goes on there.",
	}, s.listDeliveries)
	register(s, route{
		id: "get-delivery", method: http.MethodGet, path: "/v1/deliveries/{id}", tag: tagDeliveries, access: canRead,
		summary: "Get a delivery", description: "With all its attempts.",
	}, s.getDelivery)
	register(s, route{
		id: "retry-delivery", method: http.MethodPost, path: "/v1/deliveries/{id}/retry", tag: tagDeliveries, access: canManage,
		summary: "Retry a delivery", description: "Now, then on the schedule from its beginning, whatever became of it before.",
		errors: []*problem.Code{problem.Conflict, problem.SubscriptionDisabled, problem.BodyExpunged},
	}, s.retryDelivery)
}

func (s *server) listDeliveries(ctx context.Context, r request[deliveryList, none]) (page[DeliveryJSON], error) {
	filter, err := r.params.filter()
	if err != nil {
		return page[DeliveryJSON]{}, err
	}
	p := webhook.Page{Limit: r.params.Limit, Cursor: r.params.Cursor}
	deliveries, next, err := s.opts.Webhooks.Deliveries(ctx, r.tenant.ID, filter, p)
	return pageOf(deliveries, next, showDelivery), inQuery(err)
}

// filter reads the parameters. An id of something that does not exist chooses
// nothing; a text that is no id is a mistake.
func (p deliveryList) filter() (webhook.DeliveryFilter, error) {
	f := webhook.DeliveryFilter{
		EventType: p.EventType, Status: p.Status, ResponseStatus: p.ResponseStatus, Reason: p.Reason, Since: p.Since, Until: p.Until,
	}
	var checks problem.Checks
	var err error
	if p.ResponseClass != "" {
		f.ResponseClass = int(p.ResponseClass[0] - '0')
	}
	if p.Data != "" {
		f.Data, err = webhook.ReadDataFilter(p.Data)
		checks.AddError("query.data", err)
	}
	if p.SubscriptionID != "" {
		if f.SubscriptionID, err = id.Subscription.Parse(p.SubscriptionID); err != nil {
			checks.Add("query.subscription_id", "is not the id of a subscription")
		}
	}
	if p.EventID != "" {
		if f.EventID, err = id.Event.Parse(p.EventID); err != nil {
			checks.Add("query.event_id", "is not the id of an event")
		}
	}
	return f, checks.Err()
}

func (s *server) getDelivery(ctx context.Context, r request[deliveryPath, none]) (fullDeliveryJSON, error) {
	event, sub, err := r.params.parse()
	if err != nil {
		return fullDeliveryJSON{}, err
	}
	d, attempts, err := s.opts.Webhooks.Delivery(ctx, r.tenant.ID, event, sub)
	return fullDeliveryJSON{showDelivery(d), pageOf(attempts, "", showAttempt).Data}, err
}

func (s *server) retryDelivery(ctx context.Context, r request[deliveryPath, none]) (DeliveryJSON, error) {
	event, sub, err := r.params.parse()
	if err != nil {
		return DeliveryJSON{}, err
	}
	d, err := s.opts.Webhooks.Retry(ctx, r.tenant.ID, event, sub)
	return showDelivery(d), err
}

func (p deliveryPath) parse() (id.ID, id.ID, error) {
	event, sub, err := id.Delivery.ParsePair(p.ID)
	if err != nil {
		return id.ID{}, id.ID{}, problem.NotFound.New("there is no such delivery")
	}
	return event, sub, nil
}

func showDelivery(d webhook.Delivery) DeliveryJSON {
	return DeliveryJSON{
		ID:             id.Delivery.Format(d.EventID, d.SubscriptionID),
		EventID:        id.Event.Format(d.EventID),
		SubscriptionID: id.Subscription.Format(d.SubscriptionID),
		EventType:      d.EventType,
		Status:         d.Status.String(),
		AttemptCount:   d.Attempts,
		NextAttemptAt:  optionalTime(d.NextAt),
		UpdatedAt:      d.UpdatedAt,
		ResponseStatus: d.ResponseStatus,
		Reason:         d.Reason,
	}
}

func showAttempt(a webhook.Attempt) attemptJSON {
	return attemptJSON{a.Number, a.StartedAt, showOutcome(a, a.Body)}
}

// showOutcome shows what came of an attempt, with a part of the answer's body.
func showOutcome(a webhook.Attempt, body []byte) OutcomeJSON {
	shown := OutcomeJSON{
		Timing: showTiming(a.Timing), ResponseStatus: a.ResponseStatus,
		Verdict: string(a.Verdict), Reason: string(a.Reason), Error: a.Error,
	}
	if a.ResponseStatus != 0 {
		shown.Response = &attemptResponseJSON{Headers: showHeaders(a), Body: readable(body)}
	}
	return shown
}

func showTiming(t webhook.Timing) timingJSON {
	return timingJSON{
		DNS: t.DNS.Microseconds(), Connect: t.Connect.Microseconds(), TLS: t.TLS.Microseconds(),
		FirstByte: t.FirstByte.Microseconds(), Total: t.Total.Microseconds(),
	}
}

func showHeaders(a webhook.Attempt) []responseHeaderJSON {
	shown := make([]responseHeaderJSON, len(a.Headers))
	for i, h := range a.Headers {
		shown[i] = responseHeaderJSON{readable([]byte(h.Name)), readable([]byte(h.Value))}
	}
	return shown
}

// readable returns what a foreign server sent as text in UTF-8.
func readable(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// deliveryCommands are about deliveries: an event on its way to a subscription.
type deliveryCommands struct {
	List  deliveryList  `cmd:"" help:"List deliveries, those of the newest events first."`
	Show  deliveryShow  `cmd:"" help:"Show a delivery as a timeline: each attempt, what was answered, and what comes next."`
	Retry deliveryRetry `cmd:"" help:"Send deliveries again now, then on schedule from its beginning."`
}

type deliveryList struct {
	Subscription   string                `placeholder:"ID" help:"Deliveries to this subscription."`
	Event          string                `placeholder:"ID" help:"Deliveries of this event."`
	Status         client.DeliveryStatus `enum:",pending,delivered,failed,cancelled,held" default:"" placeholder:"STATUS" help:"Deliveries that are pending, delivered, failed, cancelled or held."`
	EventType      string                `placeholder:"TYPE" help:"Deliveries of events of this type."`
	ResponseStatus string                `placeholder:"N" help:"Deliveries whose last attempt was answered so, such as 500, or 5xx for any such."`
	ErrorClass     string                `placeholder:"CLASS" help:"Deliveries with this reason, such as timeout: of the last attempt, or why they ended."`
	Data           string                `placeholder:"PATH:VALUE" help:"Deliveries of events in whose data the value stands at the path, such as order.id:42."`
	period
	listing
	tenantConnection
}

// Run lists deliveries.
func (c *deliveryList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	filter := client.DeliveryFilter{
		SubscriptionID: c.Subscription, EventID: c.Event, EventType: c.EventType, Status: c.Status, Reason: c.ErrorClass,
		Since: c.Since.Time, Until: c.Until.Time, Data: c.Data,
	}
	if c.ResponseStatus != "" {
		if filter.ResponseStatus, err = strconv.Atoi(c.ResponseStatus); err != nil {
			filter.ResponseStatus, filter.ResponseClass = 0, c.ResponseStatus
		}
	}
	return list[client.Delivery]{
		get:    func(p client.Page) (client.List[client.Delivery], error) { return api.Deliveries(e.ctx, filter, p) },
		widths: deliveryWidths, header: deliveryColumns, row: deliveryRow,
	}.show(e, c.listing)
}

var (
	deliveryWidths  = []int{52, 9, 8, 24}
	deliveryColumns = []string{"ID", "STATUS", "ATTEMPTS", "ANSWER", "TYPE"}
)

func deliveryHeader() []cell {
	header := make([]cell, len(deliveryColumns))
	for i, name := range deliveryColumns {
		header[i] = cell{name, bold}
	}
	return header
}

func deliveryRow(d client.Delivery) []cell {
	return []cell{
		{d.ID, plain},
		statusCell(d.Status),
		{strconv.Itoa(d.AttemptCount), plain},
		{answer(d.ResponseStatus, d.Reason), plain},
		{d.EventType, plain},
	}
}

func statusCell(s client.DeliveryStatus) cell {
	switch s {
	case client.Delivered:
		return cell{string(s), green}
	case client.Failed, client.Cancelled:
		return cell{string(s), red}
	case client.Pending, client.Held:
		return cell{string(s), yellow}
	}
	return cell{string(s), plain}
}

// verdictCell shows a text in the colour of a verdict.
func verdictCell(v client.Verdict, text string) cell {
	switch v {
	case client.VerdictDelivered:
		return cell{text, green}
	case client.VerdictGone, client.VerdictRefused:
		return cell{text, red}
	case client.VerdictRetry, client.VerdictBusy, client.VerdictThrottled:
		return cell{text, yellow}
	}
	return cell{text, yellow}
}

// answer shows a status and a reason, of which either may be missing.
func answer(status int, reason string) string {
	switch {
	case status == 0:
		return reason
	case reason == "" || reason == "ok":
		return strconv.Itoa(status)
	}
	return strconv.Itoa(status) + " " + reason
}

type deliveryRetry struct {
	ID []string `arg:"" help:"The ids of the deliveries (dlv_…)."`
	output
	tenantConnection
}

// Run makes deliveries due. One that can't be retried does not keep the others
// from it.
func (c *deliveryRetry) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	table := newTable(e.out, deliveryWidths...)
	var failures []error
	for _, id := range c.ID {
		d, err := api.RetryDelivery(e.ctx, id)
		refusal, refused := errors.AsType[*client.Error](err)
		if refused && refusal.Code == problem.SubscriptionDisabled.Name {
			err = nameDisabled(e, api, id, refusal)
		}
		if refused && len(c.ID) > 1 {
			e.note("%s: %s", id, explain(err, e.server))
			failures = append(failures, err)
			continue
		}
		if err != nil {
			return err
		}
		if !c.JSON {
			table.row(deliveryRow(d)...)
		} else if err := e.line(d); err != nil {
			return err
		}
	}
	if len(failures) > 0 {
		return fmt.Errorf("%d of %d could not be retried", len(failures), len(c.ID))
	}
	return nil
}

// nameDisabled tells the refusal of a delivery whose subscription is disabled,
// with that subscription if the key may read.
func nameDisabled(e *env, api *client.Client, delivery string, refusal *client.Error) error {
	d, err := api.Delivery(e.ctx, delivery)
	if err != nil {
		return refusal
	}
	return fmt.Errorf("%s\nTo enable it: grapevine subscription enable %s", refusal.Detail, d.SubscriptionID)
}

type deliveryShow struct {
	ID string `arg:"" help:"The delivery's id (dlv_…)."`
	output
	tenantConnection
}

// Run shows a delivery.
func (c *deliveryShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	d, err := api.Delivery(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(d)
	}
	ev, err := api.Event(e.ctx, d.EventID)
	if err != nil {
		return err
	}
	t := timeline{delivery: d, event: ev.Event}
	switch sub, err := api.Subscription(e.ctx, d.SubscriptionID); {
	case err == nil:
		t.subscription = &sub
	case !isMissing(err): // a deleted one is not shown
		return err
	}
	t.show(e, time.Now())
	return nil
}

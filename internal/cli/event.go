package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// eventCommands are about events.
type eventCommands struct {
	Publish eventPublish `cmd:"" help:"Publish an event, or many from a file."`
	List    eventList    `cmd:"" help:"List events, the newest first."`
	Show    eventShow    `cmd:"" help:"Show an event, its body and its deliveries."`
	Expunge eventExpunge `cmd:"" help:"Remove an event's body and what receivers answered for good, and keep the records."`
	Types   eventTypes   `cmd:"" help:"List the types of event that the dialects define and that the tenant has registered."`
}

// period is the flags for a part of time.
type period struct {
	Since moment `placeholder:"TIME" help:"Published at this time or later: a time, or how long ago, such as 2h or 3d."`
	Until moment `placeholder:"TIME" help:"Published before this time, given in the same way."`
}

type eventList struct {
	Type   string                `placeholder:"TYPE" help:"Events of this type."`
	Status client.DeliveryStatus `enum:",pending,delivered,failed,cancelled,held" default:"" placeholder:"STATUS" help:"Events with a delivery that is pending, delivered, failed, cancelled or held."`
	period
	listing
	tenantConnection
}

// Run lists events.
func (c *eventList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	filter := client.EventFilter{Type: c.Type, Status: c.Status, Since: c.Since.Time, Until: c.Until.Time}
	return list[client.Event]{
		get:    func(p client.Page) (client.List[client.Event], error) { return api.Events(e.ctx, filter, p) },
		widths: []int{28, 19}, header: []string{"ID", "PUBLISHED", "TYPE"},
		row: func(ev client.Event) []cell {
			return []cell{{ev.ID, plain}, {when(ev.CreatedAt), dim}, {typeOf(ev.Dialect, ev.Type), plain}}
		},
	}.show(e, c.listing)
}

// typeOf names a type, with its dialect unless that is the standard one.
func typeOf(dialect, name string) string {
	if dialect == standardDialect {
		return name
	}
	return dialect + " " + name
}

const standardDialect = "standard"

// eventArgument names an event.
type eventArgument struct {
	ID string `arg:"" help:"The event's id (evt_…)."`
}

type eventShow struct {
	eventArgument
	output
	tenantConnection
}

// Run shows an event.
func (c *eventShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	ev, err := api.Event(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(ev)
	}
	s := newSheet(e.out)
	s.field("id", ev.ID)
	s.field("type", typeOf(ev.Dialect, ev.Type))
	s.field("happened", when(ev.Timestamp))
	s.field("published", when(ev.CreatedAt))
	if ev.Expunged {
		s.field("body", "expunged")
	} else {
		showBody(e, ev.Body)
	}
	if len(ev.Deliveries) == 0 {
		e.note("\nIt went to no subscription: none took this type when it was published.")
		return nil
	}
	fmt.Fprintln(e.out)
	table := newTable(e.out, deliveryWidths...)
	for i, d := range ev.Deliveries {
		if i == 0 {
			table.row(deliveryHeader()...)
		}
		table.row(deliveryRow(d)...)
	}
	return nil
}

// showBody shows a body with its lines indented.
func showBody(e *env, body json.RawMessage) {
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") != nil {
		indented.Reset()
		indented.Write(body)
	}
	table := newTable(e.out, 13)
	for i, line := range bytes.Split(indented.Bytes(), []byte("\n")) {
		name := ""
		if i == 0 {
			name = "body"
		}
		table.row(cell{name, dim}, cell{string(line), plain})
	}
}

type eventExpunge struct {
	eventArgument
	confirmation
	tenantConnection
}

// Run removes an event's body.
func (c *eventExpunge) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("This removes the body of %s for good, and cancels its deliveries that were waiting.", c.ID)); err != nil {
		return err
	}
	if err := api.ExpungeEvent(e.ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Removed the body of %s.\n", c.ID)
	return nil
}

type eventTypes struct {
	Dialect string `placeholder:"NAME" help:"The types of this dialect."`
	output
	tenantConnection
}

// Run lists the types that the dialects define and that are registered, all of them.
func (c *eventTypes) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	types, err := catalogue(e, api, c.Dialect)
	if err != nil {
		return err
	}
	return list[client.EventType]{
		get: func(client.Page) (client.List[client.EventType], error) {
			return client.List[client.EventType]{Data: types}, nil
		},
		widths: []int{13, 32}, header: []string{"DIALECT", "TYPE", "MEANING"},
		row: func(t client.EventType) []cell {
			return []cell{{t.Dialect, plain}, {t.Name, plain}, {t.Description, dim}}
		},
	}.show(e, listing{output: c.output, All: true})
}

// catalogue returns the types of a dialect; "" stands for all. An unknown one is
// answered with those there are.
func catalogue(e *env, api *client.Client, dialect string) ([]client.EventType, error) {
	types, err := api.EventTypes(e.ctx, dialect)
	if err == nil || dialect == "" || !names(err, "query.dialect") {
		return types, err
	}
	all, err := api.EventTypes(e.ctx, "")
	if err != nil {
		return nil, err
	}
	var spoken []string
	for _, t := range all {
		if len(spoken) == 0 || spoken[len(spoken)-1] != t.Dialect {
			spoken = append(spoken, t.Dialect)
		}
	}
	return nil, usagef("the server speaks no dialect %q; it speaks %s", dialect, strings.Join(spoken, ", "))
}

package cli

import (
	"fmt"
	"strconv"

	"github.com/grapevine-hq/grapevine/client"
)

// eventTypeCommands are about the types of events that a tenant registers.
type eventTypeCommands struct {
	Register eventTypeRegister `cmd:"" help:"Register a type of event, or a new version of one."`
	List     eventTypes        `cmd:"" help:"List the types of event that the dialects define and that the tenant has registered."`
	Show     eventTypeShow     `cmd:"" help:"Show a registered type with its versions."`
	Archive  eventTypeArchive  `cmd:"" help:"Make a type count as not registered."`
}

type eventTypeRegister struct {
	Name        string `arg:"" help:"The type's name, such as invoice.paid."`
	Description string `placeholder:"TEXT" help:"When it is sent."`
	Schema      string `placeholder:"JSON" help:"JSON Schema (2020-12) of the data: JSON, a file that has it (@FILE), or - for the standard input."`
	Sample      string `placeholder:"JSON" help:"An example of the data, given in the same way."`
	output
	tenantConnection
}

// Run registers a type.
func (c *eventTypeRegister) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewEventType{Name: c.Name, Description: c.Description}
	if c.Schema != "" {
		if n.Schema, err = e.readJSON("the schema", c.Schema); err != nil {
			return err
		}
	}
	if c.Sample != "" {
		if n.Sample, err = e.readJSON("the sample", c.Sample); err != nil {
			return err
		}
	}
	t, err := api.RegisterEventType(e.ctx, n)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(t)
	}
	showEventTypeVersion(e, t)
	return nil
}

func showEventTypeVersion(e *env, t client.EventTypeVersion) {
	s := newSheet(e.out)
	s.field("type", t.Name)
	s.field("version", strconv.Itoa(t.Version))
	s.field("description", t.Description)
	s.field("schema", string(t.Schema))
	s.field("sample", string(t.Sample))
	s.field("registered", when(t.CreatedAt))
}

type eventTypeArgument struct {
	Name string `arg:"" help:"The type's name."`
}

type eventTypeShow struct {
	eventTypeArgument
	output
	tenantConnection
}

// Run shows a type, its newest version first.
func (c *eventTypeShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	t, err := api.EventType(e.ctx, c.Name)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(t)
	}
	if !t.ArchivedAt.IsZero() {
		newSheet(e.out).painted("archived", cell{when(t.ArchivedAt), yellow})
	}
	for i, version := range t.Versions {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		showEventTypeVersion(e, version)
	}
	return nil
}

type eventTypeArchive struct {
	eventTypeArgument
	confirmation
	tenantConnection
}

// Run archives a type.
func (c *eventTypeArchive) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("This makes %s a type that is not registered; its versions are kept.", c.Name)); err != nil {
		return err
	}
	if err := api.ArchiveEventType(e.ctx, c.Name); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Archived %s.\n", c.Name)
	return nil
}

package cli

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/client"
)

// blocklistCommands are about the block list.
type blocklistCommands struct {
	Add    blocklistAdd    `cmd:"" help:"Add an entry. One that is there already stays as it is."`
	List   blocklistList   `cmd:"" help:"List the entries, the newest first."`
	Show   blocklistShow   `cmd:"" aliases:"get" help:"Show an entry."`
	Remove blocklistRemove `cmd:"" help:"Remove an entry. What was judged by it stays."`
}

type blocklistAdd struct {
	Kind    client.BlocklistKind `arg:"" enum:"email,domain,ip,device" help:"What is listed: email, domain, ip or device."`
	Value   string               `arg:"" help:"An email address; a domain, with which those below it are listed; an IP address, or a network such as 203.0.113.0/24; a browser's cookie, or an id of a device."`
	Reason  string               `placeholder:"TEXT" help:"Why, for whoever reads the list."`
	Expires *deadline            `placeholder:"TIME" help:"Until when it counts: a time, or a distance such as 90d. For good, if this is not given."`
	output
	tenantConnection
}

// Run adds an entry.
func (c *blocklistAdd) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewBlocklistEntry{Kind: c.Kind, Value: c.Value, Reason: c.Reason}
	if c.Expires != nil {
		n.ExpiresAt = c.Expires.UTC()
	}
	entry, err := api.AddBlocklistEntry(e.ctx, n)
	if err != nil {
		return err
	}
	return c.showEntry(e, entry)
}

func (o output) showEntry(e *env, entry client.BlocklistEntry) error {
	if o.JSON {
		return e.document(entry)
	}
	s := newSheet(e.out)
	s.field("id", entry.ID)
	s.field("kind", string(entry.Kind))
	s.field("value", entry.Value)
	s.field("reason", entry.Reason)
	s.field("created", when(entry.CreatedAt))
	if !entry.ExpiresAt.IsZero() {
		s.field("expires", when(entry.ExpiresAt))
	}
	return nil
}

type blocklistList struct {
	Kind  client.BlocklistKind `enum:",email,domain,ip,device" default:"" placeholder:"KIND" help:"Entries of a kind: email, domain, ip or device."`
	Value string               `placeholder:"TEXT" help:"The entry with this value, written in any form. It needs --kind."`
	listing
	tenantConnection
}

// Validate checks the flags.
func (c *blocklistList) Validate() error {
	if c.Value != "" && c.Kind == "" {
		return usagef("--value goes with --kind")
	}
	return c.listing.Validate()
}

// Run lists entries.
func (c *blocklistList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	f := client.BlocklistFilter{Kind: c.Kind, Value: c.Value}
	return list[client.BlocklistEntry]{
		get:    func(p client.Page) (client.List[client.BlocklistEntry], error) { return api.Blocklist(e.ctx, f, p) },
		widths: []int{28, 19, 6, 19, 30}, header: []string{"ID", "CREATED", "KIND", "EXPIRES", "VALUE", "REASON"},
		row: func(entry client.BlocklistEntry) []cell {
			expires := cell{"never", dim}
			if !entry.ExpiresAt.IsZero() {
				expires.text = when(entry.ExpiresAt)
			}
			return []cell{
				{entry.ID, plain}, {when(entry.CreatedAt), dim}, {string(entry.Kind), plain}, expires, {entry.Value, plain}, {excerpt(entry.Reason, 100), plain},
			}
		},
	}.show(e, c.listing)
}

// blocklistArgument names an entry.
type blocklistArgument struct {
	ID string `arg:"" help:"The entry's id (blk_…), as 'list' shows it."`
}

type blocklistShow struct {
	blocklistArgument
	output
	tenantConnection
}

// Run shows an entry.
func (c *blocklistShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	entry, err := api.BlocklistEntry(e.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.showEntry(e, entry)
}

type blocklistRemove struct {
	blocklistArgument
	tenantConnection
}

// Run removes an entry.
func (c *blocklistRemove) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := api.RemoveBlocklistEntry(e.ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Removed %s.\n", c.ID)
	return nil
}

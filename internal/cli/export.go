package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// exportCommands are about files with many rows.
type exportCommands struct {
	Create   exportCreate   `cmd:"" help:"Have rows written to a file."`
	List     exportList     `cmd:"" help:"List exports, the newest first."`
	Show     exportShow     `cmd:"" aliases:"get" help:"Show where an export stands."`
	Download exportDownload `cmd:"" help:"Write the file of an export, which is CSV."`
	Cancel   exportCancel   `cmd:"" help:"End an export that is being written."`
}

type exportCreate struct {
	Type                   string  `arg:"" help:"What rows: USER, USER_REFERRAL, REFERRAL, USER_REWARD_BALANCE, REWARD_BALANCE or REWARD."`
	Name                   string  `placeholder:"TEXT" help:"What it is called."`
	Program                string  `placeholder:"PROGRAM" help:"Those of this program, named by key or id."`
	CreatedSince           *moment `placeholder:"TIME" help:"Those made since: a time, or how long ago, such as 30d."`
	CreatedBefore          *moment `placeholder:"TIME" help:"Those made before, given in the same way."`
	UpdatedSince           *moment `placeholder:"TIME" help:"Those changed since."`
	UpdatedBefore          *moment `placeholder:"TIME" help:"Those changed before."`
	CreatedOrUpdatedSince  *moment `placeholder:"TIME" help:"Those made or changed since."`
	CreatedOrUpdatedBefore *moment `placeholder:"TIME" help:"Those made or changed before."`
	output
	tenantConnection
}

// Run orders an export.
func (c *exportCreate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewExport{Type: c.Type, Name: c.Name, ExportChoice: client.ExportChoice{Program: c.Program}}
	n.CreatedSince, n.CreatedBefore = given(c.CreatedSince), given(c.CreatedBefore)
	n.UpdatedSince, n.UpdatedBefore = given(c.UpdatedSince), given(c.UpdatedBefore)
	n.CreatedOrUpdatedSince, n.CreatedOrUpdatedBefore = given(c.CreatedOrUpdatedSince), given(c.CreatedOrUpdatedBefore)
	x, err := api.CreateExport(e.ctx, n)
	if err != nil {
		return err
	}
	if !c.JSON {
		defer e.note("It is being written. To have it: grapevine export download %s FILE", x.ID)
	}
	return c.showExport(e, x)
}

// given is the time of a flag; zero where it was not given.
func given(m *moment) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.Time
}

func (o output) showExport(e *env, x client.Export) error {
	if o.JSON {
		return e.document(x)
	}
	s := newSheet(e.out)
	s.field("id", x.ID)
	s.field("type", x.Type)
	s.field("name", x.Name)
	s.painted("status", exportState(x))
	s.field("program", x.Program)
	s.field("asked for by", x.Requester)
	s.field("created", when(x.CreatedAt))
	if x.Status == client.ExportCompleted {
		s.field("completed", when(x.CompletedAt))
		s.field("kept until", when(x.ExpiresAt))
		s.field("rows", strconv.FormatInt(x.Rows, 10))
		s.field("size", size(x.Bytes))
	}
	return nil
}

func exportState(x client.Export) cell {
	switch x.Status {
	case client.ExportCompleted:
		return cell{string(x.Status), green}
	case client.ExportPending:
		return cell{string(x.Status), yellow}
	case client.ExportAborted, client.ExportExpired:
		return cell{string(x.Status), red}
	}
	return cell{string(x.Status), plain}
}

type exportList struct {
	listing
	tenantConnection
}

// Run lists exports.
func (c *exportList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Export]{
		get:    func(p client.Page) (client.List[client.Export], error) { return api.Exports(e.ctx, p) },
		widths: []int{28, 19, 9, 8, 19}, header: []string{"ID", "CREATED", "STATUS", "ROWS", "TYPE", "NAME"},
		row: func(x client.Export) []cell {
			return []cell{{x.ID, plain}, {when(x.CreatedAt), dim}, exportState(x), {strconv.FormatInt(x.Rows, 10), plain}, {x.Type, plain}, {x.Name, plain}}
		},
	}.show(e, c.listing)
}

// exportArgument names an export.
type exportArgument struct {
	ID string `arg:"" help:"The export's id (exp_…)."`
}

type exportShow struct {
	exportArgument
	output
	tenantConnection
}

// Run shows an export.
func (c *exportShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	x, err := api.Export(e.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.showExport(e, x)
}

type exportCancel struct {
	exportArgument
	output
	tenantConnection
}

// Run cancels an export.
func (c *exportCancel) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	x, err := api.CancelExport(e.ctx, c.ID)
	if err != nil {
		return err
	}
	return c.showExport(e, x)
}

type exportDownload struct {
	exportArgument
	File string `arg:"" optional:"" help:"Where to write it; - or nothing: the standard output. A file that is there is left alone."`
	tenantConnection
}

// Run downloads a file. One that does not arrive whole is not left behind.
func (c *exportDownload) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	body, err := api.DownloadExport(e.ctx, c.ID)
	if err != nil {
		return err
	}
	defer body.Close()
	if c.File == "" || c.File == "-" {
		_, err := io.Copy(e.out, body)
		return err
	}
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usagef("%s is there already: name another file", c.File)
	}
	if err != nil {
		return err
	}
	n, err := io.Copy(file, body)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("the file did not arrive whole, and is not kept: %w", errors.Join(err, os.Remove(c.File)))
	}
	e.note("%s in %s.", size(n), c.File)
	return nil
}

package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// programCommands are about programs.
type programCommands struct {
	Create programCreate `cmd:"" help:"Make a program."`
	List   programList   `cmd:"" help:"List the programs, the oldest first."`
	Show   programShow   `cmd:"" aliases:"get" help:"Show a program with its settings."`
	Update programUpdate `cmd:"" help:"Change a program: pause it, end it, choose other settings."`
	Rules  ruleCommands  `cmd:"" help:"Show, replace, check and try the rules of a program."`
}

type programCreate struct {
	Key      string   `arg:"" help:"What you call the program, such as give-and-get; it does not change."`
	Name     string   `placeholder:"TEXT" help:"What people call it."`
	Status   string   `enum:",draft,active,paused,ended" default:"" placeholder:"STATUS" help:"draft, active, paused or ended; active unless said otherwise."`
	Starts   deadline `placeholder:"TIME" help:"When it starts: a time, or how long it is until then, such as 3d; at once unless said otherwise."`
	Ends     deadline `placeholder:"TIME" help:"When it ends, given in the same way; never unless said otherwise."`
	TimeZone string   `placeholder:"ZONE" help:"Whose days and months the rules follow, such as Europe/Berlin; UTC unless said otherwise."`
	Unit     string   `placeholder:"UNIT" help:"Of rewards whose rule names none, such as cents."`
	Settings string   `placeholder:"JSON" help:"Settings: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Rules    string   `placeholder:"JSON" help:"Rules: a JSON list, given in the same way."`
	output
	tenantConnection
}

// Run makes a program.
func (c *programCreate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewProgram{
		Key: c.Key, Name: c.Name, Status: client.ProgramStatus(c.Status), StartsAt: c.Starts.Time, EndsAt: c.Ends.Time, TimeZone: c.TimeZone, Unit: c.Unit,
	}
	if c.Settings != "" {
		if n.Settings, err = e.readJSON("the settings", c.Settings); err != nil {
			return err
		}
	}
	if c.Rules != "" {
		if n.Rules, err = e.readJSON("the rules", c.Rules); err != nil {
			return err
		}
	}
	p, err := api.CreateProgram(e.ctx, n)
	return c.showProgram(e, p, err)
}

func (o output) showProgram(e *env, p client.Program, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(p)
	}
	s := newSheet(e.out)
	s.field("id", p.ID)
	s.field("key", p.Key)
	s.field("name", p.Name)
	s.field("kind", p.Kind)
	s.painted("status", programState(p))
	s.field("starts", whenSet(p.StartsAt))
	s.field("ends", whenSet(p.EndsAt))
	s.field("time zone", p.TimeZone)
	s.field("unit", p.Unit)
	s.field("settings", string(p.Settings))
	s.field("rules", "version "+strconv.FormatInt(p.RulesVersion, 10))
	s.field("created", when(p.CreatedAt))
	s.field("updated", when(p.UpdatedAt))
	return nil
}

// whenSet shows a time, and nothing where there is none.
func whenSet(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return when(t)
}

func programState(p client.Program) cell {
	switch p.Status {
	case client.ProgramActive:
		return cell{string(p.Status), green}
	case client.ProgramEnded:
		return cell{string(p.Status), red}
	case client.ProgramDraft, client.ProgramPaused:
		return cell{string(p.Status), yellow}
	}
	return cell{string(p.Status), plain}
}

type programList struct {
	output
	tenantConnection
}

// Run lists programs.
func (c *programList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Program]{
		get: func(client.Page) (client.List[client.Program], error) {
			programs, err := api.Programs(e.ctx)
			return client.List[client.Program]{Data: programs}, err
		},
		widths: []int{28, 24, 8, 19}, header: []string{"ID", "KEY", "STATUS", "CREATED", "NAME"},
		row: func(p client.Program) []cell {
			return []cell{{p.ID, plain}, {p.Key, plain}, programState(p), {when(p.CreatedAt), dim}, {p.Name, plain}}
		},
	}.show(e, listing{output: c.output, All: true})
}

// programArgument names a program.
type programArgument struct {
	Program string `arg:"" help:"The program's key or id."`
}

type programShow struct {
	programArgument
	output
	tenantConnection
}

// Run shows a program.
func (c *programShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	p, err := api.Program(e.ctx, c.Program)
	return c.showProgram(e, p, err)
}

type programUpdate struct {
	programArgument
	Name     *string   `placeholder:"TEXT" help:"What people call it from now on."`
	Status   *string   `placeholder:"STATUS" help:"draft, active, paused or ended. What was begun goes on."`
	Starts   *deadline `placeholder:"TIME" help:"When it starts: a time, or how long it is until then."`
	Ends     *deadline `placeholder:"TIME" help:"When it ends, given in the same way."`
	NoEnd    bool      `help:"It never ends."`
	TimeZone *string   `placeholder:"ZONE" help:"Whose days and months the rules follow."`
	Unit     *string   `placeholder:"UNIT" help:"Of rewards whose rule names none."`
	Settings string    `placeholder:"JSON" help:"Settings in place of all that there are: a JSON object, a file that has one (@FILE), or - for the standard input."`
	output
	tenantConnection
}

// Validate demands a change.
func (c *programUpdate) Validate() error {
	if c.NoEnd && c.Ends != nil {
		return usagef("--ends and --no-end exclude each other")
	}
	if c.Name == nil && c.Status == nil && c.Starts == nil && c.Ends == nil && !c.NoEnd && c.TimeZone == nil && c.Unit == nil && c.Settings == "" {
		return usagef("there is nothing to change: give --name, --status, --starts, --ends, --no-end, --time-zone, --unit or --settings")
	}
	return nil
}

// Run changes a program.
func (c *programUpdate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	change := client.ProgramChange{Name: c.Name, TimeZone: c.TimeZone, Unit: c.Unit}
	if c.Status != nil {
		change.Status = new(client.ProgramStatus(*c.Status))
	}
	if c.Starts != nil {
		change.StartsAt = &c.Starts.Time
	}
	if c.Ends != nil {
		change.EndsAt = &c.Ends.Time
	}
	if c.NoEnd {
		change.EndsAt = &time.Time{}
	}
	if c.Settings != "" {
		if change.Settings, err = e.readJSON("the settings", c.Settings); err != nil {
			return err
		}
	}
	p, err := api.UpdateProgram(e.ctx, c.Program, change)
	return c.showProgram(e, p, err)
}

// amount shows an amount with its unit.
func amount(n int64, unit string) string {
	if unit == "" {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

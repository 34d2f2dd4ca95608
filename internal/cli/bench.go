package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/bench"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/id"
)

type benchCommand struct {
	Scenario []string `arg:"" optional:"" help:"What to measure: throughput, paced, fanout, slow-endpoint, dead-endpoint, backlog, slow-disk, retention, idle, dialects, soak, nodes, referral, timers, outage, crash, or all of them but referral, timers, outage and crash, which is what is measured if nothing is named. nodes needs --postgres."`

	Dir      string `env:"-" placeholder:"DIR" type:"existingdir" help:"A folder on the disk that is to be measured. Without it: where temporary files go."`
	Keep     bool   `env:"-" help:"Keep the databases."`
	Postgres bool   `env:"-" help:"Measure it on Postgres instead of SQLite: on a server of its own, from the binaries that are installed, with the durability that Postgres has by default."`
	JSON     string `name:"json" env:"-" placeholder:"FILE" help:"Write the results as JSON to a file, or with - to the standard output instead of the tables."`
	Profile  string `env:"-" placeholder:"FILE" help:"Write a CPU profile of the server under 'throughput', or under 'referral' without it, for 'go tool pprof'."`

	Events   int           `env:"-" default:"100000" placeholder:"N" help:"Events of 'throughput'. What the other scenarios do grows and shrinks with it; the bars are meant for the default."`
	Kills    int           `env:"-" placeholder:"N" help:"How often 'crash' kills the server, instead of 50 times; with --postgres one of three nodes, instead of 20 times."`
	Restarts int           `env:"-" default:"10" placeholder:"N" help:"How often 'crash' kills Postgres, with --postgres."`
	Users    int           `env:"-" default:"1000000" placeholder:"N" help:"Users of 'referral', among whom some are looked up; the bars are meant for the default."`
	For      time.Duration `env:"-" placeholder:"TIME" help:"How long 'soak' goes on, instead of a minute, and 'crash', instead of a number of kills."`
}

// Validate refuses what can't be measured.
func (c *benchCommand) Validate() error {
	if err := (bench.Options{Postgres: c.Postgres, Keep: c.Keep}).Check(c.Scenario...); err != nil {
		return usagef("%v", err)
	}
	if c.Events < 1 || c.Kills < 0 || c.Restarts < 1 || c.Users < 1 || c.For < 0 {
		return usagef("--events, --restarts and --users must be at least 1, and neither --kills nor --for can be negative")
	}
	return nil
}

// Run measures, and fails if a bar was missed.
func (c *benchCommand) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if len(c.Scenario) == 0 {
		c.Scenario = []string{bench.All}
	}
	opts := bench.Options{
		Program: program, Environ: withoutSettings(os.Environ()), Version: e.version, Stderr: e.err,
		Dir: c.Dir, Keep: c.Keep, Postgres: c.Postgres, Events: c.Events, Kills: c.Kills, Restarts: c.Restarts, Users: c.Users, For: c.For,
		Out: e.out,
	}
	results, err := c.create(e)
	if err != nil {
		return err
	}
	defer results.Close()
	if c.JSON == "-" {
		opts.Out = nil
	}
	if c.Profile != "" {
		profile, err := os.OpenFile(c.Profile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
		defer profile.Close()
		opts.Profile = profile
	}
	opts.Progress = progressLine(e.err)
	report, err := bench.Run(e.ctx, opts, c.Scenario...)
	opts.Progress("")
	if report != nil {
		err = errors.Join(err, write(results, report))
	}
	if e.ctx.Err() != nil { // which is not a failure elsewhere
		return errors.New("stopped before everything was measured")
	}
	if err != nil {
		return err
	}
	n := report.Failed()
	if n == 0 {
		return nil
	}
	missed := fmt.Sprintf("%s missed", plural(n, "bar"))
	if c.Events < bench.FullEvents {
		missed += fmt.Sprintf(" (they are meant for --events %d: with fewer, nothing is warm)", bench.FullEvents)
	}
	return errors.New(missed)
}

// create opens what gets the results as JSON, before minutes are spent on them.
func (c *benchCommand) create(e *env) (io.WriteCloser, error) {
	switch c.JSON {
	case "":
		return unclosed{io.Discard}, nil
	case "-":
		return unclosed{e.out}, nil
	}
	f, err := os.OpenFile(c.JSON, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--json: %w", err)
	}
	return f, nil
}

// unclosed is a writer whose Close does nothing.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// write writes the report as JSON.
func write(to io.Writer, report *bench.Report) error {
	enc := json.NewEncoder(to)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// progressLine returns a function that shows a line in place of the one before,
// not more often than a person can read, and removes it where the line is empty.
func progressLine(w io.Writer) func(string) {
	line, last := newProgress(w), time.Time{}
	return func(text string) {
		switch {
		case text == "":
			line.clear()
			return
		case time.Since(last) < 100*time.Millisecond:
			return
		}
		last = time.Now()
		line.show("%s", text)
	}
}

// withoutSettings returns an environment without Grapevine's settings, since the
// defaults are what is measured.
func withoutSettings(environ []string) []string {
	var rest []string
	for _, pair := range environ {
		if !strings.HasPrefix(pair, "GRAPEVINE_") || strings.HasPrefix(pair, "GRAPEVINE_TEST_") {
			rest = append(rest, pair)
		}
	}
	return rest
}

type benchTimersCommand struct {
	config.Server `embed:""`

	Tenant  string `env:"-" required:"" help:"Whose timers they are."`
	Members int    `env:"-" required:"" help:"How many have timers."`
}

// Run is the process of a bench that does timers, which starts it.
func (c *benchTimersCommand) Run(e *env) error {
	c.ReadSecrets()
	of, err := id.Tenant.Parse(c.Tenant)
	if err != nil {
		return err
	}
	a, err := app.New(e.ctx, c.Server, app.Options{Logger: newLogger(e.err, c.LogFormat, c.LogLevel), Version: e.version})
	if err != nil {
		return err
	}
	app.TuneMemory()
	defer a.Stop(context.WithoutCancel(e.ctx))
	year, err := a.BeginYear(e.ctx, of, c.Members)
	if err != nil {
		return err
	}
	return bench.DoYear(e.ctx, year, os.Stdin, e.out)
}

type benchReceiverCommand struct{}

// Run is the receiver of a bench, which starts it.
func (benchReceiverCommand) Run(*env) error { return bench.Receive(os.Stdin, os.Stdout) }

// Package bench measures Grapevine from outside: a server as a process of its
// own on a real database file, a receiver as another, and a load, which is the
// process that runs the bench.
//
// Every scenario compares what arrived with what was accepted, event by event,
// and holds its figures to bars. Figures that depend on the machine are held to
// a bare loop, which the same run measures: the same load posts what Grapevine
// would send straight to the same receiver, and nothing is stored.
package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/pgcluster"
)

// Options are the settings of a run. No number may be negative.
type Options struct {
	Program string   // the program, as the server and the receiver are started
	Environ []string // of both
	Version string   // of the program
	Stderr  io.Writer

	Dir      string        // where databases are made; "": where temporary files go
	Keep     bool          // whether they stay
	Postgres bool          // the databases are of a Postgres server that lives as long as the run, instead of SQLite
	Events   int           // of the scenario throughput; the others' follow; zero: FullEvents
	Kills    int           // of the scenario crash; zero: 50, on Postgres 20
	Restarts int           // of Postgres in the scenario crash; zero: 10
	Users    int           // of the scenario referral, among whom some are looked up; zero: FullUsers
	For      time.Duration // how long the scenarios soak and crash go on; zero: a minute, and until it has killed Kills times

	// Profile gets a CPU profile of the server, in pprof's format, out of the first
	// seconds of the scenario throughput, or of referral where that one is not run.
	// Nil: none is made.
	Profile io.Writer
	// Out gets the results as text, each as soon as it is there. Nil: nobody
	// reads them.
	Out io.Writer
	// Progress is told in short what goes on, and "" when something else is about
	// to be written. Nil: nobody.
	Progress func(line string)
}

// FullEvents is the number of events of the scenario throughput that the other
// scenarios' amounts, and the bars, belong to.
const FullEvents = 100_000

// FullUsers is the number of users of the scenario referral that the bars belong to.
const FullUsers = 1_000_000

// bench is a run.
type bench struct {
	opts      Options
	load      *load
	scenario  string
	report    *Report
	cluster   *pgcluster.Cluster // nil: the databases are SQLite's
	databases int                // that were made in it
}

// scenario is a situation that is measured.
type scenario struct {
	name string
	run  func(b *bench, ctx context.Context) ([]*Result, error)
}

// scenarios are in the order in which they are run.
func scenarios() []scenario {
	return []scenario{
		{throughputName, (*bench).throughput},
		{"paced", (*bench).paced},
		{"fanout", (*bench).fanout},
		{"slow-endpoint", (*bench).slowEndpoint},
		{"dead-endpoint", (*bench).deadEndpoint},
		{"backlog", (*bench).backlog},
		{"slow-disk", (*bench).slowDisk},
		{"retention", (*bench).retention},
		{"idle", (*bench).idle},
		{"dialects", (*bench).dialects},
		{soakName, (*bench).soak},
		{nodesName, (*bench).nodes},
		{referralName, (*bench).referral},
		{timersName, (*bench).timers},
		{outageName, (*bench).outage},
		{crashName, (*bench).crash},
	}
}

const (
	crashName = "crash"
	// All stands for every scenario but referral, timers, outage and crash, which take
	// long, and nodes where there can be one only.
	All = "all"
)

// Check returns an error that says what to do instead if the scenarios of these
// names can't be run.
func (o Options) Check(names ...string) error {
	var known []string
	for _, s := range scenarios() {
		known = append(known, s.name)
	}
	for _, name := range names {
		if name != All && !slices.Contains(known, name) {
			return fmt.Errorf("there is no scenario %q: choose of %s, or %s", name, strings.Join(known, ", "), All)
		}
	}
	switch {
	case slices.Contains(names, nodesName) && !o.Postgres:
		return errors.New("the scenario nodes needs a database that several servers can share: add --postgres")
	case o.Keep && o.Postgres:
		return errors.New("the databases of --postgres go with their server: leave out --keep")
	}
	return nil
}

// chosen returns the scenarios that the names mean, each once.
func (o Options) chosen(names []string) ([]scenario, error) {
	if err := o.Check(names...); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	byName := []string{crashName, outageName, referralName, timersName}
	if !o.Postgres {
		byName = append(byName, nodesName)
	}
	return slices.DeleteFunc(scenarios(), func(s scenario) bool {
		return !slices.Contains(names, s.name) && (slices.Contains(byName, s.name) || !slices.Contains(names, All))
	}), nil
}

// Run runs the scenarios of these names, in an order of its own. Where one fails
// to run, the report has those before it.
func Run(ctx context.Context, opts Options, names ...string) (*Report, error) {
	wanted, err := opts.chosen(names)
	if err != nil {
		return nil, err
	}
	opts.Events = cmp.Or(opts.Events, FullEvents)
	opts.Users = cmp.Or(opts.Users, FullUsers)
	if opts.Postgres {
		opts.Kills = cmp.Or(opts.Kills, 20)
	}
	opts.Kills = cmp.Or(opts.Kills, 50)
	opts.Restarts = cmp.Or(opts.Restarts, 10)
	opts.Dir = cmp.Or(opts.Dir, os.TempDir())
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	b := &bench{opts: opts, load: newLoad(), report: &Report{Started: time.Now().UTC(), Events: opts.Events, Results: []*Result{}}}
	if b.report.Machine, err = lookAround(opts.Dir, opts.Version); err != nil {
		return nil, err
	}
	if opts.Postgres {
		stop, err := b.startPostgres(ctx)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	if opts.Out == nil {
		return b.report, b.run(ctx, wanted)
	}
	b.report.Machine.writeText(opts.Out)
	err = b.run(ctx, wanted)
	b.report.writeBars(opts.Out)
	return b.report, err
}

// run runs scenarios until one fails to run.
func (b *bench) run(ctx context.Context, wanted []scenario) error {
	for _, s := range wanted {
		b.scenario = s.name
		if b.report.result(s.name) != nil {
			continue // another one needed it
		}
		results, err := s.run(b, ctx)
		if err != nil {
			b.tell("")
			return fmt.Errorf("%s: %w", s.name, err)
		}
		b.add(results...)
	}
	return nil
}

// gcPercent lets the heaps of load and receiver grow, so that their collectors
// take little of the cores that they share with the server.
const gcPercent = 400

// add adds what a scenario has found, and shows it.
func (b *bench) add(results ...*Result) {
	b.report.Results = append(b.report.Results, results...)
	if b.opts.Out == nil {
		return
	}
	b.tell("")
	for _, result := range results {
		result.writeText(b.opts.Out)
	}
}

// show tells what goes on.
func (b *bench) show(format string, args ...any) {
	b.tell(b.scenario + ": " + fmt.Sprintf(format, args...))
}

func (b *bench) tell(line string) {
	if b.opts.Progress != nil {
		b.opts.Progress(line)
	}
}

// share is a full amount, cut down as the number of events is; at least least.
func (b *bench) share(full, least int) int {
	return max(full*b.opts.Events/FullEvents, least)
}

// shareTime is a full time, cut down as the number of events is, and never
// longer; at least half a second.
func (b *bench) shareTime(full time.Duration) time.Duration {
	return max(min(full*time.Duration(b.opts.Events)/FullEvents, full), time.Second/2)
}

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
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Options are the settings of a run. No number may be negative.
type Options struct {
	Program string   // the program, as the server and the receiver are started
	Environ []string // of both
	Version string   // of the program
	Stderr  io.Writer

	Dir    string        // where databases are made; "": where temporary files go
	Keep   bool          // whether they stay
	Events int           // of the scenario throughput; the others' follow; zero: FullEvents
	Kills  int           // of the scenario crash; zero: 50
	For    time.Duration // how long the scenarios soak and crash go on; zero: a minute, and until it has killed Kills times

	// Profile gets a CPU profile of the server, in pprof's format, out of the first
	// seconds of the scenario throughput. Nil: none is made.
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

// bench is a run.
type bench struct {
	opts     Options
	load     *load
	scenario string
	report   *Report
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
		{outageName, (*bench).outage},
		{crashName, (*bench).crash},
	}
}

const (
	crashName = "crash"
	// All stands for every scenario but outage and crash, which take long.
	All = "all"
)

// Known returns an error that says what there is unless name is a scenario's, or
// All.
func Known(name string) error {
	var known []string
	for _, s := range scenarios() {
		known = append(known, s.name)
	}
	if name != All && !slices.Contains(known, name) {
		return fmt.Errorf("there is no scenario %q: choose of %s, or %s", name, strings.Join(known, ", "), All)
	}
	return nil
}

// chosen returns the scenarios that the names mean, each once.
func chosen(names []string) ([]scenario, error) {
	for _, name := range names {
		if err := Known(name); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	return slices.DeleteFunc(scenarios(), func(s scenario) bool {
		return !slices.Contains(names, s.name) && (s.name == crashName || s.name == outageName || !slices.Contains(names, All))
	}), nil
}

// Run runs the scenarios of these names, in an order of its own. Where one fails
// to run, the report has those before it.
func Run(ctx context.Context, opts Options, names ...string) (*Report, error) {
	wanted, err := chosen(names)
	if err != nil {
		return nil, err
	}
	opts.Events = cmp.Or(opts.Events, FullEvents)
	opts.Kills = cmp.Or(opts.Kills, 50)
	opts.Dir = cmp.Or(opts.Dir, os.TempDir())
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	b := &bench{opts: opts, load: newLoad(), report: &Report{Started: time.Now().UTC(), Events: opts.Events, Results: []*Result{}}}
	if b.report.Machine, err = lookAround(opts.Dir, opts.Version); err != nil {
		return nil, err
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

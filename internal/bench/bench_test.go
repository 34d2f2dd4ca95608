package bench_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/bench"
	"github.com/grapevine-hq/grapevine/internal/cli"
)

// TestMain runs the program itself where a test or the bench starts it: as the
// bench, the server or the receiver.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"bench", "serve", bench.ReceiverCommand, bench.TimersCommand}, os.Args[1]) {
		os.Exit(cli.Run(os.Args[1:], "v0.0.0-test", os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// small is a run of a few hundred events.
func small(t *testing.T) bench.Options {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Program: program, Environ: os.Environ(), Stderr: t.Output(), Dir: t.TempDir(), Out: t.Output(),
		Events: 300, Kills: 3,
	}
}

// TestEveryScenarioDeliversWhatWasAccepted says nothing of the other bars, which
// a few events on a busy machine can't meet.
func TestEveryScenarioDeliversWhatWasAccepted(t *testing.T) {
	opts := small(t)
	report, err := bench.Run(t.Context(), opts, bench.All, "outage", "crash")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, result := range report.Results {
		names = append(names, result.Name)
		if len(result.Bars) == 0 || len(result.Figures) == 0 {
			t.Errorf("%s has measured nothing", result.Name)
		}
		i := result.Integrity
		if i == nil {
			continue
		}
		signed := !strings.HasPrefix(result.Name, "dialect-") || strings.HasPrefix(result.Name, "dialect-standard")
		if i.Accepted == 0 || i.Arrived < i.Accepted || signed && i.Verified == 0 {
			t.Errorf("%s: nothing to compare: %+v", result.Name, *i)
		}
		if i.Lost+i.Altered+i.Foreign+i.Invalid > 0 || i.Duplicated > 0 && result.Name != "crash" {
			t.Errorf("%s: %s, %d signatures not valid", result.Name, i, i.Invalid)
		}
	}
	want := []string{
		"throughput", "paced", "fanout-10", "fanout-1000", "slow-endpoint", "dead-endpoint", "backlog", "slow-disk", "retention", "idle",
		"dialect-standard", "dialect-saasquatch", "dialect-referralloop", "dialect-rehook", "dialect-partnerstack",
		"dialect-standard-again", "dialect-saasquatch-rs256", "soak", "outage", "crash",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
	wantEmpty(t, opts.Dir)
}

// TestWhoSignsUpIsToldOfAndFound says nothing of the bars of speed either.
func TestWhoSignsUpIsToldOfAndFound(t *testing.T) {
	opts := small(t)
	opts.Users = 300
	report, err := bench.Run(t.Context(), opts, "referral")
	if err != nil {
		t.Fatal(err)
	}
	speed := map[string]bool{
		"referral-signups: users signed up, the median of the runs": true,
		"referral-lookups: first page of the list p99":              true,
		"referral-lookups: lookup by code p99":                      true,
	}
	held := map[string]bool{}
	for _, result := range report.Results {
		for _, bar := range result.Bars {
			name := result.Name + ": " + bar.Name
			if held[name] = true; !bar.Pass && !speed[name] {
				t.Errorf("%s: %v; %s", name, bar.Value, bar.Note)
			}
		}
	}
	want := maps.Clone(speed)
	want["referral-signups: events lost, altered, doubled or foreign"] = true
	want["referral-sending: events lost, altered, doubled or foreign"] = true
	want["referral-lookups: answers without what was asked for"] = true
	if diff := cmp.Diff(want, held); diff != "" {
		t.Errorf("what is held to a bar (-want +got):\n%s", diff)
	}
	wantEmpty(t, opts.Dir)
}

func TestARunThatIsBrokenOffCleansUp(t *testing.T) {
	opts := small(t)
	opts.Events = 1_000_000
	ctx, cancel := context.WithCancel(t.Context())
	opts.Progress = func(line string) {
		if line == "throughput: publishing 1000000 events" {
			cancel()
		}
	}
	begun := time.Now()
	if _, err := bench.Run(ctx, opts, "throughput"); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it went on for %s", took)
	}
	wantEmpty(t, opts.Dir)
}

func TestAScenarioThatDoesNotExistIsNamed(t *testing.T) {
	_, err := bench.Run(t.Context(), small(t), "throughput", "speed")
	const want = `bench: there is no scenario "speed": choose of throughput, paced, fanout, slow-endpoint, dead-endpoint, backlog, slow-disk, retention, idle, dialects, soak, nodes, referral, timers, outage, crash, or all`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s was left behind", entry.Name())
	}
}

package bench_test

import (
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/bench"
	"github.com/grapevine-hq/grapevine/internal/pgcluster"
)

// smallOnPostgres is a small run on Postgres, in a folder into which the user may
// come that the server runs as, which holds for no t.TempDir of root's.
func smallOnPostgres(t *testing.T) bench.Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench-test-") //nolint:usetesting // see above
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opts := small(t)
	opts.Dir, opts.Postgres, opts.Restarts, opts.Users = dir, true, 2, 300
	return opts
}

// TestOnPostgresNothingIsLostWhateverIsKilled holds the scenarios to all bars but
// those of speed, which a few events on a busy machine can't meet.
func TestOnPostgresNothingIsLostWhateverIsKilled(t *testing.T) {
	opts := smallOnPostgres(t)
	report, err := bench.Run(t.Context(), opts, "throughput", "nodes", "referral", "timers", "crash")
	if errors.Is(err, pgcluster.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	speed := map[string]bool{
		"throughput: delivered": true,
		"nodes-two: attempts of the node that made fewer, as a share of all": true, // so few that chance decides
		"nodes-killed: sent by the other node, the last of them after":       true,
	}
	var names []string
	for _, result := range report.Results {
		names = append(names, result.Name)
		for _, bar := range result.Bars {
			if name := result.Name + ": " + bar.Name; !bar.Pass && !speed[name] {
				t.Errorf("%s: %v; %s", name, bar.Value, bar.Note)
			}
		}
	}
	if diff := cmp.Diff([]string{"throughput", "nodes-one", "nodes-two", "nodes-killed", "referral-signups", "referral-sending", "referral-lookups", "timers", "crash"}, names); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
	wantEmpty(t, opts.Dir)
}

func TestWhatCantBeMeasuredIsRefusedBeforeAnythingRuns(t *testing.T) {
	for _, c := range []struct {
		name     string
		opts     bench.Options
		scenario string
	}{
		{"several nodes on SQLite", bench.Options{}, "nodes"},
		{"databases that can't stay", bench.Options{Postgres: true, Keep: true}, "idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.opts.Check(c.scenario); err == nil {
				t.Error("it is not refused")
			}
		})
	}
}

package bench_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/bench"
)

func TestAYearOfTimersIsDoneAndLeavesEverythingAsItMustBe(t *testing.T) {
	opts := small(t)
	report, err := bench.Run(t.Context(), opts, "timers")
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, result := range report.Results {
		for _, bar := range result.Bars {
			if held++; !bar.Pass { // as few timers are done in time on any machine
				t.Errorf("%s: %v; %s", bar.Name, bar.Value, bar.Note)
			}
		}
	}
	if held != 3 {
		t.Errorf("%d bars", held)
	}
	wantEmpty(t, opts.Dir)
}

// year is one of which half is done and something is wrong then.
type year struct{}

func (year) Timers() int                        { return 24 }
func (year) Run(context.Context) (int, error)   { return 12, nil }
func (year) Wrong(context.Context) (int, error) { return 3, nil }

func TestTheProcessThatDoesTimersSaysWhatIsMissingAndWrong(t *testing.T) {
	var said bytes.Buffer
	if err := bench.DoYear(t.Context(), year{}, strings.NewReader("\n\n"), &said); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	if len(lines) != 3 || lines[0] != `{"timers":24}` || !strings.HasPrefix(lines[1], `{"timers":12,"took":`) || lines[2] != `{"wrong":3}` {
		t.Errorf("it says %q", lines)
	}
	if err := bench.DoYear(t.Context(), year{}, strings.NewReader("\n"), io.Discard); err == nil {
		t.Error("it goes on without being told to")
	}
}

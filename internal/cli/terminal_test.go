package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestASignalEndsTheWaitingForTheStandardInput(t *testing.T) {
	typed, _ := io.Pipe() // nobody types
	ctx, signal := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := io.ReadAll(interruptible{ctx, typed})
		done <- err
	}()
	signal()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the reading ends with %v", err)
	}
}

func TestTheStandardInputIsReadToItsEnd(t *testing.T) {
	text := strings.Repeat("words ", 10_000)
	got, err := io.ReadAll(interruptible{t.Context(), strings.NewReader(text)})
	if err != nil || string(got) != text {
		t.Errorf("%d bytes and %v, want %d bytes", len(got), err, len(text))
	}
}

// failing fails each time it is written to.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestAReaderThatHasGoneIsNoFailure(t *testing.T) {
	for _, tc := range []struct{ err, want error }{{syscall.ENOSPC, syscall.ENOSPC}, {syscall.EPIPE, nil}, {nil, nil}} {
		out := &sink{w: failing{tc.err}}
		_, _ = io.WriteString(out, "a line")
		if got := out.failure(); !errors.Is(got, tc.want) {
			t.Errorf("%v is told as %v, want %v", tc.err, got, tc.want)
		}
	}
}

func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("there are no terminals here:", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	for name, tc := range map[string]struct {
		w             io.Writer
		term, noColor string
		coloured      bool
	}{
		"a terminal":                    {terminal, "xterm", "", true},
		"the standard output as one":    {&sink{w: terminal}, "xterm", "", true},
		"NO_COLOR is set":               {terminal, "xterm", "1", false},
		"a terminal without colours":    {terminal, "dumb", "", false},
		"something that is no terminal": {&strings.Builder{}, "xterm", "", false},
	} {
		t.Setenv("TERM", tc.term)
		t.Setenv("NO_COLOR", tc.noColor) // empty, it says nothing
		painted := newTable(tc.w).paint(cell{"failed", red})
		if coloured := painted != "failed"; coloured != tc.coloured {
			t.Errorf("%s: %q", name, painted)
		}
	}
}

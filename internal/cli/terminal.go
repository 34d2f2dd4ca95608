package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"unicode"
)

// isTerminal reports whether a person is there. The null device is a device of
// characters too, but nobody's.
func isTerminal(stream any) bool {
	switch s := stream.(type) {
	case *sink:
		stream = s.w
	case interruptible:
		stream = s.in
	}
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// obeysEscapes reports whether w is a terminal that moves the cursor and changes
// colours when it is told to.
func obeysEscapes(w io.Writer) bool { return isTerminal(w) && os.Getenv("TERM") != "dumb" }

// sink is the standard output. It keeps the first error, since what shows line
// after line does not look at each: no command succeeds on a full disk.
type sink struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

// Write writes to the standard output.
func (s *sink) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.w.Write(text)
	if s.err == nil {
		s.err = err
	}
	return n, err
}

// failure returns the first error, unless it is that a reader has gone, which is
// the reader's choice.
func (s *sink) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.err, syscall.EPIPE) {
		return nil
	}
	return s.err
}

// interruptible is the standard input. A signal ends the waiting for it: a read
// of a terminal can't be broken off, so it is left behind.
type interruptible struct {
	ctx context.Context //nolint:containedctx // the process's own, as in env
	in  io.Reader
}

// Read reads from the standard input until a signal comes.
func (r interruptible) Read(into []byte) (int, error) {
	type result struct {
		text []byte
		err  error
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	came := make(chan result, 1)
	size := len(into)
	go func() {
		text := make([]byte, size) // into is the caller's again after a signal
		n, err := r.in.Read(text)
		came <- result{text[:n], err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	case got := <-came:
		return copy(into, got.text), got.err
	}
}

// printable replaces what could move the cursor, change colours or reorder the
// line: what a foreign server sent is shown on a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', unicode.Is(unicode.Zs, r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// confirmation is the flag of commands that destroy something.
type confirmation struct {
	Yes bool `short:"y" help:"Do it without asking."`
}

// ask returns nil if the caller has agreed: by the flag, or now, on a terminal.
func (c confirmation) ask(e *env, question string) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(e.in) {
		return usagef("%s\nNobody is here to be asked: say --yes to do it", question)
	}
	fmt.Fprintf(e.err, "%s\nType yes to do it: ", question)
	answer, err := bufio.NewReader(e.in).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(e.err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "yes" && answer != "y" {
		return fmt.Errorf("nothing was changed")
	}
	return nil
}

// progress is one line on a terminal that is written again and again, and
// nothing elsewhere. The zero value shows nothing.
type progress struct{ w io.Writer }

func newProgress(w io.Writer) progress {
	if !obeysEscapes(w) {
		return progress{}
	}
	return progress{w}
}

// show replaces the line.
func (p progress) show(format string, args ...any) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
	}
}

// clear removes the line.
func (p progress) clear() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

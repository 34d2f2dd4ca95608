package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

// isTerminal reports whether a person is there. The null device is a device of
// characters too, but nobody's.
func isTerminal(stream any) bool {
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
	if !isTerminal(w) {
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

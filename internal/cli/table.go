package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// colour is how a cell is painted on a terminal.
type colour string

const (
	plain  colour = ""
	green  colour = "32"
	yellow colour = "33"
	red    colour = "31"
	dim    colour = "2"
	bold   colour = "1"
)

// cell is a text with its colour.
type cell struct {
	text   string
	colour colour
}

// table prints rows as they come, in columns of fixed width, and in colour if a
// person is looking and has not asked otherwise (NO_COLOR).
type table struct {
	w      io.Writer
	widths []int
	colour bool
	err    error // the first one of writing
}

func newTable(w io.Writer, widths ...int) *table {
	return &table{w: w, widths: widths, colour: obeysEscapes(w) && os.Getenv("NO_COLOR") == ""}
}

// row prints one row. The last cell may be as long as it likes. What can't be
// printed is replaced: texts come from anywhere.
func (t *table) row(cells ...cell) {
	var line strings.Builder
	for i, c := range cells {
		c.text = printable(c.text)
		line.WriteString(t.paint(c))
		if i < len(cells)-1 {
			line.WriteString(strings.Repeat(" ", max(2, t.widths[i]+2-utf8.RuneCountInString(c.text))))
		}
	}
	if _, err := fmt.Fprintln(t.w, strings.TrimRight(line.String(), " ")); t.err == nil {
		t.err = err
	}
}

func (t *table) paint(c cell) string {
	if !t.colour || c.colour == plain {
		return c.text
	}
	return "\x1b[" + string(c.colour) + "m" + c.text + "\x1b[0m"
}

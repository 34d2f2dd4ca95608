package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// output is the flag of commands that show something.
type output struct {
	JSON bool `name:"json" help:"Write JSON as the API has it: one document, or a line for each thing of a list."`
}

// document writes one thing as JSON.
func (e *env) document(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// line writes one thing of several as JSON.
func (e *env) line(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// note says something beside the result, where a pipe does not take it.
func (e *env) note(format string, args ...any) { fmt.Fprintf(e.err, format+"\n", args...) }

// listing is the flags of commands that show a list.
type listing struct {
	output
	Limit *int `placeholder:"N" help:"Show at most so many; 50 unless said otherwise."`
	All   bool `help:"Show all, however many."`
}

// Validate checks the flags.
func (l *listing) Validate() error {
	if l.Limit != nil && *l.Limit < 1 {
		return usagef("--limit must be at least 1")
	}
	if l.All && l.Limit != nil {
		return usagef("--all and --limit exclude each other")
	}
	return nil
}

const (
	defaultLimit = 50
	maxPage      = 250 // what the API returns at a time
)

// list is how a kind of thing is listed.
type list[T any] struct {
	get    func(client.Page) (client.List[T], error)
	widths []int
	header []string
	row    func(T) []cell
}

// show lists as much as was asked for, and shows each page as it comes, so that
// a list may be of any length.
func (l list[T]) show(e *env, how listing) error {
	left := defaultLimit
	if how.Limit != nil {
		left = *how.Limit
	}
	table := newTable(e.out, l.widths...)
	var line progress // where the list itself is not seen growing
	if !isTerminal(e.out) {
		line = newProgress(e.err)
	}
	defer line.clear()
	var page client.Page
	for shown := 0; ; {
		page.Limit = maxPage
		if !how.All {
			page.Limit = min(left, maxPage)
		}
		part, err := l.get(page)
		if err != nil {
			return err
		}
		if shown == 0 && !how.JSON && (len(part.Data) > 0 || part.NextCursor == "") {
			l.begin(e, table, part.Data)
		}
		for _, item := range part.Data {
			if !how.JSON {
				table.row(l.row(item)...)
			} else if err := e.line(item); err != nil {
				return err
			}
		}
		if table.err != nil {
			return table.err
		}
		shown, left = shown+len(part.Data), left-len(part.Data)
		line.show("%d listed", shown)
		switch {
		case part.NextCursor == "":
			return nil
		case how.All, left > 0:
			page.Cursor = part.NextCursor
		default:
			if line.clear(); how.Limit == nil {
				e.note("There are more: --all shows them.")
			}
			return nil
		}
	}
}

// begin heads the table, or says that there is nothing.
func (l list[T]) begin(e *env, table *table, first []T) {
	if len(first) == 0 {
		e.note("There are none.")
		return
	}
	header := make([]cell, len(l.header))
	for i, name := range l.header {
		header[i] = cell{name, bold}
	}
	table.row(header...)
}

// sheet shows the fields of one thing, a line each.
type sheet struct{ table *table }

func newSheet(w io.Writer) sheet { return sheet{newTable(w, 13)} }

// field shows a field unless it is empty.
func (s sheet) field(name, value string) {
	if value != "" {
		s.table.row(cell{name, dim}, cell{value, plain})
	}
}

// painted shows a field in a colour.
func (s sheet) painted(name string, value cell) { s.table.row(cell{name, dim}, value) }

// when shows a time as the caller's clock does.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// span shows a duration as a person would say it.
func span(d time.Duration) string {
	unit := time.Minute
	switch size := max(d, -d); {
	case size < time.Millisecond:
		unit = time.Microsecond
	case size < time.Second:
		unit = time.Millisecond
	case size < time.Minute:
		unit = 100 * time.Millisecond
	case size < time.Hour:
		unit = time.Second
	case size >= 72*time.Hour:
		unit = time.Hour
	}
	text := d.Round(unit).String()
	for _, zero := range []string{"0s", "0m"} {
		if head, ok := strings.CutSuffix(text, zero); ok && head != "" && strings.ContainsAny(head[len(head)-1:], "hm") {
			text = head
		}
	}
	return text
}

// plural counts things: "1 event", "2 events".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// excerpt returns at most so many bytes of a text, and says how many more there
// are.
func excerpt(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + fmt.Sprintf(" … and %d bytes more", len(text)-most)
}

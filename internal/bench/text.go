package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// quiet is how many cores other processes may take before the figures suffer.
const quiet = 0.1

// writeText writes the figures of a scenario as a table.
func (r *Result) writeText(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", r.Name)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.Figures {
		fmt.Fprintf(table, "  %s\t%12s %s\n", strings.ReplaceAll(f.Name, "_", " "), number(float64(f.Value)), f.Unit)
	}
	_ = table.Flush() // an error of a terminal leads to nothing
	if r.value(othersBusy) > quiet || r.value(othersBusyBare) > quiet {
		fmt.Fprintln(w, "  Other processes were busy meanwhile: the rates and the high percentiles say little.")
	}
}

// writeBars writes what each figure was held to, and how it did.
func (r *Report) writeBars(w io.Writer) {
	fmt.Fprintln(w)
	for _, result := range r.Results {
		for _, b := range result.Bars {
			fmt.Fprintln(w, b.line(result.Name))
		}
	}
}

// line is how a bar is shown.
func (b Bar) line(scenario string) string {
	verdict := "FAIL"
	if b.Pass {
		verdict = "PASS"
	}
	text := fmt.Sprintf("%s  %s: %s: %s", verdict, scenario, b.Name, quantity(float64(b.Value), b.Unit))
	text += fmt.Sprintf(" (%s %s)", b.Rule, quantity(b.Limit, b.Unit))
	if b.Note != "" {
		text += "; " + b.Note
	}
	return text
}

func quantity(value float64, unit string) string {
	return strings.TrimSpace(number(value) + " " + unit)
}

// number shows three digits or all before the point.
func number(value float64) string {
	if !Number(value).isFinite() {
		return "-"
	}
	switch size := math.Abs(value); {
	case size == math.Trunc(size) || size >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	case size >= 1:
		return strconv.FormatFloat(value, 'f', 2, 64)
	default:
		return strconv.FormatFloat(value, 'f', 3, 64)
	}
}

package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// The parts of docs/operations.md that list what the program says of itself.
const (
	metricsPart  = "Metrics"
	messagesPart = "Log lines"
)

func TestEveryMetricAndLogLineIsInTheOperationsManual(t *testing.T) {
	said, err := readSignals(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	if len(said.metrics) == 0 || len(said.messages) == 0 {
		t.Fatalf("%d metrics and %d log messages found: the search has gone blind", len(said.metrics), len(said.messages))
	}
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range said.differences(string(manual)) {
		t.Error(difference)
	}
}

// signals is what the program tells its operator while it runs. Each name has
// the place where it was found last.
type signals struct {
	metrics, messages map[string]string
	unclear           []string // a sentence for each name that can't be read
}

// readSignals finds the metrics that the Go files below internal define and the
// messages that they log, without tests and what only tests use.
func readSignals(internal fs.FS) (signals, error) {
	said := signals{metrics: map[string]string{}, messages: map[string]string{}}
	fset := token.NewFileSet()
	err := eachSource(internal, fset, func(_ string, file *ast.File) {
		ast.Inspect(file, func(node ast.Node) bool {
			said.note(fset, node)
			return true
		})
	})
	return said, err
}

func (s *signals) note(fset *token.FileSet, node ast.Node) {
	at := func() string {
		position := fset.Position(node.Pos())
		return fmt.Sprintf("%s:%d", position.Filename, position.Line)
	}
	switch node := node.(type) {
	case *ast.CompositeLit:
		if name := metricName(node); name != nil {
			s.keep(s.metrics, "metric", name, at())
		}
	case *ast.CallExpr:
		if message := loggedMessage(node); message != nil {
			s.keep(s.messages, "log message", message, at())
		}
		if isSelector(node.Fun, "prometheus", "NewDesc") && len(node.Args) > 0 {
			s.keep(s.metrics, "metric", node.Args[0], at())
		}
	}
}

func (s *signals) keep(names map[string]string, kind string, expr ast.Expr, at string) {
	if literal, ok := expr.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		if name, err := strconv.Unquote(literal.Value); err == nil {
			names[name] = at
			return
		}
	}
	s.unclear = append(s.unclear, fmt.Sprintf("%s: the name of the %s is not a literal: write it out, so that it can be looked for", at, kind))
}

// metricName returns the name in a literal such as prometheus.CounterOpts{…},
// or nil.
func metricName(literal *ast.CompositeLit) ast.Expr {
	kind, ok := literal.Type.(*ast.SelectorExpr)
	if !ok || !isSelector(kind, "prometheus", kind.Sel.Name) || !slices.Contains([]string{"CounterOpts", "GaugeOpts", "HistogramOpts", "SummaryOpts"}, kind.Sel.Name) {
		return nil
	}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Name" {
			return pair.Value
		}
	}
	return literal // no name that could be read
}

// logMethods are the methods of a logger, and which of their arguments is the
// message.
var logMethods = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	"Log": 2, "LogAttrs": 2,
}

// loggedMessage returns the message of a call on a logger, which is known by its
// name, or nil.
func loggedMessage(call *ast.CallExpr) ast.Expr {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	argument, ok := logMethods[method.Sel.Name]
	if !ok || argument >= len(call.Args) {
		return nil
	}
	receiver := ""
	switch on := method.X.(type) {
	case *ast.Ident:
		receiver = on.Name
	case *ast.SelectorExpr:
		receiver = on.Sel.Name
	case *ast.CallExpr: // log.With(…).Info(…)
		return call.Args[argument]
	}
	if !slices.Contains([]string{"log", "logger", "slog"}, strings.ToLower(receiver)) {
		return nil
	}
	return call.Args[argument]
}

func isSelector(expr ast.Expr, of, name string) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	on, ok := selector.X.(*ast.Ident)
	return ok && on.Name == of
}

// differences returns a sentence for each name that only the program or only the
// manual has.
func (s *signals) differences(manual string) []string {
	found := slices.Clone(s.unclear)
	compare := func(kind, part string, names map[string]string) {
		listed := tableNames(manual, part)
		for name, at := range names {
			if !slices.Contains(listed, name) {
				found = append(found, fmt.Sprintf("%s: the %s %s is not in the table under %q in docs/operations.md", at, kind, name, part))
			}
		}
		for _, name := range listed {
			if _, ok := names[name]; !ok {
				found = append(found, fmt.Sprintf("docs/operations.md has the %s %s under %q, and the program does not", kind, name, part))
			}
		}
	}
	compare("metric", metricsPart, s.metrics)
	compare("log message", messagesPart, s.messages)
	slices.Sort(found)
	return found
}

var rowPattern = regexp.MustCompile("^\\| `([^`]+)` \\|")

// tableNames returns what stands as code in the first column of the tables of a
// part of a Markdown text, which ends with the next heading of its level.
func tableNames(text, part string) []string {
	var names []string
	inside := false
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			inside = strings.TrimSpace(heading) == part
		}
		if row := rowPattern.FindStringSubmatch(line); inside && row != nil {
			names = append(names, row[1])
		}
	}
	return names
}

func TestWhatTheOperationsManualLacksOrInventsIsFound(t *testing.T) {
	const (
		row     = "package a\nvar d = prometheus.NewDesc(\"grapevine_depth\", \"Help.\", nil, nil)\nfunc f() { s.log.Info(\"begun\", \"key\", 1) }\n"
		manual  = "## Metrics\n\n| metric | meaning |\n|---|---|\n| `grapevine_depth` | it |\n\n## Log lines\n\n| `begun` | it |\n\n### More\n\n## Other\n\n| `other` | it |\n"
		another = "package a\n"
	)
	tests := []struct {
		name, code, manual string
		want               []string
	}{
		{"all is there", another, manual, nil},
		{
			"a counter", another + "var c = prometheus.NewCounter(prometheus.CounterOpts{Name: \"grapevine_lost\"})", manual,
			[]string{`a/more.go:2: the metric grapevine_lost is not in the table under "Metrics" in docs/operations.md`},
		},
		{
			"a name that is put together", another + "var c = prometheus.GaugeOpts{Name: prefix + \"lost\"}", manual,
			[]string{"a/more.go:2: the name of the metric is not a literal: write it out, so that it can be looked for"},
		},
		{
			"options without a name", another + "var c = prometheus.GaugeOpts{Help: \"Lost.\"}", manual,
			[]string{"a/more.go:2: the name of the metric is not a literal: write it out, so that it can be looked for"},
		},
		{
			"a message", another + "func g() { log.WarnContext(ctx, \"odd\") }", manual,
			[]string{`a/more.go:2: the log message odd is not in the table under "Log lines" in docs/operations.md`},
		},
		{
			"a message with a level", another + "func g() { d.log.LogAttrs(ctx, level, \"odd\", attrs...) }", manual,
			[]string{`a/more.go:2: the log message odd is not in the table under "Log lines" in docs/operations.md`},
		},
		{
			"a message of a logger that was made for it", another + "func g() { d.log.With(\"a\", 1).Error(\"odd\") }", manual,
			[]string{`a/more.go:2: the log message odd is not in the table under "Log lines" in docs/operations.md`},
		},
		{
			"a message that is put together", another + "func g() { d.log.Error(text()) }", manual,
			[]string{"a/more.go:2: the name of the log message is not a literal: write it out, so that it can be looked for"},
		},
		{"an error that is no line in the log", another + "func g() { http.Error(w, \"odd\", 500) }", manual, nil},
		{"rows that nothing stands behind", another, manual + "## Log lines\n| `gone` | it |\n## Metrics\n| `grapevine_gone` | it |\n", []string{
			`docs/operations.md has the log message gone under "Log lines", and the program does not`,
			`docs/operations.md has the metric grapevine_gone under "Metrics", and the program does not`,
		}},
		{"the wrong table", another, strings.NewReplacer("## Metrics", "## Log lines", "## Log lines", "## Metrics").Replace(manual), []string{
			`a/a.go:2: the metric grapevine_depth is not in the table under "Metrics" in docs/operations.md`,
			`a/a.go:3: the log message begun is not in the table under "Log lines" in docs/operations.md`,
			`docs/operations.md has the log message grapevine_depth under "Log lines", and the program does not`,
			`docs/operations.md has the metric begun under "Metrics", and the program does not`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			said, err := readSignals(fstest.MapFS{
				"a/a.go": file(row), "a/more.go": file(tt.code),
				"a/a_test.go": file("package a\nfunc f() { s.log.Info(\"tested\") }"),
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, said.differences(tt.manual)); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

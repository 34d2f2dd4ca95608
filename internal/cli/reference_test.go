package cli

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// TestCommandReferenceIsCurrent compares docs/cli.md with the commands' own
// words.
func TestCommandReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/cli.md"
	var doc bytes.Buffer
	doc.WriteString("# The command line\n\n<!-- Generated from internal/cli by `make goldens`. -->\n\n" +
		"Every command explains itself with `--help`. The exit code is 0 after success, 1 after a failure, and 2 where a command was called wrongly. " +
		"What a command shows goes to the standard output, everything else to the standard error. " +
		"With `--json` one thing is written as a JSON document and a list as a line of JSON for each thing, in the shapes of the API. " +
		"Colours are for terminals, and never where `NO_COLOR` is set or `TERM` is `dumb`. Times in flags are RFC 3339, a day such as 2026-01-31, which begins at midnight on your clock, or a distance such as 90s, 2h or 3d.\n\n" +
		"`. <(grapevine completion bash)` completes commands, flags and values; zsh and fish have theirs.\n\n" +
		"## Which server, and who asks\n\n" +
		"The commands that ask a server read its URL from `--url` or `GRAPEVINE_URL`, http://127.0.0.1:8080 if there is none. " +
		"Keys are never flags, since everybody on a machine sees its command lines: a tenant's is in `GRAPEVINE_KEY`, the operator's in `GRAPEVINE_ADMIN_KEY`, or either in a file that `--key-file` names. " +
		"With the operator's key `--tenant` or `GRAPEVINE_TENANT` says which tenant is meant. `tenant`, `key` and `backup` take the operator's key.\n")
	for _, node := range mustModel(t).Children {
		describeCommand(&doc, node, "")
	}
	if *update {
		if err := os.WriteFile(path, doc.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), doc.String()); diff != "" {
		t.Errorf("run 'make goldens' (-file +commands):\n%s", diff)
	}
}

// describeCommand writes a command and those below it.
func describeCommand(doc *bytes.Buffer, node *kong.Node, above string) {
	if node.Hidden {
		return
	}
	name, heading := strings.TrimSpace(above+" "+node.Name), "##"
	if above != "" {
		heading = "###"
	}
	usage := "grapevine " + name
	for _, argument := range node.Positional {
		usage += " " + strings.ToUpper(argument.Summary())
	}
	if len(node.Children) > 0 {
		usage += " COMMAND"
	}
	fmt.Fprintf(doc, "\n%s %s\n\n```\n%s\n```\n\n%s\n", heading, name, usage, escaped(node.Help))
	if node.Detail != "" {
		fmt.Fprintf(doc, "\n%s\n", escaped(node.Detail))
	}
	if name == "serve" || name == "config" {
		doc.WriteString("\nIts flags are in [configuration.md](configuration.md).\n")
		return
	}
	describeWords(doc, node)
	for _, child := range node.Children {
		describeCommand(doc, child, name)
	}
}

// describeWords writes the arguments and flags of a command, all but those that
// every command has.
func describeWords(doc *bytes.Buffer, node *kong.Node) {
	var rows []string
	for _, argument := range node.Positional {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", strings.ToUpper(argument.Name), escaped(argument.Help)))
	}
	for _, f := range node.Flags {
		if f.Hidden || f.Name == "help" || f.Group != nil && f.Group.Key == "connection" {
			continue
		}
		name := "--" + f.Name
		if !f.IsBool() {
			name += " " + f.FormatPlaceHolder()
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", name, escaped(describe(f.Value))))
	}
	if len(rows) > 0 {
		fmt.Fprintf(doc, "\n| | |\n|---|---|\n%s", strings.Join(rows, ""))
	}
}

// escaped keeps a text from being taken for marks.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(text)
}

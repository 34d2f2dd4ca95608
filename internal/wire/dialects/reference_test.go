package dialects_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

var update = flag.Bool("update", false, "write docs/events.md")

func TestTheReferenceOfEventsIsTheCommittedOne(t *testing.T) {
	const path = "../../../docs/events.md"
	got := reference(t)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/events.md is out of date: run the test with -update (-committed +now):\n%s", diff)
	}
}

// reference writes docs/events.md from the registry.
func reference(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(`# Events

Generated from the catalogues in ` + "`internal/wire`" + `. Each dialect's event types with the data that a publisher gives to ` + "`POST /v1/events`" + `; where a type differs from its source page, that is said. ` + "`GET /v1/event-types?dialect=…`" + ` has the same with the JSON Schemas, against which the data is checked.

Every request to a receiver has, besides its dialect's own headers, ` + "`X-Grapevine-Event-Id`, `X-Grapevine-Event-Type`, `X-Grapevine-Attempt`" + ` and, if the publisher gave one, ` + "`X-Grapevine-Subject-Version`" + `.
`)
	for _, d := range dialects.All {
		writeDialect(t, &b, d)
	}
	return b.Bytes()
}

func writeDialect(t *testing.T, b *bytes.Buffer, d wire.Dialect) {
	fmt.Fprintf(b, "\n## %s\n\n", d.Name())
	fmt.Fprintf(b, "%s. %s\n", signing[d.Signing()], schedule(d))
	for _, f := range d.Fields() {
		fmt.Fprintf(b, "\nBeside `data`, a publication has `%s`%s: %s\n", f.Name, map[bool]string{true: " (required)"}[f.Required], f.Description)
	}
	if _, err := d.Resolve("a.publishers.own"); err == nil {
		b.WriteString(`
Publishers have event types of their own, which may have any name that does not begin with ` + "`webhook.`" + `. Events under that name tell of the webhooks themselves; all others below tell what happens in the tenant's programs, are subscribed to like the publisher's own, also by ` + "`*`" + `, and fit the schema that ` + "`GET /v1/event-types`" + ` shows. A publisher may use the same names, with any data; receivers then get both under one name, so it is better to choose another.
`)
	}
	for _, s := range d.Settings() {
		fmt.Fprintf(b, "\nSetting `%s` (`%s`; the first is the default): %s\n", s.Name, strings.Join(s.Values, "`, `"), s.Description)
	}
	writeRemarks(b, d.Catalogue(nil))
	shown := map[string]bool{}
	for _, e := range d.Catalogue(nil) {
		shown[show(e)] = true
		fmt.Fprintf(b, "\n### %s\n\n%s Source: %s.\n", e.Name, e.Description, e.Source)
		writeSamples(t, b, e)
	}
	for _, s := range d.Settings() {
		for _, value := range s.Values[1:] {
			for _, e := range d.Catalogue(wire.Settings{s.Name: value}) {
				if shown[show(e)] {
					continue
				}
				fmt.Fprintf(b, "\n### %s, with `%s` set to `%s`\n", e.Name, s.Name, value)
				writeSamples(t, b, e)
			}
		}
	}
}

// show tells apart what is shown of two versions of a type.
func show(e wire.EventType) string {
	return fmt.Sprint(e.Name, string(e.Sample), e.Variants, e.Remarks)
}

var signing = map[wire.Signing]string{
	wire.BySecret: "Each subscription has a secret, with which its requests are signed",
	wire.ByKey:    "Requests are signed with the tenant's current key of the dialect",
	wire.Unsigned: "Requests are not signed; a subscription can have credentials and headers of its own",
}

func schedule(d wire.Dialect) string {
	s := d.Schedule()
	waits := make([]string, 0, len(s.Delays))
	for i := 0; i < len(s.Delays); {
		n := 1
		for i+n < len(s.Delays) && s.Delays[i+n] == s.Delays[i] {
			n++
		}
		wait := short(s.Delays[i])
		if n > 1 {
			wait = fmt.Sprintf("%d times %s", n, wait)
		}
		waits = append(waits, wait)
		i += n
	}
	jitter := "without jitter"
	if s.Jitter > 0 {
		jitter = fmt.Sprintf("±%.0f %%", s.Jitter*100)
	}
	return fmt.Sprintf("An attempt may take %s; there are %d, with waits of %s (%s) between.", short(d.Timeout()), len(s.Delays)+1, strings.Join(waits, ", "), jitter)
}

func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	default:
		return fmt.Sprintf("%d s", d/time.Second)
	}
}

func writeRemarks(b *bytes.Buffer, types []wire.EventType) {
	first := true
	for _, e := range types {
		for _, r := range e.Remarks {
			if first {
				b.WriteString("\nWhere the catalogue differs from its source:\n\n| type | | |\n|---|---|---|\n")
				first = false
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", e.Name, r.Kind, strings.ReplaceAll(r.Text, "|", "\\|"))
		}
	}
}

func writeSamples(t *testing.T, b *bytes.Buffer, e wire.EventType) {
	fmt.Fprintf(b, "\n```json\n%s\n```\n", indent(t, e.Sample))
	for _, v := range e.Variants {
		fmt.Fprintf(b, "\nIn the form `%s`:\n\n```json\n%s\n```\n", v.Name, indent(t, v.Data))
	}
}

func indent(t *testing.T, data []byte) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

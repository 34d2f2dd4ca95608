package message

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Without a count of what its conditions are made of, this loop takes a minute.
func TestALoopOfLongConditionsEnds(t *testing.T) {
	condition := "or " + strings.Repeat("$.no ", 20_000)
	for _, text := range []string{`{{range .many}}{{if ` + condition + `}}{{end}}{{end}}`, `{{range .many}}{{$x := ` + condition + `}}{{end}}`} {
		by, err := parseText(source{"long", text, HTML, maxMade, lenient})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := by.render(map[string]any{"many": int64(1 << 40)}, newAllowance()); !errors.Is(err, errEndless) {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it takes %s", took)
		}
	}
}

// What is read of a value counts, even where next to nothing is made of it.
func TestALoopThatReadsLongValuesEnds(t *testing.T) {
	long, half := strings.Repeat("a", 100<<10)+";", strings.Repeat("a", 50<<10)
	fields := map[string]any{}
	for i := range 1000 {
		fields[strconv.Itoa(i)] = i
	}
	values := map[string]any{"long": long, "half": half + "x", "fields": fields, "list": []any{long}, "many": slices.Repeat([]any{1}, 10_000)}
	for name, text := range map[string]string{
		"in a style":                  `{{$b := "` + long + `"}}<p style="color:{{range 20000}}{{$b}}{{end}}">x</p>`,
		"in a style, by a function":   `{{$b := "` + long + `"}}<p style="color:{{range 10000}}{{$b | default "x"}}{{end}}">x</p>`,
		"in a style, without a loop":  `{{$b := "` + long + `"}}<p style="color:` + strings.Repeat("{{$b}}", 1500) + `">x</p>`,
		"in a comment of a script":    `<script>/*{{range 20000}}{{$.long}}{{end}}*/</script>`,
		"as the name of an attribute": `<p {{range 20000}}{{$.long}}{{end}}>x</p>`,
		"as an address":               `<a href="{{range 10000}}{{with $.long}}{{if eq . "x"}}x{{end}}{{end}}{{end}}">{{range 20000}}<i style="color:{{$.long}}"></i>{{end}}</a>`,
		"of a list":                   `{{range 10000}}<i style="color:{{$.list}}"></i>{{end}}`,
		"of a long list":              `{{range 10000}}<i style="color:{{$.many}}"></i>{{end}}`,
		"of an object":                `{{range 10000}}<i style="color:{{$.fields}}"></i>{{end}}`,
		"in comparisons":              `{{$c := "` + half + `y"}}{{range 10000}}{{if eq $c $.half $.half $.half}}{{end}}{{end}}`,
		"in comparisons by a pipe":    `{{$c := "` + half + `y"}}{{range 10000}}{{$x := not ($.half | lt $c)}}{{end}}`,
		"in look-ups":                 `{{range 10000}}{{if index $.fields $.long}}{{end}}{{end}}`,
		"in loops that are left":      `{{range 10000}}{{range $.fields}}{{break}}{{end}}{{end}}`,
	} {
		by, err := parseText(source{"long", text, HTML, maxMade, lenient})
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := by.render(values, newAllowance()); !errors.Is(err, errEndless) {
			t.Errorf("%s: it ends with %v", name, err)
		}
	}
}

func TestAnErrorOfATemplateShowsItAsItWasWritten(t *testing.T) {
	values := map[string]any{"list": []any{1}, "long": "x", "two": int64(2)}
	for text, want := range map[string]string{
		`{{if eq .two (index .long .two)}}{{end}}`:        `long:1:14: executing "long" at <index .long .two>: error calling index: index out of range: 2`,
		`{{if (.two | lt .long)}}{{end}}`:                 `long:1:13: executing "long" at <lt .long>: error calling lt: incompatible types for comparison: string and int64`,
		`{{if lt .long .two}}{{end}}`:                     `long:1:5: executing "long" at <lt .long .two>: error calling lt: incompatible types for comparison: string and int64`,
		`{{range .long}}{{end}}`:                          `long:1:8: executing "long" at <.long>: range can't iterate over x`,
		`{{range .no}}{{end}}`:                            `long:1:8: executing "long" at <.no>: map has no entry for key "no"`,
		`<a href="{{if .two}}/{{else}}{{end}}{{.long}}">`: `long:1:38: {{.long}} appears in an ambiguous context within a URL`,
	} {
		by, err := parseText(source{"long", text, HTML, maxMade, strict})
		if err != nil {
			t.Fatal(text, err)
		}
		if _, err := by.render(values, newAllowance()); err == nil || err.Error() != want {
			t.Errorf("%s: it ends with %v", text, err)
		}
	}
}

// Whatever a text is, rendering it ends, is bounded, and lets nobody's name be
// markup.
func FuzzNoTextOfATemplateBreaksOut(f *testing.F) {
	const name = `"'><x-evil onload=alert(1)>`
	for _, t := range builtInTemplates {
		f.Add(t.Subject)
		f.Add(t.Message)
	}
	for _, text := range []string{
		`<a href={{.user.firstName}} title='{{.user.firstName}}'>{{range $i, $v := .}}{{$i}}{{.}}{{break}}{{end}}</a>`,
		`<script>{{.user}} "{{.user.firstName}}"</script><style>a{b:{{.user.firstName}}}</style><!-- {{.user.firstName}} -->`,
		`{{range 3}}{{range 3}}{{with $.user}}{{$.user.firstName}}{{continue}}{{end}}{{else}}{{end}}{{end}}`,
		`{{$tick := 1}}{{range .user}}{{$tick}}{{$tick = 2}}{{end}}{{index .user "firstName" | default "x" | len}}`,
		`{{if and (eq .user.firstName "x") (not (lt 1 2))}}a{{else if true}}{{(index . "user").firstName}}{{end}}`,
		"<textarea>{{.user.firstName}}</textarea><svg>{{.user.firstName}}</svg><script type=text/html>{{.user.firstName}}</script>`${{{.user.firstName}}}`",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxSubjectSource || strings.Contains(strings.ToLower(text), "x-evil") {
			t.Skip("longer than it may be, or what is looked for stands in it")
		}
		for _, format := range []Format{HTML, Text} {
			by, err := parseLetter(ReferralStarted, Template{Subject: text, Message: text, Format: format}, lenient)
			if err != nil {
				continue
			}
			values := sampleOf(ReferralStarted)
			values["user"] = map[string]any{"firstName": name}
			made, err := by.render(values, newAllowance())
			if err != nil {
				continue
			}
			if len(made.Message) > maxMade || strings.ContainsAny(made.Subject, "\r\n\x00") {
				t.Errorf("%q makes %d bytes, and the subject %q", text, len(made.Message), made.Subject)
			}
			if format == HTML && strings.Contains(made.Message, "<x-evil") {
				t.Errorf("%q makes %q", text, made.Message)
			}
		}
	})
}

package message

import (
	"errors"
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

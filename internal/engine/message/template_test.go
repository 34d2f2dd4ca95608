package message_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

var started = message.Place{Type: message.ReferralStarted}

func TestTheBuiltInThemeReadsLikeTheMessagesOfTheField(t *testing.T) {
	w := mustWorld(t)
	for _, c := range []struct {
		of               message.Type
		subject, message string
	}{
		{message.ReferralStarted, "Congratulations! Susy Example signed up for a trial account.", "<p>Hi Will,</p>"},
		{message.ReferralPaid, "Congratulations! Susy Example signed up for a paid subscription.", "you have earned $20 of free credit"},
		{message.ReferredRewardEarned, "Congratulations! You have earned $10 of free credit!", `<a href="https://refer.example.com/r/mPbcF5">`},
		{message.RewardLimitReached, "Will, it looks like you've reached the top!", "Thank you Will,\r\n\r\nYou have told so many people about Acme Referrals"},
	} {
		made := w.mustRender(message.Place{Type: c.of}, message.Sample(c.of))
		if made.Fallback != nil || made.Version != "" || made.Subject != c.subject || !strings.Contains(made.Message, c.message) {
			t.Errorf("%s is %+v, want %q and %q", c.of, made, c.subject, c.message)
		}
	}
}

func TestAMessageOfWhichNothingIsKnownIsMadeAllTheSame(t *testing.T) {
	w := mustWorld(t)
	for _, of := range message.Types {
		for _, values := range []message.Values{nil, {"user": nil, "reward": nil, "referredUser": map[string]any{}, "program": nil}} {
			made := w.mustRender(message.Place{Type: of}, values)
			if made.Fallback != nil || made.Subject == "" || made.Message == "" || strings.Contains(made.Subject+made.Message, "<no value>") {
				t.Errorf("%s of nothing is %+v", of, made)
			}
		}
	}
}

func TestANameIsNeverMarkup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{
			Subject: "Hello {{.user.firstName}}",
			Message: `<p title="{{.user.firstName}}">{{.user.firstName}}</p><a href="{{.user.imageUrl}}">look</a><script>var x = {{.user.firstName}};</script>`,
		})
		if _, last := w.mustPublish(); last != message.PublishCompleted {
			t.Fatal(last)
		}
		name := "\"></p><script>alert(1)</script>\r\nBcc: everybody@example.com"
		made := w.mustRender(started, message.Values{"user": map[string]any{"firstName": name, "imageUrl": "javascript:alert(2)"}})
		if made.Fallback != nil {
			t.Fatal(made.Fallback)
		}
		if strings.Contains(made.Message, "<script>alert") || strings.Contains(made.Message, "javascript:") || strings.Count(made.Message, "</script>") != 1 {
			t.Errorf("the message is %s", made.Message)
		}
		if strings.ContainsAny(made.Subject, "\r\n") {
			t.Errorf("the subject has lines: %q", made.Subject)
		}
	})
}

func TestATemplateThatMayNotBeIsRefused(t *testing.T) {
	w := mustWorld(t)
	nest := func(n int, action string) string { return strings.Repeat(action, n) + strings.Repeat("{{end}}", n) }
	for name, text := range map[string]string{
		"not closed":         `{{if .a}}`,
		"no template":        `{{`,
		"a call to print":    `{{printf "%1000000000d" 1}}`,
		"a call of a value":  `{{call .a}}`,
		"a definition":       `{{define "a"}}{{template "a"}}{{end}}`,
		"another template":   `{{template "a"}}`,
		"a block":            `{{block "a" .}}{{end}}`,
		"unescaped JS":       `{{js .a}}`,
		"an unknown name":    `{{$a}}`,
		"our own functions":  `{{tick 1}}`,
		"nested too deep":    nest(9, "{{if .a}}"),
		"loops too deep":     nest(4, "{{range .a}}"),
		"too many actions":   strings.Repeat("{{.a}}", 2001),
		"longer than it may": strings.Repeat("x", 200<<10),
	} {
		err := w.write(func(tx *db.Tx) error {
			return message.SetTemplate(tx, w.tenant, started, message.Template{Subject: "Hello", Message: text})
		})
		if !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, t2 := range map[string]message.Template{
		"no subject":      {Message: "x"},
		"a wrong subject": {Subject: "{{", Message: "x"},
		"another format":  {Subject: "x", Format: "pdf"},
	} {
		err := w.write(func(tx *db.Tx) error { return message.SetTemplate(tx, w.tenant, started, t2) })
		if !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatATemplateMayTakeIsBounded(t *testing.T) {
	people := make([]any, 1000)
	for i := range people {
		people[i] = map[string]any{"name": "Susy"}
	}
	for name, text := range map[string]string{
		"loops around loops":    `{{range .people}}{{range $.people}}{{range $.people}}{{end}}{{end}}{{end}}`,
		"loops that do nothing": `{{range .people}}{{range $.people}}{{range $.people}}{{if .no}}x{{end}}{{end}}{{end}}{{end}}`,
		"a count without end":   `{{range $i := .many}}{{end}}`,
		"a number without end":  `{{range 1000000000000}}{{end}}`,
		"loops in conditions":   `{{range .many}}{{if .}}{{else}}{{with $}}{{range .many}}{{end}}{{end}}{{end}}{{end}}`,
		"a huge text":           `{{range .people}}` + strings.Repeat("x", 1000) + `{{end}}`,
		"a huge value":          `{{.long}}{{.long}}{{.long}}`,
	} {
		for _, format := range []message.Format{message.HTML, message.Text} {
			t.Run(fmt.Sprintf("%s as %s", name, format), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.mustSet(started, message.Template{Subject: "x", Format: format, Message: `{{if .user.customFields}}` + text + `{{end}}`})
					w.mustSet(message.Place{Type: message.ReferralPaid}, message.Template{Subject: "x{{if .user.customFields}}" + text + "{{end}}", Message: "x"})
					if _, last := w.mustPublish(); last != message.PublishCompleted {
						t.Fatal(last, w.log())
					}
					values := message.Values{
						"people": people, "many": 1 << 40, "long": strings.Repeat("<", 200<<10),
						"user": map[string]any{"customFields": map[string]any{"a": 1}},
					}
					for _, of := range []message.Type{message.ReferralStarted, message.ReferralPaid} {
						made := w.mustRender(message.Place{Type: of}, values)
						if made.Fallback == nil || !strings.HasPrefix(made.Subject, "Congratulations!") {
							t.Errorf("%s: %.100s, %v", of, made.Subject, made.Fallback)
						}
					}
				})
			})
		}
	}
}

func TestATemplateHasTheWordsThatAreDescribed(t *testing.T) {
	w := mustWorld(t)
	for text, want := range map[string]string{
		`{{default "there" .user.firstName}} {{default "there" .user.locale}}`:                     "Will there",
		`{{if and .user.firstName (not .user.locale)}}yes{{else if .user}}no{{else}}no{{end}}`:     "yes",
		`{{with .user}}{{.lastName}}{{end}}{{$n := .user.firstName}} {{$n}}`:                       "Example Will",
		`{{range $i, $c := .user.customFields}}{{$c}}{{else}}none{{end}}`:                          "none",
		`{{if or (eq .reward.unit "cents") (gt 1 2)}}{{len .user.firstName}}{{end}}`:               "4",
		`{{if eq 1 2}}` + strings.Repeat(`{{else if eq 1 2}}`, 20) + `{{else}}last{{end}}`:         "last",
		`{{if not (index .user.customFields "tier")}}no tier{{end}}`:                               "no tier",
		`{{index .user "firstName"}}{{/* a comment */}}`:                                           "Will",
		`{{.referrerReward.value}} {{if ge .referrerReward.value 2000}}much{{end}}`:                "2000 much",
		`{{range .shareLinks}}{{continue}}x{{end}}ok{{range .shareLinks}}{{break}}x{{end}}`:        "ok",
		`{{.user.locale}}|{{.variables.referredStarts}}|{{.locale}}`:                               "|a trial account|",
		`{{if ne .user.firstName "Susy"}}{{if le 1 2}}{{if lt 1 2}}a &amp; b{{end}}{{end}}{{end}}`: "a &amp; b",
	} {
		for _, format := range []message.Format{message.HTML, message.Text} {
			w.mustSet(message.Place{Type: message.ReferralPaid}, message.Template{Subject: "x", Message: text, Format: format})
			made, err := w.preview(message.Place{Type: message.ReferralPaid})
			if err != nil || made.Message != want {
				t.Errorf("%s as %s: %q, %v; want %q", text, format, made.Message, err, want)
			}
		}
	}
}

func TestAPreviewNamesWhatThereIsNot(t *testing.T) {
	w := mustWorld(t)
	w.mustSet(started, message.Template{Subject: "x", Message: "one\n{{.user.nickname}}"})
	_, err := w.preview(started)
	if !problem.Invalid.Has(err) || !strings.Contains(err.Error(), "referral_started message:2") || !strings.Contains(err.Error(), "nickname") {
		t.Errorf("%v", err)
	}
	if _, err := w.preview(message.Place{Type: "invoice"}); !problem.Invalid.Has(err) {
		t.Errorf("of an unknown type: %v", err)
	}
	if _, err := w.preview(message.Place{Locale: "!", Type: message.ReferralPaid}); !problem.Invalid.Has(err) {
		t.Errorf("in an unknown locale: %v", err)
	}
}

package message_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
)

// mustRenderTogether makes so many messages in one transaction.
func (w *world) mustRenderTogether(n int, values message.Values) []message.Rendered {
	w.t.Helper()
	made := make([]message.Rendered, n)
	w.mustWrite(func(tx *db.Tx) error {
		for i := range made {
			var err error
			if made[i], err = w.Render(tx, message.Request{Tenant: w.tenant, Type: started.Type, Values: all(values)}); err != nil {
				return err
			}
		}
		return nil
	})
	return made
}

func TestWhatTheTemplatesOfOneCommandMayTakeTogetherIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		values message.Values
		most   int // messages that may be made by the template
	}{
		"steps":               {`ours{{range .many}}{{end}}`, message.Values{"many": 20_000}, 30},
		"text":                {`ours{{.long}}`, message.Values{"long": strings.Repeat("x", 200<<10)}, 90},
		"steps without loops": {`ours` + strings.Repeat(`{{.user.imageUrl}}`, 1990), nil, 250},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mustSet(started, message.Template{Subject: "x", Format: message.Text, Message: `{{if .user.customFields}}` + c.text + `{{end}}`})
				if _, last := w.mustPublish(); last != message.PublishCompleted {
					t.Fatal(last, w.log())
				}
				values := message.Values{"user": map[string]any{"customFields": map[string]any{"a": 1}}}
				maps.Copy(values, c.values)
				made := w.mustRenderTogether(c.most+50, values)
				ours := 0
				for _, m := range made {
					switch {
					case m.Fallback == nil && strings.HasPrefix(m.Message, "ours"):
						ours++
					case m.Fallback == nil || !strings.Contains(m.Fallback.Error(), "together") || !strings.HasPrefix(m.Subject, "Congratulations!"):
						t.Fatalf("%.100q %.100q %v", m.Subject, m.Message, m.Fallback)
					}
				}
				if ours > c.most || ours < c.most/2 {
					t.Errorf("%d messages are made by the template", ours)
				}
				if last := made[len(made)-1]; last.Fallback == nil {
					t.Error("the last message is made by the template")
				}
				if next := w.mustRenderTogether(1, values)[0]; next.Fallback != nil {
					t.Errorf("the next command has to pay for it: %v", next.Fallback)
				}
			})
		})
	}
}

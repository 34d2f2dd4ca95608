package message_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
)

// mustRenderOf makes a message of the values that a function returns.
func (w *world) mustRenderOf(values func(needs message.Needs) (message.Values, error)) message.Rendered {
	w.t.Helper()
	var made message.Rendered
	w.mustWrite(func(tx *db.Tx) error {
		var err error
		made, err = w.Render(tx, message.Request{Tenant: w.tenant, Type: started.Type, Values: values})
		return err
	})
	return made
}

func TestAMessageSaysTheSameOfTheValuesItsTemplatesNeedAlone(t *testing.T) {
	for text, needed := range map[string]string{
		`{{.user.referralCode}}`:                                                                    "user user/referralCode",
		`{{.user.firstName}}{{default "" .program.name}}`:                                           "user program",
		`{{with .user}}{{.firstName}}{{end}}`:                                                       "user",
		`{{with .user}}{{.referralCode}}{{end}}`:                                                    "user user/referralCode",
		`{{with .user}}{{with .referralCode}}{{.}}{{end}}{{end}}`:                                   "user user/referralCode",
		`{{with .user}}{{$.referrerUser.referralCode}}{{end}}`:                                      "user referrerUser referrerUser/referralCode",
		`{{with $x := .user}}{{$x.referralCode}}{{end}}`:                                            "user user/referralCode",
		`{{with .referral.dateReferralPaid}}{{else}}{{.user.referralCode}}{{end}}`:                  "referral user user/referralCode",
		`{{$x := .user}}{{$x.referralCode}}`:                                                        "user user/referralCode",
		`{{$x := .}}{{$x.user.referralCode}}`:                                                       "all",
		`{{index .user "referralCode"}}`:                                                            "user user/referralCode",
		`{{index . "user" "referralCode"}}`:                                                         "all",
		`{{(.user).referralCode}}{{(index .shareLinks "shareLink")}}`:                               "user user/referralCode shareLinks",
		`{{range .user}}{{.}}{{end}}`:                                                               "user user/referralCode",
		`{{range $name, $value := .}}{{$name}}{{$value}}{{end}}`:                                    "all",
		`{{range .shareLinks}}{{.}}{{$.user.referralCode}}{{else}}{{.program.name}}{{end}}`:         "shareLinks user user/referralCode program",
		`{{if .user.firstName}}{{.shareLinks.shareLink}}{{else if .reward}}{{.reward.name}}{{end}}`: "user shareLinks reward",
		`{{len .user}}`: "user user/referralCode",
		`{{$.user}}`:    "user user/referralCode",
		`{{.}}`:         "all",
	} {
		t.Run(text, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.mustSet(started, message.Template{Subject: "x", Format: message.Text, Message: text})
				if _, last := w.mustPublish(); last != message.PublishCompleted {
					t.Fatal(last, w.log())
				}
				whole := w.mustRenderOf(all(message.Sample(started.Type)))
				var asked []string
				some := w.mustRenderOf(func(needs message.Needs) (message.Values, error) {
					var values message.Values
					values, asked = neededOf(message.Sample(started.Type), needs)
					return values, nil
				})
				if some.Fallback != nil || some.Message != whole.Message || some.Message == "" {
					t.Errorf("%q, not %q: %v", some.Message, whole.Message, some.Fallback)
				}
				// The built-in theme has to be able to say it as well.
				want := append(strings.Fields(needed), "program", "referredUser", "user")
				if needed == "all" {
					want = slices.Collect(maps.Keys(message.Sample(started.Type)))
					want = append(want, "user/referralCode", "referrerUser/referralCode", "referredUser/referralCode")
				}
				slices.Sort(want)
				if want = slices.Compact(want); !slices.Equal(asked, want) {
					t.Errorf("needs %v, not %v", asked, want)
				}
			})
		})
	}
}

// neededOf returns those of the values that are needed, and their names in order.
func neededOf(values message.Values, needs message.Needs) (message.Values, []string) {
	needed := make(message.Values)
	var names []string
	for name, value := range values {
		if !needs.Value(name) {
			continue
		}
		needed[name], names = value, append(names, name)
		fields, ok := value.(map[string]any)
		if _, has := fields["referralCode"]; !ok || !has {
			continue
		}
		if needs.Value(name, "referralCode") {
			names = append(names, name+"/referralCode")
			continue
		}
		fields = maps.Clone(fields)
		delete(fields, "referralCode")
		needed[name] = fields
	}
	slices.Sort(names)
	return needed, names
}

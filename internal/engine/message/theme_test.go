package message_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func (w *world) variables(locale string) (string, error) {
	var document json.RawMessage
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		document, err = message.Variables(q, w.tenant, locale)
		return err
	})
	return string(document), err
}

func TestVariablesAreReplacedAndPatched(t *testing.T) {
	w := mustWorld(t)
	if got, err := w.variables(""); got != "{}" || err != nil {
		t.Errorf("at first: %s, %v", got, err)
	}
	if _, err := w.variables("de"); !problem.NotFound.Has(err) {
		t.Errorf("of a locale without any: %v", err)
	}
	w.mustSetVariables("", `{"companyName":"Acme <&> Co","referredPays":"gold"}`)
	w.mustSetVariables("de-de", `{"referredPays":"ein Abo"}`)
	var patched json.RawMessage
	w.mustWrite(func(tx *db.Tx) error {
		var err error
		patched, err = message.PatchVariables(tx, w.tenant, "", json.RawMessage(`{"companyName":null,"referredStarts":"silver"}`))
		return err
	})
	want := `{"referredPays":"gold","referredStarts":"silver"}`
	if got, err := w.variables(""); string(patched) != want || got != want || err != nil {
		t.Errorf("patched %s, stored %s, %v; want %s", patched, got, err, want)
	}
	if got, err := w.variables("de_DE"); got != `{"referredPays":"ein Abo"}` || err != nil {
		t.Errorf("in de_DE: %s, %v", got, err)
	}
	w.mustWrite(func(tx *db.Tx) error { return message.DeleteLocale(tx, w.tenant, "de_DE") })
	if _, err := w.variables("de_DE"); !problem.NotFound.Has(err) {
		t.Errorf("of a deleted locale: %v", err)
	}
	for locale, is := range map[string]func(error) bool{"de_DE": problem.NotFound.Has, "": problem.Invalid.Has, "../x": problem.Invalid.Has} {
		if err := w.write(func(tx *db.Tx) error { return message.DeleteLocale(tx, w.tenant, locale) }); !is(err) {
			t.Errorf("delete %q: %v", locale, err)
		}
	}
}

func TestVariablesAreWhatTheirDescriptionSays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustWrite(func(tx *db.Tx) error {
			return message.SetSchema(tx, w.tenant, json.RawMessage(`{"type":"object","required":["color"],"properties":{
			"color":{"type":"string","format":"color","default":"#fff","minLength":4,"maxLength":7},
			"size":{"type":"integer","minimum":1,"maximum":9},
			"ratio":{"type":"number"},
			"kind":{"type":"string","enum":["a","b"]},
			"on":{"type":"boolean"},
			"links":{"type":"array","items":{"type":"string"}},
			"footer":{"type":"object","properties":{"text":{"type":"string","default":"bye"}}}}}`))
		})
		for _, document := range []string{
			`{"color":"red"}`, `{"color":"#12345678"}`, `{"color":1}`, `{"size":1.5}`, `{"size":0}`, `{"size":10}`, `{"ratio":"1"}`, `{"kind":"c"}`,
			`{"on":1}`, `{"links":[1]}`, `{"links":"x"}`, `{"footer":{"x":1}}`, `{"other":1}`, `{"footer":[]}`, `[]`, `x`, `null`, ``, `{} x`, `{"color":null}`,
			`{"color":"` + strings.Repeat("x", 100<<10) + `"}`,
		} {
			err := w.write(func(tx *db.Tx) error { return message.SetVariables(tx, w.tenant, "", json.RawMessage(document)) })
			if !problem.Invalid.Has(err) {
				t.Errorf("%.60s: %v", document, err)
			}
		}
		w.mustSetVariables("", `{"color":"#abc","size":3,"ratio":1e-3,"kind":"b","on":true,"links":["x"],"footer":{}}`)
		w.mustSet(started, message.Template{Subject: "{{.variables.size}}{{.variables.color}}", Message: `<p style="color:{{.variables.color}}">{{.variables.footer.text}}{{range .variables.links}}{{.}}{{end}}</p>`})
		made, err := w.preview(started)
		if err != nil || made.Subject != "3#abc" || made.Message != `<p style="color:#abc">byex</p>` {
			t.Errorf("%+v, %v", made, err)
		}
		w.mustSetVariables("", `{}`) // what must be there is missing
		if _, last := w.mustPublish(); !strings.HasPrefix(last, message.PublishFailed) {
			t.Error(last)
		}
	})
}

func TestADescriptionThatIsNoneIsRefused(t *testing.T) {
	w := mustWorld(t)
	deep := strings.Repeat(`{"type":"array","items":`, 9) + `{"type":"string"}` + strings.Repeat("}", 9)
	for _, document := range []string{
		``, `[]`, `null`, `{"type":"string"}`, `{"type":"object","properties":{"a":{"type":"date"}}}`,
		`{"type":"object","properties":{"a":null}}`, `{"type":"object","properties":{"a":{"type":"string","pattern":"(a+)+$"}}}`,
		`{"type":"object","properties":{"a":{"type":"string","default":1}}}`, `{"type":"object","properties":{"a":` + deep + `}}`,
		`{"type":"object"} x`, `{"type":"object"}]`,
	} {
		err := w.write(func(tx *db.Tx) error { return message.SetSchema(tx, w.tenant, json.RawMessage(document)) })
		if !problem.Invalid.Has(err) {
			t.Errorf("%.60s: %v", document, err)
		}
	}
	var schema json.RawMessage
	w.mustRead(func(q db.Queryer) error {
		var err error
		schema, err = message.Schema(q, w.tenant)
		return err
	})
	if err := w.write(func(tx *db.Tx) error { return message.SetSchema(tx, w.tenant, schema) }); err != nil {
		t.Errorf("the built-in one is refused: %v", err)
	}
}

func TestSomebodysLocaleFindsTheClosestTemplates(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "everybody {{.variables.referredPays}}", Message: "x"})
		w.mustSet(message.Place{Locale: "de", Type: message.ReferralStarted}, message.Template{Subject: "de {{.variables.referredPays}}", Message: "x"})
		w.mustSetVariables("", `{"referredPays":"gold"}`)
		w.mustSetVariables("de_AT", `{"referredPays":"Gold"}`)
		w.mustPublish()
		for locale, want := range map[string]string{
			"": "everybody gold", "fr": "everybody gold", "de": "de gold", "de_DE": "de gold", "de-at": "de Gold", "de_Latn_AT": "de gold", "nonsense!": "everybody gold",
		} {
			if made := w.mustRender(message.Place{Locale: locale, Type: message.ReferralStarted}, nil); made.Subject != want || made.Fallback != nil {
				t.Errorf("in %q: %+v, want %q", locale, made, want)
			}
		}
	})
}

func TestATemplateIsReadAsItWasSetUntilItIsReset(t *testing.T) {
	w := mustWorld(t)
	at := func(locale string) message.Template {
		var found message.Template
		w.mustRead(func(q db.Queryer) error {
			var err error
			found, err = message.TemplateAt(q, w.tenant, message.Place{Locale: locale, Type: message.ReferralStarted})
			return err
		})
		return found
	}
	builtIn, mine := at(""), message.Template{Subject: "a <b>", Message: "<p>&</p>\r\n", Format: message.HTML}
	w.mustSet(message.Place{Locale: "fr", Type: message.ReferralStarted}, mine)
	if diff := cmp.Diff(mine, at("fr")); diff != "" {
		t.Error(diff)
	}
	if err := w.write(func(tx *db.Tx) error { return message.SetTemplate(tx, w.tenant, started, builtIn) }); err != nil {
		t.Errorf("the built-in template is refused: %v", err)
	}
	reset := func(tx *db.Tx) error {
		return message.ResetTemplate(tx, w.tenant, message.Place{Locale: "fr", Type: message.ReferralStarted})
	}
	w.mustWrite(reset)
	if diff := cmp.Diff(builtIn, at("fr")); diff != "" {
		t.Error(diff)
	}
	if err := w.write(reset); !problem.NotFound.Has(err) {
		t.Errorf("reset twice: %v", err)
	}
}

func TestAThemeHasFiftyLocalesAndAMegabyte(t *testing.T) {
	w := mustWorld(t)
	set := func(locale string) error {
		return w.write(func(tx *db.Tx) error { return message.SetVariables(tx, w.tenant, locale, json.RawMessage(`{}`)) })
	}
	for i := range 50 {
		if err := set(fmt.Sprintf("en_X%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := set("de"); err != nil {
		t.Errorf("the draft has fifty and de: %v", err) // there is none for everybody yet
	}
	if err := set("fr"); !problem.Conflict.Has(err) {
		t.Errorf("one too many: %v", err)
	}
	if err := set(""); err != nil {
		t.Errorf("for everybody: %v", err)
	}
	large := message.Template{Subject: "x", Message: strings.Repeat("x", 120<<10)}
	var err error
	for i := 0; err == nil && i < 20; i++ {
		err = w.write(func(tx *db.Tx) error {
			return message.SetTemplate(tx, w.tenant, message.Place{Locale: fmt.Sprintf("en_X%d", i), Type: message.ReferralPaid}, large)
		})
	}
	if !problem.TooLarge.Has(err) {
		t.Errorf("twenty large templates: %v", err)
	}
}

func TestThemesAndMessagesOfAnotherTenantAreNotSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.mustSet(started, message.Template{Subject: "mine", Message: "x"})
		w.mustPublish()
		mine := message.Message{TenantID: w.tenant, PersonID: id.New(time.Now()), Type: message.ReferralPaid, Subject: "a", Message: "b"}
		w.mustRecord(&mine)
		w.tenant = id.New(time.Now())
		if made := w.mustRender(started, nil); made.Subject == "mine" {
			t.Error("another tenant's theme is used")
		}
		w.mustRead(func(q db.Queryer) error {
			found, err := message.List(q, w.tenant, mine.PersonID, message.Page{Limit: 1})
			if len(found) > 0 {
				t.Errorf("another tenant's message is seen: %+v", found)
			}
			return err
		})
	})
}

func TestMessagesAreKeptUntilTheirPersonIsForgotten(t *testing.T) {
	w := mustWorld(t)
	person, other := id.New(time.Now()), id.New(time.Now())
	var all []message.Message
	for i := range 5 {
		m := message.Message{
			TenantID: w.tenant, PersonID: person, Type: message.ReferralPaid, Subject: fmt.Sprint(i), Message: "<p>é</p>", Cause: id.New(time.Now()),
		}
		w.mustRecord(&message.Message{TenantID: w.tenant, PersonID: other, Type: message.ReferralPaid})
		w.mustRecord(&m)
		all = append(all, m)
	}
	slices.Reverse(all)
	list := func(of id.ID, page message.Page) []message.Message {
		var found []message.Message
		w.mustRead(func(q db.Queryer) error {
			var err error
			found, err = message.List(q, w.tenant, of, page)
			return err
		})
		return found
	}
	first := list(person, message.Page{Limit: 3})
	second := list(person, message.Page{Limit: 3, Before: first[2].ID})
	if diff := cmp.Diff(all, append(first, second...)); diff != "" {
		t.Error(diff)
	}
	var gone []id.ID
	for n := 3; n > 0; {
		w.mustWrite(func(tx *db.Tx) error {
			some, err := message.Forget(tx, w.tenant, person, 3)
			n, gone = len(some), append(gone, some...)
			return err
		})
	}
	for i, m := range all {
		if len(gone) != len(all) || gone[i] != m.ID {
			t.Errorf("forgotten are %v, and not all of %v", gone, all)
		}
	}
	if left := list(person, message.Page{Limit: 3}); len(left) != 0 || len(list(other, message.Page{Limit: 9})) != 5 {
		t.Errorf("left are %v", left)
	}
}

// mustRecord keeps a message, and reports whether it is new.
func (w *world) mustRecord(m *message.Message) bool {
	w.t.Helper()
	isNew := false
	w.mustWrite(func(tx *db.Tx) error {
		var err error
		isNew, err = message.Record(tx, m)
		return err
	})
	return isNew
}

func TestAPersonIsWrittenOneMessageOfATypeAboutTheSame(t *testing.T) {
	w := mustWorld(t)
	anna, bert, about := id.New(time.Now()), id.New(time.Now()), id.New(time.Now())
	for _, c := range []struct {
		name    string
		message message.Message
		isNew   bool
	}{
		{"the first one", message.Message{PersonID: anna, Type: message.ReferralPaid, About: about}, true},
		{"the same again", message.Message{PersonID: anna, Type: message.ReferralPaid, About: about}, false},
		{"another type", message.Message{PersonID: anna, Type: message.ReferralStarted, About: about}, true},
		{"another person", message.Message{PersonID: bert, Type: message.ReferralPaid, About: about}, true},
		{"about something else", message.Message{PersonID: anna, Type: message.ReferralPaid, About: id.New(time.Now())}, true},
		{"about nothing", message.Message{PersonID: anna, Type: message.ReferralPaid}, true},
		{"about nothing again", message.Message{PersonID: anna, Type: message.ReferralPaid}, true},
	} {
		c.message.TenantID = w.tenant
		if got := w.mustRecord(&c.message); got != c.isNew {
			t.Errorf("%s: new %v", c.name, got)
		}
	}
}

func TestWhatIsBlankedIsNotWrittenAgain(t *testing.T) {
	w := mustWorld(t)
	anna, about := id.New(time.Now()), id.New(time.Now())
	m := message.Message{TenantID: w.tenant, PersonID: anna, Type: message.ReferralPaid, Subject: "Bert", Message: "Bert Olsen", About: about}
	w.mustRecord(&m)
	w.mustWrite(func(tx *db.Tx) error {
		blanked, err := message.Blank(tx, w.tenant, about)
		if len(blanked) != 1 || blanked[0] != m.ID {
			t.Errorf("blanked are %v", blanked)
		}
		return err
	})
	w.mustRead(func(q db.Queryer) error {
		found, err := message.List(q, w.tenant, anna, message.Page{Limit: 2})
		if len(found) != 1 || found[0].Subject != "" || found[0].Message != "" {
			t.Errorf("it says %+v", found)
		}
		return err
	})
	again := m
	if w.mustRecord(&again) {
		t.Error("it is written again")
	}
}

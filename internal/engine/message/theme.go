package message

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The bounds of a theme.
const (
	maxVariables = 64 << 10
	maxLocales   = 50
	maxTheme     = 1 << 20 // bytes, of all locales
)

// edition is what a theme says in one locale.
type edition struct {
	Variables map[string]any    `json:"variables"`
	Templates map[Type]Template `json:"templates"`
}

// content is a whole theme. A draft is one too.
type content struct {
	Schema json.RawMessage    `json:"schema,omitempty"` // empty: that of the built-in theme
	Locale map[string]edition `json:"locales"`          // empty: for everybody
}

// described returns the description of the variables.
func (c *content) described() json.RawMessage {
	if len(c.Schema) == 0 {
		return builtInSchema
	}
	return c.Schema
}

// template returns what makes messages of a type in a locale: its own template, else
// that of the language, else the one for everybody, else the built-in one.
func (c *content) template(of Type, locale string) Template {
	for _, at := range lineOf(locale) {
		if t, ok := c.Locale[at].Templates[of]; ok {
			return t
		}
	}
	return builtInTemplates[of]
}

// variables returns those that are set in a locale: its own, else those of the
// language, else those for everybody.
func (c *content) variables(locale string) map[string]any {
	set := map[string]any{}
	for _, at := range slices.Backward(lineOf(locale)) {
		maps.Copy(set, c.Locale[at].Variables)
	}
	return set
}

// closest returns the locale of the theme that is for somebody's: the same, one of
// the language, or "".
func (c *content) closest(locale string) string {
	locale, err := ParseLocale(locale)
	if err != nil {
		return ""
	}
	for _, at := range lineOf(locale) {
		if _, ok := c.Locale[at]; ok {
			return at
		}
	}
	return ""
}

// lineOf lists a locale and those that it takes from what it lacks, the closest
// first: zh_Hant_TW, zh_Hant, zh and "".
func lineOf(locale string) []string {
	var line []string
	for at := len(locale); at > 0; at = strings.LastIndexByte(locale[:at], '_') {
		line = append(line, locale[:at])
	}
	return append(line, "")
}

var localeShape = regexp.MustCompile(`^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}$`)

// ParseLocale reads a locale, such as de, en_GB or en-gb, and returns it as themes
// have it: en_GB. The empty locale is for everybody who has none of their own.
func ParseLocale(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if !localeShape.MatchString(text) {
		return "", problem.InvalidField("locale", "must be a language and perhaps a country, such as de or en_GB")
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '_' || r == '-' })
	parts[0] = strings.ToLower(parts[0])
	for i, part := range parts[1:] {
		if len(part) == 2 {
			part = strings.ToUpper(part)
		}
		parts[i+1] = part
	}
	return strings.Join(parts, "_"), nil
}

// Schema returns the description of the variables that the tenant's theme has, in
// words of JSON Schema.
func Schema(q db.Queryer, tenant id.ID) (json.RawMessage, error) {
	row, err := selectTheme(q, tenant)
	if err != nil || row.schema != "" {
		return json.RawMessage(row.schema), err
	}
	return builtInSchema, nil
}

// SetSchema describes the variables of the tenant's theme anew. What variables
// have by then is not checked until the theme is published.
func SetSchema(tx *db.Tx, tenant id.ID, document json.RawMessage) error {
	if _, err := parseSchema(document); err != nil {
		return err
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, document); err != nil {
		return err
	}
	return upsertSchema(tx, tenant, compact.String())
}

// Variables returns the variables that the draft has set for a locale, as a JSON
// object. There are none that were never set.
func Variables(q db.Queryer, tenant id.ID, locale string) (json.RawMessage, error) {
	draft, err := findEdition(q, tenant, locale)
	if err != nil {
		return nil, err
	}
	return encode(draft.Variables)
}

// findEdition returns the draft for a locale. Where there is none it is
// problem.NotFound, but for the empty locale.
func findEdition(q db.Queryer, tenant id.ID, locale string) (edition, error) {
	locale, err := ParseLocale(locale)
	if err != nil {
		return edition{}, err
	}
	draft, known, err := selectEdition(q, tenant, locale)
	if err == nil && !known && locale != "" {
		err = problem.NotFound.New("the theme has nothing for this locale")
	}
	return draft, err
}

// SetVariables has the draft's variables for a locale be those of a JSON object and
// no others.
func SetVariables(tx *db.Tx, tenant id.ID, locale string, document json.RawMessage) error {
	return changeVariables(tx, tenant, locale, func(map[string]any) (map[string]any, error) {
		return readVariables(document)
	})
}

// PatchVariables changes the draft's variables for a locale as a JSON object says,
// and returns all of them. Those that it has null for are removed.
func PatchVariables(tx *db.Tx, tenant id.ID, locale string, document json.RawMessage) (json.RawMessage, error) {
	var patched map[string]any
	err := changeVariables(tx, tenant, locale, func(variables map[string]any) (map[string]any, error) {
		patch, err := readVariables(document)
		if err != nil {
			return nil, err
		}
		patched = maps.Clone(variables)
		maps.Copy(patched, patch)
		maps.DeleteFunc(patched, func(_ string, value any) bool { return value == nil })
		return patched, nil
	})
	if err != nil {
		return nil, err
	}
	return encode(patched)
}

func readVariables(document json.RawMessage) (map[string]any, error) {
	if len(document) > maxVariables {
		return nil, problem.InvalidField("variables", "may have at most %d bytes", maxVariables)
	}
	variables, err := decodeObject(document)
	if err != nil || !isObject(document) {
		return nil, problem.InvalidField("variables", "must be a JSON object")
	}
	return variables, nil
}

func changeVariables(tx *db.Tx, tenant id.ID, locale string, change func(map[string]any) (map[string]any, error)) error {
	return changeEdition(tx, tenant, locale, func(draft *edition) error {
		document, err := Schema(tx, tenant)
		if err != nil {
			return err
		}
		described, err := parseSchema(document)
		if err != nil {
			return err
		}
		if draft.Variables, err = change(draft.Variables); err != nil {
			return err
		}
		// What must be there may be left to the draft for everybody.
		described.Required = nil
		return refuse(described.validate("variables", draft.Variables))
	})
}

// changeEdition changes the draft for a locale, which begins empty.
func changeEdition(tx *db.Tx, tenant id.ID, locale string, change func(*edition) error) error {
	locale, err := ParseLocale(locale)
	if err != nil {
		return err
	}
	draft, err := selectDraft(tx, tenant)
	if err != nil {
		return err
	}
	changed, known := draft.Locale[locale]
	if !known {
		changed = newEdition()
	}
	if locale != "" && !known && len(draft.Locale) > maxLocales {
		return problem.Conflict.New("a theme has at most %d locales: delete one that is not needed", maxLocales)
	}
	if err := change(&changed); err != nil {
		return err
	}
	draft.Locale[locale] = changed
	whole, err := encode(draft)
	if err != nil {
		return err
	}
	if len(whole) > maxTheme {
		return problem.TooLarge.New("a theme has at most %d bytes with all its locales", maxTheme)
	}
	return upsertEdition(tx, tenant, locale, changed)
}

func newEdition() edition {
	return edition{Variables: map[string]any{}, Templates: map[Type]Template{}}
}

// Locales lists the locales that the draft has something for, in their order.
func Locales(q db.Queryer, tenant id.ID) ([]string, error) {
	draft, err := selectDraft(q, tenant)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(draft.Locale)), nil
}

// DeleteLocale removes the variables and templates of a locale from the draft.
func DeleteLocale(tx *db.Tx, tenant id.ID, locale string) error {
	locale, err := ParseLocale(locale)
	if err != nil {
		return err
	}
	if locale == "" {
		return problem.InvalidField("locale", "must be given: what is for everybody can be changed, not deleted")
	}
	n, err := deleteEdition(tx, tenant, locale)
	if err == nil && n == 0 {
		err = problem.NotFound.New("the theme has nothing for this locale")
	}
	return err
}

// Place is where in a theme a template stands.
type Place struct {
	Locale string // empty: for everybody
	Type   Type
}

// TemplateAt returns the template of the draft that makes messages at a place. It
// may be that for everybody, or the built-in one.
func TemplateAt(q db.Queryer, tenant id.ID, at Place) (Template, error) {
	if _, err := ParseType(string(at.Type)); err != nil {
		return Template{}, err
	}
	draft, err := selectDraft(q, tenant)
	if err != nil {
		return Template{}, err
	}
	found := draft.template(at.Type, draft.closest(at.Locale))
	if found.Format == "" {
		found.Format = HTML
	}
	return found, nil
}

// SetTemplate sets a template of the draft. It must be well formed; whether it can
// be rendered is found out when the theme is published, or by a preview.
func SetTemplate(tx *db.Tx, tenant id.ID, at Place, t Template) error {
	if _, err := ParseType(string(at.Type)); err != nil {
		return err
	}
	var checks problem.Checks
	if t.Format != "" && t.Format != HTML && t.Format != Text {
		checks.Add("format", "must be html or text")
	}
	if len(t.Subject) > maxSubjectSource {
		checks.Add("subject", "may have at most %d bytes", maxSubjectSource)
	}
	if strings.TrimSpace(t.Subject) == "" {
		checks.Add("subject", "must be given")
	}
	if len(t.Message) > maxMessageSource {
		checks.Add("message", "may have at most %d bytes", maxMessageSource)
	}
	if err := checks.Err(); err != nil {
		return err
	}
	if t.Format == "" {
		t.Format = HTML
	}
	if _, err := parseText(source{"subject", t.Subject, Text, maxMade, lenient}); err != nil {
		checks.Add("subject", "%s", cut(err.Error(), 300))
	}
	if _, err := parseText(source{"message", t.Message, t.Format, maxMade, lenient}); err != nil {
		checks.Add("message", "%s", cut(err.Error(), 300))
	}
	if err := checks.Err(); err != nil {
		return err
	}
	return changeEdition(tx, tenant, at.Locale, func(draft *edition) error {
		draft.Templates[at.Type] = t
		return nil
	})
}

// ResetTemplate removes a template from the draft, so that the one for everybody,
// or the built-in one, is used there.
func ResetTemplate(tx *db.Tx, tenant id.ID, at Place) error {
	draft, err := findEdition(tx, tenant, at.Locale)
	if err != nil {
		return err
	}
	if _, ok := draft.Templates[at.Type]; !ok {
		return problem.NotFound.New("the theme has no template of its own there")
	}
	return changeEdition(tx, tenant, at.Locale, func(draft *edition) error {
		delete(draft.Templates, at.Type)
		return nil
	})
}

// encode writes a value as compact JSON, in which HTML is not escaped.
func encode(value any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

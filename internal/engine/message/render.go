package message

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Request is a message to be made.
type Request struct {
	Tenant id.ID
	Locale string // of who gets it; empty or odd: what is for everybody
	Type   Type
	// Values returns what the message is about (see [Sample]), which is not changed. What
	// templates do not need may be missing.
	Values func(needs Needs) (Values, error)
}

// Rendered is a message that was made.
type Rendered struct {
	Subject string
	Message string
	Format  Format // of the message
	Version string // of the theme; empty: the built-in one

	// Fallback is why the built-in theme's text was taken: the tenant's template can't
	// be rendered with these values, or the command's other messages have taken all
	// that templates may take in one. nil: it could.
	Fallback error
}

// Render makes a message with the version of the tenant's theme that is in use. It
// fails only if the database does, or the values do, or are none of JSON: for the sake
// of a theme no command is refused.
func (s *Service) Render(tx *db.Tx, r Request) (Rendered, error) {
	if _, err := ParseType(string(r.Type)); err != nil {
		return Rendered{}, err
	}
	in, err := s.inUse(tx, r.Tenant)
	if err != nil {
		return Rendered{}, err
	}
	given, err := r.Values(in.needs(r))
	if err != nil {
		return Rendered{}, err
	}
	values, err := plainObject(given)
	if err != nil {
		return Rendered{}, err
	}
	made, err := in.render(r, values, allowanceOf(tx))
	if err == nil {
		return made, nil
	}
	r.Locale = ""
	instead, failed := builtInTheme.render(r, values, newAllowance()) // it takes next to nothing
	instead.Fallback = err
	return instead, failed
}

// inUse returns the theme that the tenant has published, or the built-in one.
func (s *Service) inUse(q db.Queryer, tenant id.ID) (*theme, error) {
	version, err := selectInUse(q, tenant)
	if err != nil {
		return nil, err
	}
	if version == "" {
		return builtInTheme, nil
	}
	at := versionOf{tenant, version}
	if known := s.themes.get(at); known != nil {
		return known, nil
	}
	whole, size, err := selectVersion(q, tenant, version)
	if err != nil {
		return nil, err
	}
	made, err := newTheme(whole, version)
	if err != nil {
		return nil, err
	}
	s.themes.put(at, made, size)
	return made, nil
}

// Preview makes a message of the draft, with sample values. What can't be rendered
// is problem.Invalid, and says where.
func Preview(q db.Queryer, tenant id.ID, at Place) (Rendered, error) {
	if _, err := ParseType(string(at.Type)); err != nil {
		return Rendered{}, err
	}
	if _, err := ParseLocale(at.Locale); err != nil {
		return Rendered{}, err
	}
	draft, err := selectDraft(q, tenant)
	if err != nil {
		return Rendered{}, err
	}
	tried, err := newTheme(draft, "")
	if err != nil {
		return Rendered{}, err
	}
	tried.manner = strict
	made, err := tried.render(Request{Tenant: tenant, Locale: at.Locale, Type: at.Type}, sampleOf(at.Type), newAllowance())
	if err != nil {
		return Rendered{}, problem.InvalidField("template", "%s", err)
	}
	return made, nil
}

// sampleOf returns sample values as templates have them.
func sampleOf(of Type) map[string]any {
	values, _ := plainObject(Sample(of)) // all of it is plain already
	return values
}

// blanks are made once: each message is completed by the shape of its sample.
var blanks = sync.OnceValue(func() map[Type]map[string]any {
	made := map[Type]map[string]any{}
	for _, of := range Types {
		made[of] = blank(sampleOf(of))
	}
	return made
})

// theme is a version with its templates, which are parsed when they are first used.
// It may be used concurrently.
type theme struct {
	version   string
	content   content
	described *schema
	manner    manner

	mu        sync.Mutex
	letters   map[Place]*letter
	variables map[string]map[string]any // by locale
}

// builtInTheme is what tenants have that have published none. It has to be well
// formed, which a test checks.
var builtInTheme, _ = newTheme(content{}, "")

func newTheme(whole content, version string) (*theme, error) {
	described, err := parseSchema(whole.described())
	if err != nil {
		return nil, err
	}
	return &theme{
		version: version, content: whole, described: described, manner: lenient,
		letters: map[Place]*letter{}, variables: map[string]map[string]any{},
	}, nil
}

// needs returns what is needed to make a message by the theme, or else by the built-in
// one.
func (t *theme) needs(r Request) Needs {
	instead, _, err := builtInTheme.at(Place{Type: r.Type})
	if err != nil { // a test checks that it is well formed
		return Needs{[]reading{{}}}
	}
	by, _, err := t.at(Place{t.content.closest(r.Locale), r.Type})
	if err != nil || t == builtInTheme {
		return instead.needs
	}
	return Needs{slices.Concat(by.needs.reads, instead.needs.reads)}
}

// render makes a message with values of which those of a sample may be missing.
func (t *theme) render(r Request, values map[string]any, left *allowance) (Rendered, error) {
	locale := t.content.closest(r.Locale)
	by, variables, err := t.at(Place{locale, r.Type})
	if err != nil {
		return Rendered{}, err
	}
	values = complete(values, blanks()[r.Type])
	values["variables"], values["locale"], values["assetVersion"] = variables, r.Locale, t.version
	made, err := by.render(values, left)
	if err == nil && strings.TrimSpace(made.Subject) == "" {
		err = errors.New("the subject is empty")
	}
	made.Version = t.version
	return made, err
}

// at returns the template at a place, and the variables there.
func (t *theme) at(place Place) (*letter, map[string]any, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	variables, ok := t.variables[place.Locale]
	if !ok {
		var err error
		if variables, err = plainObject(t.described.withDefaults(t.content.variables(place.Locale))); err != nil {
			return nil, nil, err
		}
		t.variables[place.Locale] = variables
	}
	by, ok := t.letters[place]
	if !ok {
		var err error
		if by, err = parseLetter(place.Type, t.content.template(place.Type, place.Locale), t.manner); err != nil {
			return nil, nil, err
		}
		t.letters[place] = by
	}
	return by, variables, nil
}

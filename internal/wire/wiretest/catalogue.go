package wiretest

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// choices returns what a tenant may choose: nothing at all, and every combination
// of the settings' values, the defaults first.
func choices(d wire.Dialect) []wire.Settings {
	combined := []wire.Settings{{}}
	for _, setting := range d.Settings() {
		var longer []wire.Settings
		for _, chosen := range combined {
			for _, value := range setting.Values {
				next := maps.Clone(chosen)
				next[setting.Name] = value
				longer = append(longer, next)
			}
		}
		combined = longer
	}
	return append([]wire.Settings{nil}, combined...)
}

func checkSettings(t testing.TB, d wire.Dialect) {
	seen := make(map[string]bool)
	for _, s := range d.Settings() {
		if !isOf(s.Name, lowerCase+digits+"_") || seen[s.Name] {
			t.Errorf("a setting is called %q, or two are", s.Name)
		}
		seen[s.Name] = true
		if s.Description == "" {
			t.Errorf("%s is not described", s.Name)
		}
		if len(s.Values) < 2 {
			t.Fatalf("%s has %d values", s.Name, len(s.Values))
		}
		for i, value := range s.Values {
			if !isOf(value, lowerCase+digits+"_-.") || slices.Contains(s.Values[:i], value) {
				t.Errorf("%s can be %q, or twice", s.Name, value)
			}
		}
	}
	if all := choices(d); !reflect.DeepEqual(d.Catalogue(all[0]), d.Catalogue(all[1])) {
		t.Error("who chooses nothing has another catalogue than who chooses the defaults")
	}
}

func checkCatalogue(t testing.TB, d wire.Dialect) {
	for _, chosen := range choices(d) {
		seen := make(map[string]bool)
		for _, e := range d.Catalogue(chosen) {
			if strings.ContainsFunc(e.Name, func(r rune) bool { return r <= ' ' || r > '~' }) || e.Name == "" || seen[e.Name] {
				t.Errorf("%v: a type is called %q, or two are", chosen, e.Name)
			}
			seen[e.Name] = true
			if e.Description == "" || e.Source == "" {
				t.Errorf("%v: %s has no description or no source", chosen, e.Name)
			}
			for _, r := range e.Remarks {
				if !slices.Contains([]wire.RemarkKind{wire.Corrected, wire.Added, wire.Ours}, r.Kind) || r.Text == "" {
					t.Errorf("%v: %s has the remark %+v", chosen, e.Name, r)
				}
			}
		}
		if len(seen) == 0 {
			t.Errorf("%v: the catalogue is empty", chosen)
		}
	}
}

func checkSamples(t testing.TB, d wire.Dialect) {
	for _, chosen := range choices(d) {
		for _, e := range d.Catalogue(chosen) {
			schema, err := compileData(e.Schema)
			if err != nil {
				t.Errorf("%v: %s: the schema: %v", chosen, e.Name, err)
				continue
			}
			seen := make(map[string]bool)
			for _, sample := range samples(e) {
				if seen[sample.Name] {
					t.Errorf("%v: %s has two samples called %q", chosen, e.Name, sample.Name)
				}
				seen[sample.Name] = true
				if err := validate(schema, sample.Data); err != nil {
					t.Errorf("%v: %s: the sample %q: %v", chosen, e.Name, sample.Name, err)
				}
				if compact, err := d.Compact(sample.Data); err != nil || !bytes.Equal(compact, sample.Data) {
					t.Errorf("%v: %s: the sample %q is not compact: %v", chosen, e.Name, sample.Name, err)
				}
			}
		}
	}
}

// samples are the sample of an event type, which has no name, and its variants.
func samples(e wire.EventType) []wire.Sample {
	return append([]wire.Sample{{Data: e.Sample}}, e.Variants...)
}

// values are what a field might hold: hard to write in JSON, or of a usual form.
var values = []string{
	`"quoted" \ / <p>&amp; 'x'`, "ü 😀", "word", "1234567890", "5c0a1d7e-3a64-4d0b-9a51-0f3c8e2b7d11", "2026-02-03T04:05:06Z", "person@example.com", "https://example.com/",
}

// fields returns what a publisher might say in the fields: for each of values, it
// where a field accepts it, and what the field of the test event has where not.
func fields(d wire.Dialect) []map[string]string {
	test := d.TestEvent(wire.Endpoint{}).Fields
	list := []map[string]string{test}
	for _, value := range values {
		said := maps.Clone(test)
		for _, f := range d.Fields() {
			if f.Check(value) == nil {
				said[f.Name] = value
			}
		}
		if len(said) > 0 {
			list = append(list, said)
		}
	}
	return list
}

func checkFields(t testing.TB, d wire.Dialect) {
	test := d.TestEvent(wire.Endpoint{}).Fields
	seen := make(map[string]bool)
	for _, f := range d.Fields() {
		if !isOf(f.Name, lowerCase+digits+"_") || seen[f.Name] || f.Description == "" || f.Check == nil {
			t.Fatalf("the field %q is there twice, or has no name, description or check", f.Name)
		}
		seen[f.Name] = true
		accepted := append([]string{test[f.Name]}, values...)
		if !slices.ContainsFunc(accepted, func(value string) bool { return value != "" && f.Check(value) == nil }) {
			t.Errorf("%s accepts nothing", f.Name)
		}
		if f.Required && f.Check("") == nil {
			t.Errorf("%s is required and can be empty", f.Name)
		}
		for _, bad := range []string{marker + "\n", marker + "\r\nx: y", "\x00" + marker, marker + "\x7f", marker + "\xff", strings.Repeat(marker, 10_000)} {
			err := f.Check(bad)
			if err == nil {
				t.Errorf("%s accepts %.20q", f.Name, bad)
			} else if strings.Contains(err.Error(), marker) {
				t.Errorf("the error of %s repeats the value: %.80v", f.Name, err)
			}
		}
	}
}

func checkTestEvent(t testing.TB, d wire.Dialect) {
	for _, to := range []wire.Endpoint{
		{},
		{URL: "https://example.com/hooks", Name: "invoices"},
		{URL: `https://example.com/?a=<b>&c='"\`, Name: "\"\\ \u2028\u0000\t 😀 <p>"},
	} {
		e := d.TestEvent(to)
		if e.ID != (id.ID{}) || !e.OccurredAt.IsZero() || !reflect.DeepEqual(e.Tenant, wire.Tenant{}) {
			t.Errorf("to %+v: it sets what is the caller's: %+v", to, e)
		}
		wantInCatalogue(t, d, e)
		if compact, err := d.Compact(e.Data); err != nil || !bytes.Equal(compact, e.Data) {
			t.Errorf("to %+v: its data is not compact: %v: %s", to, err, e.Data)
		}
		known := make(map[string]bool)
		for _, f := range d.Fields() {
			known[f.Name] = true
			value, ok := e.Fields[f.Name]
			if f.Required && !ok {
				t.Errorf("to %+v: it lacks %s", to, f.Name)
			}
			if ok && f.Check(value) != nil {
				t.Errorf("to %+v: its %s is %q: %v", to, f.Name, value, f.Check(value))
			}
		}
		for name := range e.Fields {
			if !known[name] {
				t.Errorf("to %+v: it has the field %q", to, name)
			}
		}
	}
}

// wantInCatalogue fails the test unless the event is in the catalogue and valid,
// whatever a tenant has chosen.
func wantInCatalogue(t testing.TB, d wire.Dialect, e wire.Event) {
	t.Helper()
	for _, chosen := range choices(d) {
		catalogue := d.Catalogue(chosen)
		i := slices.IndexFunc(catalogue, func(known wire.EventType) bool { return known.Name == e.Type })
		if i < 0 {
			t.Errorf("%v: %q is not in the catalogue", chosen, e.Type)
			continue
		}
		schema, err := compile(catalogue[i].Schema)
		if err != nil {
			t.Errorf("%v: %s: the schema: %v", chosen, e.Type, err)
			continue
		}
		if err := validate(schema, e.Data); err != nil {
			t.Errorf("%v: %s: %v", chosen, e.Type, err)
		}
	}
}

// ownType is no dialect's, and well formed where publishers may have their own.
const ownType = "conformance.suite"

// names are the event types of the dialect, whatever a tenant has chosen.
func names(d wire.Dialect) map[string]bool {
	all := make(map[string]bool)
	for _, chosen := range choices(d) {
		for _, e := range d.Catalogue(chosen) {
			all[e.Name] = true
		}
	}
	return all
}

func checkResolve(t testing.TB, d wire.Dialect) {
	known := names(d)
	reserved := []string{d.TestEvent(wire.Endpoint{}).Type} // which may be Grapevine's alone to send
	for _, e := range d.Catalogue(nil) {
		if e.Operational {
			reserved = append(reserved, e.Name)
		}
	}
	_, err := d.Resolve(ownType)
	closed := err != nil
	for name := range known {
		if resolved, err := d.Resolve(name); err != nil && !slices.Contains(reserved, name) || err == nil && resolved != name {
			t.Errorf("%s is %q: %v", name, resolved, err)
		}
		for _, other := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, ".", "_"), strings.ReplaceAll(name, "_", "."), strings.Replace(name, ".", "_", 1)} {
			one, err := d.Resolve(other)
			if err != nil {
				continue
			}
			if again, err := d.Resolve(one); err != nil || again != one {
				t.Errorf("%q is %q, which is %q: %v", other, one, again, err)
			}
			if closed && !known[one] {
				t.Errorf("%q is %q, which is not in the catalogue", other, one)
			}
		}
	}
}

func checkBadTypes(t testing.TB, d wire.Dialect) {
	bad := []string{
		"", "*", marker + ".*", marker + " x", marker + "\n", marker + "\r\nx: y", marker + "\x00", marker + "\xff", marker + "é", marker + ",b",
		strings.Repeat(marker, 1000),
	}
	if _, err := d.Resolve(ownType); err != nil {
		bad = append(bad, marker, marker+".created")
	}
	for name := range names(d) {
		bad = append(bad, name+" ", name+"\n", name+"\x00", " "+name)
	}
	for _, b := range bad {
		resolved, err := d.Resolve(b)
		if err == nil || resolved != "" {
			t.Errorf("%.20q is %.20q: %v", b, resolved, err)
			continue
		}
		if strings.Contains(err.Error(), marker) {
			t.Errorf("the error repeats the type: %.80v", err)
		}
	}
}

package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// decode reads a body, which readBody has found to be valid JSON, into a value
// of the type that schema was made from. It is as strict as the document says:
// the error names every field that is unknown, is there twice, is missing, is
// null or has a value of the wrong kind.
func decode(registry huma.Registry, schema *huma.Schema, body []byte, into any) error {
	d := &decoder{json: json.NewDecoder(bytes.NewReader(body)), registry: registry}
	d.json.UseNumber()
	if err := d.value(schema, ""); err != nil {
		return fmt.Errorf("api: read a valid body: %w", err)
	}
	if err := d.fields.err(); err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("api: decode a checked body: %w", err)
	}
	return nil
}

// fieldErrors collects mistakes in a body, as many as somebody might read.
type fieldErrors struct {
	checks problem.Checks
	n      int
}

const maxFieldErrors = 20

func (f *fieldErrors) add(path, format string, args ...any) {
	if f.n++; f.n > maxFieldErrors {
		return
	}
	if path == "" {
		path = "body"
	}
	f.checks.Add(path, format, args...)
}

func (f *fieldErrors) err() error { return f.checks.Err() }

// unknown notes a field that is not one, by its name if that can be shown.
func (f *fieldErrors) unknown(path, name string) {
	if isPlain(name) {
		f.add(join(path, name), "is not a field that is known here")
		return
	}
	f.add(path, "has a field that is not known here")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// decoder compares a document with a schema, in one pass. Its methods return an
// error only if the document is not JSON.
type decoder struct {
	json     *json.Decoder
	registry huma.Registry
	fields   fieldErrors
}

// value checks the next value, which stands at path.
func (d *decoder) value(s *huma.Schema, path string) error {
	s, mayBeNull := resolve(d.registry, s)
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	if token == nil {
		if !mayBeNull {
			d.fields.add(path, "must not be null")
		}
		return nil
	}
	if s.Type == "" { // any JSON
		return d.skip(token)
	}
	switch t := token.(type) {
	case json.Delim:
		return d.composite(s, path, t)
	case string:
		d.text(s, path, t)
	case json.Number:
		d.number(s, path, t)
	case bool:
		d.is(s, path, huma.TypeBoolean)
	}
	return nil
}

// is reports whether a value of the kind may stand at path, and notes it if not.
func (d *decoder) is(s *huma.Schema, path, kind string) bool {
	if s.Type == kind {
		return true
	}
	names := map[string]string{
		huma.TypeObject: "an object", huma.TypeArray: "a list", huma.TypeString: "a string",
		huma.TypeNumber: "a number", huma.TypeInteger: "a whole number", huma.TypeBoolean: "true or false",
	}
	d.fields.add(path, "must be %s", names[s.Type])
	return false
}

func (d *decoder) composite(s *huma.Schema, path string, opening json.Delim) error {
	if opening == '{' && d.is(s, path, huma.TypeObject) {
		return d.object(s, path)
	}
	if opening == '[' && d.is(s, path, huma.TypeArray) {
		return d.array(s, path)
	}
	return d.skip(opening) // what it should not be
}

// skip passes over what is left of a value that begins with the token.
func (d *decoder) skip(token json.Token) error {
	depth := 0
	for {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		var err error
		if token, err = d.json.Token(); err != nil {
			return err
		}
	}
}

func (d *decoder) object(s *huma.Schema, path string) error {
	seen := make(map[string]bool)
	for d.json.More() {
		token, err := d.json.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		property, known := s.Properties[name]
		at := join(path, name)
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok && !known {
			property, known = values, true
			if !isPlain(name) {
				at = path
			}
		}
		if !known {
			d.fields.unknown(path, name)
			var skipped json.RawMessage
			if err := d.json.Decode(&skipped); err != nil {
				return err
			}
			continue
		}
		if seen[name] {
			d.fields.add(at, "is there twice")
		}
		seen[name] = true
		if err := d.value(property, at); err != nil {
			return err
		}
	}
	for _, name := range s.Required {
		if !seen[name] {
			d.fields.add(join(path, name), "is required")
		}
	}
	_, err := d.json.Token()
	return err
}

func (d *decoder) array(s *huma.Schema, path string) error {
	for i := 0; d.json.More(); i++ {
		if err := d.value(s.Items, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	_, err := d.json.Token()
	return err
}

func (d *decoder) text(s *huma.Schema, path, text string) {
	if !d.is(s, path, huma.TypeString) {
		return
	}
	switch {
	case s.MinLength != nil && *s.MinLength > 0 && text == "":
		d.fields.add(path, "must not be empty")
	case s.MaxLength != nil && utf8.RuneCountInString(text) > *s.MaxLength:
		d.fields.add(path, "has more than %d characters", *s.MaxLength)
	case s.Format == "date-time" && new(time.Time).UnmarshalText([]byte(text)) != nil:
		d.fields.add(path, timeMessage)
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, any(text)):
		d.fields.add(path, "must be %s", alternatives(s.Enum))
	}
}

const timeMessage = "must be a time as in RFC 3339, such as 2026-01-31T15:04:05Z"

func (d *decoder) number(s *huma.Schema, path string, number json.Number) {
	if s.Type == huma.TypeInteger {
		if _, err := strconv.ParseInt(number.String(), 10, 64); err != nil {
			d.fields.add(path, "must be a whole number")
			return
		}
	} else if !d.is(s, path, huma.TypeNumber) {
		return
	}
	n, err := number.Float64()
	low, high := s.Minimum, s.Maximum
	switch {
	case err != nil:
		d.fields.add(path, "is too large")
	case low != nil && high != nil && (n < *low || n > *high):
		d.fields.add(path, "must be between %s and %s", decimal(*low), decimal(*high))
	case low != nil && n < *low:
		d.fields.add(path, "must be at least %s", decimal(*low))
	}
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// alternatives lists the values of an enumeration for a person.
func alternatives(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprintf("%q", v)
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

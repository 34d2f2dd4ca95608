package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The bounds of a description of variables.
const (
	maxSchema      = 64 << 10
	maxSchemaDepth = 6
)

// schema describes a variable in words of JSON Schema, of which there are these.
// An object has the properties that are described and no others.
type schema struct {
	Type        string             `json:"type"`
	Title       string             `json:"title"`
	Description string             `json:"description"`
	Format      string             `json:"format"` // a hint for who edits it, such as color
	Default     any                `json:"default"`
	Enum        []any              `json:"enum"`
	Minimum     *float64           `json:"minimum"`
	Maximum     *float64           `json:"maximum"`
	MinLength   *int               `json:"minLength"`
	MaxLength   *int               `json:"maxLength"`
	Required    []string           `json:"required"`
	Properties  map[string]*schema `json:"properties"`
	Items       *schema            `json:"items"`
}

// parseSchema reads a description of the variables of a theme.
func parseSchema(document json.RawMessage) (*schema, error) {
	if len(document) > maxSchema {
		return nil, problem.InvalidField("schema", "may have at most %d bytes", maxSchema)
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	d.UseNumber()
	root := &schema{}
	if err := d.Decode(root); err != nil || !isObject(document) {
		return nil, problem.InvalidField("schema", "must be one JSON object of the words type, title, description, format, default, enum, "+
			"minimum, maximum, minLength, maxLength, required, properties and items")
	}
	if root.Type != "object" {
		return nil, problem.InvalidField("schema.type", "must be object: the variables are its properties")
	}
	var checks problem.Checks
	root.check(&checks, "schema", 0)
	return root, checks.Err()
}

// check notes what is wrong with a description. path is where it stands.
func (s *schema) check(checks *problem.Checks, path string, depth int) {
	if depth > maxSchemaDepth {
		checks.Add(path, "is nested more than %d deep", maxSchemaDepth)
		return
	}
	if !slices.Contains([]string{"object", "array", "string", "number", "integer", "boolean"}, s.Type) {
		checks.Add(path+".type", "must be one of object, array, string, number, integer and boolean")
		return
	}
	if s.Default != nil {
		for _, wrong := range s.validate("default", s.Default) {
			checks.Add(path, "%s", wrong)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if s.Properties[name] == nil {
			checks.Add(path+".properties", "must be an object of descriptions")
			continue
		}
		s.Properties[name].check(checks, path+".properties."+name, depth+1)
	}
	if s.Items != nil {
		s.Items.check(checks, path+".items", depth+1)
	}
}

// validate returns a sentence for each thing about a value that the description
// does not allow. path is where the value stands.
func (s *schema) validate(path string, value any) []string {
	if len(s.Enum) > 0 && !slices.ContainsFunc(s.Enum, func(one any) bool { return sameJSON(one, value) }) {
		return []string{path + " must be one of the values that its description lists"}
	}
	switch value := value.(type) {
	case map[string]any:
		if s.Type == "object" {
			return s.validateObject(path, value)
		}
	case []any:
		if s.Type == "array" {
			return s.validateList(path, value)
		}
	case string:
		if s.Type == "string" {
			return s.validateText(path, value)
		}
	case json.Number:
		if s.Type == "number" || s.Type == "integer" {
			return s.validateNumber(path, value)
		}
	case bool:
		if s.Type == "boolean" {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s must be of type %s", path, s.Type)}
}

func (s *schema) validateObject(path string, object map[string]any) []string {
	var wrong []string
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			wrong = append(wrong, path+"."+name+" is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		described, ok := s.Properties[name]
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s has a field that is not described: only those of the schema are", path))
			continue
		}
		wrong = append(wrong, described.validate(path+"."+name, object[name])...)
	}
	return wrong
}

func (s *schema) validateList(path string, list []any) []string {
	var wrong []string
	for i, item := range list {
		if s.Items != nil {
			wrong = append(wrong, s.Items.validate(fmt.Sprintf("%s[%d]", path, i), item)...)
		}
	}
	return wrong
}

func (s *schema) validateText(path, text string) []string {
	length := utf8.RuneCountInString(text)
	switch {
	case s.MinLength != nil && length < *s.MinLength:
		return []string{fmt.Sprintf("%s must have at least %d characters", path, *s.MinLength)}
	case s.MaxLength != nil && length > *s.MaxLength:
		return []string{fmt.Sprintf("%s may have at most %d characters", path, *s.MaxLength)}
	}
	return nil
}

func (s *schema) validateNumber(path string, written json.Number) []string {
	value, err := written.Float64()
	if err != nil {
		return []string{path + " is too large"}
	}
	_, notWhole := written.Int64()
	switch {
	case s.Type == "integer" && notWhole != nil:
		return []string{path + " must be a whole number"}
	case s.Minimum != nil && value < *s.Minimum:
		return []string{fmt.Sprintf("%s must be at least %v", path, *s.Minimum)}
	case s.Maximum != nil && value > *s.Maximum:
		return []string{fmt.Sprintf("%s may be at most %v", path, *s.Maximum)}
	}
	return nil
}

// sameJSON reports whether two values are written alike.
func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// withDefaults adds to an object what it lacks and the description has a value
// for. What has none is there as nil, so that templates may name it.
func (s *schema) withDefaults(object map[string]any) map[string]any {
	made := make(map[string]any, len(object)+len(s.Properties))
	for name, described := range s.Properties {
		made[name] = described.Default
		if described.Type == "object" {
			fields, _ := described.Default.(map[string]any)
			made[name] = described.withDefaults(fields)
		}
	}
	for name, value := range object {
		described := s.Properties[name]
		fields, isObject := value.(map[string]any)
		if described != nil && described.Type == "object" && isObject {
			value = described.withDefaults(fields)
		}
		made[name] = value
	}
	return made
}

// refuse collects sentences about a field of the input.
func refuse(wrong []string) error {
	var checks problem.Checks
	for _, sentence := range wrong {
		checks.Add("variables", "%s", sentence)
	}
	return checks.Err()
}

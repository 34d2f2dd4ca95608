package wiretest

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
)

// validate returns what is wrong with a value by a JSON Schema, both as
// encoding/json reads them. It knows type, properties, required,
// additionalProperties, items, enum, const and the words that only describe; any
// other keyword is a mistake, so that no schema is taken for checked that is not.
func validate(path string, schema, value any) []string {
	if all, ok := schema.(bool); ok {
		if all {
			return nil
		}
		return []string{path + " is not allowed"}
	}
	s, ok := schema.(map[string]any)
	if !ok {
		return []string{path + " has a schema that is none"}
	}
	var mistakes []string
	wrong := func(format string, args ...any) { mistakes = append(mistakes, path+" "+fmt.Sprintf(format, args...)) }
	for _, keyword := range slices.Sorted(maps.Keys(s)) {
		switch of := s[keyword]; keyword {
		case "type":
			if !isType(of, value) {
				wrong("is not of type %v", of)
			}
		case "enum":
			if options, ok := of.([]any); !ok || !slices.ContainsFunc(options, func(o any) bool { return reflect.DeepEqual(o, value) }) {
				wrong("is none of %v", of)
			}
		case "const":
			if !reflect.DeepEqual(of, value) {
				wrong("is not %v", of)
			}
		case "items":
			if list, ok := value.([]any); ok {
				for i, item := range list {
					mistakes = append(mistakes, validate(fmt.Sprintf("%s[%d]", path, i), of, item)...)
				}
			}
		case "required":
			mistakes = append(mistakes, missing(path, of, value)...)
		case "properties", "additionalProperties":
		case "$schema", "$id", "title", "description", "examples", "default", "format", "deprecated":
		default:
			wrong("uses %q, which this suite does not know", keyword)
		}
	}
	return append(mistakes, properties(path, s, value)...)
}

func isType(want, value any) bool {
	if options, ok := want.([]any); ok {
		return slices.ContainsFunc(options, func(o any) bool { return isType(o, value) })
	}
	switch v := value.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case float64:
		return want == "number" || want == "integer" && v == math.Trunc(v)
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	default:
		return false
	}
}

func missing(path string, required, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	names, ok := required.([]any)
	if !ok {
		return []string{path + " requires what is no list"}
	}
	var mistakes []string
	for _, name := range names {
		if _, there := object[fmt.Sprint(name)]; !there {
			mistakes = append(mistakes, fmt.Sprintf("%s lacks %v", path, name))
		}
	}
	return mistakes
}

func properties(path string, schema map[string]any, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	known, _ := schema["properties"].(map[string]any)
	others, restricted := schema["additionalProperties"]
	var mistakes []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		of, ok := known[name]
		if !ok && restricted {
			of, ok = others, true
		}
		if ok {
			mistakes = append(mistakes, validate(path+"."+name, of, object[name])...)
		}
	}
	return mistakes
}

package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// ReadSettings reads settings into a pointer to a struct whose fields all have names
// in JSON; null, or nothing, leaves it as it is. What can't be read is
// problem.Invalid, with the path of the first mistake below "settings". A value is
// never repeated.
func ReadSettings(raw json.RawMessage, into any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return problem.InvalidField("settings."+wrong.Field, "must hold another type of value")
	}
	if err := unknownField("settings", raw, reflect.TypeOf(into).Elem()); err != nil {
		return err
	}
	return problem.InvalidField("settings", "must be a JSON object")
}

// plainName is what a field is called that somebody has misspelt or made up. Other
// names are not repeated: what stands in the wrong place may be a secret.
var plainName = regexp.MustCompile(`^[a-z]+(_[a-z]+|[A-Z][a-z]+)*$`)

// maxPlainName is how long such a name is, in characters.
const maxPlainName = 40

// unknownField returns an error that names the first field of an object, in the order
// of the alphabet, that a struct does not have; nil: there is none.
func unknownField(path string, raw json.RawMessage, of reflect.Type) error {
	var given map[string]json.RawMessage
	_ = json.Unmarshal(raw, &given) // what is no object has no fields
	known := make(map[string]reflect.Type)
	var names []string // as the struct has them
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() {
			names, known[strings.ToLower(name)] = append(names, name), field.Type
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		inner, ok := known[strings.ToLower(name)] // as encoding/json finds them
		switch {
		case !ok && len(name) <= maxPlainName && plainName.MatchString(name):
			return problem.InvalidField(path+"."+name, "is not one of the fields: there are %s", strings.Join(names, ", "))
		case !ok:
			return problem.InvalidField(path, "has a field that is not one of %s", strings.Join(names, ", "))
		case inner.Kind() == reflect.Struct:
			if err := unknownField(path+"."+name, given[name], inner); err != nil {
				return err
			}
		}
	}
	return nil
}

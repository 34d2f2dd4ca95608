package message

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// plain returns a value as templates may have it: of the types of JSON, with no
// methods that a template could call. A whole number is an int64.
func plain(value any) (any, error) {
	switch value := value.(type) {
	case nil, string, bool, int64, float64:
		return value, nil
	case int:
		return int64(value), nil
	case json.Number:
		return number(value), nil
	case Values:
		return plainObject(value)
	case map[string]any:
		return plainObject(value)
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			var err error
			if list[i], err = plain(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoded, err := decode(encoded)
	if err != nil {
		return nil, err
	}
	return plain(decoded)
}

func plainObject(object map[string]any) (map[string]any, error) {
	made := make(map[string]any, len(object))
	for name, value := range object {
		var err error
		if made[name], err = plain(value); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func number(n json.Number) any {
	if whole, err := n.Int64(); err == nil {
		return whole
	}
	broken, err := strconv.ParseFloat(n.String(), 64)
	if err != nil {
		return n.String()
	}
	return broken
}

// decode reads a JSON document; numbers stay as they are written.
func decode(document []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var value any
	err := d.Decode(&value)
	return value, err
}

// decodeObject reads a JSON object; empty or null: one without fields.
func decodeObject(document []byte) (map[string]any, error) {
	object := map[string]any{}
	if len(document) == 0 {
		return object, nil
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil {
		object = map[string]any{}
	}
	return object, nil
}

// isObject reports whether a document is one JSON object and nothing else.
func isObject(document []byte) bool {
	return json.Valid(document) && bytes.HasPrefix(bytes.TrimSpace(document), []byte("{"))
}

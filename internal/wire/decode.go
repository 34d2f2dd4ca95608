package wire

import (
	"encoding/json"
	"errors"
	"fmt"
)

var errNoBody = errors.New("wire: this is no body of the dialect")

// DecodeMembers takes a body apart that is an object with the data in one member
// and fields, which are strings, in others.
func DecodeMembers(body []byte, data string, fields ...string) ([]byte, map[string]string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, nil, fmt.Errorf("wire: read a body: %w", err)
	}
	if members[data] == nil {
		return nil, nil, errNoBody
	}
	var values map[string]string
	for _, name := range fields {
		var value string
		if err := json.Unmarshal(members[name], &value); err != nil {
			return nil, nil, errNoBody
		}
		if values == nil {
			values = make(map[string]string, len(fields))
		}
		values[name] = value
	}
	return members[data], values, nil
}

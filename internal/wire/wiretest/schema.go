package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// strictText is the metaschema of JSON Schema 2020-12 without room for keywords
// that it does not know, which JSON Schema itself passes over: a schema with a
// misspelt one would check less than it seems to.
const strictText = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"$id": "https://grapevine.invalid/strict",
	"$dynamicAnchor": "meta",
	"$ref": "https://json-schema.org/draft/2020-12/schema",
	"unevaluatedProperties": false
}`

var strict = sync.OnceValues(func() (*jsonschema.Schema, error) { return compile([]byte(strictText)) })

// mustStandAlone refuses every schema that stands elsewhere.
type mustStandAlone struct{}

func (mustStandAlone) Load(string) (any, error) {
	return nil, errors.New("a schema refers to nothing outside of itself")
}

// compile reads a JSON Schema, of the draft 2020-12 unless it says otherwise, and
// holds it against the metaschema of its draft. Formats are checked.
func compile(text []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(mustStandAlone{})
	c.AssertFormat()
	const name = "https://grapevine.invalid/schema"
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}

// compileData reads a schema of events' data: draft 2020-12 and no other, known
// keywords only, and objects only.
func compileData(text []byte) (*jsonschema.Schema, error) {
	schema, err := compile(text)
	if err != nil {
		return nil, err
	}
	if schema.DraftVersion != 2020 {
		return nil, fmt.Errorf("it is of draft %d", schema.DraftVersion)
	}
	meta, err := strict()
	if err != nil {
		return nil, err
	}
	if err := validate(meta, text); err != nil {
		return nil, err
	}
	for _, other := range []string{`null`, `[]`, `"text"`, `1`} {
		if validate(schema, []byte(other)) == nil {
			return nil, fmt.Errorf("it accepts %s, which is no object", other)
		}
	}
	return schema, nil
}

// validate returns what is wrong with a value by a schema, and where.
func validate(schema *jsonschema.Schema, value []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

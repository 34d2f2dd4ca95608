package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// schemas checks events' data against the schemas of the catalogues, each of
// which is compiled once. The zero value is ready.
type schemas struct {
	compiled sync.Map // of *compiledSchema, by the address of the catalogue's bytes
	checking checking
}

type compiledSchema struct {
	once   sync.Once
	schema *jsonschema.Schema
	err    error
}

// mistake is one thing that is wrong with an event's data.
type mistake struct {
	path    string // such as .cart[0].price; empty: the data itself
	message string // does not repeat what was given
}

// maxMistakes is how many are told of at once.
const maxMistakes = 10

// check returns what is wrong with the data, in its own order. In the standard dialect
// every type that can be published is the publisher's own, also one under which
// Grapevine itself tells of a program: the catalogue's schemas are not about it.
func (s *schemas) check(ctx context.Context, dialect wire.Dialect, e wire.Event) ([]mistake, error) {
	if dialect == dialects.All[0] {
		return nil, nil
	}
	catalogue := dialect.Catalogue(e.Tenant.Settings)
	i := slices.IndexFunc(catalogue, func(t wire.EventType) bool { return t.Name == e.Type })
	if i < 0 {
		return nil, nil
	}
	schema, err := s.compile(catalogue[i].Schema)
	if err != nil { // the conformance suite compiles every schema
		return []mistake{{message: "can't be checked: the schema of " + e.Type + " is damaged"}}, nil
	}
	end, err := s.checking.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		return []mistake{{message: "is not valid JSON"}}, nil
	}
	if mistakes, _ := checkNumbers(value); len(mistakes) > 0 {
		return mistakes, nil
	}
	return validate(schema, value), nil
}

// validate returns what is wrong with a value. What the library can't deal with is a
// mistake of the value, too: a publisher is to hear of it.
func validate(schema *jsonschema.Schema, value any) (mistakes []mistake) { //nolint:nonamedreturns // a recover can say it only so
	defer func() {
		if recover() != nil {
			mistakes = []mistake{{message: "can't be checked against the schema of its type"}}
		}
	}()
	invalid, ok := errors.AsType[*jsonschema.ValidationError](schema.Validate(value))
	if !ok {
		return nil
	}
	mistakes = mistakesOf(invalid, nil)
	return mistakes[:min(len(mistakes), maxMistakes)]
}

func (s *schemas) compile(source []byte) (*jsonschema.Schema, error) {
	found, _ := s.compiled.LoadOrStore(&source[0], &compiledSchema{})
	c := found.(*compiledSchema) //nolint:forcetypeassert // nothing else is stored
	c.once.Do(func() {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
		if err != nil {
			c.err = err
			return
		}
		const name = "schema.json"
		compiler := jsonschema.NewCompiler()
		if c.err = compiler.AddResource(name, document); c.err == nil {
			c.schema, c.err = compiler.Compile(name)
		}
	})
	return c.schema, c.err
}

// noForm is said of what fits none of several schemas.
const noForm = "has none of the forms that its schema allows"

// mistakesOf appends the mistakes that lie at the bottom of an error, unless there
// are enough.
func mistakesOf(e *jsonschema.ValidationError, found []mistake) []mistake {
	if len(found) >= maxMistakes {
		return found
	}
	path := pathOf(e.InstanceLocation)
	add := func(path, format string, args ...any) {
		found = append(found, mistake{path, fmt.Sprintf(format, args...)})
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			add(path+step(name), "is required")
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(path+step(name), "does not belong there")
		}
	case *kind.Type:
		add(path, "must be %s", strings.Join(k.Want, " or "))
	case *kind.Enum:
		add(path, "must be one of %s", listed(k.Want))
	case *kind.Const:
		add(path, "must be %s", listed([]any{k.Want}))
	case *kind.Pattern:
		add(path, "must match %s", k.Want)
	case *kind.Format:
		add(path, "is not valid as %s, or takes too much to check", k.Want)
	case *kind.AnyOf:
		add(path, noForm)
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			add(path, "has more than one of the forms of which its schema allows one")
			break
		}
		add(path, noForm)
	default:
		if len(e.Causes) == 0 {
			add(path, "does not fit the schema: %s", strings.Join(append(e.ErrorKind.KeywordPath(), boundOf(e.ErrorKind)...), " "))
		}
		for _, cause := range e.Causes {
			found = mistakesOf(cause, found)
		}
	}
	return found
}

// boundOf returns the number that a keyword compares with; nothing where it has
// none that is worth reading.
func boundOf(k jsonschema.ErrorKind) []string {
	var bound *big.Rat
	switch k := k.(type) {
	case *kind.Minimum:
		bound = k.Want
	case *kind.Maximum:
		bound = k.Want
	case *kind.ExclusiveMinimum:
		bound = k.Want
	case *kind.ExclusiveMaximum:
		bound = k.Want
	case *kind.MultipleOf:
		bound = k.Want
	case *kind.MinLength:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MaxLength:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MinItems:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MaxItems:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MinProperties:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MaxProperties:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MinContains:
		return []string{strconv.Itoa(k.Want)}
	case *kind.MaxContains:
		return []string{strconv.Itoa(k.Want)}
	}
	const readable = 64 // bits
	if bound == nil || bound.Num().BitLen() > readable || bound.Denom().BitLen() > readable {
		return nil
	}
	if bound.IsInt() {
		return []string{bound.Num().String()}
	}
	near, _ := bound.Float64()
	return []string{strconv.FormatFloat(near, 'f', -1, 64)}
}

// pathOf writes where a value stands.
func pathOf(location []string) string {
	var b strings.Builder
	for _, token := range location {
		if _, err := strconv.Atoi(token); err == nil {
			b.WriteString("[" + token + "]")
			continue
		}
		b.WriteString(step(token))
	}
	return b.String()
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// step is a member in a path. A name that is no plain word was made up by the
// publisher, and is not repeated.
func step(name string) string {
	if plainName.MatchString(name) {
		return "." + name
	}
	return ".…"
}

// listed writes values of a schema.
func listed(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			text = fmt.Append(nil, v)
		}
		words[i] = string(text)
	}
	return strings.Join(words, ", ")
}

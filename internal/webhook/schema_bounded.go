package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// boundedSchema is a schema that a tenant wrote. A few lines can make the library
// work for hours: where two branches refer to the same schema, and so on, the work
// doubles with each step. So each visit of a subschema costs effort, and a check
// that has spent all that it may is broken off.
//
// The library knows no such bound. What it asks in each visit before it goes
// further is a format; so each subschema gets one that counts, in the place of the
// tenant's own, which would only be an annotation.
type boundedSchema struct {
	mu      sync.Mutex // one check at a time, since the formats count for one
	schema  *jsonschema.Schema
	effort  int // what the check under way may still cost
	longest int // what the number of its data costs that costs most
}

// Bounds of a schema that a tenant wrote.
const (
	maxSchemaBytes = 64 << 10
	maxEffort      = 5_000_000 // of a check: about a second
	visitEffort    = 20        // of a visit, besides what there is to look at
	uniqueEffort   = 10        // for each part of items that have to be unique
	maxPattern     = 1 << 10   // bytes of a regular expression
	maxPatternSize = 2_000     // of a regular expression, once its repetitions are written out
	draft2020      = "https://json-schema.org/draft/2020-12/schema"
)

var errEffort = errors.New("takes too long to check")

// check returns what is wrong with the data, in a turn of the tenant's. The error is
// that of the turn.
func (b *boundedSchema) check(ctx context.Context, turn turnFunc, data []byte) ([]mistake, error) {
	end, err := turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return []mistake{{message: "is not valid JSON"}}, nil
	}
	mistakes, longest := checkNumbers(value)
	if len(mistakes) > 0 {
		return mistakes, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.effort, b.longest = maxEffort, longest
	mistakes = validate(b.schema, value)
	if b.effort < 0 {
		return []mistake{{message: "takes too long to check against the schema of its type: simplify the schema"}}, nil
	}
	return mistakes, nil
}

// compileBounded reads a schema of the draft 2020-12 that refers to nothing outside
// of itself. The error names "schema" and where in it the mistake is.
func compileBounded(source []byte) (*boundedSchema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
	root, isObject := document.(map[string]any)
	if err != nil || !isObject {
		return nil, problem.InvalidField("schema", "must be a JSON Schema: an object")
	}
	if draft, given := root["$schema"]; given && draft != draft2020 {
		return nil, problem.InvalidField("schema.$schema", "must be %s, if it is given", draft2020)
	}
	if mistakes, _ := checkNumbers(root); len(mistakes) > 0 {
		return nil, problem.InvalidField("schema"+mistakes[0].path, "%s", mistakes[0].message)
	}
	delete(root, "$schema")
	delete(root, "$id") // nothing may refer to it
	compiled := &boundedSchema{}
	w := &schemaWalk{compiler: jsonschema.NewCompiler(), counting: compiled, at: make(map[string]bool), formats: make(map[visitWeight]string)}
	w.schema(root, nil)
	if w.err != nil {
		return nil, w.err
	}
	for _, ref := range w.refs {
		if strings.HasPrefix(ref.to, "#/") && !w.at[ref.to[1:]] {
			return nil, problem.InvalidField(schemaPath(ref.from), "refers to a place that has no schema")
		}
	}
	w.compiler.DefaultDraft(jsonschema.Draft2020)
	w.compiler.AssertFormat()
	w.compiler.UseLoader(noLoader{})
	w.compiler.UseRegexpEngine(boundedRegexp)
	const name = "urn:schema"
	if err = w.compiler.AddResource(name, root); err == nil {
		compiled.schema, err = w.compiler.Compile(name)
	}
	return compiled, schemaProblem(err)
}

// schemaProblem names what the library does not accept in a schema.
func schemaProblem(err error) error {
	if err == nil {
		return nil
	}
	if damaged, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		err = damaged.Err
	}
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		if mistakes := mistakesOf(invalid, nil); len(mistakes) > 0 {
			if mistakes[0].message == noForm { // of the schema of schemas, which nobody has at hand
				mistakes[0].message = "is not what JSON Schema allows there"
			}
			return problem.InvalidField("schema"+mistakes[0].path, "%s", mistakes[0].message)
		}
	}
	if _, ok := errors.AsType[*jsonschema.InvalidRegexError](err); ok {
		return problem.InvalidField("schema", "has a pattern that is not valid, longer than %d bytes, or repeats too much", maxPattern)
	}
	return problem.InvalidField("schema", "can't be compiled: check its references")
}

// schemaPath writes where a keyword or a subschema stands.
func schemaPath(place []string) string {
	var path strings.Builder
	path.WriteString("schema")
	for _, token := range place {
		if schemaKeywords[token] {
			path.WriteString("." + token)
			continue
		}
		path.WriteString(pathOf([]string{token}))
	}
	return path.String()
}

// schemaKeywords are those whose names are no plain words.
var schemaKeywords = map[string]bool{"$ref": true, "$dynamicRef": true, "$defs": true}

// noLoader loads nothing from anywhere.
type noLoader struct{}

// Load fails.
func (noLoader) Load(string) (any, error) { return nil, errors.New("webhook: schemas load nothing") }

// schemaWalk goes through the subschemas of a schema.
type schemaWalk struct {
	compiler *jsonschema.Compiler
	counting *boundedSchema
	at       map[string]bool // JSON pointers of the subschemas
	refs     []schemaRef
	formats  map[visitWeight]string // that the compiler knows
	err      error                  // the first one
}

type schemaRef struct {
	from []string
	to   string
}

// Where subschemas stand: below the keyword itself, in its list, or in its members.
var (
	ownSubschema = []string{
		"not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema", "additionalItems",
	}
	listedSubschemas = []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"}
	namedSubschemas  = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)

// schema notes a subschema and has its visits counted.
func (w *schemaWalk) schema(s map[string]any, place []string) {
	w.at[pointer(place)] = true
	w.keywords(s, place)
	below := 0
	visit := func(v any, step ...string) {
		below++
		at := append(slices.Clip(place), step...)
		switch sub := v.(type) {
		case map[string]any:
			w.schema(sub, at)
		case bool:
			w.at[pointer(at)] = true
		}
	}
	for _, keyword := range ownSubschema {
		if v, given := s[keyword]; given {
			visit(v, keyword)
		}
	}
	for _, keyword := range listedSubschemas {
		list, _ := s[keyword].([]any)
		for i, v := range list {
			visit(v, keyword, strconv.Itoa(i))
		}
	}
	for _, keyword := range namedSubschemas {
		members, _ := s[keyword].(map[string]any)
		for name, v := range members {
			visit(v, keyword, name)
		}
	}
	s["format"] = w.format(weigh(s, below))
	deferCostly(s)
}

// keywords checks what a schema says of others.
func (w *schemaWalk) keywords(s map[string]any, place []string) {
	for _, keyword := range []string{"$ref", "$dynamicRef"} {
		to, given := s[keyword].(string)
		if given && !strings.HasPrefix(to, "#") {
			w.fail(append(slices.Clip(place), keyword), "must stay inside the schema, and so begin with #")
		}
		if given {
			w.refs = append(w.refs, schemaRef{append(slices.Clip(place), keyword), to})
		}
	}
	for _, keyword := range []string{"$id", "$schema", "$vocabulary", "$recursiveRef"} {
		if _, given := s[keyword]; given {
			w.fail(place, "has a keyword that can't be used here: "+keyword)
		}
	}
}

func (w *schemaWalk) fail(place []string, message string) {
	if w.err == nil {
		w.err = problem.InvalidField(schemaPath(place), "%s", message)
	}
}

// format returns the name of the format that counts visits of this weight.
func (w *schemaWalk) format(weight visitWeight) string {
	name, known := w.formats[weight]
	if known {
		return name
	}
	name = fmt.Sprintf("effort-%d", len(w.formats))
	w.formats[weight] = name
	counting := w.counting
	w.compiler.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
		if counting.effort < 0 {
			return errEffort
		}
		if counting.effort -= weight.of(v, counting.longest); counting.effort < 0 {
			return errEffort
		}
		return nil
	}})
	return name
}

// deferCostly puts what the library asks before the format, and may cost something, into
// a subschema that it asks afterwards.
func deferCostly(s map[string]any) {
	all, isList := s["allOf"].([]any)
	if _, given := s["allOf"]; given && !isList {
		return // which is refused
	}
	_, isEnum := s["enum"].([]any)
	_, isConst := s["const"]
	if !isEnum && !isConst && !mayBeInteger(s["type"]) {
		return
	}
	costly := make(map[string]any)
	for _, keyword := range []string{"type", "enum", "const"} {
		if v, given := s[keyword]; given {
			costly[keyword] = v
			delete(s, keyword)
		}
	}
	s["allOf"] = append(all, costly)
}

// mayBeInteger reports whether a type is or has "integer", for which numbers are read.
func mayBeInteger(schemaType any) bool {
	list, _ := schemaType.([]any)
	return schemaType == any("integer") || slices.Contains(list, any("integer"))
}

// pointer writes a JSON pointer.
func pointer(place []string) string {
	var b strings.Builder
	for _, step := range place {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
	}
	return b.String()
}

// boundedRegexp compiles a regular expression unless it would take much memory.
func boundedRegexp(text string) (jsonschema.Regexp, error) {
	if len(text) > maxPattern {
		return nil, errors.New("webhook: a regular expression is too long")
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if patternSize(parsed) > maxPatternSize {
		return nil, errors.New("webhook: a regular expression repeats too much")
	}
	return regexp.Compile(text)
}

// patternSize is about how many instructions an expression becomes.
func patternSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		size += patternSize(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxPatternSize+1)
}

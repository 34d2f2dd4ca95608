package condition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Parse reads and checks a condition that stands in a field of that name. The
// error is a problem that names the first mistake by its path, such as
// filter.all[1].gte[0], and repeats nothing of what was given. Without words paths
// may begin with any, and what stands in a condition may be of any length: that is
// for conditions that were checked before.
func Parse(field string, raw []byte, words Vocabulary) (*Condition, error) {
	if words != nil && len(raw) > MaxBytes {
		return nil, problem.InvalidField(field, "has more than %d bytes", MaxBytes)
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, problem.InvalidField(field, "is not valid JSON in UTF-8")
	}
	p := &parser{words: words}
	root, err := p.node(raw, field, 1)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return nil, fmt.Errorf("condition: write a valid condition: %w", err)
	}
	return &Condition{text: text.String(), root: root}, nil
}

type parser struct {
	words Vocabulary
	nodes int
}

// node reads the condition at a place, inside of depth-1 others.
func (p *parser) node(raw []byte, place string, depth int) (node, error) {
	if p.nodes++; p.nodes > MaxNodes {
		return node{}, problem.InvalidField(place, "is one condition too many: there may be %d", MaxNodes)
	}
	if depth > MaxDepth {
		return node{}, problem.InvalidField(place, "is nested too deep: %d conditions may stand inside each other", MaxDepth)
	}
	name, operand, ok := onlyMember(raw)
	if !ok {
		return node{}, problem.InvalidField(place, `must be an object with one member, such as {"eq":["data.currency","USD"]}`)
	}
	op := named(name)
	if op == nil {
		return node{}, problem.InvalidField(place, "has an operator that is not one of %s", operatorNames())
	}
	place += "." + op.name
	n := node{operator: op}
	var err error
	switch op.name {
	case "not":
		n.parts = make([]node, 1)
		n.parts[0], err = p.node(operand, place, depth+1)
	case "all", "any":
		n.parts, err = p.group(operand, place, depth+1)
	default:
		err = p.comparison(&n, operand, place)
	}
	return n, err
}

// onlyMember returns name and value of the one member that an object has.
func onlyMember(raw []byte) (string, json.RawMessage, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if opening, err := dec.Token(); err != nil || opening != json.Delim('{') || !dec.More() {
		return "", nil, false
	}
	token, err := dec.Token()
	name, isName := token.(string)
	var member json.RawMessage
	if err != nil || !isName || dec.Decode(&member) != nil || dec.More() {
		return "", nil, false
	}
	return name, member, true
}

func (p *parser) group(raw []byte, place string, depth int) ([]node, error) {
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return nil, problem.InvalidField(place, "must be a list of conditions, one at least")
	}
	parts := make([]node, 0, min(len(list), MaxNodes))
	for i, item := range list {
		part, err := p.node(item, fmt.Sprintf("%s[%d]", place, i), depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// comparison reads the path and the values of a comparison.
func (p *parser) comparison(n *node, raw []byte, place string) error {
	var operands []any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	wanted := n.operator.operands
	if wanted == anyNumber {
		wanted = 1
	}
	if raw[0] != '[' || dec.Decode(&operands) != nil || len(operands) != wanted+1 {
		return problem.InvalidField(place, "must be a list of %s", n.operator.form())
	}
	root, err := p.path(n, operands[0], place+"[0]")
	if err != nil {
		return err
	}
	values, at := operands[1:], func(i int) string { return fmt.Sprintf("%s[%d]", place, i+1) }
	if n.operator.operands == anyNumber {
		list, ok := operands[1].([]any)
		if !ok || len(list) == 0 || len(list) > MaxValues {
			return problem.InvalidField(place+"[1]", "must be a list of 1 to %d values", MaxValues)
		}
		values, at = list, func(i int) string { return fmt.Sprintf("%s[1][%d]", place, i) }
	}
	for i, read := range values {
		v, err := n.operator.operand(read, at(i), root)
		if err != nil {
			return err
		}
		if p.words != nil && len(v.text) > MaxText {
			return problem.InvalidField(at(i), "has more than %d bytes", MaxText)
		}
		n.wanted = append(n.wanted, v)
	}
	return nil
}

// form says what stands in the list of a comparison.
func (o *operator) form() string {
	switch o.operands {
	case 0:
		return "a path alone"
	case 1:
		return "a path and a value"
	case anyNumber:
		return "a path and a list of values"
	default:
		return "a path and two values"
	}
}

func (p *parser) path(n *node, read any, place string) (Root, error) {
	text, ok := read.(string)
	if !ok {
		return Root{}, problem.InvalidField(place, "must be a path, such as data.amount")
	}
	if p.words != nil && len(text) > MaxText {
		return Root{}, problem.InvalidField(place, "is a path of more than %d bytes", MaxText)
	}
	var err error
	if n.path, err = readPath(text); err != nil {
		return Root{}, problem.InvalidField(place, "%s", err)
	}
	if p.words == nil {
		return Root{Name: n.path.steps[0], Document: true}, nil
	}
	i := slices.IndexFunc(p.words, func(r Root) bool { return r.Name == n.path.steps[0] })
	switch {
	case i < 0:
		return Root{}, problem.InvalidField(place, "must begin with %s", p.words.list())
	case !p.words[i].Document && len(n.path.steps) > 1:
		return Root{}, problem.InvalidField(place, "goes below %s, which is text", p.words[i].Name)
	}
	return p.words[i], nil
}

func (v Vocabulary) list() string {
	names := make([]string, len(v))
	for i, root := range v {
		names[i] = root.Name
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// operand checks one value of a comparison with what begins with the root.
func (o *operator) operand(read any, place string, root Root) (value, error) {
	v := valueOf(read, true)
	switch {
	case !slices.Contains(o.kinds, v.kind):
		return v, problem.InvalidField(place, "must be %s", kindNames(o.kinds))
	case v.kind == Number && !v.exact:
		return v, problem.InvalidField(place, "is out of range")
	case !root.Document && v.kind != Text:
		return v, problem.InvalidField(place, "must be a string, as %s is", root.Name)
	}
	if root.Check != nil && slices.Contains([]string{"eq", "ne", "in"}, o.name) {
		if err := root.Check(v.text); err != nil {
			return v, problem.InvalidField(place, "%s", err)
		}
	}
	return v, nil
}

func kindNames(kinds []Kind) string {
	switch len(kinds) {
	case len(texts):
		return "a string"
	case len(ordered):
		return "a string or a number"
	default:
		return "a string, a number, true, false or null"
	}
}

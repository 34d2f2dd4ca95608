package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// allRoots and matchRoots are what the paths of a rule, and of what undoes it, may
// begin with.
var (
	allRoots   = []string{"event", "person", "referral", "program", "partner", "transaction", "reward"}
	matchRoots = rootsOf("event", "cause")
)

func rootsOf(names ...string) condition.Vocabulary {
	words := make(condition.Vocabulary, len(names))
	for i, name := range names {
		words[i] = condition.Root{Name: name, Document: true}
	}
	return words
}

// condition reads a condition, and notes its first mistake.
func (p *parser) condition(raw json.RawMessage, place string, words condition.Vocabulary) clause {
	if len(raw) > condition.MaxBytes {
		p.checks.Add(place, "has more than %d bytes", condition.MaxBytes)
		return nil
	}
	c := &conditionParser{words: words, options: p.options, aggregates: &p.aggregates}
	root, err := c.clause(raw, place, 1)
	if err != nil {
		p.checks.AddError(place, err)
		return nil
	}
	return root
}

type conditionParser struct {
	words      condition.Vocabulary
	options    Options
	nodes      int
	aggregates *int
}

// undoing reports whether the condition says what is undone: it has to do with two
// documents, and with nothing else.
func (c *conditionParser) undoing() bool { return c.words[len(c.words)-1].Name == "cause" }

// clause reads the condition at a place, inside of depth-1 others.
func (c *conditionParser) clause(raw json.RawMessage, place string, depth int) (clause, error) {
	if c.nodes++; c.nodes > condition.MaxNodes {
		return nil, problem.InvalidField(place, "is one condition too many: there may be %d", condition.MaxNodes)
	}
	if depth > condition.MaxDepth {
		return nil, problem.InvalidField(place, "is nested too deep: %d conditions may stand inside each other", condition.MaxDepth)
	}
	m, ok := onlyMember(raw)
	if !ok {
		return nil, problem.InvalidField(place, `must be an object with one member, such as {"gte":["event.amount",5000]}`)
	}
	below := place + "." + m.name
	switch {
	case m.name == opAll || m.name == opAny:
		return c.group(m, below, depth+1)
	case m.name == opNot:
		part, err := c.clause(m.value, below, depth+1)
		return &negation{part}, err
	case m.name == opMemberOf && !c.undoing():
		return c.membership(m.value, below)
	case isComparison(m.name):
		return c.comparison(m, raw, place)
	}
	others := []string{opAll, opAny, opNot}
	if !c.undoing() {
		others = append(others, opMemberOf)
	}
	return nil, problem.InvalidField(place, "has an operator that is not one of %s",
		strings.Join(slices.Concat(others, condition.Comparisons()), ", "))
}

func (c *conditionParser) group(m member, place string, depth int) (clause, error) {
	var list []json.RawMessage
	if m.value[0] != '[' || json.Unmarshal(m.value, &list) != nil || len(list) == 0 {
		return nil, problem.InvalidField(place, "must be a list of conditions, one at least")
	}
	g := &group{operator: m.name}
	for i, item := range list {
		part, err := c.clause(item, fmt.Sprintf("%s[%d]", place, i), depth)
		if err != nil {
			return nil, err
		}
		g.parts = append(g.parts, part)
	}
	return g, nil
}

func (c *conditionParser) membership(raw json.RawMessage, place string) (clause, error) {
	if w := c.options.World; w != nil && !w.Segments {
		return nil, problem.InvalidField(place, "asks for a segment, and there are none")
	}
	segment, ok := value(raw).(string)
	if !ok || !keyPattern.matches(segment) {
		return nil, problem.InvalidField(place, "must be the key of a segment, %s", keyPattern.sentence)
	}
	return &membership{segment}, nil
}

// comparison reads a comparison by what stands at its left. A plain one is package
// condition's.
func (c *conditionParser) comparison(m member, raw json.RawMessage, place string) (clause, error) {
	var operands []json.RawMessage
	if m.value[0] == '[' && json.Unmarshal(m.value, &operands) != nil {
		return nil, problem.InvalidField(place+"."+m.name, "must be a list")
	}
	switch {
	case len(operands) > 0 && operands[0][0] == '{' && !c.undoing():
		return c.computed(m, operands, place)
	case len(operands) == 2 && c.undoing() && takesOneValue(m.name):
		if right, ok := value(operands[1]).(string); ok && c.begins(right) {
			return c.pair(m.name, operands, place+"."+m.name)
		}
	}
	plain, err := condition.Parse(place, raw, c.words)
	if err != nil {
		return nil, err
	}
	return &comparison{plain}, nil
}

// takesOneValue reports whether a comparison has one value beside its path, which
// may be a path itself.
func takesOneValue(operator string) bool {
	return operator != "in" && operator != "between" && operator != "exists"
}

// begins reports whether a text begins as a path of the condition does.
func (c *conditionParser) begins(text string) bool {
	return slices.ContainsFunc(c.words, func(r condition.Root) bool { return strings.HasPrefix(text, r.Name+".") })
}

func (c *conditionParser) pair(operator string, operands []json.RawMessage, place string) (clause, error) {
	p := &pair{operator: operator}
	for i, side := range []struct {
		text *string
		path *condition.Path
	}{{&p.left, &p.at}, {&p.right, &p.with}} {
		text, _ := value(operands[i]).(string)
		path, err := readPath(text, c.words)
		if err != nil {
			return nil, problem.InvalidField(fmt.Sprintf("%s[%d]", place, i), "%s", err)
		}
		*side.text, *side.path = text, path
	}
	return p, nil
}

// readPath reads a path with its root. The error does not repeat it.
func readPath(text string, words condition.Vocabulary) (condition.Path, error) {
	root, _, _ := strings.Cut(text, ".")
	if !slices.ContainsFunc(words, func(r condition.Root) bool { return r.Name == root }) {
		names := make([]string, len(words))
		for i, r := range words {
			names[i] = r.Name
		}
		return condition.Path{}, errors.New("must be a path that begins with one of " + strings.Join(names, ", "))
	}
	return condition.ReadPath(text)
}

// computed reads a comparison with an aggregate or an age at its left.
func (c *conditionParser) computed(m member, operands []json.RawMessage, place string) (clause, error) {
	left := fmt.Sprintf("%s.%s[0]", place, m.name)
	parts, _ := members(operands[0])
	if len(parts) == 1 && parts[0].name == "age" {
		return c.age(m.name, parts[0].value, operands[1:], place)
	}
	a, err := readAggregate(operands[0], left)
	if err != nil {
		return nil, err
	}
	if err := c.countable(a, left); err != nil {
		return nil, err
	}
	*c.aggregates++
	compared := slices.Concat([]json.RawMessage{written(aggregateRoot)}, operands[1:])
	compare, err := condition.Parse(place, comparisonOf(m.name, compared), aggregateWords)
	if err != nil {
		return nil, err
	}
	if a.Function.numeric() {
		err = onlyNumbers(m.name, operands[1:], place+"."+m.name)
	}
	return &aggregation{a, compare, comparedUpTo(operands[1:])}, err
}

// comparisonOf writes a comparison anew.
func comparisonOf(operator string, operands []json.RawMessage) []byte {
	return slices.Concat([]byte(`{"`+operator+`":[`), bytes.Join(rawBytes(operands), []byte{','}), []byte(`]}`))
}

func rawBytes(list []json.RawMessage) [][]byte {
	all := make([][]byte, len(list))
	for i, raw := range list {
		all[i] = raw
	}
	return all
}

// onlyNumbers refuses comparisons of a number with anything else, which never hold.
func onlyNumbers(operator string, operands []json.RawMessage, place string) error {
	if slices.Contains([]string{"contains", "starts", "ends"}, operator) {
		return problem.InvalidField(place, "compares text, and this aggregate is a number")
	}
	for i, raw := range operands {
		values, isList := value(raw).([]any)
		if !isList {
			values = []any{value(raw)}
		}
		for _, v := range values {
			if _, ok := v.(json.Number); !ok {
				return problem.InvalidField(fmt.Sprintf("%s[%d]", place, i+1), "must be a number, as this aggregate is")
			}
		}
	}
	return nil
}

// readAggregate reads {"count":"order_success","in":"30d"}.
func readAggregate(raw json.RawMessage, place string) (Aggregate, error) {
	names := []string{"in"}
	for _, fn := range functions {
		names = append(names, string(fn))
	}
	var checks problem.Checks
	f, ok := readObject(raw, place, &checks, names...)
	if !ok || checks.Err() != nil {
		return Aggregate{}, checks.Err()
	}
	var a Aggregate
	for _, fn := range functions {
		switch {
		case !f.has(string(fn)):
		case a.Function != "":
			return a, problem.InvalidField(place, "has more than one of %s", strings.Join(names[1:], ", "))
		default:
			a.Function = fn
		}
	}
	if a.Function == "" {
		return a, problem.InvalidField(place, "must have one of %s, or age alone", strings.Join(names[1:], ", "))
	}
	if a.In = f.window("in"); checks.Err() != nil {
		return a, checks.Err()
	}
	text, _ := value(f.raw[string(a.Function)]).(string)
	var err error
	if a.Type, a.Path, err = readSource(a.Function, text); err != nil {
		return a, problem.InvalidField(f.at(string(a.Function)), "%s", err)
	}
	return a, nil
}

// readSource takes apart what an aggregate is made of: type, and path of the value.
func readSource(fn Function, text string) (string, string, error) {
	if len(text) > condition.MaxText {
		return "", "", fmt.Errorf("has more than %d bytes", condition.MaxText)
	}
	event, path := text, ""
	if fn != Count {
		event, path = cutType(text)
		if _, err := condition.ReadPath(path); err != nil {
			return "", "", errors.New("must be a type and the path of a value in it, such as order_success.total")
		}
	}
	if !typePattern.matches(event) {
		return "", "", errors.New("must begin with a type, " + typePattern.sentence)
	}
	return event, path, nil
}

// cutType returns the first step of a path, and the rest as it is written.
func cutType(text string) (string, string) {
	var event strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '.':
			return event.String(), text[i+1:]
		case text[i] == '\\' && i+1 < len(text):
			i++
		}
		event.WriteByte(text[i])
	}
	return event.String(), ""
}

// escaped writes a type as the first step of a path.
func escaped(event string) string { return strings.ReplaceAll(event, ".", `\.`) }

// age reads a comparison with an age.
func (c *conditionParser) age(operator string, raw json.RawMessage, operands []json.RawMessage, place string) (clause, error) {
	at := func(i int) string { return fmt.Sprintf("%s.%s[%d]", place, operator, i) }
	if !slices.Contains(ageOperators, operator) {
		return nil, problem.InvalidField(place, "compares an age, which only %s do", strings.Join(ageOperators, ", "))
	}
	a := &age{operator: operator}
	a.path, _ = value(raw).(string)
	var err error
	if a.at, err = readPath(a.path, c.words); err != nil {
		return nil, problem.InvalidField(at(0)+".age", "%s", err)
	}
	wanted := 1
	if operator == "between" {
		wanted = 2
	}
	if len(operands) != wanted {
		return nil, problem.InvalidField(place+"."+operator, "must be a list of an age and %d of the lengths of time that it is compared with", wanted)
	}
	for i, operand := range operands {
		text, _ := value(operand).(string)
		d, err := ParseDuration(text)
		if err != nil {
			return nil, problem.InvalidField(at(i+1), "%s", err)
		}
		a.wanted = append(a.wanted, d)
	}
	return a, nil
}

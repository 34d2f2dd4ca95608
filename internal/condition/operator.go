package condition

import (
	"fmt"
	"slices"
	"strings"
)

// operator is a kind of condition.
type operator struct {
	name string
	// operands are how many values a comparison has beside its path, and what they
	// may be.
	operands int
	kinds    []Kind
	// compare is nil for all, any and not.
	compare func(found value, wanted []value) (holds bool, note string)
}

var (
	scalars = []Kind{Text, Number, Boolean, Null}
	ordered = []Kind{Text, Number}
	texts   = []Kind{Text}
)

// anyNumber of operands stand in a list of their own.
const anyNumber = -1

// operators are all that there are.
var operators = []operator{
	{name: "all"},
	{name: "any"},
	{name: "not"},
	{"eq", 1, scalars, equals},
	{"ne", 1, scalars, func(found value, wanted []value) (bool, string) {
		same, note := equals(found, wanted)
		return !same, note
	}},
	{"gt", 1, ordered, inOrder(func(order int) bool { return order > 0 })},
	{"gte", 1, ordered, inOrder(func(order int) bool { return order >= 0 })},
	{"lt", 1, ordered, inOrder(func(order int) bool { return order < 0 })},
	{"lte", 1, ordered, inOrder(func(order int) bool { return order <= 0 })},
	{"between", 2, ordered, between},
	{"in", anyNumber, scalars, equals},
	{"contains", 1, scalars, contains},
	{"starts", 1, texts, ofTexts(strings.HasPrefix)},
	{"ends", 1, texts, ofTexts(strings.HasSuffix)},
	{"exists", 0, nil, func(found value, _ []value) (bool, string) { return found.kind != Missing, "" }},
}

// named returns the operator of that name, or nil.
func named(name string) *operator {
	i := slices.IndexFunc(operators, func(o operator) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return &operators[i]
}

// operatorNames lists them for a sentence.
func operatorNames() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = o.name
	}
	return strings.Join(names, ", ")
}

// equals holds where the value is one of those that are wanted.
func equals(found value, wanted []value) (bool, string) {
	if slices.ContainsFunc(wanted, found.equal) {
		return true, ""
	}
	return false, unlike(found, wanted)
}

func inOrder(accepts func(order int) bool) func(value, []value) (bool, string) {
	return func(found value, wanted []value) (bool, string) {
		order, ok := found.order(wanted[0])
		if !ok {
			return false, unlike(found, wanted)
		}
		return accepts(order), ""
	}
}

func between(found value, wanted []value) (bool, string) {
	low, okLow := found.order(wanted[0])
	high, okHigh := found.order(wanted[1])
	if !okLow || !okHigh {
		return false, unlike(found, wanted)
	}
	return low >= 0 && high <= 0, ""
}

func contains(found value, wanted []value) (bool, string) {
	switch {
	case found.kind == List:
		return slices.ContainsFunc(found.items, func(item any) bool {
			return valueOf(item, true).equal(wanted[0])
		}), ""
	case found.kind == Text && wanted[0].kind == Text:
		return strings.Contains(found.text, wanted[0].text), ""
	case found.kind == Text || found.kind == Missing:
		return false, unlike(found, wanted)
	}
	return false, fmt.Sprintf("only a string or a list can contain something, and this is %s", found.kind.article())
}

func ofTexts(accepts func(text, part string) bool) func(value, []value) (bool, string) {
	return func(found value, wanted []value) (bool, string) {
		if found.kind != Text {
			return false, unlike(found, wanted)
		}
		return accepts(found.text, wanted[0].text), ""
	}
}

// unlike says why a value can't be any of those that are wanted; empty: it could.
func unlike(found value, wanted []value) string {
	switch {
	case found.kind == Missing:
		return "there is nothing at this path"
	case found.kind == Number && !found.exact:
		return "the number is out of range"
	case slices.ContainsFunc(wanted, func(w value) bool { return w.kind == found.kind }):
		return ""
	}
	return fmt.Sprintf("%s is never compared with %s", found.kind.article(), wanted[0].kind.article())
}

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
	// compare is nil for all, any and not. The note says why a comparison does not
	// hold, where that is not plain.
	compare func(found value, wanted []value, effort *Effort) (holds bool, note string)
	// searches says that a comparison goes through all of a string.
	searches bool
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
	{name: "eq", operands: 1, kinds: scalars, compare: equals},
	{name: "ne", operands: 1, kinds: scalars, compare: differs},
	{name: "gt", operands: 1, kinds: ordered, compare: inOrder(func(order int) bool { return order > 0 })},
	{name: "gte", operands: 1, kinds: ordered, compare: inOrder(func(order int) bool { return order >= 0 })},
	{name: "lt", operands: 1, kinds: ordered, compare: inOrder(func(order int) bool { return order < 0 })},
	{name: "lte", operands: 1, kinds: ordered, compare: inOrder(func(order int) bool { return order <= 0 })},
	{name: "between", operands: 2, kinds: ordered, compare: between},
	{name: "in", operands: anyNumber, kinds: scalars, compare: equals},
	{name: "contains", operands: 1, kinds: scalars, compare: contains, searches: true},
	{name: "starts", operands: 1, kinds: texts, compare: ofTexts(strings.HasPrefix)},
	{name: "ends", operands: 1, kinds: texts, compare: ofTexts(strings.HasSuffix)},
	{name: "exists", compare: exists},
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

// Comparisons returns the names of the operators that compare what stands at a
// path, which are all but all, any and not.
func Comparisons() []string {
	var names []string
	for _, o := range operators {
		if o.compare != nil {
			names = append(names, o.name)
		}
	}
	return names
}

// Compare compares two values that encoding/json has read, as a comparison does
// with what stands at its path and the one value that it has beside. The note says
// why it can't hold, where that is not plain. An operator that takes more or less
// than one value, and one that there is not, holds for nothing.
func Compare(operator string, left, right any) (bool, string) {
	op := named(operator)
	if op == nil || op.operands != 1 {
		return false, "the operator does not compare two values"
	}
	return op.compare(valueOf(left, true), []value{valueOf(right, true)}, nil)
}

// equals holds where the value is one of those that are wanted.
func equals(found value, wanted []value, _ *Effort) (bool, string) {
	if slices.ContainsFunc(wanted, found.equal) {
		return true, ""
	}
	return false, unlike(found, wanted)
}

func differs(found value, wanted []value, effort *Effort) (bool, string) {
	same, note := equals(found, wanted, effort)
	return !same, note
}

func exists(found value, _ []value, _ *Effort) (bool, string) { return found.kind != Missing, "" }

func inOrder(accepts func(order int) bool) func(value, []value, *Effort) (bool, string) {
	return func(found value, wanted []value, _ *Effort) (bool, string) {
		order, ok := found.order(wanted[0])
		if !ok {
			return false, unlike(found, wanted)
		}
		return accepts(order), ""
	}
}

func between(found value, wanted []value, _ *Effort) (bool, string) {
	low, okLow := found.order(wanted[0])
	high, okHigh := found.order(wanted[1])
	if !okLow || !okHigh {
		return false, unlike(found, wanted)
	}
	return low >= 0 && high <= 0, ""
}

func contains(found value, wanted []value, effort *Effort) (bool, string) {
	switch {
	case found.kind == List:
		return hasItem(found.items, wanted[0], effort), ""
	case found.kind == Text && wanted[0].kind == Text:
		return strings.Contains(found.text, wanted[0].text), ""
	case found.kind == Text || found.kind == Missing:
		return false, unlike(found, wanted)
	}
	return false, fmt.Sprintf("only a string or a list can contain something, and this is %s", found.kind.article())
}

// hasItem reports whether a list has the value, as far as the effort goes.
func hasItem(items []any, wanted value, effort *Effort) bool {
	for _, read := range items {
		item := valueOf(read, true)
		if !effort.spend(costOfItem(item, wanted)) {
			return false
		}
		if item.equal(wanted) {
			return true
		}
	}
	return false
}

func ofTexts(accepts func(text, part string) bool) func(value, []value, *Effort) (bool, string) {
	return func(found value, wanted []value, _ *Effort) (bool, string) {
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

// Package condition is a language of conditions on documents, written in JSON:
//
//	{"all":[{"eq":["data.currency","USD"]},{"gte":["data.amount",5000]}]}
//
// A condition is an object with one member, whose name is the operator:
//
//	all, any                    [conditions], one at least
//	not                         condition
//	eq, ne                      [path, value]
//	gt, gte, lt, lte            [path, number or string]
//	between                     [path, low, high], both included
//	in                          [path, [values]]
//	contains                    [path, value]: a string has it as a part, or a list as an item
//	starts, ends                [path, string]
//	exists                      [path], also where null stands there
//
// A value is a string, a number, true, false or null.
//
// A path begins with a word of the [Vocabulary] and goes on, after full stops,
// with names of members and numbers of items, the first of which is 0:
// data.items.0.sku. A backslash takes the character after it as it is, so that
// data.order\.id is the member "order.id".
//
// Nothing is converted. Numbers compare as they are written, to the last digit:
// 1.10 is 1.1, and 9007199254740993 is not 9007199254740992. One whose exponent
// has more than nine digits compares with nothing. Strings compare byte by byte.
// Values of different types are different and have no order, and lists and objects
// equal nothing. Where there is nothing at a path every comparison is false, but
// for ne, which is always what eq is not; not turns round whatever its condition
// is. So {"ne":["data.a",1]} and {"not":{"gt":["data.a",1]}} hold where there is no
// data.a, and {"lte":["data.a",1]} does not.
//
// Which paths a condition depends on can be told without a document, which is why
// this is no script.
package condition

import (
	"slices"
)

// The bounds of a condition.
const (
	MaxBytes  = 8 << 10
	MaxDepth  = 10   // conditions inside each other
	MaxNodes  = 100  // conditions in all
	MaxText   = 1024 // bytes of a string or a path
	MaxValues = 100  // of in
)

// Root is a word that paths may begin with.
type Root struct {
	Name string
	// Document says that paths go on below it. Otherwise it is text.
	Document bool
	// Check says whether text may ever stand there, so that a condition that
	// can't hold is refused; nil: any may. The error does not repeat the text.
	Check func(text string) error
}

// Vocabulary is what conditions may be about.
type Vocabulary []Root

// SourceFunc returns what a root stands for in one document: JSON as
// encoding/json reads it with [json.Decoder.UseNumber]. It reports whether there
// is anything.
type SourceFunc func(root string) (any, bool)

// Condition is a checked condition. It does not change and may be used by several
// goroutines.
type Condition struct {
	text string
	root node
}

// node is one condition of the tree.
type node struct {
	operator *operator
	parts    []node  // of all, any and not
	path     path    // of all others
	wanted   []value // that the path is compared with
}

// String returns the condition as JSON without white space, otherwise as it was
// given.
func (c *Condition) String() string { return c.text }

// Paths returns the paths that the condition depends on, each once, in the order
// of their names.
func (c *Condition) Paths() []string {
	var paths []string
	c.root.walk(func(n *node) { paths = append(paths, n.path.text) })
	slices.Sort(paths)
	return slices.Compact(paths)
}

// Equality is a condition {"eq":[path, text]}.
type Equality struct{ Path, Text string }

// Equality reports whether the condition is an equality of text and nothing more,
// and which.
func (c *Condition) Equality() (Equality, bool) {
	n := c.root
	if n.operator.name != "eq" || n.wanted[0].kind != Text {
		return Equality{}, false
	}
	return Equality{n.path.text, n.wanted[0].text}, true
}

// walk calls fn with each comparison.
func (n *node) walk(fn func(n *node)) {
	if n.operator.compare != nil {
		fn(n)
	}
	for i := range n.parts {
		n.parts[i].walk(fn)
	}
}

// Holds reports whether the condition holds for a document. It looks at no more
// than it needs to, from the front.
func (c *Condition) Holds(of SourceFunc) bool { return c.root.holds(of, nil) }

// HoldsWithin is Holds for no more than an effort. Once that is exhausted, what it
// reports means nothing.
func (c *Condition) HoldsWithin(of SourceFunc, effort *Effort) bool { return c.root.holds(of, effort) }

func (n *node) holds(of SourceFunc, effort *Effort) bool {
	if effort.Exhausted() {
		return false
	}
	switch n.operator.name {
	case "all":
		return !slices.ContainsFunc(n.parts, func(part node) bool { return !part.holds(of, effort) })
	case "any":
		return slices.ContainsFunc(n.parts, func(part node) bool { return part.holds(of, effort) })
	case "not":
		return !n.parts[0].holds(of, effort)
	}
	found := valueOf(n.path.find(of))
	if !effort.spend(n.cost(found)) {
		return false
	}
	holds, _ := n.operator.compare(found, n.wanted, effort)
	return holds
}

package message

import (
	"slices"
	"text/template/parse"
)

// Needs are the values that the templates of a message may read. What else there is
// to be said need not be gathered.
type Needs struct{ reads []reading }

// reading is a value that a template names.
type reading struct {
	path    []string // of names; none: all values
	shallow bool     // whether there is anything, and not what is in it
}

// Value reports whether templates may read the value of a name or, by the names that
// lead there, a value in it.
func (n Needs) Value(path ...string) bool {
	return slices.ContainsFunc(n.reads, func(r reading) bool {
		return begins(r.path, path) || !r.shallow && begins(path, r.path)
	})
}

// begins reports whether a path leads by way of another one.
func begins(path, with []string) bool {
	return len(path) >= len(with) && slices.Equal(path[:len(with)], with)
}

// dot is what a dot stands for in a template.
type dot struct {
	path []string
	part bool // of a value that was noted as a whole
}

// list notes what a list of nodes reads.
func (n *Needs) list(list *parse.ListNode, at dot) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			n.pipe(node.Pipe, at)
		case *parse.IfNode:
			n.pipe(node.Pipe, at)
			n.list(node.List, at)
			n.list(node.ElseList, at)
		case *parse.RangeNode:
			n.pipe(node.Pipe, at)
			n.list(node.List, dot{part: true})
			n.list(node.ElseList, at)
		case *parse.WithNode:
			n.list(node.List, n.with(node.Pipe, at))
			n.list(node.ElseList, at)
		}
	}
}

// with notes what an action with reads, and returns the dot that is inside of it.
func (n *Needs) with(pipe *parse.PipeNode, at dot) dot {
	if len(pipe.Decl) == 0 && len(pipe.Cmds) == 1 && len(pipe.Cmds[0].Args) == 1 {
		if named, ok := at.named(pipe.Cmds[0].Args[0]); ok && !named.part {
			n.reads = append(n.reads, reading{named.path, true})
			return named
		}
	}
	n.pipe(pipe, at)
	return dot{part: true}
}

// pipe notes what an expression reads. What is given a name in it is noted as a whole,
// so that the name need not be followed.
func (n *Needs) pipe(pipe *parse.PipeNode, at dot) {
	for _, command := range pipe.Cmds {
		for _, arg := range command.Args {
			n.argument(arg, at)
		}
	}
}

func (n *Needs) argument(arg parse.Node, at dot) {
	switch arg := arg.(type) {
	case *parse.PipeNode:
		n.pipe(arg, at)
	case *parse.ChainNode:
		n.argument(arg.Node, at)
	default:
		if named, ok := at.named(arg); ok && !named.part {
			n.reads = append(n.reads, reading{path: named.path})
		}
	}
}

// named returns the value that a node names, and whether it names any.
func (at dot) named(node parse.Node) (dot, bool) {
	switch node := node.(type) {
	case *parse.DotNode:
		return at, true
	case *parse.FieldNode:
		return dot{slices.Concat(at.path, node.Ident), at.part}, true
	case *parse.VariableNode:
		return dot{node.Ident[1:], node.Ident[0] != "$"}, true // $ alone is all values
	default:
		return dot{}, false
	}
}

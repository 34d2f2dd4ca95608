package message

import (
	"strings"
	"text/template/parse"
)

// What a template reads counts as well as what it makes: an escaper goes through all
// of a value, and may put a word in its place.
const (
	bytesPerStep  = 64
	scalarWeight  = 16               // of a number, in bytes
	elementWeight = 32               // of an item of a list, besides what it is
	fieldWeight   = 3 * bytesPerStep // of a field, besides its name and value: fields are sorted
)

// weigh takes what it costs to read all of a value.
func (in *instance) weigh(value any) error {
	return in.take(weightOf(value, in.steps*bytesPerStep) / bytesPerStep)
}

// weightOf returns how many bytes a value counts as, once it is more than most only
// that it is: a value may be much larger than what is left for it.
func weightOf(value any, most int) int {
	switch value := value.(type) {
	case string:
		return len(value)
	case []any:
		sum := 0
		for _, item := range value {
			if sum += elementWeight + weightOf(item, most-sum); sum > most+bytesPerStep {
				break
			}
		}
		return sum
	case map[string]any:
		sum := 0
		for name, item := range value {
			if sum += fieldWeight + len(name) + weightOf(item, most-sum); sum > most+bytesPerStep {
				break
			}
		}
		return sum
	default:
		return scalarWeight
	}
}

// weighFields takes what it costs to begin a loop, which sorts the fields of an object.
func (in *instance) weighFields(value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	weight := fieldWeight * len(object)
	for name := range object {
		weight += len(name)
	}
	return in.take(weight / bytesPerStep)
}

// weighing has a tree weigh what it reads.
type weighing struct{ format Format }

func (w weighing) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.IfNode:
			w.branch(&node.BranchNode)
		case *parse.WithNode:
			w.branch(&node.BranchNode)
		case *parse.RangeNode:
			w.branch(&node.BranchNode)
			weighLoop(node.Pipe)
		case *parse.ActionNode:
			weighPipe(node.Pipe)
			if len(node.Pipe.Decl) == 0 {
				w.shown(node.Pipe)
			}
		}
	}
}

func (w weighing) branch(node *parse.BranchNode) {
	weighPipe(node.Pipe)
	w.list(node.List)
	w.list(node.ElseList)
}

// shown has the value that an action shows weighed before it is escaped. A plain text
// escapes nothing, so that the bytes it makes are all that it reads; but a value of it
// that is nil is shown as nothing, as HTML has it.
func (w weighing) shown(pipe *parse.PipeNode) {
	name := weighName
	if w.format == Text {
		name = plainName
	}
	pipe.Cmds = append(pipe.Cmds, call(pipe.Pos, name))
}

// weighLoop puts what a loop goes through into a call. What it names is still the last
// that is looked at, and so what an error shows.
func weighLoop(pipe *parse.PipeNode) {
	inner := &parse.PipeNode{NodeType: parse.NodePipe, Pos: pipe.Pos, Line: pipe.Line, Cmds: pipe.Cmds}
	pipe.Cmds = []*parse.CommandNode{call(pipe.Pos, weighFieldsName, inner)}
}

// readers are the functions that read all of what they are given, up to the length of
// their first value: a comparison, and the look-up of a field.
var readers = map[string]bool{"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true, "index": true}

// weighPipe has what the readers in an expression are given weighed, all but the first
// value of each: no more of that is read than of the others.
func weighPipe(pipe *parse.PipeNode) {
	var cmds []*parse.CommandNode
	for i, cmd := range pipe.Cmds {
		for _, arg := range cmd.Args {
			weighInside(arg)
		}
		if name, ok := cmd.Args[0].(*parse.IdentifierNode); ok && readers[name.Ident] {
			if i > 0 {
				cmds = append(cmds, call(cmd.Pos, weighName))
			}
			for j := 2; j < len(cmd.Args); j++ {
				cmd.Args[j] = weighArgument(cmd.Args[j])
			}
		}
		cmds = append(cmds, cmd)
	}
	pipe.Cmds = cmds
}

func weighInside(arg parse.Node) {
	switch arg := arg.(type) {
	case *parse.PipeNode:
		weighPipe(arg)
	case *parse.ChainNode:
		weighInside(arg.Node)
	}
}

// weighArgument returns a call that weighs an argument. One that is written out has been
// counted with the length of the expression.
func weighArgument(arg parse.Node) parse.Node {
	switch arg.(type) {
	case *parse.NumberNode, *parse.BoolNode, *parse.NilNode, *parse.StringNode:
		return arg
	}
	end := &parse.StringNode{NodeType: parse.NodeString, Pos: arg.Position(), Quoted: endMark}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: arg.Position(), Cmds: []*parse.CommandNode{
		call(arg.Position(), weighName, arg, end),
	}}
}

func call(at parse.Pos, name string, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: append([]parse.Node{
		parse.NewIdentifier(name).SetPos(at),
	}, args...)}
}

// endMark is how the end of a call that weighs an argument is written in errors. No
// template has it there: what is quoted in one is written without control characters.
const endMark = "\x00"

// asWritten takes the calls that weigh out of an error.
var asWritten = strings.NewReplacer(
	" | "+weighName, "", "("+weighName+" ", "", " "+endMark+")", "", endMark, "", weighFieldsName+" ", "",
)

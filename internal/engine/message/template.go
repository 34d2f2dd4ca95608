package message

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"maps"
	"strings"
	"sync"
	texttemplate "text/template"
	"text/template/parse"
	"unicode"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Format says what a message is written in.
type Format string

// The formats of messages.
const (
	HTML Format = "html" // what is put in is escaped as its place demands
	Text Format = "text" // nothing is escaped: it is not to be shown as HTML
)

// Template is how messages of one type are made.
//
// Both texts are in the language of Go's package html/template, of which they have
//
//	{{.user.firstName}}                        a value
//	{{if …}} {{else if …}} {{else}} {{end}}    what depends on one
//	{{range .list}} {{else}} {{end}}           something for each, with break and continue
//	{{with …}} {{end}}, {{$name := …}}         names for values
//	and or not eq ne lt le gt ge len index     functions
//	default "there" .user.firstName            the value, or the first where that is empty
//	index .user.customFields "tier"            a field that may or may not be there
//
// and nothing else. A text has at most 2,000 actions. They stand in each other at
// most eight deep, loops three; what follows an else is not counted. The loops of a
// text come by at most 50,000 actions, and it makes at most 256 KiB; of a subject the
// first 1000 characters are kept. All messages of one command come by at most 500,000
// actions, and make at most 16 MiB. A value that is escaped, compared or looked up
// counts as one more action for each 64 bytes of it. In HTML, comments are left out,
// and so is a link that is not to http, https or mailto.
type Template struct {
	Subject string `json:"subject"` // plain text; line breaks become spaces
	Message string `json:"message"`
	Format  Format `json:"format"` // of the message; empty: HTML
}

// The bounds of a template.
const (
	maxSubjectSource = 2 << 10
	maxMessageSource = 128 << 10
	maxMade          = 256 << 10 // bytes
	maxSubject       = 1000      // characters
	maxActions       = 2000
	maxNesting       = 8
	maxLoops         = 3 // in each other: html/template takes twice as long to read what stands in one more
	// maxSteps is how many actions and texts the loops of one rendering may come
	// by, with what it reads of values, see weigh. It takes at most some 40 ms.
	maxSteps = 50_000
)

// errEndless and errTooLong are why a rendering was broken off.
var (
	errEndless = errors.New("its loops take too many steps")
	errTooLong = errors.New("it makes too much text")
)

// functions are what a template may call.
var functions = map[string]any{"default": orDefault}

// builtIn are the functions of Go's templates that a template may call too.
// printf, among others, is not: it can be made to fill the memory.
var builtIn = map[string]any{
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "index": true,
}

// orDefault returns the value, or the other one where it is empty.
func orDefault(instead, value any) any {
	if truth, ok := texttemplate.IsTrue(value); ok && truth {
		return value
	}
	return instead
}

// text is one parsed text of a template. It may be used concurrently.
type text struct {
	source
	tree  *parse.Tree
	steps int // of all that is not repeated

	// Each rendering has a copy, since the functions of a copy count its steps.
	copies sync.Pool
}

// source is a text to be parsed.
type source struct {
	name   string // for errors
	text   string
	format Format
	most   int // bytes that it may make
	manner manner
}

// manner is what becomes of a rendering that names a value which there is not, as an
// option of Go's templates.
type manner string

const (
	lenient manner = "missingkey=zero" // the place stays empty
	strict  manner = "missingkey=error"
)

// parseText reads a text and refuses what it may not have.
func parseText(s source) (*text, error) {
	trees, err := parse.Parse(s.name, s.text, "", "", builtIn, functions)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	tree := trees[s.name]
	if len(trees) > 1 || tree == nil {
		return nil, fmt.Errorf("%s: define and block can't be used here", s.name)
	}
	steps, err := (&inspection{name: s.name}).list(tree.Root, depth{})
	if err != nil {
		return nil, err
	}
	return &text{source: s, tree: tree, steps: steps}, nil
}

// inspection is a look at all of a text.
type inspection struct {
	name    string // of the text
	actions int
}

// depth is how many actions stand around one, and how many of them are loops.
type depth struct{ actions, loops int }

// list looks at what a list holds, has each loop in it count its steps, and returns
// how many one pass through the list takes.
func (in *inspection) list(list *parse.ListNode, at depth) (int, error) {
	if list == nil {
		return 0, nil
	}
	if at.actions > maxNesting || at.loops > maxLoops {
		return 0, fmt.Errorf("%s: actions stand in each other more than %d deep, or loops more than %d", in.name, maxNesting, maxLoops)
	}
	steps := 1
	for _, node := range list.Nodes {
		n, err := in.node(node, at)
		if err != nil {
			return 0, err
		}
		steps += n
	}
	return steps, nil
}

func (in *inspection) node(node parse.Node, at depth) (int, error) {
	if node.Type() != parse.NodeText {
		in.actions++
	}
	if in.actions > maxActions {
		return 0, fmt.Errorf("%s: there are more than %d actions", in.name, maxActions)
	}
	switch node := node.(type) {
	case *parse.IfNode:
		return in.branch(&node.BranchNode, at)
	case *parse.WithNode:
		return in.branch(&node.BranchNode, at)
	case *parse.RangeNode:
		return in.loop(node, at)
	case *parse.ActionNode:
		return stepsOf(node.Pipe), nil
	case *parse.TextNode, *parse.BreakNode, *parse.ContinueNode, *parse.CommentNode:
		return 1, nil
	default:
		return 0, fmt.Errorf("%s: %.40s can't be used here", in.name, node)
	}
}

func (in *inspection) branch(node *parse.BranchNode, at depth) (int, error) {
	steps, err := in.list(node.List, depth{at.actions + 1, at.loops})
	if err != nil {
		return 0, err
	}
	otherwise, err := in.list(node.ElseList, at) // else if stands in the else of the if
	return steps + otherwise + stepsOf(node.Pipe), err
}

// stepsOf is how many steps an expression counts as: a long one takes long.
func stepsOf(pipe *parse.PipeNode) int { return 1 + len(pipe.String())/16 }

// loop returns the steps of all that is not repeated: those of the passes are
// counted as they are made.
func (in *inspection) loop(node *parse.RangeNode, at depth) (int, error) {
	steps, err := in.list(node.List, depth{at.actions + 1, at.loops + 1})
	if err != nil {
		return 0, err
	}
	tick, err := tickNode(steps)
	if err != nil {
		return 0, err
	}
	node.List.Nodes = append([]parse.Node{tick}, node.List.Nodes...)
	otherwise, err := in.list(node.ElseList, at)
	return otherwise + stepsOf(node.Pipe), err
}

// The functions that are put into templates; a text that names one is refused.
const (
	tickName        = "tick"
	plainName       = "plain"
	weighName       = "weighValue"
	weighFieldsName = "weighFields"
)

// tickNode returns an action that counts steps. It assigns, and so leaves no
// trace in what is made.
func tickNode(steps int) (parse.Node, error) {
	trees, err := parse.Parse(tickName, fmt.Sprintf("{{$tick := %s %d}}", tickName, steps), "", "", map[string]any{tickName: true})
	if err != nil {
		return nil, err
	}
	action := trees[tickName].Root.Nodes[0].(*parse.ActionNode) //nolint:forcetypeassert // it is what was written
	action.Pipe.Decl[0].Ident[0] = "$ "                         // no variable of the text is hidden by it
	return action, nil
}

// executable is what both kinds of templates are.
type executable interface {
	Execute(w io.Writer, values any) error
}

// instance is one copy of a text, for one rendering at a time.
type instance struct {
	executable
	steps int // that are left
}

// take takes steps from those that are left.
func (in *instance) take(steps int) error {
	if in.steps -= steps; in.steps < 0 {
		return errEndless
	}
	return nil
}

func (t *text) newInstance() (*instance, error) {
	in := &instance{}
	funcs := maps.Clone(functions)
	funcs[tickName] = func(n int) (bool, error) { return true, in.take(n) }
	funcs[weighName] = func(value any, _ ...string) (any, error) { return value, in.weigh(value) }
	funcs[weighFieldsName] = func(value any) (any, error) { return value, in.weighFields(value) }
	funcs[plainName] = func(value any) any {
		if value == nil {
			return ""
		}
		return value
	}
	tree := t.tree.Copy()
	weighing{t.format}.list(tree.Root)
	if t.format == Text {
		made, err := texttemplate.New(tree.Name).Option(string(t.manner)).Funcs(funcs).AddParseTree(tree.Name, tree)
		in.executable = made
		return in, err
	}
	made, err := htmltemplate.New(tree.Name).Option(string(t.manner)).Funcs(funcs).AddParseTree(tree.Name, tree)
	in.executable = made
	return in, err
}

// render makes what the text says of the values, and takes what that costs from what
// is left. Once there is too little for one text, nothing is left for any.
func (t *text) render(values map[string]any, left *allowance) (string, error) {
	if left.steps -= t.steps; left.steps < 0 {
		return "", left.spend(t)
	}
	in, ok := t.copies.Get().(*instance)
	if !ok {
		var err error
		if in, err = t.newInstance(); err != nil {
			return "", err
		}
	}
	defer t.copies.Put(in) // also after a failure: a new one would have to be read anew
	allowed := allowance{steps: min(left.steps, maxSteps), made: min(left.made, t.most)}
	in.steps = allowed.steps
	out := &limited{left: allowed.made}
	err := in.Execute(out, values)
	left.steps -= allowed.steps - in.steps
	left.made -= allowed.made - out.left // with what was made and refused
	switch {
	case err == nil:
		return out.text.String(), nil
	case errors.Is(err, errEndless) && allowed.steps < maxSteps, errors.Is(err, errTooLong) && allowed.made < t.most:
		return "", left.spend(t)
	case errors.Is(err, errEndless):
		return "", fmt.Errorf("%s: %w", t.tree.Name, errEndless)
	case errors.Is(err, errTooLong):
		return "", fmt.Errorf("%s: %w", t.tree.Name, errTooLong)
	default:
		return "", errors.New(reasonOf(err))
	}
}

// reasonOf is the error of a template as that was written, without the prefixes that
// packages give it.
func reasonOf(err error) string {
	said := asWritten.Replace(err.Error())
	for _, prefix := range []string{"html/template:", "template:", " "} {
		said = strings.TrimPrefix(said, prefix)
	}
	return cut(said, 300)
}

// limited keeps what is written to it, and refuses more than it may hold.
type limited struct {
	text bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errTooLong
	}
	return l.text.Write(p)
}

// letter is a template that was parsed.
type letter struct {
	subject, message *text
	format           Format
	needs            Needs
}

// parseLetter reads a template. The error collects what is wrong with either text.
func parseLetter(kind Type, t Template, m manner) (*letter, error) {
	format := t.Format
	if format == "" {
		format = HTML
	}
	subject, err1 := parseText(source{string(kind) + " subject", t.Subject, Text, maxMade, m})
	message, err2 := parseText(source{string(kind) + " message", t.Message, format, maxMade, m})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	l := &letter{subject: subject, message: message, format: format}
	l.needs.list(subject.tree.Root, dot{})
	l.needs.list(message.tree.Root, dot{})
	return l, nil
}

// render makes a message. The error collects what is wrong with either text.
func (l *letter) render(values map[string]any, left *allowance) (Rendered, error) {
	subject, err1 := l.subject.render(values, left)
	message, err2 := l.message.render(values, left)
	if err := errors.Join(err1, err2); err != nil {
		return Rendered{}, err
	}
	return Rendered{Subject: db.Storable(oneLine(subject)), Message: db.Storable(message), Format: l.format}, nil
}

// oneLine makes a subject of a text: a name in it must not begin another header of
// the e-mail.
func oneLine(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) })
	return cut(strings.Join(words, " "), maxSubject)
}

// cut returns the first characters of a text, at most so many.
func cut(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i]
		}
	}
	return s
}

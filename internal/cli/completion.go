package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how the script is used.
func (completionCommand) Help() string {
	return "For bash, this line goes into ~/.bashrc: source <(grapevine completion bash)\n\n" +
		"For zsh, this one into ~/.zshrc, below compinit: source <(grapevine completion zsh)\n\n" +
		"For fish, run this once: grapevine completion fish > ~/.config/fish/completions/grapevine.fish"
}

// Run prints a script that completes commands, flags and their values.
func (c *completionCommand) Run(e *env) error {
	parser, err := kong.New(new(commands), options(e.out, e.err, nil)...)
	if err != nil {
		return err
	}
	places := placesOf(parser.Model.Node)
	switch c.Shell {
	case "zsh":
		return writeZsh(e.out, places)
	case "fish":
		return writeFish(e.out, places)
	}
	return writeBash(e.out, places)
}

// place is a point in the grammar: a command with what can follow it.
type place struct {
	path     string // the words behind "grapevine"; "" is the program itself
	commands []word
	flags    []flagWord
	values   []string // of its argument, where they are listed
	file     bool     // its argument is one
}

// word is something that can be typed, and what it means.
type word struct{ text, meaning string }

// flagWord is a flag and what follows it.
type flagWord struct {
	word
	takesValue bool
	values     []string // where they are listed
	takesFile  bool
}

// placesOf lists the places of the grammar, the program itself first.
func placesOf(root *kong.Node) []place {
	var places []place
	var walk func(node *kong.Node, path string)
	walk = func(node *kong.Node, path string) {
		at := place{path: path}
		for _, f := range node.Flags {
			if !f.Hidden {
				at.flags = append(at.flags, flagWord{
					word: word{"--" + f.Name, summary(f.Help)}, takesValue: !f.IsBool(), values: enumOf(f.Value), takesFile: takesFile(f),
				})
			}
		}
		for _, argument := range node.Positional {
			at.values = append(at.values, enumOf(argument)...)
			at.file = at.file || argument.Name == "file"
		}
		var below []*kong.Node
		for _, child := range node.Children {
			if !child.Hidden {
				at.commands = append(at.commands, word{child.Name, summary(child.Help)})
				below = append(below, child)
			}
		}
		places = append(places, at)
		for _, child := range below {
			walk(child, strings.TrimSpace(path+" "+child.Name))
		}
	}
	walk(root, "")
	return places
}

// enumOf lists the values of an enumeration, without the empty one that stands
// for none.
func enumOf(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

func takesFile(f *kong.Flag) bool { return f.PlaceHolder == "FILE" || f.Tag.Type == "path" }

// summary is the first sentence of a help text.
func summary(help string) string {
	first, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(first, ".")
}

// texts returns what can be typed.
func texts[T any](words []T, text func(T) string) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = text(w)
	}
	return strings.Join(list, " ")
}

// next is what can be typed at a place: its commands and values, and its flags.
func (p place) next() string {
	parts := []string{
		texts(p.commands, func(w word) string { return w.text }),
		strings.Join(p.values, " "),
		texts(p.flags, func(f flagWord) string { return f.text }),
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// writeBash writes a function that finds the place by the words before the
// cursor. Bash splits --flag=value at the sign, which is a word of its own then.
func writeBash(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString(`# Completion of grapevine for bash:  source <(grapevine completion bash)
_grapevine() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} place= i
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$place ${COMP_WORDS[i]}" in
`)
	b.WriteString("      " + strings.Join(quotedPaths(places), " | ") + ") place+=\" ${COMP_WORDS[i]}\" ;;\n")
	b.WriteString("    esac\n  done\n  COMPREPLY=()\n  case \"$place $prev\" in\n")
	for _, p := range places {
		for _, f := range p.flags {
			if !f.takesValue {
				continue
			}
			reply := "" // nothing that is known
			switch {
			case f.takesFile:
				reply = ` compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"));`
			case len(f.values) > 0:
				reply = fmt.Sprintf(` COMPREPLY=($(compgen -W %q -- "$cur"));`, strings.Join(f.values, " "))
			}
			fmt.Fprintf(&b, "    %q)%s return ;;\n", spaced(p.path)+" "+f.text, reply)
		}
	}
	b.WriteString("  esac\n  case $place in\n")
	for _, p := range places {
		reply := fmt.Sprintf(`COMPREPLY=($(compgen -W %q -- "$cur"))`, p.next())
		if p.file {
			reply = `if [[ $cur != -* ]]; then compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); else ` + reply + `; fi`
		}
		fmt.Fprintf(&b, "    %q) %s ;;\n", spaced(p.path), reply)
	}
	b.WriteString("  esac\n}\ncomplete -F _grapevine grapevine\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// spaced puts a space before a path, as the scripts keep it.
func spaced(path string) string {
	if path == "" {
		return ""
	}
	return " " + path
}

// quotedPaths returns the paths of all commands, quoted.
func quotedPaths(places []place) []string {
	var quoted []string
	for _, p := range places {
		if p.path != "" {
			quoted = append(quoted, fmt.Sprintf("%q", spaced(p.path)))
		}
	}
	return quoted
}

// writeZsh writes a function in the same way, with the meanings.
func writeZsh(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString(`#compdef grapevine
# Completion of grapevine for zsh:  source <(grapevine completion zsh)
_grapevine() {
  local place= prev=${words[CURRENT-1]} files= i
  local -a next
  for ((i = 2; i < CURRENT; i++)); do
    case "$place ${words[i]}" in
`)
	b.WriteString("      " + strings.Join(quotedPaths(places), "|") + ") place+=\" ${words[i]}\" ;;\n")
	b.WriteString("    esac\n  done\n  if [[ ${words[CURRENT]} == --*=* ]]; then\n    prev=${words[CURRENT]%%=*}\n    compset -P '*='\n  fi\n  case \"$place $prev\" in\n")
	for _, p := range places {
		for _, f := range p.flags {
			if !f.takesValue {
				continue
			}
			reply := ""
			switch {
			case f.takesFile:
				reply = " _files;"
			case len(f.values) > 0:
				reply = " compadd -- " + strings.Join(f.values, " ") + ";"
			}
			fmt.Fprintf(&b, "    %q)%s return ;;\n", spaced(p.path)+" "+f.text, reply)
		}
	}
	b.WriteString("  esac\n  case $place in\n")
	for _, p := range places {
		fmt.Fprintf(&b, "    %q) next=(", spaced(p.path))
		for _, c := range p.commands {
			b.WriteString(" " + zshWord(c))
		}
		for _, value := range p.values {
			b.WriteString(" " + value)
		}
		for _, f := range p.flags {
			b.WriteString(" " + zshWord(f.word))
		}
		b.WriteString(" )")
		if p.file {
			b.WriteString("; files=1")
		}
		b.WriteString(" ;;\n")
	}
	b.WriteString("  esac\n  _describe grapevine next\n  if [[ -n $files ]]; then _files; fi\n}\ncompdef _grapevine grapevine\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// zshWord quotes a word and its meaning for _describe, which splits at the
// first colon.
func zshWord(w word) string { return shellQuote(w.text + ":" + w.meaning) }

// shellQuote quotes for shells like sh.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// writeFish writes a line for each word.
func writeFish(w io.Writer, places []place) error {
	var b strings.Builder
	b.WriteString(`# Completion of grapevine for fish:  grapevine completion fish > ~/.config/fish/completions/grapevine.fish
function __grapevine_at
    set -l place
    for word in (commandline -opc)[2..-1]
        if contains -- "$place$word" $__grapevine_places
            set place "$place$word "
        end
    end
    test (string trim -- "$place")x = "$argv"x
end
complete -c grapevine -f
`)
	var paths []string
	for _, p := range places[1:] {
		paths = append(paths, fishQuote(p.path))
	}
	b.WriteString("set -g __grapevine_places " + strings.Join(paths, " ") + "\n")
	for _, p := range places {
		begin := "complete -c grapevine -n " + fishQuote("__grapevine_at "+p.path)
		for _, c := range p.commands {
			b.WriteString(begin + " -a " + c.text + " -d " + fishQuote(c.meaning) + "\n")
		}
		if len(p.values) > 0 {
			b.WriteString(begin + " -a " + fishQuote(strings.Join(p.values, " ")) + "\n")
		}
		if p.file {
			b.WriteString(begin + " -F\n")
		}
		for _, f := range p.flags {
			b.WriteString(begin + " -l " + strings.TrimPrefix(f.text, "--") + fishValue(f) + " -d " + fishQuote(f.meaning) + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fishValue says what follows a flag.
func fishValue(f flagWord) string {
	switch {
	case !f.takesValue:
		return ""
	case f.takesFile:
		return " -r -F"
	case len(f.values) > 0:
		return " -x -a " + fishQuote(strings.Join(f.values, " "))
	}
	return " -x"
}

// fishQuote quotes for fish, which knows \' and \\ in quotes.
func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

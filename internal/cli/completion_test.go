package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mustScript writes a shell's completion script into a folder in which there is
// also a file "keys.txt", and returns the folder.
func mustScript(t *testing.T, shell string) string {
	t.Helper()
	dir := t.TempDir()
	var out, failures bytes.Buffer
	if code := Run([]string{"completion", shell}, "test", &out, &failures); code != 0 {
		t.Fatalf("exit code %d: %s", code, &failures)
	}
	for name, text := range map[string][]byte{"script": out.Bytes(), "keys.txt": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// completions are what stands behind the cursor, and some of what can follow.
var completions = []struct {
	name  string
	words []string // the last one is being typed
	with  []string
	not   []string
}{
	{"a command", []string{"sub"}, []string{"subscription"}, []string{"serve"}},
	{"a command below one", []string{"subscription", ""}, []string{"create", "rotate"}, []string{"subscription", "serve"}},
	{"a command below another", []string{"key", "r"}, []string{"revoke", "roll"}, []string{"create"}},
	{"a flag", []string{"delivery", "list", "--s"}, []string{"--status", "--since", "--subscription"}, []string{"--event"}},
	{"a flag behind an argument", []string{"event", "show", "evt_1", "--j"}, []string{"--json"}, nil},
	{"a value of a flag", []string{"delivery", "list", "--status", ""}, []string{"pending", "held"}, []string{"list", "--json"}},
	{"the beginning of a value", []string{"delivery", "list", "--status", "de"}, []string{"delivered"}, []string{"pending"}},
	{"a value of an argument", []string{"completion", ""}, []string{"bash", "fish", "zsh"}, nil},
	{"a file", []string{"event", "list", "--key-file", "ke"}, []string{"keys.txt"}, nil},
	{"a file as an argument", []string{"restore", "ke"}, []string{"keys.txt"}, []string{"--force"}},
	{"a flag beside one", []string{"restore", "--f"}, []string{"--force"}, []string{"keys.txt"}},
	{"nothing that is hidden", []string{"bench"}, nil, []string{"bench-receiver"}},
}

func checkCompletions(t *testing.T, complete func(t *testing.T, words []string) []string) {
	t.Helper()
	for _, tc := range completions {
		t.Run(tc.name, func(t *testing.T) {
			got := complete(t, tc.words)
			for _, want := range tc.with {
				if !slices.Contains(got, want) {
					t.Errorf("%q is not offered but %q", want, got)
				}
			}
			for _, unwanted := range tc.not {
				if slices.Contains(got, unwanted) {
					t.Errorf("%q is offered in %q", unwanted, got)
				}
			}
		})
	}
}

// mustShell finds a shell or skips the test.
func mustShell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func mustRun(t *testing.T, dir, shell string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	var failures bytes.Buffer
	cmd.Stderr = &failures
	out, err := cmd.Output()
	if err != nil || failures.Len() > 0 {
		t.Fatalf("%v: %s", err, &failures)
	}
	return string(out)
}

func TestBashCompletesWhatTheGrammarHas(t *testing.T) {
	shell := mustShell(t, "bash")
	dir := mustScript(t, "bash")
	complete := func(t *testing.T, words []string) []string {
		t.Helper()
		return strings.Fields(mustRun(t, dir, shell, append([]string{
			"--norc", "-c", `source ./script; COMP_WORDS=(grapevine "$@"); COMP_CWORD=$#; _grapevine; printf '%s\n' "${COMPREPLY[@]}"`, "bash",
		}, words...)...))
	}
	checkCompletions(t, complete)
	// Bash takes --flag=value apart.
	if got := complete(t, []string{"delivery", "list", "--status", "=", "he"}); !slices.Equal(got, []string{"held"}) {
		t.Errorf("behind the sign it offers %q", got)
	}
	if got := mustRun(t, dir, shell, "--norc", "-c", "source ./script; complete -p grapevine"); !strings.Contains(got, "-F _grapevine grapevine") {
		t.Errorf("it is registered as %q", got)
	}
}

func TestFishCompletesWhatTheGrammarHas(t *testing.T) {
	shell := mustShell(t, "fish")
	dir := mustScript(t, "fish")
	checkCompletions(t, func(t *testing.T, words []string) []string {
		t.Helper()
		line := strings.Join(append([]string{"grapevine"}, words...), " ")
		var offered []string
		for text := range strings.Lines(mustRun(t, dir, shell, "-N", "-c", "source ./script; complete -C '"+line+"'")) {
			word, _, _ := strings.Cut(strings.TrimSpace(text), "\t")
			offered = append(offered, word)
		}
		return offered
	})
}

func TestZshCompletesWhatTheGrammarHas(t *testing.T) {
	shell := mustShell(t, "zsh")
	dir := mustScript(t, "zsh")
	// The widgets that a terminal would use, replaced by what prints.
	const stubs = `
compdef() { :; }
compset() { :; }
_describe() { local w; for w in "${(@P)2}"; do print -r -- ${w%%:*}; done; }
compadd() { shift; print -rl -- "$@"; }
_files() { print -rl -- *; }
source ./script
words=(grapevine "$@"); CURRENT=$(( $# + 1 ))
_grapevine`
	checkCompletions(t, func(t *testing.T, words []string) []string {
		t.Helper()
		typed := words[len(words)-1]
		offered := strings.Fields(mustRun(t, dir, shell, append([]string{"-f", "-c", stubs, "zsh"}, words...)...))
		return slices.DeleteFunc(offered, func(word string) bool { return !strings.HasPrefix(word, typed) }) // as zsh does
	})
}

func TestAScriptIsSoundInTheEyesOfItsShell(t *testing.T) {
	for _, name := range []string{"bash", "zsh", "fish"} {
		t.Run(name, func(t *testing.T) {
			mustRun(t, mustScript(t, name), mustShell(t, name), "-n", "script")
		})
	}
}

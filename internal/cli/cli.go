// Package cli is the commands of the program grapevine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the grammar of the command line.
type commands struct {
	Serve      serveCommand      `cmd:"" help:"Run the server. GRAPEVINE_ADMIN_KEY may hold the operator's key, GRAPEVINE_MASTER_KEY the key that secrets are encrypted with."`
	Demo       demoCommand       `cmd:"" help:"Run a server with a tenant, a receiver and a short story, to look around in."`
	Config     configCommand     `cmd:"" help:"Show the configuration that 'serve' would run with, secrets masked."`
	Bench      benchCommand      `cmd:"" help:"Measure this program on this machine, and hold what it does to its bars."`
	Restore    restoreCommand    `cmd:"" help:"Put a backup in the place of the database, while no server runs."`
	Completion completionCommand `cmd:"" help:"Print the completion of commands and flags for bash, zsh or fish."`
	Version    versionCommand    `cmd:"" help:"Show the version."`

	Listen       listenCommand        `cmd:"" group:"client" help:"Show events as they arrive, verified, and pass them on to a local URL."`
	Trigger      triggerCommand       `cmd:"" group:"client" help:"Publish a sample event, or send a test."`
	Tenant       tenantCommands       `cmd:"" group:"client" help:"Make, list, change and end tenants."`
	Key          keyCommands          `cmd:"" group:"client" help:"Make, list, replace and revoke a tenant's keys."`
	Subscription subscriptionCommands `cmd:"" group:"client" help:"Say where events go: make, test, change and end subscriptions."`
	Event        eventCommands        `cmd:"" group:"client" help:"Publish events and look them up."`
	Delivery     deliveryCommands     `cmd:"" group:"client" help:"Look up what became of events, and send them again."`
	Backup       backupCommand        `cmd:"" group:"client" help:"Write a checked copy of a running server's database to a file."`

	BenchReceiver benchReceiverCommand `cmd:"" hidden:"" help:"The receiving process of 'bench', which starts it."`
}

// env is what the commands get from outside.
type env struct {
	ctx     context.Context //nolint:containedctx // the process's own: ends with the first signal
	in      io.Reader
	out     io.Writer
	err     io.Writer
	version string
	server  server // what a command of the client asks, once it does
}

// Run parses the arguments, runs the command and returns the exit code: 0 if it
// succeeded, 1 if it failed, 2 if it was called wrongly.
func Run(args []string, version string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	defer context.AfterFunc(ctx, stop)()

	var cli commands
	exited := -1
	parser, err := kong.New(&cli, options(stdout, stderr, func(code int) { exited = code })...)
	if err != nil {
		fmt.Fprintln(stderr, "grapevine:", err)
		return 1
	}
	switch {
	case len(args) == 0:
	case args[0] == "help": // what people try
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args = []string{"version"}
	}
	if namesGroup(parser.Model.Node, args) {
		args = append(args, "--help")
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was shown
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "grapevine: %s\n%s\n", mistake(err), seeHelp(parsed, err))
		return 2
	}
	e := &env{ctx: ctx, in: os.Stdin, out: stdout, err: stderr, version: version}
	if err := parsed.Run(e, parser.Model); err != nil {
		fmt.Fprintln(stderr, "grapevine:", explain(err, e.server))
		if _, misused := errors.AsType[*usageError](err); misused {
			return 2
		}
		return 1
	}
	return 0
}

func options(stdout, stderr io.Writer, exit func(int)) []kong.Option {
	return []kong.Option{
		kong.Name("grapevine"),
		kong.Description("Webhooks that don't get lost."),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.PostBuild(withoutVariables),
		kong.DefaultEnvars("GRAPEVINE"),
		kong.ExplicitGroups([]kong.Group{
			{Key: clientGroup, Title: "With a server that runs:"},
			{Key: "connection", Title: "Which server, and who asks:"},
		}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ValueFormatter(describe),
	}
}

// clientGroup holds the commands that ask a server.
const clientGroup = "client"

// withoutVariables keeps the flags of the client's commands from being variables
// as well, all but those that name one: GRAPEVINE_LISTEN is where a server
// serves, not where the command listen receives.
func withoutVariables(k *kong.Kong) error {
	var strip func(node *kong.Node)
	strip = func(node *kong.Node) {
		for _, flag := range node.Flags {
			if len(flag.Envs) == 0 {
				flag.Envs = []string{"-"}
			}
		}
		for _, child := range node.Children {
			strip(child)
		}
	}
	for _, node := range k.Model.Children {
		if node.Group != nil && node.Group.Key == clientGroup {
			strip(node)
		}
	}
	return nil
}

// namesGroup reports whether the arguments name commands that only hold others.
func namesGroup(node *kong.Node, args []string) bool {
	for _, arg := range args {
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == arg })
		if i < 0 {
			return false
		}
		node = node.Children[i]
	}
	return len(node.Children) > 0
}

// mistake is what is wrong with the arguments.
func mistake(err error) string {
	if misused, ok := errors.AsType[*usageError](err); ok {
		return misused.text // without the path of the command
	}
	return strings.ReplaceAll(err.Error(), `one of "",`, "one of ") // the empty one stands for none
}

// seeHelp says where the command that was meant is explained.
func seeHelp(parsed *kong.Context, err error) string {
	if failed, ok := errors.AsType[*kong.ParseError](err); ok {
		parsed = failed.Context
	}
	words := []string{"Run 'grapevine"}
	if parsed != nil {
		for _, at := range parsed.Path {
			if at.Command != nil {
				words = append(words, at.Command.Name)
			}
		}
	}
	return strings.Join(append(words, "--help' for what there is."), " ")
}

// describe is the help of a flag: what it means, its default and its variable.
func describe(value *kong.Value) string {
	shown := *value
	if value.Default != "" && !value.IsBool() {
		shown.Help += " Default: " + value.Default + "."
	}
	return kong.DefaultHelpValueFormatter(&shown)
}

type versionCommand struct{}

// Run prints the version and what built it.
func (versionCommand) Run(e *env) error {
	_, err := fmt.Fprintf(e.out, "grapevine %s (%s %s/%s)\n", e.version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

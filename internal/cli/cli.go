// Package cli is the commands of the program grapevine.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// commands is the grammar of the command line.
type commands struct {
	Serve      serveCommand      `cmd:"" help:"Run the server. GRAPEVINE_ADMIN_KEY may hold the operator's key, GRAPEVINE_MASTER_KEY the key that secrets are encrypted with."`
	Demo       demoCommand       `cmd:"" help:"Run a server with a tenant, a receiver and a short story, to look around in."`
	Config     configCommand     `cmd:"" help:"Show the configuration that 'serve' would run with, secrets masked."`
	Bench      benchCommand      `cmd:"" help:"Measure this program on this machine, and hold what it does to its bars."`
	Restore    restoreCommand    `cmd:"" help:"Put a backup in the place of the database, while no server runs."`
	MasterKey  masterKeyCommands `cmd:"" help:"Encrypt the secrets in the database with another key, while no server runs."`
	Completion completionCommand `cmd:"" help:"Print the completion of commands and flags for bash, zsh or fish."`
	Version    versionCommand    `cmd:"" help:"Show the version."`

	Listen       listenCommand        `cmd:"" group:"client" help:"Show events as they arrive, verified, and pass them on to a local URL."`
	Trigger      triggerCommand       `cmd:"" group:"client" help:"Publish a sample event, or send a test."`
	Tenant       tenantCommands       `cmd:"" group:"client" help:"Make, list, change and end tenants."`
	Key          keyCommands          `cmd:"" group:"client" help:"Make, list, replace and revoke a tenant's keys."`
	Dialect      dialectCommands      `cmd:"" group:"client" help:"List the dialects, and choose how a tenant speaks them."`
	Subscription subscriptionCommands `cmd:"" group:"client" help:"Say where events go: make, test, change and end subscriptions."`
	Event        eventCommands        `cmd:"" group:"client" help:"Publish events and look them up."`
	EventType    eventTypeCommands    `cmd:"" group:"client" help:"Register types of events, with schemas that events are checked by."`
	Delivery     deliveryCommands     `cmd:"" group:"client" help:"Look up what became of events, and send them again."`
	Replay       replayCommands       `cmd:"" group:"client" help:"Send many deliveries again, and follow, pause and cancel that."`
	Program      programCommands      `cmd:"" group:"client" help:"Say what is promised to whom: make and change programs and their rules."`
	Person       personCommands       `cmd:"" group:"client" help:"Report people and what they did, and look them up."`
	Account      accountCommands      `cmd:"" group:"client" help:"Say where accounts stand."`
	Code         codeCommands         `cmd:"" group:"client" help:"Look up people's codes, and disable and enable them."`
	Referral     referralCommands     `cmd:"" group:"client" help:"Look up who came by whom, and decide about it."`
	Blocklist    blocklistCommands    `cmd:"" group:"client" help:"Say whose referrals are not wanted: addresses, domains, networks and devices."`
	Reward       rewardCommands       `cmd:"" group:"client" help:"Look up what people were given; give, redeem and take back."`
	Fact         factCommands         `cmd:"" group:"client" help:"See what changed in programs and what it led to, and undo it."`
	Pool         poolCommands         `cmd:"" group:"client" help:"Fill the pools of codes that rewards give away."`
	Theme        themeCommands        `cmd:"" group:"client" help:"Say what people are written: variables, templates, and when they come into use."`
	Export       exportCommands       `cmd:"" group:"client" help:"Write rows to files, and download those."`
	Timer        timerCommands        `cmd:"" group:"client" help:"See what will happen later, and resume what failed too often."`
	Jwks         jwksCommands         `cmd:"" group:"client" help:"Replace the server's own signing key."`
	Audit        auditCommands        `cmd:"" group:"client" help:"See who changed what, when and from where."`
	Backup       backupCommand        `cmd:"" group:"client" help:"Write a checked copy of a running server's database to a file."`

	BenchReceiver benchReceiverCommand `cmd:"" hidden:"" help:"The receiving process of 'bench', which starts it."`
	BenchTimers   benchTimersCommand   `cmd:"" hidden:"" help:"The process of 'bench' that does timers, which it starts."`
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

// command is what each command of the program is.
type command interface{ Run(e *env) error }

// echoTime is how long the first signal counts as one with those after it:
// timeout(1) and others signal a process, and then its group once more.
const echoTime = time.Second

// Run parses the arguments, runs the command and returns the exit code: 0 if it
// succeeded, 1 if it failed, 2 if it was called wrongly.
func Run(args []string, version string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer func() {
		if ctx.Err() == nil {
			stop()
		} // else the process is about to end, and a signal on its way must not end it otherwise
	}()
	// A later signal ends the process at once.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(echoTime, stop) })()

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
		fmt.Fprintf(stderr, "grapevine: %s\n%s\n", mistake(parser.Model, err), seeHelp(parsed, err))
		return 2
	}
	out := &sink{w: stdout}
	e := &env{ctx: ctx, in: interruptible{ctx, os.Stdin}, out: out, err: stderr, version: version}
	// Not by the library, whose model of all commands would stay with a server for as
	// long as it runs.
	err = parsed.Selected().Target.Addr().Interface().(command).Run(e)
	if err == nil {
		err = out.failure()
	}
	if err != nil {
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
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), kong.MapperFunc(readNetwork)),
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

// inOurWords replaces what the parser of the command line says.
var inOurWords = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`one of "",`), "one of "}, // the empty one stands for none
	{regexp.MustCompile(`: expected a valid \d+ bit int but got (".*")`), " must be a whole number, not $1"},
	{regexp.MustCompile(`: expected an? (int|float) but got (".*") \(.*\)`), " must be a number, not $2"},
	{regexp.MustCompile(`: expected duration but got ("[^"]*").*`), " must be a time such as 90s, 5m or 2h, not $1"},
	{regexp.MustCompile(`: slog: level string (".*"): unknown name$`), " must be debug, info, warn or error, not $1"},
	{regexp.MustCompile(`: expected \w+ value but got "EOL" .*`), " needs a value"},
	{regexp.MustCompile(`: expected \w+ value but got (".*") \(.*\); perhaps try .*`), " needs a value, and $1 looks like a flag"},
	{regexp.MustCompile(`^expected "(.*)"$`), "$1 is missing"},
	{regexp.MustCompile(`^missing flags: `), "missing: "},
	{regexp.MustCompile(`^unexpected argument (\S*)(, did|$)`), `there is no "$1" here$2`},
}

// mistake is what is wrong with the arguments.
func mistake(program *kong.Application, err error) string {
	if misused, ok := errors.AsType[*usageError](err); ok {
		return misused.text // without the path of the command
	}
	text := err.Error()
	for _, command := range program.Children { // a flag's own error begins with the command as well
		text = strings.TrimPrefix(text, command.Name+": ")
	}
	for _, w := range inOurWords {
		text = w.pattern.ReplaceAllString(text, w.by)
	}
	return text
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

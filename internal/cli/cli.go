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
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is the grammar of the command line.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server. GRAPEVINE_ADMIN_KEY may hold the operator's key, GRAPEVINE_MASTER_KEY the key that secrets are encrypted with."`
	Demo    demoCommand    `cmd:"" help:"Run a server with a tenant, a receiver and a short story, to look around in."`
	Config  configCommand  `cmd:"" help:"Show the configuration that 'serve' would run with, secrets masked."`
	Version versionCommand `cmd:"" help:"Show the version."`
}

// env is what the commands get from outside.
type env struct {
	ctx     context.Context //nolint:containedctx // the process's own: ends with the first signal
	out     io.Writer
	err     io.Writer
	version string
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
		args = []string{"--help"}
	case args[0] == "help": // what people try
		args = append(args[1:], "--help")
	case args[0] == "--version":
		args = []string{"version"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // help was shown
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "grapevine: %v\nRun 'grapevine --help', or '--help' behind a command, for what there is.\n", err)
		return 2
	}
	if err := parsed.Run(&env{ctx: ctx, out: stdout, err: stderr, version: version}); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "grapevine:", err)
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
		kong.DefaultEnvars("GRAPEVINE"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ValueFormatter(describe),
	}
}

// describe is the help of a flag: what it means, its default and its variable.
func describe(value *kong.Value) string {
	shown := *value
	if value.HasDefault && !value.IsBool() {
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

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

type serveCommand struct {
	config.Server
}

// Run serves until a signal comes.
func (c *serveCommand) Run(e *env) error {
	c.ReadSecrets()
	log := newLogger(e.err, c.LogFormat, c.LogLevel)
	slog.SetDefault(log) // for what libraries print
	slog.SetLogLoggerLevel(slog.LevelDebug)
	for _, name := range c.UnknownVariables(os.Environ()) {
		log.WarnContext(e.ctx, "unknown_variable", slog.String("name", name))
	}
	a, err := app.New(e.ctx, c.Server, app.Options{Logger: log, Version: e.version})
	if errors.Is(err, context.Canceled) { // stopped before it had started
		return nil
	}
	if err != nil {
		return err
	}
	app.TuneMemory()
	if a.NewAdminKey != "" {
		fmt.Fprintf(e.err, "\nThe operator's key, made now and shown this once. Keep it, or start with one of your own as %s:\n\n    %s\n\n",
			config.AdminKeyVariable, a.NewAdminKey)
	}
	if isTerminal(e.err) {
		if link, err := a.SignInLink(e.ctx); err == nil { // there are other ways in
			fmt.Fprintf(e.err, "\nThe console, for whoever opens this link first, within a quarter of an hour:\n\n    %s\n\n", link)
		}
	}
	var failure error
	select {
	case <-e.ctx.Done():
	case failure = <-a.Failed():
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.ShutdownTimeout)
	defer cancel()
	a.Stop(ctx)
	return failure
}

// newLogger logs to w as the operator chose.
func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "text" || format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

type configCommand struct {
	config.Server `embed:""`

	JSON bool `name:"json" env:"-" help:"Write JSON."`
}

// Run prints every setting as it is in force.
func (c *configCommand) Run(e *env) error {
	c.ReadSecrets()
	if err := c.Validate(); err != nil {
		return err
	}
	settings := c.Effective()
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(settings)
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, s := range settings {
		value := s.Value
		if list, ok := value.([]string); ok {
			value = strings.Join(list, ",")
		}
		fmt.Fprintf(table, "%s\t%v\n", s.Name, value)
	}
	return table.Flush()
}

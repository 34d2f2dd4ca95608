package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

type demoCommand struct {
	Database string `env:"GRAPEVINE_DEMO_DATABASE" placeholder:"URL" help:"Run it in a Postgres database, postgres://…: in a schema of its own, which is removed at the end, so that nothing else in there is touched. Without it: SQLite, in a temporary folder."`
	KeysFile string `default:"demo.env" env:"-" placeholder:"FILE" help:"Where to write the URL and the keys, for a shell to read."`
	Exit     bool   `env:"-" help:"Stop after the story."`
}

// Validate refuses a database in which there can be no schema.
func (c *demoCommand) Validate() error {
	if c.Database == "" {
		return nil
	}
	if !config.IsPostgres(c.Database) {
		return usagef("--database must be the URL of a Postgres database, postgres://…: SQLite's is made in a temporary folder")
	}
	if err := config.CheckDatabase(c.Database); err != nil {
		return usagef("--database %v", err)
	}
	return nil
}

// Run starts a server on a new database, tells the story and serves until a signal
// comes. Nothing of it stays.
func (c *demoCommand) Run(e *env) error {
	scratch, err := app.NewScratch(e.ctx, c.Database)
	if err != nil {
		return err
	}
	err = c.run(e, scratch)
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if left := scratch.Remove(ctx); left != nil {
		return errors.Join(err, fmt.Errorf("the demonstration's data is still there, in %s: %w", scratch.Place, left))
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, "\nStopped; the demonstration's data is removed.")
	return nil
}

// stopTime is how long the demonstration may take to stop its server, and then to
// remove its data.
const stopTime = 5 * time.Second

// run tells the story with a server on an empty database, and stops that.
func (c *demoCommand) run(e *env, scratch *app.Scratch) error {
	server, err := app.New(e.ctx, config.Server{
		Database: scratch.Database, MasterKey: scratch.MasterKey,
		Listen: "127.0.0.1:0",
		// The receiver of the story is on this machine. Only the demonstration
		// allows that.
		AllowNetwork: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true,
	}, app.Options{Logger: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelError})), Version: e.version})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		server.Stop(ctx)
	}()
	receiver, err := startDemoReceiver()
	if err != nil {
		return err
	}
	defer receiver.server.Close()

	s := &story{env: e, receiver: receiver, out: newTable(e.out, 12, 18, 13, 7, 9, 6)}
	if !c.Exit {
		if s.console, err = server.SignInLink(e.ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.out, "\nGrapevine %s serves %s, with its data in %s.\n", e.version, server.URL(), scratch.Place)
	if err := c.play(e, server, s); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// play tells the story and then shows what happens until a signal comes.
func (c *demoCommand) play(e *env, server *app.App, s *story) error {
	if err := s.begin(server.URL(), server.NewAdminKey); err != nil {
		return err
	}
	keys, err := c.writeKeys(server, s)
	if err != nil {
		return err
	}
	if !c.Exit {
		defer keys.removeIfOurs()
	}
	if err := s.tell(); err != nil || c.Exit {
		return err
	}
	c.farewell(e, server.URL())
	return s.follow(server.Failed())
}

// keysFile is the file of keys as it was written.
type keysFile struct{ path, text string }

// writeKeys writes a file that a shell can read, for its owner alone.
func (c *demoCommand) writeKeys(server *app.App, s *story) (keysFile, error) {
	text := fmt.Sprintf("# The demonstration's server and key. Read it with:  . %s\n"+
		"export GRAPEVINE_URL=%s\nexport GRAPEVINE_KEY=%s\n"+
		"# The tenant's key of SaaSquatch, for its API and for 'listen --dialect saasquatch'.\nexport GRAPEVINE_DIALECT_KEY=%s\n"+
		"# The operator's key, for calls about tenants:  GRAPEVINE_ADMIN_KEY=%s\n",
		c.shellPath(), server.URL(), s.key, s.dialectKey, server.NewAdminKey)
	f, err := os.CreateTemp(filepath.Dir(c.KeysFile), ".demo-*") // mode 0600
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
		if err == nil {
			err = os.Rename(f.Name(), c.KeysFile)
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}
	if err != nil {
		return keysFile{}, fmt.Errorf("write the keys: %w (choose another file with --keys-file)", err)
	}
	return keysFile{c.KeysFile, text}, nil
}

// removeIfOurs removes the file unless another demonstration has replaced it.
func (k keysFile) removeIfOurs() {
	if text, err := os.ReadFile(k.path); err == nil && string(text) == k.text {
		_ = os.Remove(k.path)
	}
}

// shellPath is the file's path as the shell's command "." takes it.
func (c *demoCommand) shellPath() string {
	path := c.KeysFile
	if !filepath.IsAbs(path) && !strings.HasPrefix(path, ".") {
		path = "./" + path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func (c *demoCommand) farewell(e *env, url string) {
	fmt.Fprintf(e.out, `
The server stays up until you press Ctrl-C, and what you publish appears here. In another terminal, in this folder:

  . %[1]s
  %[2]s listen                        # in a terminal of its own: show events as they arrive
  %[2]s event publish invoice.paid '{"amount":4200}'
  %[2]s trigger user.created          # a sample of another dialect: 'event types' lists them all
  %[2]s delivery list
  %[2]s person story anna             # what happened to Anna of the referral program, the latest first

  curl -sS "$GRAPEVINE_URL/v1/events" -H "Authorization: Bearer $GRAPEVINE_KEY" \
    -H 'Content-Type: application/json' -d '{"type":"invoice.paid","data":{"amount":4200}}'

The API's documentation: %[3]s/docs

`, c.shellPath(), os.Args[0], url)
}

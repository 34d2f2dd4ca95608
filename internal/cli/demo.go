package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
)

type demoCommand struct {
	Env  string `default:"demo.env" placeholder:"FILE" help:"Where to write the URL and the keys, as a file for the shell to read."`
	Exit bool   `help:"Stop after the story."`
}

// Run starts a server on a new database in a temporary folder, tells the story
// and serves until a signal comes. Nothing of it stays but the file of keys.
func (c *demoCommand) Run(e *env) error {
	dir, err := os.MkdirTemp("", "grapevine-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := app.New(e.ctx, config.Server{
		Database: "sqlite:" + filepath.Join(dir, "grapevine.db"),
		Listen:   "127.0.0.1:0",
		// The receiver of the story is on this machine. Only the demonstration
		// allows that.
		AllowNetwork: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true,
		MaxInFlight: 1024, MaxEventBytes: 256 << 10,
	}, app.Options{Logger: slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelError})), Version: e.version})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		server.Stop(ctx)
	}()
	receiver, err := startDemoReceiver()
	if err != nil {
		return err
	}
	defer receiver.server.Close()

	s := &story{env: e, receiver: receiver, out: newTable(e.out, 12, 18, 9, 7, 9, 6)}
	fmt.Fprintf(e.out, "\nGrapevine %s serves %s, with its data in %s.\n", e.version, server.URL(), dir)
	if err := s.begin(server.URL(), server.NewAdminKey); err != nil {
		return err
	}
	if err := c.writeKeys(server, s.key); err != nil {
		return err
	}
	if err := s.tell(); err != nil {
		return err
	}
	if c.Exit {
		return nil
	}
	c.farewell(e, server.URL())
	select {
	case <-e.ctx.Done():
		fmt.Fprintln(e.out, "\nStopped; the demonstration's data is removed.")
		return nil
	case err := <-server.Failed():
		return err
	}
}

// writeKeys writes a file that a shell can read.
func (c *demoCommand) writeKeys(server *app.App, key string) error {
	text := fmt.Sprintf("# The demonstration's server and keys. Read it with:  . ./%s\nexport GRAPEVINE_URL=%s\nexport GRAPEVINE_KEY=%s\nexport GRAPEVINE_ADMIN_KEY=%s\n",
		filepath.Base(c.Env), server.URL(), key, server.NewAdminKey)
	if err := os.WriteFile(c.Env, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the keys: %w (choose another file with --env)", err)
	}
	return nil
}

func (c *demoCommand) farewell(e *env, url string) {
	path := c.Env
	if !filepath.IsAbs(path) {
		path = "./" + path
	}
	fmt.Fprintf(e.out, `
The server stays up until you press Ctrl-C. In another terminal, in this folder:

  . %s
  curl -s "$GRAPEVINE_URL/v1/events" -H "Authorization: Bearer $GRAPEVINE_KEY" \
    -H 'Content-Type: application/json' -d '{"type":"invoice.paid","data":{"amount":4200}}'
  curl -s "$GRAPEVINE_URL/v1/deliveries?limit=5" -H "Authorization: Bearer $GRAPEVINE_KEY"

The API's documentation: %s/docs
`, path, url)
}

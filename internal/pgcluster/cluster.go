// Package pgcluster runs a Postgres cluster that lasts as long as the process,
// from the server's binaries that are installed: for tests and measurements.
//
// The cluster listens on a port of the loopback network and demands a password
// that nobody else knows. Its files are in a temporary folder. A janitor, a shell
// that waits for the end of a pipe from this process, stops the server and removes
// the folder when the process ends, however it ends.
package pgcluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// Options are the settings of Start. The zero value works.
type Options struct {
	Bin string // the folder of the server's binaries; "": the newest that are installed

	// Folder is where the cluster's own is made. "": where the system has temporary
	// files, or, unless the cluster is durable, in memory. If this process is root's,
	// others have to be let through.
	Folder string

	// Durable clusters write as Postgres does unless told otherwise: what was
	// committed is on the disk. Others are faster; they lose what was committed last
	// when the server crashes, and what they hold when the machine does.
	Durable bool
}

// Mode is how a server is stopped, by the name that pg_ctl has for it.
type Mode string

// The modes of a stop.
const (
	Fast      Mode = "fast"      // sessions are ended, everything is written
	Immediate Mode = "immediate" // as a crash: the next start recovers from the log
)

const account = "grapevine" // the database's superuser

// Ports are taken from outside of what systems give to clients (from 32768 on
// Linux), which could take one while a server restarts.
const (
	firstPort = 20000
	ports     = 10000
	portTries = 20
)

// Cluster is a running cluster. Its methods may be called concurrently.
type Cluster struct {
	Server
	bin      string
	folder   string
	owner    owner
	settings []string
	port     int
	janitor  *exec.Cmd // nil: it has not started, or has ended
	lifeline io.Closer // the janitor works once this is closed

	mu         sync.Mutex
	postmaster *postmaster // nil: it does not run
}

// Start makes a cluster and starts its server. The cluster lives until Stop or
// the end of the process, not merely until ctx ends. The error matches
// ErrNotInstalled where there is no server to start.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	bin, err := findServer(ctx, opts.Bin)
	if err != nil {
		return nil, err
	}
	o, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if opts.Folder == "" && !opts.Durable {
		opts.Folder = memoryFolder()
	}
	folder, err := os.MkdirTemp(opts.Folder, "grapevine-postgres-")
	if err != nil {
		return nil, fmt.Errorf("pgcluster: make a folder: %w", err)
	}
	c := &Cluster{bin: bin, folder: folder, owner: o, settings: settings(opts)}
	if err := c.begin(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// settings are the server's, as arguments.
func settings(opts Options) []string {
	s := []string{
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
		"-c", "lc_messages=C", "-c", "timezone=UTC", "-c", "log_timezone=UTC",
	}
	if !opts.Durable {
		s = append(s, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_wal_size=128MB")
	}
	return s
}

// begin fills the folder and starts the server.
func (c *Cluster) begin(ctx context.Context) error {
	if err := c.owner.take(c.folder); err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	if err := c.hireJanitor(); err != nil {
		return fmt.Errorf("pgcluster: start the janitor: %w", err)
	}
	password := rand.Text()
	if err := c.initialise(ctx, password); err != nil {
		return err
	}
	for range portTries {
		c.port = firstPort + mathrand.IntN(ports) //nolint:gosec // a port is no secret
		c.Server = Server{url: &url.URL{
			Scheme: "postgres", User: url.UserPassword(account, password),
			Host: "127.0.0.1:" + strconv.Itoa(c.port), Path: "/postgres", RawQuery: "sslmode=disable",
		}}
		err := c.launch(ctx)
		if !errors.Is(err, errPortTaken) {
			return err
		}
	}
	return fmt.Errorf("pgcluster: %d ports were tried, and all are in use", portTries)
}

// initialise makes the files of an empty cluster.
func (c *Cluster) initialise(ctx context.Context, password string) error {
	file := filepath.Join(c.folder, "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	defer os.Remove(file)
	if err := c.owner.take(file); err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), "--pgdata="+c.data(), "--username="+account, "--pwfile="+file, //nolint:gosec // what the caller or the system names
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	c.prepare(cmd)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgcluster: initdb as %s: %w: %s", cmp.Or(c.owner.name, "this user"), err, lastLines(output))
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }
func (c *Cluster) log() string  { return filepath.Join(c.folder, "log") }

// prepare has a command run as the cluster's owner, who may not be allowed into
// the folder that this process works in.
func (c *Cluster) prepare(cmd *exec.Cmd) {
	c.owner.run(cmd)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// Restart stops the server and starts it again on its port. Where it fails the
// server may be down; it may be called again.
func (c *Cluster) Restart(ctx context.Context, mode Mode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.janitor == nil {
		return errors.New("pgcluster: the cluster is stopped")
	}
	if err := c.halt(ctx, mode); err != nil {
		return err
	}
	return c.launch(ctx)
}

// Stop ends the server and removes everything. It may be called more than once.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.halt(context.Background(), Immediate)
	if c.janitor != nil {
		err = errors.Join(err, c.lifeline.Close(), c.janitor.Wait())
		c.janitor = nil
	}
	return errors.Join(err, os.RemoveAll(c.folder))
}

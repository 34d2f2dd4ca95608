package pgcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// errPortTaken says that another process listens on the port.
var errPortTaken = errors.New("pgcluster: the port is in use")

// postmaster is one life of the server.
type postmaster struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// launch starts the server and waits until it takes connections. The caller holds
// mu, or is alone.
func (c *Cluster) launch(ctx context.Context) error {
	log, err := os.Create(c.log())
	if err != nil {
		return fmt.Errorf("pgcluster: %w", err)
	}
	defer log.Close()
	args := append([]string{"-D", c.data(), "-p", strconv.Itoa(c.port)}, c.settings...)
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...) //nolint:gosec,noctx // what the caller or the system names; halt ends it
	c.prepare(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pgcluster: start postgres: %w", err)
	}
	p := &postmaster{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // why it ended is in its log
		// A cluster that nobody refers to lives on: its lifeline is not collected.
		runtime.KeepAlive(c)
	}()
	c.postmaster = p
	if err := c.awaitReady(ctx, p); err != nil {
		return errors.Join(err, c.halt(context.WithoutCancel(ctx), Immediate))
	}
	return nil
}

// awaitReady returns when the server takes connections.
func (c *Cluster) awaitReady(ctx context.Context, p *postmaster) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := c.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return c.failure()
		case <-ctx.Done():
			return fmt.Errorf("pgcluster: the server takes no connections yet: %w (%w)", ctx.Err(), err)
		case <-again.C:
		}
	}
}

// failure says why the server ended by itself.
func (c *Cluster) failure() error {
	log, err := os.ReadFile(c.log())
	if err != nil {
		return fmt.Errorf("pgcluster: the server ended; its log: %w", err)
	}
	if bytes.Contains(log, []byte("could not bind")) {
		return errPortTaken
	}
	return fmt.Errorf("pgcluster: the server ended: %s", lastLines(log))
}

// halt stops the server, if it runs, and returns when it has ended.
func (c *Cluster) halt(ctx context.Context, mode Mode) error {
	p := c.postmaster
	if p == nil {
		return nil
	}
	signal, err := mode.signal()
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pgcluster: stop the server: %w", err)
	}
	select {
	case <-p.ended:
		c.postmaster = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pgcluster: the server has not ended yet: %w", ctx.Err())
	}
}

// lastLines returns the end of a program's output, which says why it failed.
func lastLines(output []byte) string {
	const most = 10
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

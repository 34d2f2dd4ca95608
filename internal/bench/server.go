package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is Grapevine as a process of its own, on one database and one address
// from start to start.
type server struct {
	opts     Options
	address  string
	adminKey string
	settings []string // of its database, as variables
	flags    []string // besides those that every scenario needs
	stderr   io.Writer

	cmd     *exec.Cmd
	exited  chan struct{}
	spent   time.Duration // CPU of the processes that have ended
	written int64         // bytes that they have written to disk
	commits float64       // that they have made
	killed  bool          // a process was: then written and commits lack what it did
	peak    int64         // bytes of memory that one of them had, as far as it was asked
}

// freeAddress returns an address of this machine that a server can take.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// newServer prepares a server. Those that share a database share the operator's
// key.
func newServer(opts Options, adminKey string, settings, flags []string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return &server{opts: opts, address: address, adminKey: adminKey, settings: settings, flags: flags, stderr: opts.Stderr}, nil
}

func (s *server) url() string { return "http://" + s.address }

// events is where events are published.
func (s *server) events() string { return s.url() + "/v1/events" }

// startTimeout is how long a server may take to be ready.
const startTimeout = time.Minute

// start starts the server and returns how long it took to be ready.
func (s *server) start(ctx context.Context) (time.Duration, error) {
	args := append([]string{
		"serve", "--listen", s.address,
		"--allow-http", "--allow-network", "127.0.0.0/8", "--log-level", "error",
	}, s.flags...)
	s.cmd = exec.Command(s.opts.Program, args...) //nolint:gosec,noctx // the program itself; stop and kill end it
	s.cmd.Env = slices.Concat(s.opts.Environ, s.settings, []string{"GRAPEVINE_ADMIN_KEY=" + s.adminKey})
	s.cmd.Stderr = s.stderr
	bindLife(s.cmd)
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		return 0, fmt.Errorf("bench: start the server: %w", err)
	}
	cmd, exited := s.cmd, make(chan struct{})
	s.exited = exited
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended is in its ProcessState
	}()
	for time.Since(begun) < startTimeout {
		if s.isReady(ctx) {
			return time.Since(begun), nil
		}
		select {
		case <-exited:
			return 0, errors.New("bench: the server ended before it was ready")
		default:
		}
		if !sleep(ctx, 2*time.Millisecond) {
			return 0, context.Cause(ctx)
		}
	}
	return 0, fmt.Errorf("bench: the server was not ready after %s", startTimeout)
}

func (s *server) isReady(ctx context.Context) bool {
	resp, err := s.get(ctx, "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// asking is for the few requests beside the load.
var asking = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}

func (s *server) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+path, nil)
	if err != nil {
		return nil, err
	}
	return asking.Do(req)
}

// stop ends the server as an operator does, and fails if that takes too long.
func (s *server) stop(ctx context.Context) error {
	if err := s.note(ctx); err != nil {
		return err
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
		s.reap()
		return nil
	case <-time.After(startTimeout):
		return errors.New("bench: the server did not stop")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// note takes down what can't be asked any more once the process has ended.
func (s *server) note(ctx context.Context) error {
	commits, err := s.counter(ctx, commitCounter)
	if err != nil {
		return err
	}
	now, err := read(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	s.commits += commits
	s.written += now.written
	s.peak = max(s.peak, now.peak)
	return nil
}

// kill ends the server as a crash does.
func (s *server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.peak = s.memory()
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.killed = true
	s.reap()
}

// reap adds up what the process has used.
func (s *server) reap() {
	state := s.cmd.ProcessState
	s.spent += state.UserTime() + state.SystemTime()
	s.cmd = nil
}

// commitCounter counts the server's commits.
const commitCounter = "grapevine_db_commit_seconds_count"

// counter reads one number from the server's metrics.
func (s *server) counter(ctx context.Context, name string) (float64, error) {
	values, err := s.metric(ctx, name+" ")
	if err != nil {
		return 0, err
	}
	if len(values) == 0 {
		return 0, fmt.Errorf("bench: the server's metrics lack %s", name)
	}
	return values[0], nil
}

// sum adds up a metric over all its labels. One that was never counted is zero.
func (s *server) sum(ctx context.Context, name string) (float64, error) {
	values, err := s.metric(ctx, name+"{")
	sum := 0.0
	for _, value := range values {
		sum += value
	}
	return sum, err
}

// metric returns the numbers in those lines of the server's metrics that begin like
// this.
func (s *server) metric(ctx context.Context, prefix string) ([]float64, error) {
	resp, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var values []float64
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("bench: the server's metrics: %w", err)
		}
		values = append(values, value)
	}
	return values, lines.Err()
}

// memory is the most bytes that the server has had, over all its starts. It is
// asked while a process runs: what the system says of one that has ended counts
// the memory of the process that started it as well.
func (s *server) memory() int64 {
	if s.cmd == nil {
		return s.peak
	}
	now, err := read(s.cmd.Process.Pid)
	if err != nil {
		return s.peak
	}
	return max(s.peak, now.peak)
}

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"time"
)

const (
	timersName = "timers"

	// TimersCommand is the argument with which the program runs as the process that
	// does a year of timers.
	TimersCommand = "bench-timers"

	yearMembers = 10_000
	yearBar     = 20 * time.Second
	yearBarOnPG = 60 * time.Second
)

// Year is a year of a tenant's timers that are not done yet.
type Year interface {
	Timers() int                            // how many there are
	Run(ctx context.Context) (int, error)   // does them, and returns how many it did
	Wrong(ctx context.Context) (int, error) // counts what is not as it must be then
}

// step is what the process says that does a year.
type step struct {
	Timers int           `json:"timers,omitempty"` // that there are, or that were done
	Took   time.Duration `json:"took,omitempty"`
	Wrong  int           `json:"wrong,omitempty"`
}

// DoYear is the process of the scenario timers. It says when the year is there, and
// when it is done, and goes on when it is told to.
func DoYear(ctx context.Context, y Year, in io.Reader, out io.Writer) error {
	told, say := bufio.NewReader(in), json.NewEncoder(out)
	await := func(s step) error {
		if err := say.Encode(s); err != nil {
			return err
		}
		_, err := told.ReadString('\n')
		return err
	}
	if err := await(step{Timers: y.Timers()}); err != nil {
		return err
	}
	begun := time.Now()
	n, err := y.Run(ctx)
	if err != nil {
		return err
	}
	if err := await(step{Timers: n, Took: time.Since(begun)}); err != nil {
		return err
	}
	wrong, err := y.Wrong(ctx)
	if err != nil {
		return err
	}
	return say.Encode(step{Wrong: wrong})
}

// yearProcess is that process as the bench sees it. It ends with the bench.
type yearProcess struct {
	cmd  *exec.Cmd
	says *bufio.Reader
	tell io.WriteCloser
}

// startYear starts the process on the database of the rig, whose server has ended.
func (r *rig) startYear(members int) (*yearProcess, error) {
	//nolint:gosec,noctx // the program itself; close ends it
	cmd := exec.Command(r.opts.Program, TimersCommand, "--tenant", r.tenantID, "--members", strconv.Itoa(members),
		"--listen", "127.0.0.1:0", "--log-level", "error")
	cmd.Env, cmd.Stderr = slices.Concat(r.opts.Environ, r.server.settings), r.opts.Stderr
	bindLife(cmd)
	tell, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	says, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start the process that does timers: %w", err)
	}
	return &yearProcess{cmd, bufio.NewReader(says), tell}, nil
}

func (p *yearProcess) close() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// next waits for the next step.
func (p *yearProcess) next(ctx context.Context) (step, error) {
	defer context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })()
	var s step
	line, err := p.says.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		return s, errors.New("bench: the process that does timers has ended early")
	}
	return s, err
}

func (p *yearProcess) goOn() error {
	_, err := io.WriteString(p.tell, "\n")
	return err
}

// timers has a year of timers done at once, as a runner does that comes to them late.
// Nobody is subscribed to what they bring about.
func (b *bench) timers(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.serve(ctx, 0); err != nil { // for a tenant
		return nil, err
	}
	if err := r.server.stop(ctx); err != nil {
		return nil, err
	}
	members := b.share(yearMembers, 20)
	p, err := r.startYear(members)
	if err != nil {
		return nil, err
	}
	defer p.close()
	result := &Result{Name: timersName}
	result.figure("members", float64(members), "")
	return []*Result{result}, r.runYear(ctx, p, result)
}

func (r *rig) runYear(ctx context.Context, p *yearProcess, result *Result) error {
	r.show("making members")
	there, err := p.next(ctx)
	if err != nil {
		return err
	}
	result.figure("timers", float64(there.Timers), "")
	begun, err := r.usedBy(ctx, p)
	if err != nil {
		return err
	}
	r.show("%d timers", there.Timers)
	if err := p.goOn(); err != nil {
		return err
	}
	done, err := p.next(ctx)
	if err != nil {
		return err
	}
	now, err := r.usedBy(ctx, p)
	if err != nil {
		return err
	}
	r.yearCosts(result, now.since(begun), done)
	r.show("looking at what came of them")
	if err := p.goOn(); err != nil {
		return err
	}
	after, err := p.next(ctx)
	if err != nil {
		return err
	}
	limit := yearBar
	if r.opts.Postgres {
		limit = yearBarOnPG
	}
	result.atMost("timers that were not done, or more than once", float64(max(there.Timers-done.Timers, done.Timers-there.Timers)), 0)
	result.atMost("rewards and wallets that are not as they must be", float64(after.Wrong), 0)
	result.below("a year of timers", done.Took.Seconds(), limit.Seconds(), "s")
	return r.checkClock()
}

// usedBy returns what the process that does timers and the database have used up to
// now.
func (r *rig) usedBy(ctx context.Context, p *yearProcess) (usage, error) {
	u, err := r.used(ctx)
	if err != nil || !measured {
		return u, err
	}
	now, err := read(p.cmd.Process.Pid)
	u.server, u.written = now.cpu, now.written
	return u, err
}

// yearCosts adds what the timers have used.
func (r *rig) yearCosts(result *Result, u usage, done step) {
	n := float64(done.Timers)
	result.figure("took", done.Took.Seconds(), "s")
	result.figure("timers_done", perSecond(done.Timers, done.Took), "/s")
	if measured {
		result.figure("server_cpu_per_timer", microseconds(u.server)/n, "µs")
	}
	if r.opts.Postgres {
		if measured {
			result.figure("postgres_cpu_per_timer", microseconds(u.database.cpu)/n, "µs")
		}
		result.figure("wal_per_timer", float64(u.database.log)/n, "bytes")
	}
	if measured {
		result.figure(othersBusy, u.others(), "cores")
	}
}

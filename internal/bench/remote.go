package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os/exec"
	"strconv"
	"time"
)

// ReceiverCommand is the argument with which the program runs as the receiver.
const ReceiverCommand = "bench-receiver"

// remote is the receiver as the bench sees it: a process of its own. It ends
// when its standard input does, so at the latest with the bench.
type remote struct {
	url   string
	cmd   *exec.Cmd
	calls *rpc.Client
}

// startReceiver starts a receiver and waits until it listens.
func startReceiver(opts Options) (*remote, error) {
	cmd := exec.Command(opts.Program, ReceiverCommand) //nolint:gosec,noctx // the program itself; close ends it
	cmd.Env, cmd.Stderr = opts.Environ, opts.Stderr
	bindLife(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start the receiver: %w", err)
	}
	r := &remote{cmd: cmd}
	lines := bufio.NewReader(out)
	var hello greeting
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		r.close()
		return nil, fmt.Errorf("bench: the receiver did not start: %w", err)
	}
	r.url = hello.URL
	r.calls = rpc.NewClient(pipes{struct {
		io.Reader
		io.Closer
	}{lines, out}, in})
	return r, nil
}

// close ends the process.
func (r *remote) close() {
	if r.calls != nil {
		_ = r.calls.Close()
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// endpoint is the URL of an endpoint.
func (r *remote) endpoint(n int) string { return r.url + "/" + strconv.Itoa(n) }

func (r *remote) call(ctx context.Context, method string, args, reply any) error {
	call := r.calls.Go("Receiver."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			return fmt.Errorf("bench: the receiver: %w", call.Error)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *remote) watch(ctx context.Context, what Watch) error {
	return r.call(ctx, "Watch", what, new(None))
}

func (r *remote) behave(ctx context.Context, to map[int]Behaviour) error {
	return r.call(ctx, "Behave", to, new(None))
}

func (r *remote) state(ctx context.Context) (State, error) {
	var state State
	err := r.call(ctx, "State", None(false), &state)
	return state, err
}

func (r *remote) noted(ctx context.Context) (Noted, error) {
	var noted Noted
	err := r.call(ctx, "Noted", None(false), &noted)
	return noted, err
}

// errStalled says that what was waited for did not come.
var errStalled = errors.New("bench: nothing has arrived for two minutes although something is missing")

// patience is how long nothing may arrive before await gives up.
const patience = 2 * time.Minute

// await waits until so many webhooks have arrived. It returns errStalled if none
// comes for a long time, which is for the comparison to explain.
func (r *remote) await(ctx context.Context, n int, show func(State)) error {
	arrived, since := -1, time.Now()
	for {
		state, err := r.state(ctx)
		if err != nil {
			return err
		}
		show(state)
		switch {
		case state.Arrived >= n:
			return nil
		case state.Arrived != arrived:
			arrived, since = state.Arrived, time.Now()
		case time.Since(since) > patience:
			return errStalled
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// awaitTurned waits until so many webhooks have been turned away, and a moment
// longer, so that whoever sent them knows.
func (r *remote) awaitTurned(ctx context.Context, n int) error {
	for since := time.Now(); time.Since(since) < patience; {
		state, err := r.state(ctx)
		if err != nil {
			return err
		}
		if !sleep(ctx, 500*time.Millisecond) {
			return context.Cause(ctx)
		}
		if state.Turned >= n {
			return nil
		}
	}
	return errStalled
}

// awaitLull waits until nothing has arrived for a time.
func (r *remote) awaitLull(ctx context.Context, lull time.Duration) error {
	arrived := -1
	for {
		state, err := r.state(ctx)
		if err != nil || state.Arrived == arrived {
			return err
		}
		arrived = state.Arrived
		if !sleep(ctx, lull) {
			return context.Cause(ctx)
		}
	}
}

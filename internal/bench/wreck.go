package bench

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	wreckNodes = 3
	nodeLease  = 5 * time.Second // what nodes are given: half of the default, so that measuring takes half as long
	longDown   = time.Second     // after which a killed node is started again, at most

	// lateArrivals is how long after a process was killed what it had sent may still
	// be read by the receiver.
	lateArrivals = time.Second
)

// wreck kills nodes at random, and now and then the database's server, while
// events are published at all of them. What a node does not accept is published
// again at the next one, with the same key.
func (b *bench) wreck(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx, "--lease", nodeLease.String())
	if err != nil {
		return nil, err
	}
	defer r.close()
	logs, err := r.divertLog()
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	if err := r.serve(ctx, 1); err != nil {
		return nil, err
	}
	for range wreckNodes - 1 {
		if err := r.grow(ctx); err != nil {
			return nil, err
		}
	}
	r.publishAtAll()
	r.events.insist = true
	if err := r.receiver.watch(ctx, Watch{Secret: r.secret, Verify: math.MaxInt32}); err != nil {
		return nil, err
	}
	if r.begun, err = r.used(ctx); err != nil {
		return nil, err
	}
	w := &wrecking{rig: r, strikes: b.strikes()}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	result := &Result{Name: crashName}
	result.figure("nodes", wreckNodes, "")
	result.figure("kills", float64(w.kills), "")
	result.figure("restarts_of_postgres", float64(w.restarts), "")
	result.figure("ready_after_kill_most", milliseconds(w.slowestStart), "ms")
	result.figure("postgres_down_most", milliseconds(w.slowestRestart), "ms")
	result.figure("published_again", float64(publishedAgain(w.posted)), "")
	_, err = r.concludeKills(ctx, result, w.posted, w.outages)
	return []*Result{result}, err
}

// divertLog has what the nodes log written into a file of the rig's folder: where
// so much is killed there is much that they report.
func (r *rig) divertLog() (*os.File, error) {
	f, err := os.Create(r.logFile())
	r.server.stderr = f
	return f, err
}

func (r *rig) logFile() string { return filepath.Join(r.dir, "nodes.log") }

// lastLogged is the last line that was logged there.
func (r *rig) lastLogged() string {
	text, err := os.ReadFile(r.logFile())
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// publishedAgain is how many events were not accepted at once.
func publishedAgain(posted []publication) int {
	n := 0
	for _, p := range posted {
		if p.again > 0 {
			n++
		}
	}
	return n
}

// strike is what is killed.
type strike int

const (
	strikeNode strike = iota
	strikeDatabase
)

// strikes returns a function that says what is killed next, if anything.
func (b *bench) strikes() func() (strike, bool) {
	if b.opts.For > 0 {
		until, share := time.Now().Add(b.opts.For), float64(b.opts.Restarts)/float64(b.opts.Restarts+b.opts.Kills)
		return func() (strike, bool) {
			what := strikeNode
			if rand.Float64() < share { //nolint:gosec // any will do
				what = strikeDatabase
			}
			return what, time.Now().Before(until)
		}
	}
	list := slices.Concat(slices.Repeat([]strike{strikeNode}, b.opts.Kills), slices.Repeat([]strike{strikeDatabase}, b.opts.Restarts))
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) //nolint:gosec // any order will do
	return func() (strike, bool) {
		if len(list) == 0 {
			return 0, false
		}
		next := list[0]
		list = list[1:]
		return next, true
	}
}

// wrecking is nodes that are killed again and again, and their database, and what
// was published meanwhile.
type wrecking struct {
	*rig
	strikes func() (strike, bool)

	posted          []publication
	outages         []outage
	kills, restarts int
	slowestRestart  time.Duration

	revivals     sync.WaitGroup
	mu           sync.Mutex
	down         map[*server]bool
	failed       error // of a revival
	slowestStart time.Duration
}

// run strikes until it has been enough, and leaves all nodes running.
func (w *wrecking) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.down = make(map[*server]bool)
	var enough atomic.Bool
	flooded := make(chan error, 1)
	go func() {
		posted, err := w.load.floodWhile(ctx, w.events, func() bool { return !enough.Load() })
		w.posted = posted
		flooded <- err
	}()
	err := w.strikeAll(ctx, flooded)
	if err != nil {
		cancel()
	}
	w.revivals.Wait()
	sleep(ctx, longLife)
	enough.Store(true)
	published := <-flooded
	return cmp.Or(err, w.failed, published)
}

func (w *wrecking) strikeAll(ctx context.Context, flooded chan error) error {
	for what, more := w.strikes(); more; what, more = w.strikes() {
		w.show("%d kills, %d restarts of Postgres, %d events", w.kills, w.restarts, w.load.accepted.Load())
		sleep(ctx, shortLife+rand.N(longLife-shortLife)) //nolint:gosec // any moment will do
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if len(flooded) > 0 {
			err := <-flooded
			flooded <- nil
			return fmt.Errorf("bench: publishing failed although nodes were there again: %w", err)
		}
		if err := w.strike(ctx, what); err != nil {
			return err
		}
	}
	return nil
}

// strike kills something and says when, with the time in which what it had sent
// may still arrive.
func (w *wrecking) strike(ctx context.Context, what strike) error {
	from := time.Now()
	defer func() {
		w.outages = append(w.outages, outage{from.UnixNano(), time.Now().Add(lateArrivals).UnixNano()})
	}()
	if what == strikeDatabase {
		w.restarts++
		err := w.database.(*postgresDatabase).crash(ctx) //nolint:forcetypeassert // several nodes share no other
		w.slowestRestart = max(w.slowestRestart, time.Since(from))
		return err
	}
	s, err := w.standing(ctx)
	if err != nil {
		return err
	}
	from = time.Now()
	s.kill()
	w.kills++
	w.revivals.Go(func() { w.revive(ctx, s) })
	return nil
}

// standing returns a node that is ready, as soon as there is one, and notes that it
// is not any more.
func (w *wrecking) standing(ctx context.Context) (*server, error) {
	for {
		w.mu.Lock()
		up := slices.DeleteFunc(slices.Clone(w.nodes), func(s *server) bool { return w.down[s] })
		err := w.failed
		if err == nil && len(up) > 0 {
			s := up[rand.IntN(len(up))] //nolint:gosec // any will do
			w.down[s] = true
			w.mu.Unlock()
			return s, nil
		}
		w.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return nil, context.Cause(ctx)
		}
	}
}

// revive starts a node again, as whatever runs it would: a while later, and again
// if it ends, as it does while the database is down.
func (w *wrecking) revive(ctx context.Context, s *server) {
	sleep(ctx, rand.N(longDown)) //nolint:gosec // any will do
	took, err := s.start(ctx)
	for begun := time.Now(); err != nil && ctx.Err() == nil && time.Since(begun) < startTimeout; {
		s.kill()
		sleep(ctx, 100*time.Millisecond)
		took, err = s.start(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = cmp.Or(w.failed, fmt.Errorf("bench: a killed node does not start again: %w; its log: %s", err, w.lastLogged()))
		return
	}
	w.slowestStart = max(w.slowestStart, took)
	w.down[s] = false
}

package db

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxGroup bounds how many closures share a commit.
const maxGroup = 1024

var errExited = errors.New("db: a closure ended the goroutine that ran it")

// writer runs closures one after the other on one connection and commits them in
// groups: all of a file's, and those of a lane of a server.
type writer struct {
	log     *slog.Logger
	queue   chan *write
	done    chan struct{} // closed when the loop has ended
	metrics *metrics
	readers *readers      // of the same file; nil: it is a lane
	server  *server       // whose lane it is; nil: it writes to a file
	delay   time.Duration // after each commit
	board   *board

	returning *returning
	longLog   chan struct{} // holds one when the log is to be moved; nil: there is none

	mu     sync.RWMutex // held to send to queue; taken whole to close it
	closed bool

	// Of the loop alone, until it has ended.
	conn      *conn
	doubt     error           // not nil: why the connection is given up after this group
	readOnly  bool            // so the file was found by the last group
	counted   int             // pages that the connection had logged when the log was last found long
	ctx       context.Context //nolint:containedctx // bounds the transaction under way
	shared    *sharing        // of the transaction under way; nil on SQLite
	committed bool            // the transaction under way is, with its last statements
	ends      time.Time       // when its closures had run
}

// write is one caller's closure and what became of it.
type write struct {
	ctx    context.Context // only asked before the closure begins
	fn     func(*Tx) error
	aside  func(*conn) error // instead of fn: runs between two transactions
	taken  atomic.Bool       // by the loop, which then runs it, or by the caller, who gave up
	tx     *Tx               // nil: it was not run
	err    error
	panics any
	done   chan struct{}
}

// newWriter returns a writer that does not write before its loop runs.
func newWriter(c *conn, m *metrics, opts Options) *writer {
	return &writer{
		log:     opts.Logger,
		queue:   make(chan *write, maxGroup),
		done:    make(chan struct{}),
		metrics: m,
		delay:   opts.CommitDelay,
		board:   opts.board,

		returning: newReturning(),
		conn:      c,
		ctx:       context.Background(),
	}
}

// do hands fn to the loop and waits for its outcome.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	return w.await(&write{ctx: ctx, fn: fn, done: make(chan struct{})})
}

func (w *writer) await(req *write) error {
	if err := w.enqueue(req); err != nil {
		return err
	}
	select {
	case <-req.done:
	case <-req.ctx.Done():
		if req.taken.CompareAndSwap(false, true) {
			return req.ctx.Err()
		}
		<-req.done
	}
	if req.panics != nil {
		panic(req.panics)
	}
	return req.err
}

func (w *writer) enqueue(req *write) error {
	// The lock is held while the queue is full. That can't keep stop from
	// getting it for good: the loop goes on taking from the queue.
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
	select {
	case w.queue <- req:
		w.returning.arrive()
		return nil
	case <-req.ctx.Done():
		return req.ctx.Err()
	}
}

// stop refuses further writes and waits for those that were accepted.
func (w *writer) stop() {
	w.mu.Lock()
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.done
}

// close gives back the connection of a writer that has stopped.
func (w *writer) close() error {
	return w.conn.release()
}

func (w *writer) loop() {
	drained := false
	defer func() {
		if drained {
			close(w.done)
			return
		}
		go w.loop() // a closure ended this goroutine, as testing.T.FailNow does
	}()
	group := make([]*write, 0, maxGroup)
	for first := range w.queue {
		var asides []*write
		group, asides = apart(w.gather(append(group, first)))
		w.runAsides(asides)
		if len(group) > 0 {
			w.run(group)
		}
		clear(group)
		group = group[:0]
	}
	drained = true
}

// gather adds to the group what is waiting, and what comes with those who are
// expected.
func (w *writer) gather(group []*write) []*write {
	w.returning.await(len(w.queue) + 1)
	for len(group) < maxGroup {
		select {
		case req, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, req)
		default:
			return group
		}
	}
	return group
}

// run commits what the group's closures write, or none of it.
func (w *writer) run(group []*write) {
	err := errExited // unless transact returns
	defer func() { w.settle(group, err) }()
	err = w.transact(group)
}

// settle brings memory into line with what became of the group, and lets the
// callers go.
func (w *writer) settle(group []*write, err error) {
	defer func() {
		w.returning.letGo(len(group))
		for _, req := range group {
			close(req.done)
		}
	}()
	if trouble := cmp.Or(err, w.doubt); trouble != nil {
		w.log.Error("database_failed", slog.String("error", trouble.Error()), slog.Int("closures", len(group)))
		w.conn.drop() // the next one may find the file as it should be
		w.doubt, w.readOnly = nil, isReadOnly(trouble)
	}
	if err == nil {
		for _, req := range group {
			w.follow(req)
		}
		return
	}
	for _, req := range slices.Backward(group) {
		w.takeBack(req)
		if req.err == nil {
			req.err = err
		}
	}
}

// errTangled is what a pass returns whose transaction holds what a failed
// closure wrote.
var errTangled = errors.New("db: a closure failed after it had written")

// transact returns an error if the group as a whole could not be committed. The
// errors of single closures are in the closures.
//
// A savepoint for each closure would cost as much as what most of them write. So
// the first pass does without; only if a closure fails after it has written is
// the group run again, in savepoints.
func (w *writer) transact(group []*write) error {
	if w.readOnly && w.readers != nil {
		w.readers.renew()
		w.readOnly = false
	}
	end, err := w.begin()
	defer end()
	if err != nil {
		return err
	}
	runnable := take(group)
	kept, err := w.pass(runnable, false)
	if errors.Is(err, errTangled) {
		w.rollback()
		for _, req := range slices.Backward(runnable) {
			w.takeBack(req)
			req.tx, req.err, req.panics = nil, nil, nil
		}
		again, err := w.begin()
		defer again()
		if err != nil {
			return err
		}
		if kept, err = w.pass(runnable, true); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if kept == 0 {
		w.rollback()
		return nil
	}
	if err := w.commit(); err != nil {
		return err
	}
	if w.delay > 0 {
		<-time.After(w.delay)
	}
	w.metrics.committed(kept, time.Since(w.ends))
	return nil
}

// rollback takes back what the transaction wrote, if it has begun.
func (w *writer) rollback() {
	if w.shared != nil && len(w.shared.first) > 0 && w.shared.first[0].query == beginLane {
		return // nothing was sent yet
	}
	w.conn.rollback()
}

// begin begins a transaction and returns what ends the time that it has.
func (w *writer) begin() (context.CancelFunc, error) {
	if w.server == nil {
		return func() {}, w.conn.begin(w.ctx, "BEGIN IMMEDIATE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), mostTime)
	w.ctx, w.shared, w.committed = ctx, newSharing(w.server.begins...), false
	return cancel, w.conn.connect(ctx)
}

// commit commits, unless that is done.
func (w *writer) commit() error {
	if w.committed {
		return nil
	}
	err := w.conn.exec(w.ctx, commit)
	if err == nil {
		if w.longLog != nil {
			w.countLog()
		}
		return nil
	}
	if w.server != nil {
		w.server.doubt(err)
	}
	return classify(fmt.Errorf("db: commit: %w", err))
}

// take returns the closures whose callers have not gone. Nothing of the others
// has begun.
func take(group []*write) []*write {
	runnable := make([]*write, 0, len(group))
	for _, req := range group {
		if req.ctx.Err() != nil || !req.taken.CompareAndSwap(false, true) {
			req.err = req.ctx.Err()
			continue
		}
		runnable = append(runnable, req)
	}
	return runnable
}

// pass runs the closures and returns how many of them are to be committed. It
// returns an error only where the whole transaction is lost or tangled.
func (w *writer) pass(runnable []*write, savepoints bool) (int, error) {
	kept := 0
	for _, req := range runnable {
		ok, err := w.runOne(req, savepoints, len(runnable) > 1)
		if err != nil {
			return 0, err
		}
		if ok {
			kept++
		}
	}
	w.ends = time.Now()
	if w.shared == nil || kept == 0 || savepoints {
		return kept, nil
	}
	return w.flushAll(runnable, kept)
}

// flushAll runs what the closures of a group left for later. Where that fails and
// they are several the group is tangled: run again, each in a savepoint, the one
// at fault fails alone.
//
// Where nobody asks what the statements did, the commit goes with them.
func (w *writer) flushAll(runnable []*write, kept int) (int, error) {
	if len(w.shared.later)+len(w.shared.first) == 0 {
		return kept, nil // there is nothing that the commit could go with
	}
	commits := !slices.ContainsFunc(w.shared.later, func(st statement) bool { return st.check != nil })
	if commits {
		w.shared.later = append(w.shared.later, statement{query: commit})
	}
	err := w.flush()
	if commits && err != nil {
		w.server.doubt(err)
	}
	w.committed = commits && err == nil
	switch {
	case err == nil:
		return kept, nil
	case errors.Is(err, ErrUnavailable):
		return 0, err
	case len(runnable) > 1:
		return 0, errTangled
	}
	runnable[0].err = err
	w.takeBack(runnable[0])
	return 0, nil
}

// flush runs what was left for later, if anything was.
func (w *writer) flush() error {
	if w.shared == nil {
		return nil
	}
	later := w.shared.later
	w.shared.later = nil
	return (&scope{ctx: w.ctx, conn: w.conn, shared: w.shared}).runAll(later)
}

// runOne runs one closure and returns whether it is to be committed. shared says
// that others are in the same transaction.
func (w *writer) runOne(req *write, savepoint, shared bool) (bool, error) {
	if savepoint {
		if err := w.bound("SAVEPOINT closure"); err != nil {
			return false, lost(err)
		}
	}
	failure := w.call(req)
	if savepoint && req.err == nil && req.panics == nil {
		failure = w.flush()
		req.err = failure
	}
	if req.err == nil && req.panics == nil {
		if savepoint {
			if err := w.bound("RELEASE closure"); err != nil {
				return false, lost(err)
			}
		}
		return true, nil
	}
	if !savepoint && shared && (req.tx.wrote || failure != nil) {
		return false, errTangled
	}
	if errors.Is(failure, ErrUnavailable) {
		w.doubt = failure
	}
	w.takeBack(req)
	if !savepoint {
		return false, nil
	}
	// If the failure made the database roll back by itself, the savepoint is
	// gone and so is what the others wrote.
	if err := w.bound("ROLLBACK TO closure"); err != nil {
		return false, cmp.Or(w.doubt, lost(err))
	}
	if w.shared != nil { // locks that it took are gone, and what it left for later must not be done
		*w.shared = *newSharing()
	}
	if err := w.bound("RELEASE closure"); err != nil {
		return false, lost(err)
	}
	return false, nil
}

// call runs the closure and returns the error of the first statement that
// failed, which the closure need not have minded.
func (w *writer) call(req *write) error {
	req.tx = &Tx{
		// A transaction that many callers share is no caller's to end.
		scope: scope{ctx: w.ctx, conn: w.conn, shared: w.shared},
		now:   time.Now().UTC().Truncate(time.Microsecond),
		board: w.board,
	}
	w.guard(req, func() {
		defer req.tx.close()
		req.err = classify(req.fn(req.tx))
		if req.err == nil && w.shared == nil {
			req.err = req.tx.Flush()
		}
	})
	failure := req.tx.end()
	if req.err == nil && req.panics == nil {
		req.err = failure // part of its work is missing
	}
	return failure
}

// bound runs a statement that bounds a closure, after what has to be run first.
func (w *writer) bound(statement string) error {
	if w.shared != nil {
		if err := (&scope{ctx: w.ctx, conn: w.conn, shared: w.shared}).runAll(nil); err != nil {
			return err
		}
	}
	return w.conn.exec(w.ctx, statement)
}

func lost(err error) error {
	return fmt.Errorf("%w: the transaction was lost: %w", ErrUnavailable, err)
}

// follow runs what a committed closure noted for afterwards.
func (w *writer) follow(req *write) {
	if req.tx == nil || req.err != nil || req.panics != nil {
		return
	}
	for _, fn := range req.tx.after {
		w.guard(req, fn)
	}
}

// takeBack undoes what the closure changed in memory, once.
func (w *writer) takeBack(req *write) {
	if req.tx == nil {
		return
	}
	undo := req.tx.undo
	req.tx.undo = nil
	for _, fn := range slices.Backward(undo) {
		w.guard(req, fn)
	}
}

// guard runs fn and keeps its panic for the caller's goroutine. Where it
// happened is known only here.
func (w *writer) guard(req *write, fn func()) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		w.log.Error("closure_panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		if req.panics == nil {
			req.panics = p
		}
	}()
	fn()
}

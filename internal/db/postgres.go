package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections to a server: those that read, those of Write, one for each lane, and
// one that migrates at the start.
const (
	serverReaders  = 8
	serverCommands = 8
)

const (
	// mostTime is how long a transaction may take whose caller names no deadline,
	// and any read: after that the server is taken for lost.
	mostTime = 30 * time.Second
	// maxTries is how often a lane's transaction is run that meets others.
	maxTries = 30
	// triesBeside is how often a command of Write is run beside all others. Those that
	// have met others as often go on one after the other, triesInTurn times each, so that
	// many that change the same do not fail each other for ever.
	triesBeside = 5
	triesInTurn = 200

	connectTime = 5 * time.Second
)

// How transactions begin.
const (
	beginCommand = `BEGIN ISOLATION LEVEL SERIALIZABLE; `
	beginLane    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	beginRead    = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 60000`
)

// stall has the server end a transaction whose process has stopped in the middle.
func stall(opts Options) string {
	return fmt.Sprintf(`SET LOCAL idle_in_transaction_session_timeout = %d`, opts.Stall.Milliseconds())
}

// laneBegins is how transactions of a lane begin. What they run goes by indexes; a
// plan that was made while the tables were empty must not read them whole.
func laneBegins(opts Options) []statement {
	return []statement{{query: beginLane}, {query: stall(opts)}, {query: `SET LOCAL enable_seqscan = off`}}
}

// postgresFlavor is how Postgres spells what the two databases spell differently.
var postgresFlavor = flavor{
	tokens: map[string]string{
		"{{blob}}":      "BYTEA",
		"{{bigint}}":    "BIGINT",
		"{{bool}}":      "BOOLEAN",
		"{{strict}}":    "",
		"{{clustered}}": "",
	},
	lock: fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, lockNumber("migrate")),
}

// isPostgres reports whether a database's URL is one of Postgres.
func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// server is what writes to a database that others may share.
type server struct {
	log      *slog.Logger
	pool     *sql.DB
	metrics  *metrics
	opts     Options
	begins   []statement // of a lane's transactions
	commands chan *conn  // idle; closed with the database
	keys     keys
	turn     chan struct{} // has room for the command that others have failed too often
	doubts   atomic.Int64

	mu     sync.Mutex
	lanes  []*writer
	closed bool
}

func openPostgres(ctx context.Context, raw string, opts Options) (*DB, error) {
	config, err := parsePostgres(raw)
	if err != nil {
		return nil, err
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxIdleConns(serverReaders + serverCommands)
	if err := checkServer(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if err := migrate(ctx, pool, postgresFlavor, opts); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	m, err := newMetrics(opts.Metrics)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	connections := func(n int) []*conn {
		conns := make([]*conn, n)
		for i := range conns {
			conns[i] = &conn{pool: pool, direct: true}
		}
		return conns
	}
	s := &server{
		log: opts.Logger, pool: pool, metrics: m, opts: opts, begins: laneBegins(opts),
		commands: make(chan *conn, serverCommands), turn: make(chan struct{}, 1),
	}
	for _, c := range connections(serverCommands) {
		s.commands <- c
	}
	d := &DB{server: s, metrics: m, board: opts.board, readers: newReaders(beginRead, connections(serverReaders)), pools: []*sql.DB{pool}}
	d.readers.limit = mostTime
	return d, nil
}

// oldestServer is the first version of Postgres that is tried.
const oldestServer = 150000

// checkServer refuses a server that is too old, and a database that can't store every
// text, before anything is made in it.
func checkServer(ctx context.Context, pool *sql.DB) error {
	var version int
	var encoding string
	err := pool.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')`).Scan(&version, &encoding)
	switch {
	case err != nil:
		return classify(fmt.Errorf("db: connect: %w", err))
	case version < oldestServer:
		return fmt.Errorf("db: the server is Postgres %d: it must be %d or later", version/10000, oldestServer/10000)
	case encoding != "UTF8":
		return fmt.Errorf("db: the database's encoding is %s: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return nil
}

// parsePostgres reads a URL. Its error shows nothing of it.
func parsePostgres(raw string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(raw)
	if err != nil {
		return nil, errors.New("db: the database's URL is not one that Postgres's driver can read: it must look like postgres://USER:PASSWORD@HOST:5432/NAME?sslmode=verify-full")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	// A server that has gone without a word is noticed in half a minute.
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4}}
	config.DialFunc = dialer.DialContext
	return config, nil
}

func (s *server) addLane() *writer {
	w := newWriter(&conn{pool: s.pool, direct: true}, s.metrics, s.opts)
	w.server = s
	s.mu.Lock()
	defer s.mu.Unlock()
	go w.loop()
	if s.closed { // what it is asked for is refused
		w.stop()
		return w
	}
	s.lanes = append(s.lanes, w)
	return w
}

// stop refuses further writes and waits for those under way.
func (s *server) stop() error {
	s.mu.Lock()
	lanes := s.lanes
	s.closed = true
	s.mu.Unlock()
	var errs []error
	for _, w := range lanes {
		w.stop()
		errs = append(errs, w.close())
	}
	for range cap(s.commands) {
		errs = append(errs, (<-s.commands).release())
	}
	close(s.commands)
	return errors.Join(errs...)
}

// write runs a command, again as long as others are in its way.
func (s *server) write(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for try := 1; ; try++ {
		if try == triesBeside+1 {
			select {
			case s.turn <- struct{}{}:
				defer func() { <-s.turn }()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := s.try(ctx, fn)
		if try == triesBeside+triesInTurn || !isTransient(err) {
			return exhausted(err)
		}
		s.metrics.retried()
		if err := pauseBefore(ctx, min(try, triesBeside)); err != nil {
			return err
		}
	}
}

// exhausted says of a transaction that has met others too often that the database
// can't take it now.
func exhausted(err error) error {
	if isTransient(err) {
		return fmt.Errorf("%w: too many others change the same at once: %w", ErrUnavailable, err)
	}
	return err
}

// pauseBefore waits a moment, longer with each try, at random, so that those who
// met do not meet again.
func pauseBefore(ctx context.Context, try int) error {
	timer := time.NewTimer(rand.N(min(time.Millisecond<<min(try, 10), 100*time.Millisecond))) //nolint:gosec // jitter
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try runs a command once.
func (s *server) try(ctx context.Context, fn func(*Tx) error) error {
	var c *conn
	select {
	case taken, ok := <-s.commands:
		if !ok {
			return fmt.Errorf("%w: closed", ErrUnavailable)
		}
		c = taken
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.commands <- c }()
	until, named := ctx.Deadline()
	if !named || time.Until(until) > mostTime {
		until = time.Now().Add(mostTime)
	}
	// Who goes away does not break off what has begun.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	tx, err := s.transact(ctx, c, fn)
	if err != nil {
		return err
	}
	for _, after := range tx.after {
		after()
	}
	return nil
}

// transact commits what a command writes, or nothing of it.
func (s *server) transact(ctx context.Context, c *conn, fn func(*Tx) error) (*Tx, error) {
	if err := c.begin(ctx, beginCommand+stall(s.opts)); err != nil {
		return nil, err
	}
	tx := &Tx{scope: scope{ctx: ctx, conn: c, shared: newSharing()}, now: time.Now().UTC().Truncate(time.Microsecond), board: s.opts.board}
	committed := false
	defer func() { // also where the closure panics or ends the goroutine
		if committed {
			return
		}
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "closure_panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			defer panic(p)
		}
		_ = tx.end()
		if ctx.Err() != nil { // the driver has closed it, or is about to
			c.drop()
		}
		c.rollback()
		for _, undo := range slices.Backward(tx.undo) {
			undo()
		}
	}()
	err := classify(fn(tx))
	if err == nil {
		err = tx.Flush()
	}
	if failure := tx.end(); err == nil {
		err = failure // part of its work is missing
	}
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := c.exec(ctx, "COMMIT"); err != nil {
		s.doubt(err)
		if !isDecided(err) {
			c.drop()
		}
		return nil, classify(fmt.Errorf("db: commit: %w", err))
	}
	committed = true
	if s.opts.CommitDelay > 0 {
		<-time.After(s.opts.CommitDelay)
	}
	s.metrics.committed(1, time.Since(start))
	return tx, nil
}

// doubt counts a commit that failed so that it may have taken place.
func (s *server) doubt(err error) {
	if !isDecided(err) {
		s.doubts.Add(1)
	}
}

// ping has the server flush a commit: only one that can be written gives out a
// number for it.
func (s *server) ping(ctx context.Context) error {
	return s.write(ctx, func(tx *Tx) error {
		var number string
		return tx.QueryRow(`SELECT pg_current_xact_id()::text`).Scan(&number)
	})
}

// keys are queues of commands that would be in each other's way.
type keys struct {
	mu    sync.Mutex
	queue map[string]*turn
}

// turn is whose turn it is of those that want a key.
type turn struct {
	token chan struct{} // taken by whoever runs
	users int
}

// acquire waits for the key and returns what gives it back.
func (k *keys) acquire(ctx context.Context, key string) (func(), error) {
	k.mu.Lock()
	if k.queue == nil {
		k.queue = make(map[string]*turn)
	}
	t, ok := k.queue[key]
	if !ok {
		t = &turn{token: make(chan struct{}, 1)}
		k.queue[key] = t
	}
	t.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(k.queue, key)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

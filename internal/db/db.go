// Package db runs one text of SQL on the database that the operator chose.
//
// There are three ways in. [DB.Read] gives a consistent snapshot and never waits
// for a writer. [DB.Write] runs a closure as if no other ran beside it, and
// returns when what it wrote is on disk. [Lane.Write] does so for the short
// transactions of which there are most, and promises less.
//
// On SQLite one goroutine writes: it runs the closures of many callers and
// commits them together, so that no caller waits for a flush of its own (group
// commit). A closure that fails takes back only what it did itself; a commit that
// fails fails the whole group. Lanes are the same there.
//
// On Postgres other processes write too. Write is SERIALIZABLE, on a connection of
// its own, and a closure that met another transaction is run again. A lane is READ
// COMMITTED, and commits the closures of many callers together: what they write
// has to rest on unique keys, conditional updates and locks ([Tx.Lock]).
//
// Closures do no I/O besides their transaction and may be run again. What they
// change in memory they change through [Tx.Undo] and [Tx.After], so that memory
// follows the database and never runs ahead of it.
//
// A statement that fails fails its transaction: the next ones report the same
// error, and nothing is kept, even if the closure returns nil. A database may
// have rolled back by itself, and what ran then would be stored at once; and
// Postgres accepts nothing after an error. What is expected to collide says ON
// CONFLICT.
//
// SQL uses $1, $2 … for arguments, which SQLite binds by number here. The texts
// are constants, or made from a few: each one is prepared once on every
// connection and kept there, so their number must not grow with the data. They
// are the same on both databases. Times are stored as microseconds since the Unix
// epoch ([Micro], [FromMicro]), ids as their bytes. Text is valid UTF-8 without
// the character NUL, which Postgres can't store: anything else is [ErrText].
package db

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// ErrUnavailable is what every error matches that says that the database can't
// be used now: locked by another process, full, read-only, failing, or closed.
// Nothing of the transaction was stored.
var ErrUnavailable = errors.New("db: unavailable")

// ErrText is what every error matches that says that a text holds what the
// database can't store: the character NUL, or bytes that are no UTF-8.
var ErrText error = problem.Invalid.New("a text has the character NUL or bytes that are not UTF-8, which can't be stored")

// ErrNotEmbedded is what the functions return that work on the file of an embedded
// database, where the database is a server's.
var ErrNotEmbedded = errors.New("db: the database is not a file of this process")

// ErrNoRows is what scanning a missing row returns.
var ErrNoRows = sql.ErrNoRows

// DefaultStall is how long a server keeps the transaction of a process that has stopped.
const DefaultStall = 10 * time.Second

// Options are the settings of Open. The zero value works.
type Options struct {
	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured; in use until Close

	// CommitDelay makes every commit take so much longer, as on a slower disk. It
	// is for measurements.
	CommitDelay time.Duration

	// Stall is after how long a server ends a transaction that writes and of which it
	// hears nothing more, so that nobody waits for what it has locked; zero:
	// DefaultStall.
	Stall time.Duration

	busyTimeout time.Duration // how long a transaction waits for another process; 0: five seconds
	migrations  fs.FS         // nil: the program's own
	board       *board        // of the database that is opened
}

// DB is an open, migrated database. All methods may be called concurrently.
type DB struct {
	readers *readers
	metrics *metrics
	board   *board
	pools   []*sql.DB // in the order in which they are closed
	closing sync.Once

	// SQLite alone.
	path         string // of the file
	writer       *writer
	checkpointer *checkpointer
	unlock       func() error // gives up the hold on the file

	// Postgres alone; nil on SQLite.
	server *server
}

// Open opens the database that url names, creates it where it is missing, and
// brings its schema up to date. url is "sqlite:" and a file's path, or a URL of
// Postgres, "postgres://…", with what its driver takes as parameters.
//
// A file belongs to one process at a time: Open fails with ErrUnavailable while
// another one has it. A server's database may be shared; it has to be there, and
// is brought up to date by one process at a time. No error shows a URL's password.
func Open(ctx context.Context, url string, opts Options) (*DB, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Stall == 0 {
		opts.Stall = DefaultStall
	}
	if opts.busyTimeout == 0 {
		opts.busyTimeout = 5 * time.Second
	}
	if opts.migrations == nil {
		opts.migrations = embedded
	}
	opts.board = new(board)
	if isPostgres(url) {
		return openPostgres(ctx, url, opts)
	}
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return nil, errors.New("db: the database must be given as sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	}
	return openSQLite(ctx, path, opts)
}

// Close waits for the reads and writes under way and closes the database. Those
// that come later fail with ErrUnavailable. It may be called more than once,
// but not from inside a read or a write.
func (d *DB) Close() error {
	var err error
	d.closing.Do(func() {
		defer d.metrics.unregister()
		if d.server != nil {
			err = errors.Join(d.server.stop(), d.readers.close(), d.closePools())
			return
		}
		// The writer's connection is the last to go: it moves what the log holds
		// into the database file and removes the log.
		d.writer.stop()
		err = errors.Join(d.checkpointer.stop(), d.readers.close(), d.writer.close(), d.closePools(), d.unlock())
	})
	return err
}

func (d *DB) closePools() error {
	var errs []error
	for _, pool := range d.pools {
		errs = append(errs, pool.Close())
	}
	return errors.Join(errs...)
}

// Shared reports whether other processes may use the database as well.
func (d *DB) Shared() bool { return d.server != nil }

// Doubts counts the commits of which it is not known whether they took place: the
// server was lost before it answered. What their closures noted with Tx.After has
// not run, and the database may have what they wrote all the same.
func (d *DB) Doubts() int64 {
	if d.server == nil {
		return 0
	}
	return d.server.doubts.Load()
}

// Ping reports whether the database can be read and written now. It commits a
// change to disk, but none that anyone could see.
func (d *DB) Ping(ctx context.Context) error {
	if d.server != nil {
		return d.server.ping(ctx)
	}
	return d.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(`INSERT INTO migration (version, name, applied_at) VALUES (-1, 'ping', $1)`, Micro(tx.Now())); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM migration WHERE version = -1`)
		return err
	})
}

// Queryer is what a function that only reads asks for: a snapshot or a
// transaction. See [Tx.Query] and [Tx.QueryRow].
type Queryer interface {
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// Read runs fn on a consistent snapshot, taken with its first query. fn has to
// be short, a second at most: a long read keeps SQLite's log from shrinking, and
// Postgres from removing what nobody else sees any more. It must not call Read,
// which may be out of connections.
func (d *DB) Read(ctx context.Context, fn func(q Queryer) error) error {
	return d.readers.read(ctx, fn)
}

// Write runs fn in a transaction and returns when it is committed. If fn
// returns an error nothing of it is kept, and Write returns that error. If ctx
// ends before fn has begun, fn is not run; once it has begun Write waits for
// the outcome, even if ctx is cancelled; on Postgres, until the deadline of ctx,
// or half a minute.
//
// On SQLite fn runs on another goroutine, one closure at a time; on Postgres on
// this one, beside others, and again where they were in each other's way. It must
// not call Write or Close, which would wait for itself. A panic in it, or in what
// it gave to Undo and After, is raised again here.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	if d.server != nil {
		return d.server.write(ctx, fn)
	}
	return d.writer.do(ctx, fn)
}

// WriteKey is Write for a closure that would be in the way of others with the same
// key: those of this process run one after the other.
func (d *DB) WriteKey(ctx context.Context, key string, fn func(tx *Tx) error) error {
	if d.server == nil {
		return d.writer.do(ctx, fn)
	}
	release, err := d.server.keys.acquire(ctx, key)
	if err != nil {
		return err
	}
	defer release()
	return d.server.write(ctx, fn)
}

// Lane runs the short transactions of many callers.
type Lane struct {
	writer *writer
}

// Lane returns a way to write for one sort of short transactions: each lane of a
// shared database has a connection, and commits them together. It is in use until
// Close.
func (d *DB) Lane() *Lane {
	if d.server != nil {
		return &Lane{d.server.addLane()}
	}
	return &Lane{d.writer}
}

// Write runs fn as [DB.Write] does, with two differences on Postgres. The
// transaction is READ COMMITTED: each statement sees what was committed before it.
// And it is shared with other callers of the lane, whose closures run before and
// after fn: see [Tx.Later].
func (l *Lane) Write(ctx context.Context, fn func(tx *Tx) error) error {
	for try := 1; ; try++ {
		err := l.writer.do(ctx, fn)
		if try == maxTries || !isTransient(err) {
			return exhausted(err)
		}
		l.writer.metrics.retried()
		if err := pauseBefore(ctx, try); err != nil {
			return err
		}
	}
}

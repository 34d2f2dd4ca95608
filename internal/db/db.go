// Package db runs one text of SQL on the database that the operator chose.
//
// There are two ways in. [DB.Read] gives a consistent snapshot and never waits
// for a writer. [DB.Write] runs a closure as if no other ran beside it, and
// returns when what it wrote is on disk. On SQLite one goroutine writes: it
// runs the closures of many callers and commits them together, so that no caller
// waits for a flush of its own (group commit). A closure that fails takes back
// only what it did itself; a commit that fails fails the whole group.
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
// connection and kept there, so their number must not grow with the data. Times
// are stored as microseconds since the Unix epoch ([Micro], [FromMicro]), ids as
// their bytes.
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
)

// ErrUnavailable is what every error matches that says that the database can't
// be used now: locked by another process, full, read-only, failing, or closed.
// Nothing of the transaction was stored.
var ErrUnavailable = errors.New("db: unavailable")

// ErrNoRows is what scanning a missing row returns.
var ErrNoRows = sql.ErrNoRows

// Options are the settings of Open. The zero value works.
type Options struct {
	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured; in use until Close

	// CommitDelay makes every commit take so much longer, as on a slower disk. It
	// is for measurements.
	CommitDelay time.Duration

	busyTimeout time.Duration // how long a transaction waits for another process; 0: five seconds
	migrations  fs.FS         // nil: the program's own
}

// DB is an open, migrated database. All methods may be called concurrently.
type DB struct {
	path    string // of the file
	readers *readers
	writer  *writer
	unlock  func() error // gives up the hold on the database file
	closing sync.Once
}

// Open opens the database that url names, creates it where it is missing, and
// brings its schema up to date. url is "sqlite:" and a file's path.
//
// A file belongs to one process at a time: Open fails with ErrUnavailable while
// another one has it.
func Open(ctx context.Context, url string, opts Options) (*DB, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.busyTimeout == 0 {
		opts.busyTimeout = 5 * time.Second
	}
	if opts.migrations == nil {
		opts.migrations = embedded
	}
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return nil, errors.New("db: the database must be given as sqlite:PATH")
	}
	return openSQLite(ctx, path, opts)
}

// Close waits for the reads and writes under way and closes the database. Those
// that come later fail with ErrUnavailable. It may be called more than once,
// but not from inside a read or a write.
func (d *DB) Close() error {
	var err error
	d.closing.Do(func() {
		// The writer's connection is the last to go: it moves what the log holds
		// into the database file and removes the log.
		d.writer.stop()
		err = errors.Join(d.readers.close(), d.writer.close(), d.unlock())
	})
	return err
}

// Ping reports whether the database can be read and written now. It commits a
// change to disk, but none that anyone could see.
func (d *DB) Ping(ctx context.Context) error {
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
// be short, a second at most: a long read keeps the write-ahead log from
// shrinking. It must not call Read, which may be out of connections.
func (d *DB) Read(ctx context.Context, fn func(q Queryer) error) error {
	return d.readers.read(ctx, fn)
}

// Write runs fn in a transaction and returns when it is committed. If fn
// returns an error nothing of it is kept, and Write returns that error. If ctx
// ends before fn has begun, fn is not run; once it has begun Write waits for
// the outcome, even if ctx ends.
//
// fn runs on another goroutine, one closure at a time: it must not call Write
// or Close, which would wait for itself. A panic in it, or in what it gave to
// Undo and After, is raised again here.
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	return d.writer.do(ctx, fn)
}

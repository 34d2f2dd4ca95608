package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrBadCopy is what every error matches that says that a file can't be
// restored: it is damaged, or not a database of this program.
var ErrBadCopy = errors.New("this file can't be restored")

// Copy is a copy of a database, which is only read. It must be the file that
// Backup made or one like it: whole by itself, and changed by nobody while it is
// open. Reads may take as long as they like.
type Copy struct {
	readers *readers
	pool    *sql.DB
	version int
}

// OpenCopy opens the copy at path and checks every page of it, which reads the
// whole file. It returns an error that matches ErrBadCopy for whatever is not a
// whole database with a schema that this program knows.
func OpenCopy(ctx context.Context, path string) (*Copy, error) {
	return openCopy(ctx, path, Options{migrations: embedded})
}

func openCopy(ctx context.Context, path string, opts Options) (*Copy, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	size, err := checkPlain(path)
	if err != nil {
		return nil, err
	}
	known, err := readMigrations(opts.migrations, sqliteFlavor.tokens)
	if err != nil {
		return nil, err
	}
	// Nobody changes the file, so SQLite need take no lock and look for no log:
	// a copy can be read where nothing can be written.
	pool, err := sql.Open("sqlite", fileDSN(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		return nil, fmt.Errorf("db: open the copy: %w", err)
	}
	c := &Copy{readers: readersOf(pool), pool: pool}
	err = checkPages(ctx, pool, size)
	if err == nil {
		c.version, err = checkSchema(ctx, pool, len(known))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Version is the number of the last migration that the copy has seen.
func (c *Copy) Version() int { return c.version }

// Read runs fn on the copy.
func (c *Copy) Read(ctx context.Context, fn func(q Queryer) error) error {
	return c.readers.read(ctx, fn)
}

// Close closes the file. It may be called once.
func (c *Copy) Close() error { return errors.Join(c.readers.close(), c.pool.Close()) }

// sqliteHeader is how every database of SQLite begins.
const sqliteHeader = "SQLite format 3\x00"

// checkPlain refuses what is not one plain database file, and returns its size.
func checkPlain(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("db: open the copy: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("db: look at the copy: %w", err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%w: %s is not a regular file", ErrBadCopy, path)
	}
	begins := make([]byte, len(sqliteHeader))
	if _, err := io.ReadFull(f, begins); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("db: read the copy: %w", err)
	}
	if string(begins) != sqliteHeader {
		return 0, fmt.Errorf("%w: %s is not an SQLite database", ErrBadCopy, path)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // a log is beside the file, not beside a link to it
		return 0, fmt.Errorf("db: look for the copy's log: %w", err)
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		switch beside, err := os.Stat(path + suffix); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return 0, fmt.Errorf("db: look for the copy's log: %w", err)
		case beside.Size() > 0:
			return 0, fmt.Errorf("%w: part of it is in the log %s beside it: restore a file that 'grapevine backup' made",
				ErrBadCopy, filepath.Base(path)+suffix)
		}
	}
	return info.Size(), nil
}

// checkPages reads the whole file, of so many bytes, and compares each index
// with its table.
func checkPages(ctx context.Context, pool *sql.DB, size int64) error {
	var whole int64
	if err := pool.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&whole); err != nil {
		return damaged(err)
	}
	if size < whole { // SQLite would take what is missing of the last page for zeros
		return fmt.Errorf("%w: it is damaged: it has %d of its %d bytes", ErrBadCopy, size, whole)
	}
	var found string
	if err := pool.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil {
		return damaged(err)
	}
	if found != "ok" {
		return fmt.Errorf("%w: it is damaged: %s", ErrBadCopy, found)
	}
	return nil
}

// checkSchema returns the schema's version, if this program knows it.
func checkSchema(ctx context.Context, pool *sql.DB, known int) (int, error) {
	var tables, version int
	if err := pool.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migration'`).Scan(&tables); err != nil {
		return 0, damaged(err)
	}
	if tables == 0 {
		return 0, fmt.Errorf("%w: it is a database of another program", ErrBadCopy)
	}
	if err := pool.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migration`).Scan(&version); err != nil {
		return 0, damaged(err)
	}
	switch {
	case version < 1:
		return 0, fmt.Errorf("%w: it is a database that no server has used", ErrBadCopy)
	case version > known:
		return 0, fmt.Errorf("%w: its schema has version %d and this program knows %d: use the program that made it, or a newer one", ErrBadCopy, version, known)
	}
	return version, nil
}

// damaged says of an error that the database has, and not the disk or the
// caller, that the file is to blame.
func damaged(err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR:
			return fmt.Errorf("%w: it is damaged: %w", ErrBadCopy, err)
		}
	}
	return fmt.Errorf("db: read the copy: %w", err)
}

// fileDSN names a file and how to open it.
func fileDSN(path string, q url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// isFull reports whether err says that a disk has no room.
func isFull(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_FULL
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

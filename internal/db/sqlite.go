package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens a file with one writing connection and a few that only read.
func openSQLite(ctx context.Context, path string, opts Options) (*DB, error) {
	path, err := makeFile(path)
	if err != nil {
		return nil, fmt.Errorf("db: make the database's file: %w", err)
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	d, err := openLocked(ctx, path, opts)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	d.unlock = unlock
	return d, nil
}

// makeFile makes the file if it is missing, for the owner alone, and returns its
// one true name: SQLite connects to it again and again, wherever the process is
// by then. It makes no folder: a path that was mistyped must not become a new
// database that looks as if all were lost.
func makeFile(path string) (string, error) {
	place, err := placeOf(path)
	if err != nil {
		return "", err
	}
	switch info, err := os.Stat(place); {
	case err == nil && info.IsDir():
		return "", fmt.Errorf("db: %s is a folder, not a file", place)
	case errors.Is(err, fs.ErrNotExist):
		if err := checkLink(path, place); err != nil {
			return "", err
		}
	}
	// Exclusively: to open and close a file that SQLite has open in this process
	// would free the locks that it holds.
	f, err := os.OpenFile(place, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return place, nil
}

// checkLink refuses a link to a file that is missing: whoever made it had a
// database there, on a disk perhaps that is not mounted. But a restore may be
// what has moved it away.
func checkLink(path, place string) error {
	// Not whether something is there: another start may have made the file by now.
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	stamps, err := decided(place)
	if err == nil && len(stamps) == 0 {
		err = fmt.Errorf("db: %s is a link to %s, which does not exist: put the database there, or remove the link", path, place)
	}
	return err
}

func openLocked(ctx context.Context, path string, opts Options) (*DB, error) {
	if _, err := finishRestore(path); err != nil {
		return nil, err
	}
	if err := removeCopy(path + underWaySuffix); err != nil {
		return nil, fmt.Errorf("db: remove a copy that was not finished: %w", err)
	}
	write, err := sql.Open("sqlite", sqliteDSN(path, opts.busyTimeout, url.Values{"_txlock": {"immediate"}, "_pragma": {"cache_size(-32768)"}}))
	if err != nil {
		return nil, fmt.Errorf("db: open: %w", err)
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write, opts.migrations, sqliteTokens, opts.Logger); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := sql.Open("sqlite", sqliteDSN(path, opts.busyTimeout, url.Values{"mode": {"ro"}, "_pragma": {"cache_size(-4096)"}}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("db: open: %w", err), write.Close())
	}
	r := newReaders(read)
	w, err := newWriter(write, r, opts)
	if err != nil {
		return nil, errors.Join(err, r.close(), write.Close())
	}
	return &DB{path: path, readers: r, writer: w}, nil
}

// sqliteDSN names the file and what a connection to it has to set: besides what
// is given, in which cache_size counts KiB, what all have in common. A reader's
// cache is void after each commit, so it need not be large.
func sqliteDSN(path string, busy time.Duration, q url.Values) string {
	q["_pragma"] = append(q["_pragma"],
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), // another process, such as a backup, may hold the file for a moment
		"journal_mode(WAL)",        // readers don't wait for the writer
		"synchronous(FULL)",        // a commit is on disk before it is answered
		"wal_autocheckpoint(4000)", // pages, so about 16 MB of log
		"journal_size_limit(67108864)",
		"foreign_keys(ON)",
		"temp_store(MEMORY)",
		"secure_delete(ON)", // what is expunged is overwritten
	)
	return fileDSN(path, q)
}

// sqliteTokens are the types that the two databases call by different names.
var sqliteTokens = map[string]string{
	"{{blob}}":      "BLOB",
	"{{bigint}}":    "INTEGER",
	"{{bool}}":      "INTEGER",
	"{{strict}}":    " STRICT",
	"{{clustered}}": " STRICT, WITHOUT ROWID",
}

// classify marks the errors that mean that the database can't be used now.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
			sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isReadOnly reports whether err says that the file can't be written. SQLite
// keeps to that for as long as any connection to the file is open.
func isReadOnly(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_READONLY
}

// IsUnique reports whether err says that a unique key exists already.
func IsUnique(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

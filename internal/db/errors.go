package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What Postgres calls the errors that matter here: classes by their first two
// characters. See "PostgreSQL Error Codes" in its manual.
const (
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeReadOnly      = "25006" // a standby, or one that was told so
)

var unavailableClasses = []string{
	"08",    // connection
	"53",    // resources: disk, memory, connections
	"57014", // broken off, by a limit of the server's or by hand
	"55P03", // a lock was waited for too long
	"57P",   // shut down, crashed, starting
	"58",    // the server's system
	"25P",   // the transaction was ended because it had been idle
	"XX",    // damaged
}

// classify marks the errors that mean that the database can't be used now.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrText) {
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
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		if e.Code == codeReadOnly || hasClass(e.Code, unavailableClasses) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return err
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || isLost(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// ownDoing returns the error of a call as its caller should see it: if it broke the
// call off, that, since the driver of Postgres may call it a bad connection.
func ownDoing(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, driver.ErrBadConn) {
		return ctx.Err()
	}
	return err
}

func hasClass(code string, classes []string) bool {
	for _, class := range classes {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// isLost reports whether an error is of the connection to a server.
func isLost(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false // the caller's own doing
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok { // a deadline as well: who waits that long has lost it
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// IsUnique reports whether err says that a unique key exists already.
func IsUnique(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == codeUnique
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// isTransient reports whether a transaction failed for what another one did
// meanwhile, so that it may succeed if it is run again.
func isTransient(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == codeSerialization || e.Code == codeDeadlock)
}

// isDecided reports whether a server that answers a commit with err has certainly
// not committed.
func isDecided(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && !hasClass(e.Code, unavailableClasses)
}

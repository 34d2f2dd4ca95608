package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
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
	if err := migrate(ctx, write, sqliteFlavor, opts); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read, err := sql.Open("sqlite", sqliteDSN(path, opts.busyTimeout, url.Values{"mode": {"ro"}, "_pragma": {"cache_size(-4096)"}}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("db: open: %w", err), write.Close())
	}
	besides, err := sql.Open("sqlite", sqliteDSN(path, opts.busyTimeout, url.Values{"_pragma": {"cache_size(-256)"}}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("db: open: %w", err), read.Close(), write.Close())
	}
	m, err := newMetrics(opts.Metrics)
	if err != nil {
		return nil, errors.Join(err, besides.Close(), read.Close(), write.Close())
	}
	d := &DB{path: path, metrics: m, board: opts.board, readers: readersOf(read), writer: newWriter(&conn{pool: write}, m, opts), pools: []*sql.DB{besides, read, write}}
	d.writer.readers, d.writer.longLog = d.readers, make(chan struct{}, 1)
	d.checkpointer = newCheckpointer(&conn{pool: besides}, d.writer, opts.Logger)
	go d.writer.loop()
	go d.checkpointer.loop()
	return d, nil
}

// readersOf returns the readers of a file.
func readersOf(pool *sql.DB) *readers {
	pool.SetMaxOpenConns(maxReaders)
	conns := make([]*conn, maxReaders)
	for i := range conns {
		conns[i] = &conn{pool: pool}
	}
	return newReaders("BEGIN", conns)
}

// sqliteDSN names the file and what a connection to it has to set: besides what
// is given, in which cache_size counts KiB, what all have in common. A reader's
// cache is void after each commit, so it need not be large.
func sqliteDSN(path string, busy time.Duration, q url.Values) string {
	q["_pragma"] = append(q["_pragma"],
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), // another process, such as a backup, may hold the file for a moment
		"journal_mode(WAL)", // readers don't wait for the writer
		"synchronous(FULL)", // a commit is on disk before it is answered
		fmt.Sprintf("wal_autocheckpoint(%d)", longestLog),
		"journal_size_limit(67108864)",
		"foreign_keys(ON)",
		"temp_store(MEMORY)",
		"secure_delete(ON)", // what is expunged is overwritten
	)
	return fileDSN(path, q)
}

// sqliteFlavor is how SQLite spells what the two databases spell differently.
var sqliteFlavor = flavor{
	tokens: map[string]string{
		"{{blob}}":      "BLOB",
		"{{bigint}}":    "INTEGER",
		"{{bool}}":      "INTEGER",
		"{{strict}}":    " STRICT",
		"{{clustered}}": " STRICT, WITHOUT ROWID",
	},
}

// lastLimit is a LIMIT at the end of a statement that is an argument and nothing else.
var lastLimit = regexp.MustCompile(`\bLIMIT (\$\d+)((?: OFFSET \$\d+)?)$`)

// unpeeking returns a statement as SQLite is to prepare it. Where a LIMIT is a bare
// argument SQLite looks at its value to plan by it, and so compiles the statement anew
// at each run, which costs more than most of them. Into an expression it does not
// look. What limits a subquery it is left to see, since by that it joins.
func unpeeking(query string) string { return lastLimit.ReplaceAllString(query, "LIMIT $1 + 0$2") }

// lexeme is what has to be told apart to know the parameters of a statement: quoted
// text, $ with what belongs to it, and what comments and other parameters begin with.
var lexeme = regexp.MustCompile("'[^']*'" + `|"[^"]*"|[\w$[:^ascii:]]*\$[\w$[:^ascii:]]*[(:]?|--|/\*|[?:@#\[` + "`]")

// positional returns a statement with ? for its parameters where each of them stands
// in it once, in their order. At each run the driver asks SQLite for the name of every
// parameter and makes a string of it, which costs as much as binding it; ? has none.
// A statement that is not surely such a one is returned as it is.
func positional(query string) string {
	var text strings.Builder
	from, n := 0, 0
	for _, at := range lexeme.FindAllStringIndex(query, -1) {
		switch found := query[at[0]:at[1]]; {
		case found[0] == '\'' || found[0] == '"':
		case found == "$"+strconv.Itoa(n+1):
			n++
			text.WriteString(query[from:at[0]] + "?")
			from = at[1]
		default:
			return query
		}
	}
	return text.String() + query[from:]
}

// isReadOnly reports whether err says that the file can't be written. SQLite
// keeps to that for as long as any connection to the file is open.
func isReadOnly(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_READONLY
}

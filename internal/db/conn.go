package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	errOver     = errors.New("db: the transaction is over")
	errOpenRows = errors.New("the rows of the last query are still open")
)

// conn is one connection of a pool and what was prepared on it. One goroutine
// at a time uses it. It connects at its first begin and, once dropped, at the
// next one.
type conn struct {
	pool  *sql.DB
	open  *sql.Conn // nil: not connected
	stmts map[string]*sql.Stmt
	// direct leaves it to the driver to prepare statements and to keep them, which
	// that of Postgres does as the URL says.
	direct bool

	copies []*fileCopy // being made of what this connection has open
}

// connect opens the connection if it is not open.
func (c *conn) connect(ctx context.Context) error {
	if c.open != nil {
		return nil
	}
	opened, err := c.pool.Conn(ctx)
	if err != nil {
		return classify(fmt.Errorf("db: connect: %w", ownDoing(ctx, err)))
	}
	c.open, c.stmts = opened, make(map[string]*sql.Stmt)
	return nil
}

// begin starts a transaction with the statement given. Where that fails the
// connection is dropped, so that the next begin tries a new one.
func (c *conn) begin(ctx context.Context, statement string) error {
	used := c.open != nil
	if err := c.connect(ctx); err != nil {
		return err
	}
	err := c.exec(ctx, statement)
	if err != nil && used && c.isStale(ctx, err) {
		if err := c.connect(ctx); err != nil {
			return err
		}
		err = c.exec(ctx, statement)
	}
	if err != nil {
		c.drop()
		return classify(fmt.Errorf("db: begin: %w", ownDoing(ctx, err)))
	}
	return nil
}

// isStale reports whether a connection that was open already failed for that: its
// server may have been started anew since. Then it is dropped.
func (c *conn) isStale(ctx context.Context, err error) bool {
	if !c.direct || ctx.Err() != nil || !errors.Is(classify(err), ErrUnavailable) {
		return false
	}
	c.drop()
	return true
}

// rollback ends the transaction without a trace. Where the database had ended
// it by itself, or can't end it, the connection is dropped.
func (c *conn) rollback() {
	if c.open == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	if err := c.exec(ctx, "ROLLBACK"); err != nil {
		c.drop()
	}
}

// rollbackTime is how long a server may take to end a transaction. Then the
// connection is closed, which ends it too.
const rollbackTime = 5 * time.Second

// drop closes the connection, and with it the transaction that is open in it.
func (c *conn) drop() {
	if c.open == nil {
		return
	}
	c.finalize()
	// A pool keeps a connection that is handed back, unless that is bad.
	_ = c.open.Raw(func(any) error { return driver.ErrBadConn })
	c.open = nil
}

// release hands the connection back to the pool, which closes it when it is
// closed itself.
func (c *conn) release() error {
	if c.open == nil {
		return nil
	}
	c.finalize()
	err := c.open.Close()
	c.open = nil
	return err
}

// finalize closes the statements and gives up the copies under way. SQLite keeps
// a connection alive, with its locks, until the last of them is closed.
func (c *conn) finalize() {
	for _, underWay := range slices.Clone(c.copies) {
		_ = underWay.finish() // the copy fails with its next step
	}
	for _, stmt := range c.stmts {
		_ = stmt.Close()
	}
	c.stmts = nil
}

// exec runs a statement that bounds a transaction. On a file nobody breaks it off.
func (c *conn) exec(ctx context.Context, query string) error {
	if !c.direct {
		ctx = context.Background()
	}
	run, err := c.prepare(query)
	if err != nil {
		return err
	}
	_, err = run.ExecContext(ctx)
	return err
}

// runnable is a statement of a connection, ready to be run.
type runnable interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// direct is a statement that the driver prepares.
type direct struct {
	conn  *sql.Conn
	query string
}

func (d direct) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return d.conn.ExecContext(ctx, d.query, args...)
}

func (d direct) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return d.conn.QueryContext(ctx, d.query, args...)
}

func (d direct) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return d.conn.QueryRowContext(ctx, d.query, args...)
}

func (c *conn) prepare(query string) (runnable, error) {
	if c.direct {
		return direct{c.open, query}, nil
	}
	if stmt, ok := c.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := c.open.PrepareContext(context.Background(), positional(unpeeking(query)))
	if err != nil {
		return nil, err
	}
	c.stmts[query] = stmt
	return stmt, nil
}

// scope is what a closure sees of a connection as long as its transaction
// lasts.
type scope struct {
	ctx  context.Context // the transaction's own, bound at its begin
	conn *conn
	rows *sql.Rows // of the last statement, if it was a Query
	row  *sql.Row  // of the last statement, if it was a QueryRow
	err  error     // not nil: why no statement is run any more

	wrote bool // a statement was run that may have changed something

	shared *sharing // what the closures of one transaction of a server have in common; nil on SQLite
}

// Query runs a statement that returns rows. They have to be closed before the
// next statement.
func (s *scope) Query(query string, args ...any) (*sql.Rows, error) {
	stmt, err := s.prepare(query, args)
	if err != nil {
		return nil, err
	}
	s.wrote = s.wrote || !strings.HasPrefix(query, "SELECT")
	rows, err := stmt.QueryContext(s.ctx, args...)
	if err != nil {
		return nil, s.fail(err)
	}
	s.rows = rows
	return rows, nil
}

// QueryRow runs a statement that returns at most one row, which has to be
// scanned before the next statement.
func (s *scope) QueryRow(query string, args ...any) *sql.Row {
	stmt, err := s.prepare(query, args)
	if err != nil {
		return s.conn.pool.QueryRowContext(refusal{s.ctx, err}, query)
	}
	s.wrote = s.wrote || !strings.HasPrefix(query, "SELECT")
	row := stmt.QueryRowContext(s.ctx, args...)
	if err := row.Err(); err != nil {
		_ = s.fail(err) // the row reports it
		return row
	}
	s.row = row
	return row
}

func (s *scope) exec(query string, args []any) (int64, error) {
	stmt, err := s.prepare(query, args)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(s.ctx, args...)
	if err != nil {
		s.wrote = true
		return 0, s.fail(err)
	}
	n, err := res.RowsAffected()
	s.wrote = s.wrote || n != 0 || err != nil
	return n, err
}

// prepare returns the statement if one may be run now.
func (s *scope) prepare(query string, args []any) (runnable, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := checkText(query, args); err != nil {
		return nil, s.fail(err)
	}
	if err := s.ctx.Err(); err != nil {
		return nil, s.fail(err)
	}
	if s.close() {
		_ = s.fail(errOpenRows)
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.shared != nil && len(s.shared.first) > 0 {
		if err := s.runAll(nil); err != nil {
			return nil, err
		}
	}
	stmt, err := s.conn.prepare(query)
	if err != nil {
		return nil, s.fail(err)
	}
	return stmt, nil
}

// checkText refuses to store what only one of the databases could. Where it is only
// asked for it is replaced by what is not there either.
func checkText(query string, args []any) error {
	for i, arg := range args {
		text, ok := arg.(string)
		if !ok || strings.IndexByte(text, 0) < 0 && utf8.ValidString(text) {
			continue
		}
		if !strings.HasPrefix(query, "SELECT") {
			return ErrText
		}
		args[i] = Storable(text)
	}
	return nil
}

// Storable returns a text as both databases can store it: with U+FFFD for what they
// can't. It is for texts that nobody is there to be told of, such as what a receiver
// answered.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

// fail keeps the first error, which every later statement reports.
func (s *scope) fail(err error) error {
	if s.err == nil {
		s.err = classify(fmt.Errorf("db: %w", ownDoing(s.ctx, err)))
	}
	return s.err
}

// close closes what the last statement returned and reports whether it was
// open. An error that ended rows early is the transaction's, whether the closure
// asked for it or not.
func (s *scope) close() bool {
	open := false
	if s.rows != nil {
		_, err := s.rows.Columns() // closed rows have none
		open = err == nil
		_ = s.rows.Close()
		if err := s.rows.Err(); err != nil {
			_ = s.fail(err)
		}
	}
	if s.row != nil { // scanning closes it, and a closed one is found empty
		open = !errors.Is(s.row.Scan(), ErrNoRows)
	}
	s.rows, s.row = nil, nil
	return open
}

// end refuses further statements and returns the error of the first that
// failed.
func (s *scope) end() error {
	s.close()
	err := s.err
	s.err = errOver
	return err
}

// refusal is a context that has ended with an error of ours. Only so can a
// *sql.Row be made that reports one.
type refusal struct {
	context.Context
	err error
}

var ended = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

func (r refusal) Done() <-chan struct{} { return ended }
func (r refusal) Err() error            { return r.err }

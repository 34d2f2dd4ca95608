package db

import (
	"context"
	"errors"
	"fmt"
)

// errReadersInLog says that a read has kept the log from being emptied.
var errReadersInLog = errors.New("db: the log is being read")

// Scrub moves what the write-ahead log holds into the database file and empties
// the log, so that no file has what was deleted or overwritten before: the log
// keeps it until its pages are used again, which on a server with little to do
// may be never. It waits for nobody: where a read is under way that needs the
// log it returns an error that says so, and may be called again a little later.
//
// Nobody writes meanwhile, which takes as long as any checkpoint does.
// On Postgres it does nothing: there the server's vacuum overwrites what was
// removed, and its log is archived or recycled as it is set to.
func (d *DB) Scrub(ctx context.Context) error {
	if d.server != nil {
		return nil
	}
	return d.writer.await(&write{ctx: ctx, aside: scrub, done: make(chan struct{})})
}

func scrub(c *conn) error {
	ctx := context.Background() // nobody breaks it off
	if err := c.connect(ctx); err != nil {
		return err
	}
	var patience, readers, pages, moved int
	if err := c.open.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&patience); err != nil {
		return classify(fmt.Errorf("db: ask how long to wait: %w", err))
	}
	if _, err := c.open.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return classify(fmt.Errorf("db: wait for nobody: %w", err))
	}
	err := c.open.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&readers, &pages, &moved)
	if _, failed := c.open.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", patience)); failed != nil {
		c.drop() // the next one sets all anew
	}
	switch {
	case err != nil:
		return classify(fmt.Errorf("db: empty the log: %w", err))
	case readers != 0:
		return errReadersInLog
	}
	return nil
}

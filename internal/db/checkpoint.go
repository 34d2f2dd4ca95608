package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"modernc.org/sqlite"
)

const (
	// longLog is how many pages the log gets before they are moved: 48 MB. The longer
	// it is, the more of what was written again and again is moved once.
	longLog = 12_000
	// longestLog is when a commit moves them itself: they came faster than they
	// could be moved, or reads were in the way.
	longestLog = 32_000
	// shortLog is what the writer is left to move: what a few commits have added.
	shortLog = 1_000
	// checkpointRounds is how often the log is moved before the writer takes the
	// rest, however much it is: each round is shorter than the one before.
	checkpointRounds = 4
)

// checkpointer moves what the write-ahead log holds into the database file while the
// writer goes on. Left to itself SQLite has a commit do that once the log is long, and
// whoever writes then waits for thousands of pages and their flush.
//
// SQLite begins the log anew when all of it is moved at the moment that a transaction
// begins. Since the writer never stands still that is never so unless it moves the
// last few pages itself.
type checkpointer struct {
	log    *slog.Logger
	conn   *conn
	writer *writer
	due    chan struct{} // holds one when the log has become long; closed with the database
	done   chan struct{} // closed when the loop has ended
}

func newCheckpointer(c *conn, w *writer, log *slog.Logger) *checkpointer {
	return &checkpointer{log: log, conn: c, writer: w, due: w.longLog, done: make(chan struct{})}
}

func (c *checkpointer) loop() {
	defer close(c.done)
	for range c.due {
		err := c.checkpoint()
		if err != nil && !errors.Is(err, ErrUnavailable) {
			c.log.Warn("checkpoint_failed", slog.String("error", err.Error()))
		}
		if err != nil {
			c.conn.drop()
		}
	}
}

// stop waits for a checkpoint under way. The writer must have stopped.
func (c *checkpointer) stop() error {
	close(c.due)
	<-c.done
	return c.conn.release()
}

func (c *checkpointer) checkpoint() error {
	before := 0
	for range checkpointRounds {
		moved, err := moveLog(c.conn)
		if err != nil {
			return err
		}
		// The writer has added about as much meanwhile. How much, this connection
		// learns with its next round.
		if moved-before <= shortLog {
			break
		}
		before = moved
	}
	return c.writer.between(context.Background(), func(own *conn) error {
		_, err := moveLog(own)
		return err
	})
}

// moveLog moves as much of the log as no read needs, and returns how many of its pages
// are moved by now. It waits for nobody, and does nothing while another connection is at
// it.
func moveLog(c *conn) (int, error) {
	ctx := context.Background()
	if err := c.connect(ctx); err != nil {
		return 0, err
	}
	var busy, pages, moved int
	if err := c.open.QueryRowContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &moved); err != nil {
		return 0, classify(fmt.Errorf("db: checkpoint: %w", err))
	}
	return moved, nil
}

// countLog has the log moved once enough was added to it.
func (w *writer) countLog() {
	pages, err := pagesLogged(w.conn)
	if err != nil {
		return // the log is moved by a commit in the end
	}
	if pages < w.counted {
		w.counted = 0 // it is another connection
	}
	if pages-w.counted < longLog {
		return
	}
	w.counted = pages
	select {
	case w.longLog <- struct{}{}:
	default: // it is being moved
	}
}

// pagesLogged returns how many pages a connection has ever written to the log.
func pagesLogged(c *conn) (int, error) {
	pages := 0
	err := c.open.Raw(func(raw any) error {
		var err error
		pages, _, err = raw.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, false) //nolint:forcetypeassert // it is this driver's
		return err
	})
	return pages, err
}

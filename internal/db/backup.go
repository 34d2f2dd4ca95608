package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"modernc.org/sqlite"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	// stepPages is how many pages of the file are copied between two
	// transactions: 256 KiB, which takes about as long as a quick commit.
	stepPages = 64
	// flushSteps is after how many steps the copy is flushed to the disk: 8 MiB.
	// A commit would have to wait for much more, where the file system flushes
	// one file with the other.
	flushSteps = 32
)

// Backup writes a copy of the database to a new file at path, for its owner
// alone, while reads and writes go on. The copy is the database at one moment
// between the call and the return: whatever was committed before the call is in
// it, and of each transaction all or nothing. It is one plain file, without a
// log beside it, and on disk when Backup returns. What is at path already is
// never touched; if Backup returns an error, or ctx ends, nothing is left there.
//
// The file is copied on the connection that writes, a part at a time between two
// transactions. So no reader keeps the write-ahead log from shrinking however
// long it takes, and what is written meanwhile goes into the copy as well, which
// therefore need not begin again. A transaction waits for one part at most.
func (d *DB) Backup(ctx context.Context, path string) error {
	f, err := d.backup(ctx, path)
	if err != nil {
		return err
	}
	return f.Close()
}

// underWaySuffix is added to the database's path while OpenBackup makes a copy.
// The next start removes what a crash has left there, so it is nothing that
// somebody would call a backup of their own.
const underWaySuffix = ".copying"

// OpenBackup makes a copy as Backup does, beside the database, and opens it. By
// then its name is gone: closing it frees the room that it takes, and so does
// the end of the process. There can be one at a time; a second call fails with
// fs.ErrExist while the first one copies.
func (d *DB) OpenBackup(ctx context.Context) (*os.File, error) {
	path := d.path + underWaySuffix
	f, err := d.backup(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, errors.Join(fmt.Errorf("db: remove the copy's name: %w", err), f.Close())
	}
	return f, nil
}

// backup returns the whole copy, open at its beginning.
func (d *DB) backup(ctx context.Context, path string) (*os.File, error) {
	if d.server != nil {
		return nil, ErrNotEmbedded
	}
	folder := filepath.Dir(path)
	if err := d.checkRoom(ctx, folder); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("db: make the copy's file: %w", err)
	}
	if err = d.writer.copyTo(ctx, f); err == nil {
		err = settleCopy(ctx, path)
	}
	if err == nil {
		err = errors.Join(f.Sync(), syncFolder(folder))
	}
	if err == nil {
		return f, nil
	}
	if err := errors.Join(f.Close(), removeCopy(path)); err != nil {
		return nil, fmt.Errorf("db: remove the copy that failed: %w", err)
	}
	if isFull(err) {
		return nil, problem.Unavailable.New("the disk became full while the copy was made: make room on it and try again")
	}
	return nil, classify(fmt.Errorf("db: copy the database: %w", err))
}

// removeCopy removes a copy that is not finished and what SQLite may have put
// beside it.
func removeCopy(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		errs = append(errs, removeIfThere(path+suffix))
	}
	return errors.Join(errs...)
}

// settleCopy makes the file at path one that needs no log beside it. SQLite
// copies the mark that the original has one.
func settleCopy(ctx context.Context, path string) error {
	pool, err := sql.Open("sqlite", fileDSN(path, url.Values{"_pragma": {"synchronous(OFF)"}}))
	if err != nil {
		return err
	}
	var mode string
	err = pool.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode)
	if err == nil && mode != "delete" {
		err = fmt.Errorf("the copy keeps the journal mode %s", mode)
	}
	return errors.Join(err, pool.Close())
}

// fileCopy is a copy under way. The writer's loop alone uses it.
type fileCopy struct {
	dsn    string
	pages  int32 // to copy with the next step
	copied int   // pages, after the last step
	done   bool

	on     *conn          // nil: not begun
	backup *sqlite.Backup // nil: not begun, or over
}

// copyTo copies the database into an empty file.
func (w *writer) copyTo(ctx context.Context, f *os.File) error {
	// What is lost with a crash is only the copy, which is flushed at its end.
	c := &fileCopy{pages: stepPages, dsn: fileDSN(f.Name(), url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)"}})}
	for steps := 1; !c.done; steps++ {
		err := w.between(ctx, c.step)
		if err == nil && steps%flushSteps == 0 {
			err = f.Sync()
		}
		if err != nil {
			ending := w.between(context.WithoutCancel(ctx), func(*conn) error { return c.finish() })
			if errors.Is(ending, ErrUnavailable) { // the writer has stopped, and its connection's end ends the copy
				ending = nil
			}
			return errors.Join(err, ending)
		}
	}
	return nil
}

// between runs fn on the writer's connection while no transaction is open in it.
// It waits its turn like a transaction. If ctx ends before, fn is not run.
func (w *writer) between(ctx context.Context, fn func(*conn) error) error {
	return w.await(&write{ctx: ctx, aside: fn, done: make(chan struct{})})
}

// apart returns the transactions of a group, and apart from them what has to run
// between transactions.
func apart(group []*write) ([]*write, []*write) {
	var asides []*write
	transactions := slices.DeleteFunc(group, func(req *write) bool {
		if req.aside == nil {
			return false
		}
		asides = append(asides, req)
		return true
	})
	return transactions, asides
}

func (w *writer) runAsides(asides []*write) {
	for _, req := range take(asides) {
		req.err = req.aside(w.conn)
	}
	for _, req := range asides {
		close(req.done)
	}
}

// step copies a few pages more.
func (c *fileCopy) step(on *conn) error {
	if c.on == nil {
		if err := c.begin(on); err != nil {
			return err
		}
	}
	if c.backup == nil {
		return fmt.Errorf("%w: its connection failed meanwhile", ErrUnavailable)
	}
	more, err := c.backup.Step(c.pages)
	if err != nil {
		return err
	}
	if !more {
		c.done = true
		return c.finish()
	}
	// A transaction that is rolled back may make SQLite begin again. Each time
	// more is copied at once, so that the copy ends whatever happens.
	if copied := c.backup.PageCount() - c.backup.Remaining(); copied > c.copied {
		c.copied = copied
		return nil
	}
	c.copied, c.pages = 0, min(c.pages, 1<<29)*2
	return nil
}

func (c *fileCopy) begin(on *conn) error {
	if err := on.connect(context.Background()); err != nil {
		return err
	}
	err := on.open.Raw(func(driverConn any) error {
		source, ok := driverConn.(interface {
			NewBackup(dsn string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("the driver makes no backups")
		}
		var err error
		c.backup, err = source.NewBackup(c.dsn)
		return err
	})
	if err != nil {
		return err
	}
	c.on = on
	on.copies = append(on.copies, c)
	return nil
}

// finish lets go of the copy, whole or not. It may be called again.
func (c *fileCopy) finish() error {
	if c.backup == nil {
		return nil
	}
	c.on.copies = slices.DeleteFunc(c.on.copies, func(other *fileCopy) bool { return other == c })
	backup := c.backup
	c.backup = nil
	return backup.Finish()
}

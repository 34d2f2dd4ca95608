//go:build linux || darwin || freebsd

package db

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// spareRoom is what the database needs for itself while it is copied: as much as
// the write-ahead log keeps (journal_size_limit).
const spareRoom = 64 << 20

// checkRoom refuses a copy into a folder on the database's own disk that would
// fill it: then the database could take no more events either.
func (d *DB) checkRoom(ctx context.Context, folder string) error {
	var size int64
	err := d.Read(ctx, func(q Queryer) error {
		return q.QueryRow(`SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&size)
	})
	if err != nil {
		return fmt.Errorf("db: ask for the database's size: %w", err)
	}
	same, err := sameDisk(d.path, folder)
	if err != nil || !same {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return fmt.Errorf("db: look at the disk of %s: %w", folder, err)
	}
	free := product(disk.Bavail, disk.Bsize)
	if needed := uint64(size) + spareRoom; free < needed { //nolint:gosec // a size is not negative
		return problem.Unavailable.New("the database's disk has no room for a copy: it takes %d MiB, with what the database needs meanwhile, and %d MiB are free",
			needed>>20, free>>20)
	}
	return nil
}

// product multiplies two numbers whose types differ from system to system. The
// first may be negative where the disk is fuller than it should be.
func product[A, B int32 | int64 | uint32 | uint64](a A, b B) uint64 {
	return uint64(max(a, 0)) * uint64(b)
}

func sameDisk(one, other string) (bool, error) {
	a, err := os.Stat(one)
	if err != nil {
		return false, fmt.Errorf("db: look at the database's file: %w", err)
	}
	b, err := os.Stat(other)
	if err != nil {
		return false, fmt.Errorf("db: look at the copy's folder: %w", err)
	}
	x, xOK := a.Sys().(*syscall.Stat_t)
	y, yOK := b.Sys().(*syscall.Stat_t)
	return xOK && yOK && x.Dev == y.Dev, nil
}

package db

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrExists is what Restore returns where there is a database already that it
// was not told to replace.
var ErrExists = errors.New("there is a database already")

// Restoring is what Restore has to do.
type Restoring struct {
	From    string // the copy's path
	Replace bool   // a database that is there already

	// Check looks at the copy before it is put into its place. An error stops the
	// restore.
	Check func(c *Copy) error
	// Progress is told how many bytes of how many are copied; nil: nobody is.
	Progress func(done, total int64)
}

// Restored is what a restore has done.
type Restored struct {
	Kept   string // where the database that was there is now; "": there was none
	SHA256 [sha256.Size]byte
}

// Restore puts a copy into the place of the database that url names, which no
// process may be using, and keeps the database that is there under another name.
// It changes nothing unless the copy is whole, can be used by this program and
// passes the check.
//
// The copy is first written to the disk beside the database, under the suffix
// .restoring, and checked there. Renaming it to .restored- and the time decides:
// until then the old database is in its place, untouched. From then on Open
// finishes what is left to do if a crash comes between, so that no database is
// ever used with the write-ahead log of another.
func Restore(ctx context.Context, url string, r Restoring) (Restored, error) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	if !ok || path == "" {
		return Restored{}, errors.New("db: the database must be given as sqlite:PATH")
	}
	path, err := placeOf(path)
	if err != nil {
		return Restored{}, err
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return Restored{}, err
	}
	done, err := restoreLocked(ctx, path, r)
	return done, errors.Join(err, unlock())
}

// adopt gives a file that root has made to the owner of the database that is
// there, or of its folder, so that a server that is not root can use it.
func adopt(file, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	like, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		like, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return os.Lchown(file, int(owner.Uid), int(owner.Gid))
}

// maxLinks bounds the symbolic links that lead to one file.
const maxLinks = 32

// placeOf returns the one true name of a file that need not exist. Links lead to
// it also while a restore has moved the file away.
func placeOf(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range maxLinks {
		folder, err := filepath.EvalSymlinks(filepath.Dir(path))
		if errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("db: the folder %s does not exist: make it first", filepath.Dir(path))
		}
		if err != nil {
			return "", err
		}
		path = filepath.Join(folder, filepath.Base(path))
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(folder, target)
		}
		path = target
	}
	return "", fmt.Errorf("db: too many symbolic links lead to %s", path)
}

func restoreLocked(ctx context.Context, path string, r Restoring) (Restored, error) {
	if _, err := finishRestore(path); err != nil {
		return Restored{}, err
	}
	if err := checkPlace(path, r); err != nil {
		return Restored{}, err
	}
	var done Restored
	staged := path + stagedSuffix
	err := stage(ctx, staged, r, &done)
	if err == nil {
		err = checkStaged(ctx, staged, r)
	}
	if err == nil {
		err = errors.Join(adopt(staged, path), adopt(path+".lock", path))
	}
	if err == nil {
		err = commitRestore(path)
	}
	if err != nil {
		return Restored{}, errors.Join(err, removeIfThere(staged))
	}
	done.Kept, err = finishRestore(path)
	return done, err
}

// checkPlace refuses to replace what is not meant.
func checkPlace(path string, r Restoring) error {
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("db: look at the database's file: %w", err)
	}
	if !there.Mode().IsRegular() {
		return fmt.Errorf("db: %s is not a regular file", path)
	}
	from, err := os.Stat(r.From)
	if err != nil {
		return fmt.Errorf("db: look at the copy: %w", err)
	}
	if os.SameFile(there, from) {
		return fmt.Errorf("db: %s is the database itself: name the copy to restore", r.From)
	}
	if there.Size() > 0 && !r.Replace {
		return fmt.Errorf("%w: %s", ErrExists, path)
	}
	return nil
}

const (
	stagedSuffix  = ".restoring"       // it may be incomplete
	decidedSuffix = ".restored-"       // and the time: it only has to be moved into its place
	keptSuffix    = ".before-restore-" // and the time

	stampLayout = "20060102T150405.000Z"
)

// stage copies the file to a new one and flushes that to the disk.
func stage(ctx context.Context, staged string, r Restoring, done *Restored) error {
	if _, err := checkPlain(r.From); err != nil {
		return err
	}
	from, err := os.Open(r.From)
	if err != nil {
		return fmt.Errorf("db: open the copy: %w", err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return fmt.Errorf("db: look at the copy: %w", err)
	}
	to, err := os.OpenFile(staged, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("db: make the database's file: %w", err)
	}
	sum := sha256.New()
	counted := &counter{ctx: ctx, total: info.Size(), progress: r.Progress}
	_, err = io.CopyBuffer(io.MultiWriter(to, sum, counted), onlyReader{from}, make([]byte, 1<<20))
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("db: copy the file: %w", err)
	}
	sum.Sum(done.SHA256[:0])
	return nil
}

// onlyReader hides what makes io.Copy go around its buffer.
type onlyReader struct{ io.Reader }

// counter counts what is written and stops it when ctx ends.
type counter struct {
	ctx         context.Context //nolint:containedctx // of the one copying that it counts
	done, total int64
	progress    func(done, total int64)
}

func (c *counter) Write(b []byte) (int, error) {
	c.done += int64(len(b))
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return len(b), c.ctx.Err()
}

// checkStaged checks what was written, so that a file that changes meanwhile
// deceives nobody.
func checkStaged(ctx context.Context, staged string, r Restoring) error {
	c, err := OpenCopy(ctx, staged)
	if err != nil {
		return err
	}
	if r.Check != nil {
		err = r.Check(c)
	}
	return errors.Join(err, c.Close())
}

// commitRestore decides that the staged file is the database. The time in the
// name is what the old one will be kept under.
func commitRestore(path string) error {
	for now := time.Now().UTC(); ; now = now.Add(time.Millisecond) {
		stamp := now.Format(stampLayout)
		if _, err := os.Lstat(path + keptSuffix + stamp); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return fmt.Errorf("db: look for earlier databases: %w", err)
			}
			continue
		}
		err := os.Rename(path+stagedSuffix, path+decidedSuffix+stamp)
		if err == nil {
			err = syncFolder(filepath.Dir(path))
		}
		if err != nil {
			return fmt.Errorf("db: put the copy beside the database: %w", err)
		}
		return nil
	}
}

// finishRestore does what is left of a restore that was decided, and removes
// what is left of one that was not. The caller holds the database's lock. It
// returns where the old database is kept, "" if there was none. Each of its
// steps may be the last before a crash; the next call goes on with the next one.
func finishRestore(path string) (string, error) {
	if err := removeIfThere(path + stagedSuffix); err != nil {
		return "", fmt.Errorf("db: remove what an earlier restore has left: %w", err)
	}
	stamps, err := decided(path)
	if err != nil {
		return "", err
	}
	kept := ""
	for _, stamp := range stamps { // one at most, since each call finishes it
		if kept, err = replace(path, stamp); err != nil {
			return "", fmt.Errorf("db: finish the restore: %w", err)
		}
	}
	return kept, nil
}

// decided returns the times of the restores that are decided and not finished.
// A name that only looks like theirs is somebody's own, whose file must not
// become the database.
func decided(path string) ([]string, error) {
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("db: look for an earlier restore: %w", err)
	}
	var stamps []string
	for _, file := range files {
		stamp, ok := strings.CutPrefix(file.Name(), filepath.Base(path)+decidedSuffix)
		if _, err := time.Parse(stampLayout, stamp); ok && err == nil {
			stamps = append(stamps, stamp)
		}
	}
	return stamps, nil
}

// replace moves the old database away, with its log, and the new one into its
// place. A log must not be left behind: it would be applied to the new one.
func replace(path, stamp string) (string, error) {
	kept := path + keptSuffix + stamp
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		if err := moveAway(path, kept); err != nil {
			return "", err
		}
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if err := moveAway(path+suffix, kept+suffix); err != nil {
			return "", err
		}
	}
	err := errors.Join(removeIfThere(path+"-shm"), syncFolder(filepath.Dir(path)))
	if err == nil {
		err = errors.Join(os.Rename(path+decidedSuffix+stamp, path), syncFolder(filepath.Dir(path)))
	}
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(kept); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return kept, nil
}

// moveAway renames a file, if it is there, to a name that must be free.
func moveAway(from, to string) error {
	if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("both %s and %s are there: move one of them away", from, to), err)
	}
	return os.Rename(from, to)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

package secret

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ReadOrCreateKeyFile reads the master key in the file at path, which only its
// owner may be able to read. Where there is no file it makes one with a new
// key and returns true besides it; its folder has to exist.
//
// The file is complete and on disk before its name appears, so that a crash
// never leaves half a key, and a file that is there is never overwritten: of
// two processes that find none, one creates it and both read the same key.
func ReadOrCreateKeyFile(path string) (Key, bool, error) {
	key, err := readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	key = NewKey()
	err = createKeyFile(path, key)
	if errors.Is(err, fs.ErrExist) { // another process was first
		key, err = readKeyFile(path)
		return key, false, err
	}
	if err != nil {
		return Key{}, false, err
	}
	return key, true, nil
}

func readKeyFile(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("secret: open the key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Key{}, fmt.Errorf("secret: look at the key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Key{}, fmt.Errorf("secret: the key file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, fmt.Errorf("secret: others than its owner can use the key file %s (mode %04o): run chmod 600 on it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096)) // far more than any key
	if err != nil {
		return Key{}, fmt.Errorf("secret: read the key file: %w", err)
	}
	key, err := ParseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("secret: the key file %s holds no key: %w", path, err)
	}
	return key, nil
}

// createKeyFile writes the key to a file of another name, made with O_EXCL and
// mode 0600, and links that to path. Linking fails with fs.ErrExist if path is
// there.
func createKeyFile(path string, key Key) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.new")
	if err != nil {
		return fmt.Errorf("secret: make the key file: %w", err)
	}
	_, err = io.WriteString(f, hex.EncodeToString(key.bytes[:])+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), path)
	}
	if err = errors.Join(err, os.Remove(f.Name())); err != nil {
		return fmt.Errorf("secret: write the key file: %w", err)
	}
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("secret: flush the key file's folder: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

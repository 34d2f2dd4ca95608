package secret

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// nextSuffix ends the name of a file with a key that is to take the place of the
// one in the file without it.
const nextSuffix = ".new"

// WriteNextKeyFile puts a key beside the key file at path, where it waits for
// [AdoptNextKeyFile]. When it returns the key is on disk. A key that waits
// already is replaced.
func WriteNextKeyFile(path string, key Key) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.next")
	if err != nil {
		return fmt.Errorf("secret: make the new key's file: %w", err)
	}
	_, err = io.WriteString(f, hex.EncodeToString(key.bytes[:])+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path+nextSuffix)
	}
	if err != nil {
		return fmt.Errorf("secret: write the new key's file: %w", errors.Join(err, os.Remove(f.Name())))
	}
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("secret: flush the key file's folder: %w", err)
	}
	return nil
}

// ReadNextKeyFile reads the key that waits beside the key file at path. It returns
// an error that matches fs.ErrNotExist if none does.
func ReadNextKeyFile(path string) (Key, error) { return readKeyFile(path + nextSuffix) }

// AdoptNextKeyFile puts the key that waits into the key file at path, which at no
// moment is missing, and returns the name under which the old one is kept.
func AdoptNextKeyFile(path string, now time.Time) (string, error) {
	kept := path + ".before-" + now.UTC().Format("20060102T150405.000Z")
	if err := os.Link(path, kept); err != nil {
		return "", fmt.Errorf("secret: keep the old key's file: %w", err)
	}
	if err := os.Rename(path+nextSuffix, path); err != nil {
		return "", fmt.Errorf("secret: replace the key file: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("secret: flush the key file's folder: %w", err)
	}
	return kept, nil
}

// DropNextKeyFile removes a key that waits, if one does.
func DropNextKeyFile(path string) error {
	err := os.Remove(path + nextSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("secret: remove a key that is not used: %w", err)
	}
	return nil
}

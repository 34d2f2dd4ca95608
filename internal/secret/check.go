package secret

import (
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// ReadKeyFile reads the master key in the file at path, which only its owner may
// be able to read. It returns an error that matches fs.ErrNotExist if there is
// no file.
func ReadKeyFile(path string) (Key, error) { return readKeyFile(path) }

// HasKey reports whether what q reads was encrypted with a master key, so that
// another one can't fit.
func HasKey(q db.Queryer) (bool, error) {
	_, err := verifier(q)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Check returns ErrWrongKey if what q reads was encrypted with another master
// key. It changes nothing, so that a copy of a database can be asked.
func Check(q db.Queryer, key Key) error {
	if key == (Key{}) {
		return errNoKey
	}
	box, err := newBox(key)
	if err != nil {
		return err
	}
	sealed, err := verifier(q)
	if errors.Is(err, db.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return box.verify(sealed)
}

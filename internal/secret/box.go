package secret

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// format1 is the first byte of what AES-256-GCM sealed with a random nonce.
const format1 = 1

// verifierText is what the verifier seals.
const verifierText = "grapevine"

// ErrWrongKey says that the database was encrypted with another master key.
var ErrWrongKey = errors.New("secret: the database was encrypted with another master key")

var (
	errNoKey  = errors.New("secret: there is no master key")
	errNoRow  = errors.New("secret: a sealed value has to belong to a row")
	errFormat = errors.New("secret: the sealed value has a format that this program does not know")
	errSealed = errors.New("secret: the value does not open: it was changed, or sealed with another key or for another row")
)

// Box seals and opens values with one master key. It may be used concurrently.
type Box struct{ aead cipher.AEAD }

// Open returns the box of the database's master key. The first call for a
// database stores a verifier of key in it; later ones return ErrWrongKey if key
// is not that key.
func Open(ctx context.Context, d *db.DB, key Key) (*Box, error) {
	if key == (Key{}) {
		return nil, errNoKey
	}
	box, err := newBox(key)
	if err != nil {
		return nil, err
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		sealed, err := verifier(tx)
		if errors.Is(err, db.ErrNoRows) {
			return insertVerifier(tx, box.seal([]byte(verifierText), id.ID{}))
		}
		if err != nil {
			return err
		}
		return box.verify(sealed)
	})
	if err != nil {
		return nil, err
	}
	return box, nil
}

// Chosen reports whether a database has a master key already, so that another
// one can't fit.
func Chosen(ctx context.Context, d *db.DB) (bool, error) {
	chosen := false
	err := d.Read(ctx, func(q db.Queryer) error {
		var err error
		chosen, err = HasKey(q)
		return err
	})
	return chosen, err
}

func newBox(key Key) (*Box, error) {
	block, err := aes.NewCipher(key.bytes[:])
	if err != nil {
		return nil, fmt.Errorf("secret: set up AES: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("secret: set up GCM: %w", err)
	}
	return &Box{aead: aead}, nil
}

func (b *Box) verify(sealed []byte) error {
	text, err := b.open(sealed, id.ID{})
	if errors.Is(err, errFormat) {
		return err
	}
	if err != nil || string(text) != verifierText {
		return ErrWrongKey
	}
	return nil
}

// Seal encrypts plain for the row that it will be stored in, which must not be
// the zero ID. Sealing the same value again gives other bytes, 29 more than
// plain has.
func (b *Box) Seal(plain []byte, row id.ID) ([]byte, error) {
	if row.IsZero() {
		return nil, errNoRow
	}
	return b.seal(plain, row), nil
}

// Open decrypts what Seal returned for the same row. Anything else, a single
// changed bit included, is an error, which shows nothing of the value.
func (b *Box) Open(sealed []byte, row id.ID) ([]byte, error) {
	if row.IsZero() {
		return nil, errNoRow
	}
	return b.open(sealed, row)
}

func (b *Box) seal(plain []byte, row id.ID) []byte {
	sealed := make([]byte, 1, 1+b.aead.Overhead()+len(plain))
	sealed[0] = format1
	return b.aead.Seal(sealed, nil, plain, additional(format1, row)) //nolint:gosec // this AEAD makes its own random nonce
}

func (b *Box) open(sealed []byte, row id.ID) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, errSealed
	}
	if sealed[0] != format1 {
		return nil, errFormat
	}
	plain, err := b.aead.Open(nil, nil, sealed[1:], additional(format1, row))
	if err != nil {
		return nil, errSealed
	}
	return plain, nil
}

// additional is what a sealed value is authenticated with besides itself.
func additional(format byte, row id.ID) []byte {
	return append([]byte{format}, row[:]...)
}

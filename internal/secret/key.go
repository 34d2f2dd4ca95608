// Package secret encrypts what Grapevine has to be able to read again: signing
// secrets and the credentials of receivers. What only has to be recognised,
// such as API keys, is hashed by its owner and never comes here.
//
// One master key encrypts everything. The operator gives it ([ParseKey]) or the
// first start makes a file of it ([ReadOrCreateKeyFile]). [Open] compares it
// with the verifier, a known text that the first start sealed into the
// database, so that a server with another key refuses to start instead of
// failing at the first secret that it needs.
//
// A sealed value is one byte of format, then for format 1 a random nonce of 12
// bytes and the text in AES-256-GCM with its tag of 16 bytes. The format and
// the id of the row that the value belongs to are authenticated with it: a
// value that is copied into another row does not open there. Random nonces are
// safe for 2^32 values sealed with one key.
package secret

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const keySize = 32 // bytes

// masked is what is shown of a key.
const masked = "[master key]"

// Key is a master key. The zero Key is none. However it is formatted or logged,
// its bytes don't show.
type Key struct{ bytes [keySize]byte }

// NewKey returns a fresh random key.
func NewKey() Key {
	var key Key
	_, _ = rand.Read(key.bytes[:]) // never fails: the runtime ends the process first
	return key
}

// ParseKey reads a master key: 64 hexadecimal digits, or the base64 of 32 bytes
// in either alphabet, with or without padding. Space around it is ignored. The
// error does not repeat any of text.
func ParseKey(text string) (Key, error) {
	var key Key
	text = strings.TrimSpace(text)
	raw, err := decodeKey(text)
	if err != nil || len(raw) != keySize {
		return Key{}, errors.New("secret: a master key is 64 hexadecimal digits, or 32 bytes in base64")
	}
	copy(key.bytes[:], raw)
	if key == (Key{}) {
		return Key{}, errors.New("secret: the master key is all zeros")
	}
	return key, nil
}

func decodeKey(text string) ([]byte, error) {
	if len(text) == hex.EncodedLen(keySize) {
		return hex.DecodeString(text)
	}
	if len(text) > base64.StdEncoding.EncodedLen(keySize) {
		return nil, errors.New("too long")
	}
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSuffix(text, "="))
	return base64.RawStdEncoding.Strict().DecodeString(text)
}

// String returns a mask.
func (Key) String() string { return masked }

// Format writes the mask, whatever the verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue logs the mask.
func (Key) LogValue() slog.Value { return slog.StringValue(masked) }

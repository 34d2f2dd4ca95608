package tenant

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
)

// How keys begin. What follows in a key that was made here is random.
const (
	livePrefix  = "gv_live_"
	testPrefix  = "gv_test_"
	adminPrefix = "gv_admin_"
)

const (
	alphabet     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLength = 40 // of the alphabet: 238 bits
	hintLength   = 4  // of the random characters; 214 bits stay unknown

	// What an admin key from outside may have behind its prefix.
	minAdminRandom = 24
	maxAdminRandom = 200
)

// hash is the SHA-256 of a key.
type hash [sha256.Size]byte

// hashOf does not allocate for keys of the lengths that are accepted.
func hashOf(key string) hash {
	var buf [len(adminPrefix) + maxAdminRandom]byte
	if len(key) > len(buf) {
		return sha256.Sum256([]byte(key))
	}
	return sha256.Sum256(buf[:copy(buf[:], key)])
}

func (h hash) equal(other hash) bool {
	return subtle.ConstantTimeCompare(h[:], other[:]) == 1
}

// newText returns the prefix and n random characters.
func newText(prefix string, n int) string {
	key := make([]byte, 0, len(prefix)+n)
	key = append(key, prefix...)
	var buf [2 * randomLength]byte
	for len(key) < cap(key) {
		_, _ = rand.Read(buf[:]) // never fails: the runtime ends the process first
		for _, b := range buf {
			// The bytes from 248 up would make the first characters likelier.
			if int(b) < 256-256%len(alphabet) && len(key) < cap(key) {
				key = append(key, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(key)
}

// isTenantKey reports whether the text has the shape of a tenant's key.
func isTenantKey(text string) bool {
	if len(text) != len(livePrefix)+randomLength { // testPrefix is as long
		return false
	}
	if !strings.HasPrefix(text, livePrefix) && !strings.HasPrefix(text, testPrefix) {
		return false
	}
	for _, c := range []byte(text[len(livePrefix):]) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// checkAdminKey refuses what could not be an admin key, without repeating it.
func checkAdminKey(text string) error {
	random, ok := strings.CutPrefix(text, adminPrefix)
	if !ok {
		return errors.New("tenant: the admin key must start with " + adminPrefix)
	}
	if len(random) < minAdminRandom || len(random) > maxAdminRandom {
		return errors.New("tenant: the admin key must have 24 to 200 characters behind " + adminPrefix)
	}
	if !isPrintable(random) {
		return errors.New("tenant: the admin key must have no spaces and only printable ASCII characters, or no request could carry it")
	}
	return nil
}

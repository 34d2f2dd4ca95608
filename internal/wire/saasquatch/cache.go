package saasquatch

import (
	"crypto/sha256"
	"sync"
)

// signatures are the RSA signatures of the process. The server's key is the same
// for all tenants and subscriptions, and an event's attempts and subscriptions
// all get the same signature, which takes most of a millisecond to make.
var signatures signatureCache

// signatureCache remembers the last signatures. A signature depends on nothing
// but the key and the digest, so whoever asks gets the same with the cache as
// without it. The zero value is ready.
type signatureCache struct {
	mu     sync.Mutex
	made   map[signed]func() []byte
	order  [1024]signed // a ring
	oldest int          // gives way to the next
}

// signed is what a signature was made of.
type signed struct {
	modulus [sha256.Size]byte // the hash of the key's, so that two copies of a key are one
	digest  [sha256.Size]byte
}

// of returns the signature of what is signed, and calls sign unless it remembers
// it. Whoever asks for the same at the same time waits for one call.
func (c *signatureCache) of(what signed, sign func() []byte) []byte {
	return c.entry(what, sign)()
}

func (c *signatureCache) entry(what signed, sign func() []byte) func() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if signature, ok := c.made[what]; ok {
		return signature
	}
	if c.made == nil {
		c.made = make(map[signed]func() []byte, len(c.order))
	}
	delete(c.made, c.order[c.oldest])
	c.order[c.oldest] = what
	c.oldest = (c.oldest + 1) % len(c.order)
	c.made[what] = sync.OnceValue(sign)
	return c.made[what]
}

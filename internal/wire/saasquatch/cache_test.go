package saasquatch

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
)

// number returns the n-th of many things to sign.
func number(n int) signed {
	var text [8]byte
	binary.BigEndian.PutUint64(text[:], uint64(n))
	return signed{digest: sha256.Sum256(text[:])}
}

// counted returns a signature that says how many were made before it.
func counted(made *atomic.Int64) func() []byte {
	return func() []byte { return binary.BigEndian.AppendUint64(nil, uint64(made.Add(1))) }
}

func TestASignatureIsMadeOnceForAllWhoAskAtTheSameTime(t *testing.T) {
	var c signatureCache
	var made atomic.Int64
	release := make(chan struct{})
	var wg sync.WaitGroup
	got := make([][]byte, 16)
	for i := range got {
		wg.Go(func() {
			got[i] = c.of(number(1), func() []byte {
				<-release
				return counted(&made)()
			})
		})
	}
	other := c.of(number(2), func() []byte { return []byte("other") }) // does not wait for the first
	close(release)
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("it was made %d times", made.Load())
	}
	for i, signature := range got {
		if string(signature) != string(got[0]) || string(signature) == string(other) {
			t.Errorf("%d got %x", i, signature)
		}
	}
}

func TestTheLast1024SignaturesAreRemembered(t *testing.T) {
	var c signatureCache
	var made atomic.Int64
	for n := range 1024 {
		c.of(number(n), counted(&made))
	}
	for n := range 1024 {
		c.of(number(n), counted(&made))
	}
	if made.Load() != 1024 {
		t.Fatalf("%d were made for 1,024", made.Load())
	}
	c.of(number(1024), counted(&made)) // number 0 gives way
	c.of(number(1), counted(&made))
	if made.Load() != 1025 {
		t.Fatalf("%d were made for 1,025", made.Load())
	}
	c.of(number(0), counted(&made))
	if made.Load() != 1026 {
		t.Errorf("the oldest was kept")
	}
}

func TestKeysHaveSignaturesOfTheirOwn(t *testing.T) {
	var c signatureCache
	one, two := number(1), number(1)
	two.modulus[0] = 1
	a := c.of(one, func() []byte { return []byte("a") })
	b := c.of(two, func() []byte { return []byte("b") })
	if string(a) != "a" || string(b) != "b" {
		t.Errorf("%q and %q", a, b)
	}
}

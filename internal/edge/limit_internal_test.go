package edge

import "testing"

func TestTheLimiterForgetsKeysBeforeItHoldsTooMany(t *testing.T) {
	l := NewLimiter(1)
	var key [12]byte
	for i := range 3 * maxLimited {
		key[0], key[1], key[2] = byte(i), byte(i>>8), byte(i>>16)
		if !l.of(key).Allow() {
			t.Fatal("a new key has to wait")
		}
		if len(l.keys) > maxLimited {
			t.Fatalf("holds %d keys", len(l.keys))
		}
	}
}

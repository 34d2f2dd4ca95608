package tenant

import (
	"maps"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// cache keeps what was read of late. It holds at most limit entries and forgets
// all of them when it is full, which costs each one in use one more read.
//
// An entry that is loaded while something changes could be of before the change
// and be kept after it. So each change begins a new generation, and an entry is
// kept only if none began since its loading did. A change that another process
// made comes as a drop of its own, after its commit, so the same holds for it.
type cache[K, V comparable] struct {
	limit int
	alive func() bool // false: changes may have been missed, and nothing is used or kept

	mu         sync.RWMutex
	entries    map[K]V
	generation uint64
}

// newCache returns a cache of what changes as the feed says; nil: only by drop.
func newCache[K, V comparable](limit int, feed db.Feed) *cache[K, V] {
	c := &cache[K, V]{limit: limit, entries: make(map[K]V), alive: func() bool { return true }}
	if feed != nil {
		c.alive = feed.Alive
	}
	return c
}

// get returns the entry under the key, or the zero one.
func (c *cache[K, V]) get(key K) V {
	if !c.alive() {
		return *new(V)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.entries[key]
}

// load calls read and keeps what it returns, unless drop was called meanwhile.
// Of several that load the same all get the one that is kept.
func (c *cache[K, V]) load(key K, read func() (V, error)) (V, error) {
	c.mu.RLock()
	began := c.generation
	c.mu.RUnlock()

	e, err := read()
	if err != nil {
		return *new(V), err
	}
	if !c.alive() {
		return e, nil
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != began {
		return e, nil // right when it was read, and that is all that is known
	}
	if kept, ok := c.entries[key]; ok {
		return kept, nil
	}
	if len(c.entries) >= c.limit {
		clear(c.entries)
	}
	c.entries[key] = e
	return e, nil
}

// drop forgets the entries that have changed.
func (c *cache[K, V]) drop(changed func(K, V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	maps.DeleteFunc(c.entries, changed)
}

// end forgets an entry that has come to its end by itself, unless another one
// has taken its place.
func (c *cache[K, V]) end(key K, e V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key] == e {
		delete(c.entries, key)
	}
}

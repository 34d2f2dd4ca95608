package db

import (
	"slices"
	"sync"
)

// board is who hears what the transactions of this process tell, by topic.
type board struct {
	mu      sync.RWMutex
	hearers map[any][]*hearer
}

type hearer struct{ fn func(word any) }

// Hear has fn called with every word that a transaction of this process tells on
// the topic, under the rules of [Tx.After], until what it returns is called. A topic is
// a value of a type that belongs to whoever tells, as a key of a context is.
func (d *DB) Hear(topic any, fn func(word any)) func() {
	h := &hearer{fn}
	d.board.mu.Lock()
	defer d.board.mu.Unlock()
	if d.board.hearers == nil {
		d.board.hearers = make(map[any][]*hearer)
	}
	d.board.hearers[topic] = append(d.board.hearers[topic], h)
	return func() {
		d.board.mu.Lock()
		defer d.board.mu.Unlock()
		d.board.hearers[topic] = slices.DeleteFunc(slices.Clone(d.board.hearers[topic]), func(other *hearer) bool { return other == h })
	}
}

// Tell has those called that hear the topic, once the transaction is committed. So a
// function that is given a transaction alone reaches who waits for what it does.
func (tx *Tx) Tell(topic, word any) {
	tx.After(func() {
		tx.board.mu.RLock()
		hearers := tx.board.hearers[topic]
		tx.board.mu.RUnlock()
		for _, h := range hearers {
			h.fn(word)
		}
	})
}

// Keep keeps a value for the rest of the closure, under a key of a type that belongs
// to whoever keeps it. It is nobody else's, and gone when the closure is run again.
func (tx *Tx) Keep(key, value any) {
	if tx.kept == nil {
		tx.kept = make(map[any]any)
	}
	tx.kept[key] = value
}

// Kept returns what was kept under the key, or nil.
func (tx *Tx) Kept(key any) any { return tx.kept[key] }

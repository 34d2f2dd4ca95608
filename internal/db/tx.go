package db

import "time"

// Tx is a transaction under way. It is valid only inside the closure that got
// it, and for one goroutine.
type Tx struct {
	scope
	now   time.Time
	undo  []func()
	after []func()
}

var _ Queryer = (*Tx)(nil)

// Now is the one time of the transaction: UTC, whole microseconds.
func (tx *Tx) Now() time.Time { return tx.now }

// Exec runs a statement and returns how many rows it concerned.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	return tx.exec(query, args)
}

// Undo notes how to take back a change to memory that the closure made. It runs
// if the transaction does not commit, the last noted first.
func (tx *Tx) Undo(fn func()) { tx.undo = append(tx.undo, fn) }

// After notes what to do once the transaction is committed. What several
// transactions note runs in the order of their commits, before any later
// transaction begins and before Write returns; it must not block and must not
// write.
func (tx *Tx) After(fn func()) { tx.after = append(tx.after, fn) }

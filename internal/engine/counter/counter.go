// Package counter keeps limits that are never exceeded, however many want the last
// of it at once.
//
// A counter counts something, its scope, within a window: a person's rewards under a
// rule in a month, say. [Take] and [TakeUpTo] change it by an update that holds the
// cap as its condition, in the transaction of what is limited. So what is taken back
// with that transaction was never taken.
//
// That a cap is reached is said once in each window, to whoever takes the last of it;
// not again if something is given back and taken anew, nor if the cap was raised
// meanwhile.
//
// Who takes from one counter at once waits on Postgres, or is run again: such
// commands do well to queue by a key that they have in common.
package counter

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Key names a counter and the moment for which it is asked.
type Key struct {
	Tenant id.ID
	Scope  string // what is counted, such as a rule and a person
	Window Window
	At     time.Time // when it takes effect: it chooses the window
}

// MaxScope is how many bytes a scope may have.
const MaxScope = 255

func (k Key) check() error {
	var c problem.Checks
	if k.Tenant.IsZero() {
		c.Add("tenant", "must be given")
	}
	if k.Scope == "" || len(k.Scope) > MaxScope {
		c.Add("scope", "must have 1 to %d bytes", MaxScope)
	}
	if k.At.IsZero() {
		c.Add("at", "must be given")
	}
	if !k.Window.valid() {
		c.Add("window", "must have a time zone, or a length of more than 0")
	}
	return c.Err()
}

// Taken is what came of asking for something.
type Taken struct {
	Granted    int64 // 0: nothing is left, or not enough
	Used       int64 // of the window, after it
	ReachedNow bool  // this took the last of the window, for the first time in it
}

// Take takes n where no more than limit is used in the window then, and nothing
// otherwise. That it is refused is no error.
func Take(tx *db.Tx, k Key, n, limit int64) (Taken, error) {
	c, err := open(tx, k, n, limit)
	if err != nil {
		return Taken{}, err
	}
	return c.take(n)
}

// TakeUpTo takes as much of n as the limit leaves in the window, perhaps nothing.
func TakeUpTo(tx *db.Tx, k Key, n, limit int64) (Taken, error) {
	c, err := open(tx, k, n, limit)
	if err != nil {
		return Taken{}, err
	}
	for {
		used, err := selectUsed(tx, c)
		if err != nil || used >= limit {
			return Taken{Used: used}, err
		}
		taken, err := c.take(min(n, limit-used))
		if err != nil || taken.Granted > 0 {
			return taken, err
		}
		// Somebody else has taken of it since it was read: there is less left.
	}
}

// GiveBack gives back n of what was taken with the key, whose At is the time of the
// taking: so it comes back to the window that it was taken from. What has left a
// rolling window since is not given back.
func GiveBack(tx *db.Tx, k Key, n int64) error {
	if n <= 0 {
		return problem.InvalidField("amount", "must be more than 0")
	}
	c, err := at(tx, k)
	if err != nil {
		return err
	}
	if k.Window.rolls() {
		return c.giveBackRolling(n)
	}
	back, err := updateLess(tx, c, n)
	if err == nil && !back {
		return problem.Conflict.New("less than that was taken in the window")
	}
	return err
}

// Used returns how much is used in the key's window.
func Used(q db.Queryer, k Key) (int64, error) {
	c, err := at(nil, k)
	if err != nil {
		return 0, err
	}
	if k.Window.rolls() {
		return sumTakesAfter(q, c, c.edge())
	}
	return selectUsed(q, c)
}

// counter is one window's row, and who asks for it.
type counter struct {
	Key

	tx    *db.Tx
	start int64
	limit int64
}

// at returns the counter of a key.
func at(tx *db.Tx, k Key) (*counter, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	return &counter{Key: k, tx: tx, start: k.Window.start(k.At)}, nil
}

// open returns the counter of a key, without what has left its window.
func open(tx *db.Tx, k Key, n, limit int64) (*counter, error) {
	c, err := at(tx, k)
	switch {
	case err != nil:
		return nil, err
	case n <= 0:
		return nil, problem.InvalidField("amount", "must be more than 0")
	case limit < 0:
		return nil, problem.InvalidField("limit", "must not be below 0")
	}
	c.limit = limit
	if !k.Window.rolls() {
		return c, nil
	}
	return c, c.forget()
}

// take takes n or nothing.
func (c *counter) take(n int64) (Taken, error) {
	var now *row
	if n <= c.limit {
		var err error
		if now, err = updateMore(c.tx, c, n); err != nil {
			return Taken{}, err
		}
	}
	if now == nil {
		used, err := selectUsed(c.tx, c)
		return Taken{Used: used}, err
	}
	taken := Taken{Granted: n, Used: now.used, ReachedNow: now.reached == now.version}
	if !c.Window.rolls() {
		return taken, nil
	}
	return taken, insertTake(c.tx, c, take{db.Micro(c.At), now.version, n})
}

// take is what was taken at once in a rolling window and not given back.
type take struct{ at, version, amount int64 }

// edge is the last moment that is out of a rolling window.
func (c *counter) edge() int64 { return c.Window.edge(c.At) }

// lock keeps others away from a rolling window, which is more than one row.
func (c *counter) lock() error {
	return c.tx.Lock("counter " + c.Tenant.String() + " " + c.Window.period + " " + c.Scope)
}

// forget removes from a rolling window what was taken too long ago. Where it is not
// full then, it can be reached anew.
func (c *counter) forget() error {
	if err := c.lock(); err != nil {
		return err
	}
	gone, err := sumTakesUntil(c.tx, c, c.edge())
	if err != nil || gone == 0 {
		return err
	}
	if err := deleteTakes(c.tx, c, c.edge()); err != nil {
		return err
	}
	return updateForgotten(c.tx, c, gone)
}

// giveBackRolling gives back what was taken at the time of the key, the last first.
func (c *counter) giveBackRolling(n int64) error {
	if err := c.lock(); err != nil {
		return err
	}
	takes, err := selectTakes(c.tx, c)
	if err != nil {
		return err
	}
	back := int64(0)
	for _, t := range takes {
		part := min(t.amount, n-back)
		if part == 0 {
			break
		}
		t.amount -= part
		back += part
		if err := storeTake(c.tx, c, t); err != nil {
			return err
		}
	}
	if back == 0 {
		return nil
	}
	_, err = updateLess(c.tx, c, back)
	return err
}
